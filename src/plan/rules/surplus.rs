//! Law: an Eip keeps one address; another that is idle and old enough to be surely seen goes,
//! unless a person protects it.

use crate::plan::action::{Action, Reason, Subject, Wait};
use crate::plan::claims::Claim;
use crate::plan::planner::Draft;

pub fn steps(draft: &mut Draft<'_>, claims: &[Claim<'_>]) {
    if draft.snapshot.holds_releases() {
        return;
    }
    for claim in claims.iter().filter(|claim| !claim.eip.deleting) {
        let [(kept, _), surplus @ ..] = claim.addresses.as_slice() else { continue };
        for (id, address) in surplus {
            let settled = address.age.is_some_and(|age| age > draft.snapshot.settings.settle);
            if address.association.is_none() && settled {
                if let Some(by) = draft.snapshot.protection(claim.eip) {
                    draft.wait(Subject::Address((*id).clone()), Wait::Protected { by });
                    continue;
                }
                let action = Action::Release {
                    address: (*id).clone(),
                    ip: address.ip.clone(),
                    eip: claim.key.clone(),
                    eip_uid: claim.eip.uid.clone(),
                    orphan: false,
                };
                draft.step(claim, action, Reason::Surplus { kept: (*kept).clone() });
            }
        }
    }
}

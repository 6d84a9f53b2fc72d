//! Law: the idle address of an Eip that is being deleted goes back to AWS.

use crate::plan::action::{Action, Reason};
use crate::plan::claims::Claim;
use crate::plan::planner::Draft;

pub fn steps(draft: &mut Draft<'_>, claims: &[Claim<'_>]) {
    for claim in claims.iter().filter(|claim| claim.eip.deleting && claim.eip.held) {
        for (id, address) in &claim.addresses {
            if address.association.is_none() {
                let action = Action::Release {
                    address: (*id).clone(),
                    ip: address.ip.clone(),
                    eip_uid: claim.eip.uid.clone(),
                };
                draft.step(claim, action, Reason::EipDeleted);
            }
        }
    }
}

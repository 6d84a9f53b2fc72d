//! Law: our finalizer goes when no address carries the Eip's uid, nor may one be on its way.

use crate::plan::action::{Action, Reason, Subject, Wait};
use crate::plan::claims::{Claim, of_uid};
use crate::plan::planner::Draft;

pub fn steps(draft: &mut Draft<'_>, claims: &[Claim<'_>]) {
    if draft.snapshot.addresses.known().is_none() {
        return;
    }
    for claim in claims.iter().filter(|claim| claim.eip.deleting && claim.eip.held) {
        if !claim.addresses.is_empty() {
            continue;
        }
        let uid = &claim.eip.uid;
        if let Some(id) = of_uid(draft.snapshot, uid) {
            let wait = Wait::Untagged { address: id.clone() };
            draft.wait(Subject::Eip(claim.key.clone()), wait);
            continue;
        }
        let settle = draft.snapshot.settings.settle;
        match draft.snapshot.recent.settling.get(uid).copied().unwrap_or(settle) {
            0 => {
                let action = Action::LetGo { eip: claim.key.clone(), uid: uid.clone() };
                draft.step(claim, action, Reason::NothingLeft);
            }
            seconds => {
                let wait = Wait::MaybeAllocated { seconds };
                draft.wait(Subject::Eip(claim.key.clone()), wait);
            }
        }
    }
}

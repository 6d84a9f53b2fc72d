//! Law: an Eip bears our finalizer before anything is bought for it.

use crate::plan::action::{Action, Reason};
use crate::plan::claims::Claim;
use crate::plan::planner::Draft;

pub fn steps(draft: &mut Draft<'_>, claims: &[Claim<'_>]) {
    for claim in claims.iter().filter(|claim| !claim.eip.held && !claim.eip.deleting) {
        let action = Action::Hold { eip: claim.key.clone(), uid: claim.eip.uid.clone() };
        draft.step(claim, action, Reason::IntentBeforePurchase);
    }
}

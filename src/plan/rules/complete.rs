//! Law: an address of ours whose Eip exists bears all tags that say whose it is.
//!
//! The older operator wrote no cluster uid, without which another cluster of the same name could
//! not be told apart, and no date, without which a surplus address would never be old enough to go.

use crate::plan::action::{Action, Reason};
use crate::plan::claims::Claim;
use crate::plan::planner::Draft;

pub fn steps(draft: &mut Draft<'_>, claims: &[Claim<'_>]) {
    for claim in claims.iter().filter(|claim| claim.eip.held && !claim.eip.deleting) {
        for (id, address) in claim.addresses.iter().filter(|(_, a)| a.cluster.is_none()) {
            let action = Action::Tag {
                address: (*id).clone(),
                ip: address.ip.clone(),
                eip: claim.key.clone(),
                uid: claim.eip.uid.clone(),
                from: address.eip.clone(),
                undated: address.age.is_none(),
            };
            draft.step(claim, action, Reason::TagsIncomplete);
        }
    }
}

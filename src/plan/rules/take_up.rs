//! Law: an Eip that came back under a new uid takes up the address it had, instead of a new one.
//!
//! A name is unique in its namespace: while this Eip bears it, the one whose uid is in the tag of
//! the address is gone for good. A restore from a backup does this, and so does an Eip that was
//! made again after a person had taken the finalizer off the first.

use crate::plan::action::{Action, Reason};
use crate::plan::claims::Claim;
use crate::plan::index::Listed;
use crate::plan::planner::Draft;

pub fn steps(draft: &mut Draft<'_>, claims: &[Claim<'_>]) {
    for claim in claims.iter().filter(|claim| claim.eip.held) {
        let Some((id, address)) = candidate(draft, claim) else { continue };
        let action = Action::Tag {
            address: id.clone(),
            ip: address.ip.clone(),
            eip: claim.key.clone(),
            uid: claim.eip.uid.clone(),
            from: address.eip.clone(),
            undated: address.age.is_none(),
        };
        draft.step(claim, action, Reason::SameNameBefore);
    }
}

/// The address that this Eip had under an earlier uid: of several the associated one, else the
/// oldest. It must be of this very cluster, so that a cluster built anew takes nothing by itself.
pub fn candidate<'a>(draft: &Draft<'a>, claim: &Claim<'_>) -> Option<Listed<'a>> {
    if claim.eip.deleting || !claim.addresses.is_empty() {
        return None;
    }
    namesakes(draft, claim).min_by_key(|(id, address)| {
        let age = std::cmp::Reverse(address.age.unwrap_or(0));
        (address.association.is_none(), age, *id)
    })
}

/// Addresses of Eips that had this one's name and are gone.
pub fn namesakes<'a>(
    draft: &Draft<'a>,
    claim: &Claim<'_>,
) -> impl Iterator<Item = Listed<'a>> + use<'a> {
    let cluster = &draft.snapshot.cluster.uid;
    draft.index.of_gone(claim.key).into_iter().filter(move |(_, address)| {
        address.cluster.as_ref() == Some(cluster) && !address.eip.is_empty()
    })
}

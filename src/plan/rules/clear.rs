//! Law: a pod bears our annotations only while the address they name is on it and stays there.
//!
//! The annotation with the allocation id says that the three are ours: a target that a person
//! wrote on a pod of theirs is not touched.

use std::collections::BTreeMap;

use crate::plan::action::{Action, Reason};
use crate::plan::claims::{Claim, Seat};
use crate::plan::planner::Draft;
use crate::plan::rules::orphans::carrier;
use crate::plan::snapshot::{Address, AllocationId, Key, Pod, Snapshot, Uid};

pub fn steps(draft: &mut Draft<'_>, claims: &[Claim<'_>]) {
    let snapshot = draft.snapshot;
    let (Some(addresses), Some(_)) = (snapshot.addresses.known(), snapshot.eips.known()) else {
        return;
    };
    let of = |claim| move |(id, _): &(_, _)| (*id, claim);
    let owners: BTreeMap<&AllocationId, &Claim<'_>> =
        claims.iter().flat_map(|claim| claim.addresses.iter().map(of(claim))).collect();
    for (key, pod) in snapshot.pods_in_scope() {
        let Some(id) = &pod.allocation else { continue };
        let claim = owners.get(id).copied();
        let true_yet = match claim {
            Some(claim) => stays(snapshot, claim, key, pod, id),
            // Of an Eip that is gone, and may come back: it is on the pod as long as that is there.
            None => addresses.get(id).is_some_and(|address| {
                let on = carrier(draft, id, address);
                !draft.ends(id) && on.is_some_and(|(_, carrier)| carrier.uid == pod.uid)
            }),
        };
        if true_yet {
            continue;
        }
        let action = Action::Clear { pod: key.clone(), uid: pod.uid.clone() };
        // Of whom it was is known from the address, if that is still there. Where that is of
        // another namespace somebody has copied the annotation, and no Eip has to do with it: one
        // that cannot be taken off keeps nobody there waiting.
        let of_here = |address: &&Address| address.namespace == key.namespace;
        match (claim, addresses.get(id).filter(of_here)) {
            (Some(claim), Some(_)) => draft.step(claim, action, Reason::AddressLeaves),
            (None, Some(address)) => {
                let owner = key.sibling(&address.name);
                draft.step_for(&owner, &address.eip, action, Reason::AddressLeaves);
            }
            (_, None) => draft.step_for(key, &Uid::new(), action, Reason::AddressLeaves),
        }
    }
}

fn stays(snapshot: &Snapshot, claim: &Claim<'_>, key: &Key, pod: &Pod, id: &AllocationId) -> bool {
    // Where it belongs is not known: it stays, and so does what is said of it.
    if claim.seat == Seat::Unknown {
        return !claim.ends(snapshot);
    }
    let Some(target) = claim.seat.keeps() else { return false };
    let there = claim
        .addresses
        .iter()
        .any(|(own, address)| *own == id && address.private_ip == Some(target.ip));
    !claim.ends(snapshot) && target.key == *key && target.pod.uid == pod.uid && there
}

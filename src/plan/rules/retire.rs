//! Law: an Eip that the operator made is deleted when its pod no longer asks for it, unless a
//! person protects its address.
//!
//! One without our finalizer gets that first: it would be gone at once, and its address might be
//! left where it is.

use crate::plan::action::{Absence, Action, Reason, Subject, Wait};
use crate::plan::claims::Claim;
use crate::plan::planner::Draft;
use crate::plan::snapshot::{Pod, Snapshot, Uid};

pub fn steps(draft: &mut Draft<'_>, claims: &[Claim<'_>]) {
    for claim in claims.iter().filter(|claim| claim.eip.held) {
        let Some((owner, absence)) = retires(draft.snapshot, claim) else { continue };
        // A deletion cannot be taken back, and would only wait.
        if let Some(by) = draft.snapshot.protection(claim.eip)
            && !claim.addresses.is_empty()
        {
            draft.wait(Subject::Eip(claim.key.clone()), Wait::Protected { by });
            continue;
        }
        let action = Action::Delete {
            eip: claim.key.clone(),
            uid: claim.eip.uid.clone(),
            pod_uid: owner.clone(),
        };
        draft.step(claim, action, Reason::PodNoLongerAsks { pod: claim.pod_key(), absence });
    }
}

/// The uid of the pod that an Eip was made for, and why that asks for it no longer.
pub fn retires<'a>(snapshot: &Snapshot, claim: &Claim<'a>) -> Option<(&'a Uid, Absence)> {
    let owner = claim.eip.autocreated_for.as_ref().filter(|_| !claim.eip.deleting)?;
    snapshot.pods.known()?;
    Some((owner, no_longer_asks(claim.pod, owner)?))
}

/// Why the pod with this uid, if it is the one found under its name, asks no longer. Also asked
/// of a fresh read just before the Eip is deleted.
pub fn no_longer_asks(pod: Option<&Pod>, owner: &Uid) -> Option<Absence> {
    match pod {
        None => Some(Absence::Gone),
        Some(pod) if pod.uid != *owner => Some(Absence::OtherUid),
        Some(pod) if !pod.managed => Some(Absence::NotManaged),
        Some(pod) if !pod.autocreate => Some(Absence::NotAutocreate),
        Some(pod) if pod.phase.is_terminal() => Some(Absence::Finished),
        Some(_) => None,
    }
}

//! Law: a pod says which address it has once the association is in place and on record.
//!
//! The status names the pod first: by that it is found again when its label is taken off, so that
//! no annotation of ours is left behind. Where somebody else changes what we have written, that is
//! said, and it is written again once a minute.

use crate::plan::action::{Action, Reason, Subject, Wait};
use crate::plan::claims::{Claim, Seat};
use crate::plan::planner::Draft;

pub fn steps(draft: &mut Draft<'_>, claims: &[Claim<'_>]) {
    for claim in claims.iter().filter(|claim| claim.lasts) {
        let Seat::Pod(target) = &claim.seat else { continue };
        let Some((id, address)) = claim.addresses.first() else { continue };
        if address.private_ip != Some(target.ip) {
            continue;
        }
        if claim.eip.status.pod.as_ref() != Some(&target.key.name) || draft.clears(&target.key) {
            continue; // steps of one round have no order
        }
        let pod = target.pod;
        let said = pod.target.as_ref() == Some(&address.ip)
            && pod.alpha_target.as_ref() == Some(&address.ip)
            && pod.allocation.as_ref() == Some(id);
        if !said {
            if let Some(seconds) = draft.snapshot.recent.dwelling.get(&pod.uid) {
                let wait = Wait::AnnotatedRecently { seconds: *seconds };
                draft.wait(Subject::Pod(target.key.clone()), wait);
                continue;
            }
            let action = Action::Annotate {
                pod: target.key.clone(),
                uid: pod.uid.clone(),
                address: (*id).clone(),
                ip: address.ip.clone(),
            };
            draft.step(claim, action, Reason::AssociationInPlace);
        }
    }
}

//! Law: the status of an Eip says what is, written when nothing else is left to do for it.

use crate::plan::action::{Absence, Action, Reason, Wait};
use crate::plan::claims::{Claim, Seat};
use crate::plan::conditions::{ASSOCIATED, PENDING};
use crate::plan::planner::Draft;
use crate::plan::snapshot::{Snapshot, Status};

pub fn steps(draft: &mut Draft<'_>, claims: &[Claim<'_>]) {
    if draft.snapshot.addresses.known().is_none() {
        return;
    }
    for claim in claims {
        let wait = draft.wait_of(claim.key);
        // Without the pods, or while nobody knows whether the address is lost, half of the status
        // would be a guess.
        let unclear = matches!(claim.seat, Seat::Unknown)
            || carrier_unread(draft.snapshot, claim)
            || matches!(wait, Some(Wait::Unread { part, .. })
                if !matches!(*part, "nodes" | "interfaces"));
        // A status in between would be a second write for the same change.
        let unfinished = draft
            .steps_of(&claim.eip.uid)
            .any(|step| !matches!(step.action, Action::Annotate { .. }));
        let passing = matches!(wait, Some(Wait::TargetLeaving { .. }));
        let quiet_end = claim.eip.deleting && wait.is_none();
        if unclear || unfinished || passing || quiet_end || is_beginning(claim) {
            continue;
        }
        let status = status(draft, claim);
        if status != claim.eip.status {
            let action = Action::Record {
                eip: claim.key.clone(),
                uid: claim.eip.uid.clone(),
                status: Box::new(status),
            };
            draft.step(claim, action, Reason::StatusBehind);
        }
    }
}

/// An Eip that was made for a pod has nothing to tell before that pod has an IP: the pod tells
/// itself what it waits for, and nearly every Eip would cost one write more. One that has taken
/// an address up puts it on record.
fn is_beginning(claim: &Claim<'_>) -> bool {
    claim.eip.autocreated_for.is_some()
        && claim.eip.status == Status::default()
        && claim.addresses.is_empty()
        && matches!(claim.seat, Seat::Nowhere(Absence::WithoutIp))
}

fn status(draft: &Draft<'_>, claim: &Claim<'_>) -> Status {
    let old = &claim.eip.status;
    let mut status = Status { generation: claim.eip.generation, ..Status::default() };
    match claim.addresses.first() {
        Some((id, address)) => {
            status.allocation = Some((*id).clone());
            status.ip = Some(address.ip.clone());
            status.association.clone_from(&address.association);
            status.interface.clone_from(&address.interface);
            status.private_ip = address.private_ip.map(|ip| ip.to_string());
        }
        // What it had is kept on record: EC2 is asked for that id, and it says that one is lost.
        None => {
            status.allocation.clone_from(&old.allocation);
            status.ip.clone_from(&old.ip);
            // It was asked for by its id, unless that could not be done.
            let asked = draft.snapshot.untagged.known().is_some();
            status.missing = status.allocation.is_some() && (asked || old.missing);
        }
    }
    let carrier = claim.seat.keeps().filter(|target| claim.is_on(target));
    match carrier {
        Some(target) => {
            status.pod = Some(target.key.name.clone());
            status.ready = true;
            status.reason = ASSOCIATED.to_owned();
            let ip = status.ip.as_deref().unwrap_or_default();
            status.message = format!("{ip} is on pod {} at {}", target.key, target.ip);
            // Why its deletion waits is what a person wants to know of it.
            if let Some(wait) = draft.hold_of(claim.key).filter(|_| claim.eip.deleting) {
                status.reason = wait.code();
                status.message = format!("{}; {}", status.message, wait.lasting_text());
            }
        }
        None => {
            status.pod = old.pod.clone().filter(|name| out_of_the_list(draft, claim, name));
            match draft.hold_of(claim.key).or(draft.wait_of(claim.key)) {
                Some(wait) => {
                    status.reason = wait.code();
                    status.message = wait.lasting_text();
                }
                None => PENDING.clone_into(&mut status.reason),
            }
        }
    }
    status
}

/// The recorded pod is how an unlabelled pod is found again: to take its annotations off, and to
/// go on telling "not labelled" from "gone".
fn out_of_the_list(draft: &Draft<'_>, claim: &Claim<'_>, name: &str) -> bool {
    let pods = draft.snapshot.pods.known();
    let pod = pods.and_then(|pods| pods.get(&claim.key.sibling(name)));
    pod.is_some_and(|pod| !pod.managed || pod.allocation.is_some())
}

/// The pod that the status names was asked for in vain: it may be there, and bear our annotations.
pub fn carrier_unread(snapshot: &Snapshot, claim: &Claim<'_>) -> bool {
    let named = claim.eip.status.pod.as_ref().map(|name| claim.key.sibling(name));
    named.is_some_and(|key| snapshot.unread_pods.contains_key(&key))
}

//! Law: an idle address goes to its claim's pod, on the interface that holds the pod's IP.
//!
//! One that was moved a moment ago waits: a person or a controller that changes its mind every
//! second would otherwise use up the calls of everybody, and AWS charges for moves.

use crate::plan::action::{Absence, Action, Reason, Subject, Wait};
use crate::plan::claims::{Claim, Seat, Target};
use crate::plan::planner::Draft;
use crate::plan::snapshot::{InterfaceId, Part};

pub fn steps(draft: &mut Draft<'_>, claims: &[Claim<'_>]) {
    for claim in claims {
        if !claim.lasts {
            continue;
        }
        match &claim.seat {
            Seat::Pod(target) => associate(draft, claim, target),
            Seat::Nowhere(absence) => nowhere(draft, claim, pod(claim, absence.clone())),
            Seat::Draining(target) if !claim.is_on(target) => {
                nowhere(draft, claim, pod(claim, Absence::Terminating));
            }
            Seat::Unknown if claim.eip.pod.is_empty() => {
                nowhere(draft, claim, Wait::InvalidPodName { pod: String::new() });
            }
            Seat::Draining(_) | Seat::Unknown => {}
        }
    }
}

fn pod(claim: &Claim<'_>, absence: Absence) -> Wait {
    Wait::Pod { pod: claim.pod_key(), absence }
}

/// What it waits for to be put somewhere, unless it waits for something else before.
fn nowhere(draft: &mut Draft<'_>, claim: &Claim<'_>, wait: Wait) {
    if draft.wait_of(claim.key).is_none() {
        draft.wait(Subject::Eip(claim.key.clone()), wait);
    }
}

fn associate(draft: &mut Draft<'_>, claim: &Claim<'_>, target: &Target<'_>) {
    let Some((id, address)) = claim.addresses.first() else { return };
    if address.association.is_some() || !claim.eip.held {
        return;
    }
    let interface = match find_interface(draft, target) {
        Ok(interface) => interface,
        Err(wait) => return draft.wait(Subject::Eip(claim.key.clone()), wait),
    };
    if let Some(wait) = occupant(draft, interface, target, &address.ip) {
        return draft.wait(Subject::Eip(claim.key.clone()), wait);
    }
    if let Some(seconds) = draft.snapshot.recent.dwelling.get(&claim.eip.uid) {
        let wait = Wait::MovedRecently { seconds: *seconds };
        return draft.wait(Subject::Eip(claim.key.clone()), wait);
    }
    let action = Action::Associate {
        address: (*id).clone(),
        ip: address.ip.clone(),
        interface: interface.clone(),
        private_ip: target.ip,
        pod: target.key.clone(),
        pod_uid: target.pod.uid.clone(),
    };
    draft.step(claim, action, Reason::PodIsRunning { pod: target.key.clone() });
}

/// The interface of the pod's own node that holds its IP. Another node's, or another VPC's, with
/// the same IP is a stranger.
fn find_interface<'a>(draft: &Draft<'a>, target: &Target<'_>) -> Result<&'a InterfaceId, Wait> {
    let unread = |part, why: &String| Wait::Unread { part, why: why.clone() };
    let nodes = match (&draft.snapshot.nodes, &draft.snapshot.interfaces) {
        (Part::Known(nodes), Part::Known(_)) => nodes,
        (Part::Unknown(why), _) => return Err(unread("nodes", why)),
        (_, Part::Unknown(why)) => return Err(unread("interfaces", why)),
    };
    let node = target.pod.node.clone().unwrap_or_default();
    let instance = nodes.get(&node).and_then(|node| node.instance.as_deref());
    let Some(instance) = instance else { return Err(Wait::NodeUnknown { node }) };
    draft.index.interface_with(instance, target.ip).ok_or_else(|| Wait::InterfaceNotFound {
        pod: target.key.clone(),
        ip: target.ip,
        node,
    })
}

/// What is on the target IP already. AssociateAddress would throw it off. `own`: the address that
/// is to come there, which the interfaces may show for a while after it was taken off.
fn occupant(
    draft: &Draft<'_>,
    interface: &InterfaceId,
    target: &Target<'_>,
    own: &str,
) -> Option<Wait> {
    let (snapshot, ip) = (draft.snapshot, target.ip);
    let seen = || snapshot.interfaces.known()?.get(interface)?.occupied.get(&ip).cloned();
    let Some((id, address)) = draft.index.at(interface, ip) else {
        // Pods on the network of their node share its IP, which carries one address.
        let by = seen().or_else(|| draft.comes_to(interface, ip));
        return by.map(|by| match by == own {
            true => Wait::TargetLeaving { ip, by },
            false => Wait::TargetOccupied { ip, by },
        });
    };
    let by = format!("{} ({id})", address.ip);
    let leaves = draft.ends(id);
    Some(if leaves { Wait::TargetLeaving { ip, by } } else { Wait::TargetOccupied { ip, by } })
}

//! Law: an address leaves every IP that is not its claim's pod.
//!
//! So does one of an Eip that is gone, from the pod of the Eip that has its name now.
//!
//! What leaves is the association that was seen ([`Action::Disassociate`]), never whatever is on
//! the IP by then. It leaves at once, except a healthy pod that DNS still points at: there the
//! annotations go first, in the round before, since nobody is exposed meanwhile.

use std::net::IpAddr;

use crate::plan::action::{Absence, Action, Reason};
use crate::plan::claims::{Claim, Seat, eligible};
use crate::plan::planner::Draft;
use crate::plan::rules::take_up::namesakes;
use crate::plan::snapshot::{Address, AllocationId, Snapshot};

pub fn steps(draft: &mut Draft<'_>, claims: &[Claim<'_>]) {
    for claim in claims {
        for (id, address) in &claim.addresses {
            let Some(action) = Action::disassociation(id, address) else { continue };
            let Some(reason) = reason_to_leave(draft.snapshot, claim, address) else { continue };
            if is_advertised(draft, claim, id, address) {
                continue;
            }
            draft.step(claim, action, reason);
        }
        let Seat::Pod(target) = &claim.seat else { continue };
        for (id, address) in namesakes(draft, claim) {
            if let Some(action) = Action::disassociation(id, address)
                && address.private_ip == Some(target.ip)
                && !claim.addresses.is_empty()
            {
                draft.step(claim, action, Reason::EipGone);
            }
        }
    }
}

fn reason_to_leave(snapshot: &Snapshot, claim: &Claim<'_>, address: &Address) -> Option<Reason> {
    if claim.ends(snapshot) {
        return Some(Reason::EipDeleted);
    }
    let pod = claim.pod_key();
    match &claim.seat {
        Seat::Pod(target) | Seat::Draining(target) => {
            let ip = target.ip;
            (address.private_ip != Some(ip)).then_some(Reason::PodIsElsewhere { pod, ip })
        }
        // Between two pods of a name the IP of the next is not known yet; the last one is gone.
        Seat::Nowhere(Absence::Unscheduled | Absence::WithoutIp) => {
            Some(Reason::PodCannotCarry { pod, absence: Absence::OtherUid })
        }
        Seat::Nowhere(absence) => Some(Reason::PodCannotCarry { pod, absence: absence.clone() }),
        Seat::Unknown => None,
    }
}

/// Whether a pod that could go on carrying the address still bears its annotations.
fn is_advertised(
    draft: &Draft<'_>,
    claim: &Claim<'_>,
    id: &AllocationId,
    address: &Address,
) -> bool {
    let ip = address.private_ip.map(IpAddr::V4);
    draft.index.announcing(id).iter().any(|(key, pod)| {
        key.namespace == claim.key.namespace
            && pod.ip == ip
            && eligible(pod, &draft.snapshot.settings).is_ok()
    })
}

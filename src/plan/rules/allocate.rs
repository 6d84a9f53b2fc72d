//! Law: a held Eip without an address gets one, once it is certain that none is on its way.
//!
//! AllocateAddress has no client token, so certainty comes from waiting: an address bought by a
//! call whose answer nobody saw shows in the listing within `EC2_SETTLE`.

use crate::plan::action::{Absence, Action, Reason, Subject, Wait};
use crate::plan::claims::{Claim, Seat};
use crate::plan::planner::Draft;
use crate::plan::rules::take_up::candidate;

pub fn steps(draft: &mut Draft<'_>, claims: &[Claim<'_>]) {
    if draft.snapshot.addresses.known().is_none() {
        return;
    }
    let mut waiting: Vec<_> = claims
        .iter()
        .filter(|claim| claim.eip.held && !claim.eip.deleting && claim.addresses.is_empty())
        .filter(|claim| candidate(draft.snapshot, claim).is_none())
        .collect();
    // First come, first served, when the quota is not enough for all.
    waiting.sort_by(|a, b| (&a.eip.created, a.key).cmp(&(&b.eip.created, b.key)));
    let quota = draft.snapshot.quota.clone();
    let mut left = quota.as_ref().map(|quota| quota.limit.saturating_sub(quota.used));
    for claim in waiting {
        if let Some(wait) = obstacle(draft, claim) {
            draft.wait(Subject::Eip(claim.key.clone()), wait);
            continue;
        }
        if let (Some(0), Some(quota)) = (left, &quota) {
            let wait = Wait::QuotaReached { limit: quota.limit };
            draft.wait(Subject::Eip(claim.key.clone()), wait);
            continue;
        }
        left = left.map(|left| left - 1);
        let action = Action::Allocate {
            eip: claim.key.clone(),
            uid: claim.eip.uid.clone(),
            pod: claim.eip.pod.clone(),
        };
        draft.step(claim, action, Reason::NoAddressForEip);
    }
}

fn obstacle(draft: &Draft<'_>, claim: &Claim<'_>) -> Option<Wait> {
    let eip = claim.eip;
    if !is_pod_name(&eip.pod) {
        return Some(Wait::InvalidPodName { pod: eip.pod.clone() });
    }
    if let Seat::Nowhere(absence) = &claim.seat {
        // A person's Eip has its address before its pod exists. One that was made for a pod, or
        // that names a pod which can never carry it, costs nothing until that changes.
        let never =
            matches!(absence, Absence::HostNetwork | Absence::Ipv6Only | Absence::ClaimedBy { .. });
        if never || eip.autocreated_for.is_some() {
            return Some(Wait::Pod { pod: claim.pod_key(), absence: absence.clone() });
        }
    }
    if eip.autocreated_for.is_some() && matches!(claim.seat, Seat::Unknown | Seat::Draining(_)) {
        return Some(Wait::Pod { pod: claim.pod_key(), absence: Absence::WithoutIp });
    }
    match draft.snapshot.recent.settling.get(&eip.uid) {
        Some(0) => {}
        Some(seconds) => return Some(Wait::MaybeAllocated { seconds: *seconds }),
        None => {
            return Some(Wait::MaybeAllocated { seconds: draft.snapshot.settings.settle });
        }
    }
    match &eip.status.allocation {
        // A static address that is silently another one is worse than none.
        Some(lost) if eip.autocreated_for.is_none() => {
            Some(Wait::AddressLost { address: lost.clone() })
        }
        _ => None,
    }
}

/// A DNS-1123 subdomain, as the schema of the CRD demands too.
fn is_pod_name(name: &str) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let inside = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        bytes.iter().all(inside)
            && bytes.first().is_some_and(|b| *b != b'-')
            && bytes.last().is_some_and(|b| *b != b'-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

//! Law: a held Eip without an address gets one, once it is certain that none is on its way.
//!
//! AllocateAddress has no client token, so certainty comes from waiting: an address bought by a
//! call whose answer nobody saw shows in the listing within `EC2_SETTLE`, and the 25 s that the
//! call itself may have taken.
//!
//! Where addresses are short, the namespace that holds the fewest is served next, and within it
//! who came first: so no namespace is kept waiting by another that asks for hundreds.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::action::{Absence, Action, Reason, Subject, Wait};
use crate::plan::claims::{Claim, Seat, owned};
use crate::plan::planner::Draft;
use crate::plan::rules::take_up::candidate;
use crate::plan::snapshot::{Snapshot, Uid};

pub fn steps(draft: &mut Draft<'_>, claims: &[Claim<'_>]) {
    if draft.snapshot.addresses.known().is_none() {
        return;
    }
    let mut waiting: Vec<_> = claims
        .iter()
        .filter(|claim| claim.eip.held && !claim.eip.deleting && claim.addresses.is_empty())
        .filter(|claim| candidate(draft, claim).is_none())
        .collect();
    waiting.retain(|claim| match obstacle(draft, claim) {
        Some(wait) => {
            draft.wait(Subject::Eip(claim.key.clone()), wait);
            false
        }
        None => true,
    });
    waiting.sort_by(|a, b| (&a.eip.created, a.key).cmp(&(&b.eip.created, b.key)));
    if waiting.is_empty() {
        return;
    }
    let mut held = held(draft.snapshot);
    in_turn(&mut waiting, &held);
    let quota = draft.snapshot.quota.clone();
    let mut left = quota.as_ref().map(|quota| quota.limit.saturating_sub(quota.used));
    for claim in waiting {
        if let (Some(0), Some(quota)) = (left, &quota) {
            let wait = Wait::QuotaReached { limit: quota.limit };
            draft.wait(Subject::Eip(claim.key.clone()), wait);
            continue;
        }
        let held = held.entry(&claim.key.namespace).or_default();
        if let Some(limit) = draft.snapshot.settings.namespace_limit
            && *held >= limit
        {
            let namespace = claim.key.namespace.clone();
            draft.wait(Subject::Eip(claim.key.clone()), Wait::NamespaceLimit { namespace, limit });
            continue;
        }
        *held += 1;
        left = left.map(|left| left - 1);
        let action = Action::Allocate {
            eip: claim.key.clone(),
            uid: claim.eip.uid.clone(),
            pod: claim.eip.pod.clone(),
        };
        draft.step(claim, action, Reason::NoAddressForEip);
    }
}

/// By namespace: for how many Eips it holds addresses, those among them that are gone included, so
/// that taking off a finalizer does not make room.
pub fn held(snapshot: &Snapshot) -> BTreeMap<&str, u64> {
    let mut uids: BTreeMap<&str, BTreeSet<&Uid>> = BTreeMap::new();
    for (_, address) in owned(snapshot) {
        uids.entry(&address.namespace).or_default().insert(&address.eip);
    }
    uids.into_iter().map(|(namespace, uids)| (namespace, uids.len() as u64)).collect()
}

/// Puts the claims in the order in which they are served: each counts as one more that its
/// namespace holds.
fn in_turn(waiting: &mut [&Claim<'_>], held: &BTreeMap<&str, u64>) {
    let mut next: BTreeMap<&str, u64> = held.clone();
    let mut turns = BTreeMap::new();
    for claim in waiting.iter() {
        let turn = next.entry(&claim.key.namespace).or_default();
        turns.insert(claim.key, *turn);
        *turn += 1;
    }
    waiting.sort_by_key(|claim| turns.get(claim.key).copied());
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
    if eip.autocreated_for.is_some() && matches!(claim.seat, Seat::Draining(_)) {
        return Some(Wait::Pod { pod: claim.pod_key(), absence: Absence::Terminating });
    }
    // Whether another Eip serves the pod, or the pod can carry an address at all, is not known.
    if let (Seat::Unknown, Some(why)) = (&claim.seat, draft.snapshot.pods.why_unknown()) {
        return Some(Wait::Unread { part: "pods", why: why.to_owned() });
    }
    match draft.snapshot.recent.settling.get(&eip.uid) {
        Some(0) => {}
        Some(seconds) => return Some(Wait::MaybeAllocated { seconds: *seconds }),
        None => {
            return Some(Wait::MaybeAllocated { seconds: draft.snapshot.settings.settle });
        }
    }
    let snapshot = draft.snapshot;
    if let Some(id) = draft.index.of_uid(&eip.uid) {
        return Some(Wait::Untagged { address: id.clone() });
    }
    let recorded = eip.status.allocation.as_ref();
    let listed = |id| snapshot.addresses.known().is_some_and(|all| all.contains_key(id));
    match (recorded, snapshot.untagged.known()) {
        (Some(_), None) => {
            let part = "recorded addresses";
            let why = snapshot.untagged.why_unknown().unwrap_or_default().to_owned();
            Some(Wait::Unread { part, why })
        }
        (Some(id), Some(untagged)) if untagged.contains_key(id) || listed(id) => {
            Some(Wait::Untagged { address: id.clone() })
        }
        // A static address that is silently another one is worse than none.
        (Some(lost), _) if eip.autocreated_for.is_none() => {
            Some(Wait::AddressLost { address: lost.clone() })
        }
        _ => None,
    }
}

/// A DNS-1123 subdomain, as the schema of the CRD demands too.
pub fn is_pod_name(name: &str) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let inside = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        bytes.iter().all(inside)
            && bytes.first().is_some_and(|b| *b != b'-')
            && bytes.last().is_some_and(|b| *b != b'-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

//! Law: an address of ours whose Eip does not exist is reported, and released only on request.
//!
//! Its Eip may have lost its finalizer by hand, or is missing from a backup that the cluster was
//! restored from. An Eip that comes back under its name takes it up ([`super::take_up`]); otherwise
//! only a person can tell. With `RELEASE_ORPHANS` one goes after it
//! was without an Eip in every look for `ORPHAN_GRACE`, and never while an Eip has that name, which
//! could take it up, or while there are no Eips at all, which looks like a cluster half restored.
//! When more are due than an hour may cost, something is wrong and none goes.
//!
//! Nobody is exposed meanwhile: it leaves an IP at once when the pod that it was on is not there
//! any more, for that IP may soon be a stranger's. Until then it stays where it is, and so does
//! what the pod announces.

use std::net::IpAddr;

use crate::plan::action::{Action, Reason, Subject, Wait};
use crate::plan::claims::{draining, owned};
use crate::plan::index::Index;
use crate::plan::planner::Draft;
use crate::plan::snapshot::{Address, AllocationId, Key, Pod, Protection, Snapshot};

pub fn steps(draft: &mut Draft<'_>) {
    let snapshot = draft.snapshot;
    exposed(draft);
    let mut found = draft.index.orphans();
    found.retain(|(id, _)| !draft.tags(id));
    let due = found.iter().filter(|(id, one)| due_in(snapshot, id, one) == Some(0)).count() as u64;
    let most = most(snapshot);
    let too_many = due.saturating_add(snapshot.recent.orphans_released) > most;
    if too_many && due > 0 {
        draft.wait(Subject::Cluster, Wait::TooManyOrphans { due, most });
    }
    for (id, address) in found {
        if draft.ends(id) {
            continue;
        }
        let due_in = due_in(snapshot, id, address).filter(|_| !too_many);
        if due_in == Some(0) {
            end(draft, id, address);
            continue;
        }
        let eip = eip_of(address);
        let (ip, uid) = (address.ip.clone(), address.eip.clone());
        let wait = Wait::Orphan { ip, eip, uid, in_seconds: due_in };
        draft.wait(Subject::Address(id.clone()), wait);
        if snapshot.settings.protect && snapshot.settings.release_orphans {
            let wait = Wait::Protected { by: Protection::Setting };
            draft.wait(Subject::Address(id.clone()), wait);
        }
    }
}

/// The addresses of ours whose Eip does not exist, by a complete look.
pub fn orphans(snapshot: &Snapshot) -> Vec<(&AllocationId, &Address)> {
    Index::new(snapshot).orphans()
}

/// Ends what would be on a stranger's pod.
fn exposed(draft: &mut Draft<'_>) {
    if draft.snapshot.pods.known().is_none() {
        return;
    }
    for (id, address) in draft.index.orphans() {
        let Some(action) = Action::disassociation(id, address) else { continue };
        if draft.ends(id) || carrier(draft, id, address).is_some() {
            continue;
        }
        draft.step_for(&eip_of(address), &address.eip, action, Reason::EipAndPodGone);
    }
}

/// The pod that an address without an Eip is on, while it is the one that it was on before.
pub fn carrier<'a>(
    draft: &Draft<'a>,
    id: &AllocationId,
    address: &Address,
) -> Option<(&'a Key, &'a Pod)> {
    let snapshot = draft.snapshot;
    let uid = snapshot.recent.carriers.get(id)?;
    let ip = address.private_ip?;
    let stays = |pod: &Pod| match pod.terminating {
        Some(_) => draining(snapshot, pod) == Some(ip),
        None => pod.ip == Some(IpAddr::V4(ip)),
    };
    draft.index.carriers(uid).iter().copied().find(|(key, pod)| {
        key.namespace == address.namespace
            && pod.managed
            && !pod.phase.is_terminal()
            && !pod.sandbox_down
            && stays(pod)
    })
}

fn end(draft: &mut Draft<'_>, id: &AllocationId, address: &Address) {
    let eip = eip_of(address);
    let seconds = draft.snapshot.recent.unclaimed.get(id).copied().unwrap_or(0);
    let release = || Action::Release {
        address: id.clone(),
        ip: address.ip.clone(),
        eip: eip.clone(),
        eip_uid: address.eip.clone(),
        orphan: true,
    };
    let action = Action::disassociation(id, address).unwrap_or_else(release);
    draft.step_for(&eip, &address.eip, action, Reason::Unclaimed { seconds });
}

/// In how many seconds it may be released; never, as things are, when absent.
fn due_in(snapshot: &Snapshot, id: &AllocationId, address: &Address) -> Option<u64> {
    let eips = snapshot.eips.known()?;
    let settings = &snapshot.settings;
    let may = settings.release_orphans
        && !settings.protect
        && !snapshot.holds_releases()
        && !eips.is_empty()
        && !eips.contains_key(&eip_of(address));
    // One without a date may be a stranger's, tagged like ours.
    let unclaimed = snapshot.recent.unclaimed.get(id).copied().unwrap_or(0).min(address.age?);
    may.then(|| settings.orphan_grace.saturating_sub(unclaimed))
}

/// How many may go in an hour, those that went included.
fn most(snapshot: &Snapshot) -> u64 {
    let owned = owned(snapshot).count() as u64;
    let tenth = owned.saturating_add(snapshot.recent.orphans_released).div_ceil(10);
    snapshot.settings.max_releases.unwrap_or(tenth)
}

fn eip_of(address: &Address) -> Key {
    Key::new(address.namespace.clone(), address.name.clone())
}

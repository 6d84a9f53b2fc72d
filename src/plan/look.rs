//! What to read next, given what has been read: an observation asks only for what a decision needs.
//!
//! The order matters. Addresses come before Eips, so that an Eip and its address which are made
//! between two reads do not look like an address without an Eip. The definition comes after the
//! Eips, for it is marked before they are deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::claims::{Claim, Seat, claims, eligible};
use super::names::is_allocation_id;
use super::rules::allocate::is_pod_name;
use super::rules::orphans::orphans;
use super::rules::retire::retires;
use super::snapshot::{Address, AllocationId, Key, Pod, Snapshot, Uid};

/// One read of an observation, in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Read {
    Addresses,
    Eips,
    Pods,
    /// Pods that the list lacks, by name: [`recorded_pods`], of which
    /// [`super::recent::Memory::pods_to_read`] leaves out those that were not there.
    RecordedPods,
    Definition,
    /// Addresses that the listing lacks, by id: [`recorded_addresses`].
    RecordedAddresses,
    Nodes,
    Interfaces,
}

impl Read {
    const ALL: [Self; 8] = [
        Self::Addresses,
        Self::Eips,
        Self::Pods,
        Self::RecordedPods,
        Self::Definition,
        Self::RecordedAddresses,
        Self::Nodes,
        Self::Interfaces,
    ];

    /// The first of those after `last` that a decision needs, given what has been read. What was
    /// done lately is laid over the snapshot after [`Read::RecordedPods`].
    pub fn next(last: Option<Self>, snapshot: &Snapshot) -> Option<Self> {
        let is_needed = |read: &Self| match read {
            Self::Addresses | Self::Eips | Self::Pods | Self::RecordedPods => true,
            Self::Definition => needs_definition(snapshot),
            Self::RecordedAddresses => !recorded_addresses(snapshot).is_empty(),
            Self::Nodes => needs_nodes(snapshot),
            Self::Interfaces => !lookups(snapshot).is_empty(),
        };
        Self::ALL.into_iter().filter(|read| Some(*read) > last).find(is_needed)
    }
}

/// A pod IP whose interface is wanted, and the instance it should be on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lookup {
    pub ip: Ipv4Addr,
    pub instance: String,
}

/// Pods to read by name: a pod whose label was taken off is not listed, and its annotations are to
/// be cleared while an Eip's status says that it carries the address. Whoever may write a status
/// may write anything there, so that only what can be a name is asked for.
pub fn recorded_pods(snapshot: &Snapshot) -> BTreeSet<Key> {
    let (Some(eips), Some(pods)) = (snapshot.eips.known(), snapshot.pods.known()) else {
        return BTreeSet::new();
    };
    eips.iter()
        .filter_map(|(key, eip)| Some((key, eip.status.pod.as_ref()?)))
        .filter(|(_, name)| is_pod_name(name))
        .map(|(key, name)| key.sibling(name))
        .filter(|key| !pods.contains_key(key))
        .collect()
}

/// Addresses to ask for by id: a status records them, and the listing by tags lacks them. It may
/// lag, they may be gone, or only their tags. One call asks for the ids of all Eips, and in EC2's
/// filters `*` and `?` stand for anything, so that only what can be an id is asked for.
pub fn recorded_addresses(snapshot: &Snapshot) -> BTreeSet<AllocationId> {
    let Some(addresses) = snapshot.addresses.known() else { return BTreeSet::new() };
    claims(snapshot)
        .iter()
        .filter(|claim| claim.addresses.is_empty())
        .filter_map(|claim| claim.eip.status.allocation.clone())
        .filter(|id| is_allocation_id(id) && !addresses.contains_key(id))
        .collect()
}

/// Takes in what was found by those ids: an address that bears the tags of an Eip after all belongs
/// to the listing, any other exists without our tags. What nobody asked for is left out, for it may
/// be older than what is known of it.
pub fn see_recorded(snapshot: &mut Snapshot, found: Vec<(AllocationId, String, Option<Address>)>) {
    let uids: BTreeSet<Uid> = snapshot
        .eips
        .known()
        .into_iter()
        .flat_map(BTreeMap::values)
        .map(|e| e.uid.clone())
        .collect();
    let asked = recorded_addresses(snapshot);
    for (id, ip, address) in found.into_iter().filter(|(id, ..)| asked.contains(id)) {
        let ours = address.filter(|address| uids.contains(&address.eip));
        match (ours, snapshot.addresses.known_mut(), snapshot.untagged.known_mut()) {
            (Some(address), Some(addresses), _) => drop(addresses.insert(id, address)),
            (None, _, Some(untagged)) => drop(untagged.insert(id, ip)),
            _ => {}
        }
    }
}

/// Whether it matters if the definition of Eips is being deleted: where something may be released.
fn needs_definition(snapshot: &Snapshot) -> bool {
    let deleting = snapshot.eips.known().into_iter().flatten().any(|(_, eip)| eip.deleting);
    let orphans = snapshot.settings.release_orphans && !orphans(snapshot).is_empty();
    let claims = claims(snapshot);
    let surplus = claims.iter().any(|claim| claim.addresses.len() > 1);
    deleting || orphans || surplus || claims.iter().any(|claim| retires(snapshot, claim).is_some())
}

/// Whether the nodes matter: where pods need an association, or are terminating.
fn needs_nodes(snapshot: &Snapshot) -> bool {
    let terminating = pods(snapshot).any(|(_, pod)| pod.terminating.is_some());
    let claims = claims(snapshot);
    terminating
        || claims.iter().any(|claim| claim.needs_interface().is_some())
        || asking(snapshot, &claims).next().is_some()
}

/// The IPs whose interfaces are wanted: of pods whose claim has no address on them yet, and of
/// pods that ask for an Eip they do not have yet.
pub fn lookups(snapshot: &Snapshot) -> BTreeSet<Lookup> {
    // Without a node there is none, which is most often so, and the claims need not be joined.
    let Some(nodes) = snapshot.nodes.known().filter(|nodes| !nodes.is_empty()) else {
        return BTreeSet::new();
    };
    let claims = claims(snapshot);
    let wanted = claims.iter().filter_map(Claim::needs_interface).map(|target| target.pod);
    wanted
        .chain(asking(snapshot, &claims).map(|(_, pod)| pod))
        .filter_map(|pod| {
            let ip = eligible(pod, &snapshot.settings).ok()?;
            let instance = nodes.get(pod.node.as_ref()?)?.instance.clone()?;
            Some(Lookup { ip, instance })
        })
        .collect()
}

fn pods(snapshot: &Snapshot) -> impl Iterator<Item = (&Key, &Pod)> {
    snapshot.pods.known().into_iter().flatten()
}

/// Pods that ask for an Eip will need an association once they have one, in the same cycle.
fn asking<'a>(
    snapshot: &'a Snapshot,
    claims: &'a [Claim<'_>],
) -> impl Iterator<Item = (&'a Key, &'a Pod)> {
    let target = |claim: &'a Claim<'_>| match &claim.seat {
        Seat::Pod(target) => Some(&target.key),
        _ => None,
    };
    let served: BTreeSet<&Key> = claims.iter().filter_map(target).collect();
    pods(snapshot).filter(move |(key, pod)| pod.autocreate && !served.contains(key))
}

#[cfg(test)]
mod tests;

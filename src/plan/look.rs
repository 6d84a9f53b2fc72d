//! What to read next, given what has been read: an observation asks only for what a decision needs.
//!
//! The order of the reads is the caller's: addresses, Eips, pods, then what is said here.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use super::claims::{Claim, Seat, claims, eligible};
use super::snapshot::{Key, Pod, Snapshot};

/// A pod IP whose interface is wanted, and the instance it should be on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lookup {
    pub ip: Ipv4Addr,
    pub instance: String,
}

/// Pods to read by name: a pod whose label was taken off is not listed, and its annotations are to
/// be cleared while an Eip's status says that it carries the address.
pub fn recorded_pods(snapshot: &Snapshot) -> BTreeSet<Key> {
    let (Some(eips), Some(pods)) = (snapshot.eips.known(), snapshot.pods.known()) else {
        return BTreeSet::new();
    };
    eips.iter()
        .filter_map(|(key, eip)| Some(key.sibling(eip.status.pod.as_ref()?)))
        .filter(|key| !pods.contains_key(key))
        .collect()
}

/// Whether the nodes matter: where pods need an association, or are terminating.
pub fn needs_nodes(snapshot: &Snapshot) -> bool {
    let terminating = pods(snapshot).any(|(_, pod)| pod.terminating.is_some());
    let claims = claims(snapshot);
    terminating
        || claims.iter().any(|claim| claim.needs_interface().is_some())
        || asking(snapshot, &claims).next().is_some()
}

/// The IPs whose interfaces are wanted: of pods whose claim has no address on them yet, and of
/// pods that ask for an Eip they do not have yet.
pub fn lookups(snapshot: &Snapshot) -> BTreeSet<Lookup> {
    let Some(nodes) = snapshot.nodes.known() else { return BTreeSet::new() };
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
    let served = |pod: &Key| {
        claims.iter().any(|claim| matches!(&claim.seat, Seat::Pod(target) if target.key == *pod))
    };
    pods(snapshot).filter(move |(key, pod)| pod.autocreate && !served(key))
}

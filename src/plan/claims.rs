//! The snapshot seen from each Eip: which addresses are its own, and which pod is its target.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use super::action::Absence;
use super::snapshot::{Address, AllocationId, Eip, Key, Pod, Settings, Snapshot, Uid};

/// Seconds beyond its grace period after which a terminating pod on a Ready node no longer keeps
/// its address: the kubelet has ended it by then, and the CNI gives its IP away 30 s later.
pub const TERMINATION_MARGIN: u64 = 5;

/// One Eip with what belongs to it.
#[derive(Debug)]
pub struct Claim<'a> {
    pub key: &'a Key,
    pub eip: &'a Eip,
    /// The pod it names, if that is known to be there.
    pub pod: Option<&'a Pod>,
    /// Its addresses; the one it keeps comes first.
    pub addresses: Vec<(&'a AllocationId, &'a Address)>,
    pub seat: Seat<'a>,
    /// It is served: it is not being deleted, or only waits to be, for what it has is protected.
    pub lasts: bool,
}

impl Claim<'_> {
    /// Key of the pod it names.
    pub fn pod_key(&self) -> Key {
        self.key.sibling(&self.eip.pod)
    }

    /// Whether it ends: it is being deleted, and its addresses may be given back.
    pub fn ends(&self, snapshot: &Snapshot) -> bool {
        self.eip.deleting && !snapshot.holds_releases() && snapshot.protection(self.eip).is_none()
    }

    /// The target whose interface must be found: an association is due there now, or will be once
    /// there is an address.
    pub fn needs_interface(&self) -> Option<&Target<'_>> {
        let Seat::Pod(target) = &self.seat else { return None };
        (self.lasts && !self.is_on(target)).then_some(target)
    }

    /// Whether the address that it keeps is there.
    pub fn is_on(&self, target: &Target<'_>) -> bool {
        self.addresses.first().is_some_and(|(_, address)| address.private_ip == Some(target.ip))
    }
}

/// Where the address of a claim belongs.
#[derive(Clone, Debug, PartialEq)]
pub enum Seat<'a> {
    /// On this pod.
    Pod(Target<'a>),
    /// It may stay on this pod, which drains, but is not put there.
    Draining(Target<'a>),
    /// Nowhere.
    Nowhere(Absence),
    /// The pods could not be read, or the Eip names none.
    Unknown,
}

impl<'a> Seat<'a> {
    /// The IP on which an association may stay.
    pub fn keeps(&self) -> Option<&Target<'a>> {
        match self {
            Self::Pod(target) | Self::Draining(target) => Some(target),
            Self::Nowhere(_) | Self::Unknown => None,
        }
    }
}

/// A pod at one IP: the IP may change under one uid, so both are the identity.
#[derive(Clone, Debug, PartialEq)]
pub struct Target<'a> {
    pub key: Key,
    pub pod: &'a Pod,
    pub ip: Ipv4Addr,
}

/// An Eip with the pod that it names. That is looked up once: most of the time goes where many pods
/// are searched for one.
struct Named<'a> {
    key: &'a Key,
    eip: &'a Eip,
    pod_key: Key,
    pod: Option<&'a Pod>,
    lasts: bool,
}

/// Joins Eips, addresses and pods. Empty while the Eips are unknown.
pub fn claims(snapshot: &Snapshot) -> Vec<Claim<'_>> {
    let Some(eips) = snapshot.eips.known() else { return Vec::new() };
    let addresses = addresses_by_eip(snapshot, eips);
    let lasts = |eip: &Eip, own: &Own<'_>| {
        !eip.deleting || !own.is_empty() && snapshot.protection(eip).is_some()
    };
    let named: Vec<Named<'_>> = eips
        .iter()
        .zip(&addresses)
        .map(|((key, eip), own)| {
            let pod_key = key.sibling(&eip.pod);
            let pod = snapshot.pods.known().and_then(|pods| pods.get(&pod_key));
            Named { key, eip, pod_key, pod, lasts: lasts(eip, own) }
        })
        .collect();
    let served = served_pods(&named, &addresses);
    named
        .iter()
        .zip(addresses)
        .filter(|(one, _)| snapshot.settings.in_scope(&one.key.namespace))
        .map(|(one, mut own)| {
            let Named { key, eip, pod, lasts, .. } = *one;
            let seat = seat(snapshot, one, &served);
            let ip = seat.keeps().map(|target| target.ip);
            own.sort_by_key(|(id, address)| preference(eip, ip, id, address));
            Claim { key, eip, pod, addresses: own, seat, lasts }
        })
        .collect()
}

/// All addresses that are ours to change. One without a cluster uid was bought by the older
/// operator, and is ours only while an Eip with its uid exists.
pub fn owned(snapshot: &Snapshot) -> impl Iterator<Item = (&AllocationId, &Address)> {
    let living = LazyCell::new(|| living(snapshot));
    let all = snapshot.addresses.known().into_iter().flatten();
    all.filter(move |(_, address)| is_ours(snapshot, address, |uid| living.contains(uid)))
}

/// The uids of the Eips that exist.
pub(super) fn living(snapshot: &Snapshot) -> BTreeSet<&Uid> {
    snapshot.eips.known().into_iter().flatten().map(|(_, eip)| &eip.uid).collect()
}

/// Whether this one is, given whether the Eip with a uid exists.
pub(super) fn is_ours(
    snapshot: &Snapshot,
    address: &Address,
    lives: impl FnOnce(&Uid) -> bool,
) -> bool {
    let ours = match &address.cluster {
        Some(uid) => *uid == snapshot.cluster.uid,
        None => lives(&address.eip),
    };
    ours && !address.eip.is_empty() && snapshot.settings.in_scope(&address.namespace)
}

/// The addresses of one Eip.
type Own<'a> = Vec<(&'a AllocationId, &'a Address)>;

/// For each Eip, in their order, its addresses.
fn addresses_by_eip<'a>(snapshot: &'a Snapshot, eips: &'a BTreeMap<Key, Eip>) -> Vec<Own<'a>> {
    let places = eips.iter().zip(0..);
    let places: BTreeMap<&str, (&Key, usize)> =
        places.map(|((key, eip), place)| (eip.uid.as_str(), (key, place))).collect();
    let mut found = vec![Own::new(); eips.len()];
    for (id, address) in snapshot.addresses.known().into_iter().flatten() {
        let same_cluster = address.cluster.as_ref().is_none_or(|uid| *uid == snapshot.cluster.uid);
        if let Some((eip, place)) = places.get(address.eip.as_str())
            && same_cluster
            && eip.namespace == address.namespace
        {
            found[*place].push((id, address));
        }
    }
    found
}

/// Of several addresses of one Eip: the one in use, then the recorded one, then the oldest.
fn preference<'a>(
    eip: &Eip,
    target: Option<Ipv4Addr>,
    id: &'a AllocationId,
    address: &Address,
) -> (bool, bool, std::cmp::Reverse<u64>, &'a str) {
    let in_use = target.is_some() && address.private_ip == target;
    let recorded = eip.status.allocation.as_ref() == Some(id);
    (!in_use, !recorded, std::cmp::Reverse(address.age.unwrap_or(0)), id)
}

/// Of two Eips that name a pod the lower one serves it: whose address is not there, who has none,
/// since when, and the uid.
type Rank<'a> = (bool, bool, &'a str, &'a str);

/// By pod: the Eip that may serve it.
type Served<'a> = BTreeMap<&'a Key, (Rank<'a>, &'a Named<'a>)>;

/// By pod, whether it is there or not: the Eip that may serve it. The one whose address is on it
/// keeps it, else one that has an address, else the oldest, so that a second Eip can never take a
/// pod from the first, nor buys an address while the pod is replaced.
fn served_pods<'a>(named: &'a [Named<'a>], addresses: &[Own<'_>]) -> Served<'a> {
    let mut served = Served::new();
    for (one, own) in named.iter().zip(addresses).filter(|(one, _)| one.lasts) {
        let (eip, pod) = (one.eip, one.pod);
        if let Some(owner) = &eip.autocreated_for
            && pod.is_none_or(|pod| *owner != pod.uid)
        {
            continue;
        }
        let ip = pod.and_then(|pod| pod.ip);
        let holds =
            own.iter().any(|(_, address)| ip.is_some() && address.private_ip.map(IpAddr::V4) == ip);
        let rank = (!holds, own.is_empty(), eip.created.as_str(), eip.uid.as_str());
        match served.get(&one.pod_key) {
            Some((best, _)) if *best <= rank => {}
            _ => drop(served.insert(&one.pod_key, (rank, one))),
        }
    }
    served
}

fn seat<'a>(snapshot: &'a Snapshot, named: &Named<'a>, served: &Served<'_>) -> Seat<'a> {
    let Named { eip, pod, lasts, .. } = *named;
    // The schema allows no such Eip: what it named was lost in a conversion between versions.
    if snapshot.pods.known().is_none() || eip.pod.is_empty() {
        return Seat::Unknown;
    }
    if let Some(owner) = &eip.autocreated_for
        && pod.is_none_or(|pod| pod.uid != *owner)
    {
        let replaced = pod.is_some();
        return Seat::Nowhere(if replaced { Absence::OtherUid } else { Absence::Gone });
    }
    let by = served.get(&named.pod_key).map(|(_, by)| *by);
    let serving = by.map(|by| &by.eip.uid);
    if lasts && serving != Some(&eip.uid) {
        let other = by.map(|by| by.key.clone());
        if let Some(eip) = other {
            return Seat::Nowhere(Absence::ClaimedBy { eip });
        }
    }
    let Some(pod) = pod else { return Seat::Nowhere(Absence::Gone) };
    match eligible(pod, &snapshot.settings) {
        Ok(ip) => Seat::Pod(Target { key: named.pod_key.clone(), pod, ip }),
        Err(Absence::Terminating) => match draining(snapshot, pod) {
            Some(ip) => Seat::Draining(Target { key: named.pod_key.clone(), pod, ip }),
            None => Seat::Nowhere(Absence::Terminating),
        },
        Err(absence) => Seat::Nowhere(absence),
    }
}

/// Whether a pod may be given an address, and at which IP. Also asked of a fresh read just
/// before and just after an association.
pub fn eligible(pod: &Pod, settings: &Settings) -> Result<Ipv4Addr, Absence> {
    if !pod.managed {
        return Err(Absence::NotManaged);
    }
    if pod.phase.is_terminal() {
        return Err(Absence::Finished);
    }
    if pod.host_network && !settings.allow_host_network {
        return Err(Absence::HostNetwork);
    }
    if pod.sandbox_down {
        return Err(Absence::SandboxDown);
    }
    if pod.terminating.is_some() {
        return Err(Absence::Terminating);
    }
    if pod.node.is_none() {
        return Err(Absence::Unscheduled);
    }
    match pod.ip {
        Some(IpAddr::V4(ip)) => Ok(ip),
        Some(IpAddr::V6(_)) => Err(Absence::Ipv6Only),
        None => Err(Absence::WithoutIp),
    }
}

/// For how many seconds a pod that is being deleted keeps its address, if it is.
pub(super) fn drains_for(pod: &Pod) -> Option<u64> {
    pod.terminating.map(|grace| grace.saturating_add(TERMINATION_MARGIN))
}

/// The IP of a terminating pod whose containers may still be at work. On a node that is not
/// Ready nobody ends pods and nobody reuses their IPs, so the address stays.
pub(super) fn draining(snapshot: &Snapshot, pod: &Pod) -> Option<Ipv4Addr> {
    let Some(IpAddr::V4(ip)) = pod.ip else { return None };
    let grace = drains_for(pod).unwrap_or(TERMINATION_MARGIN);
    let seen = snapshot.recent.terminating.get(&pod.uid).copied().unwrap_or(0);
    let node = pod.node.as_ref().and_then(|name| snapshot.nodes.known()?.get(name));
    let node_ready = node.is_some_and(|node| !node.not_ready);
    (seen < grace || !node_ready).then_some(ip)
}

#[cfg(test)]
mod tests;

//! The snapshot by what its objects point at. A rule asks this for each claim; going through the
//! whole world each time would make a plan of n claims cost n².
//!
//! Each map is made when it is first asked for: in a world where nothing is to be done few are.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::claims::{is_ours, living};
use super::snapshot::{Address, AllocationId, Interface, InterfaceId, Key, Pod, Snapshot, Uid};

/// An address with its id.
pub type Listed<'a> = (&'a AllocationId, &'a Address);
/// An interface with its id.
type Attached<'a> = (&'a InterfaceId, &'a Interface);
/// A pod with its key.
type Named<'a> = (&'a Key, &'a Pod);

/// A snapshot, and the maps of it that have been asked for.
pub struct Index<'a> {
    snapshot: &'a Snapshot,
    left: OnceCell<Vec<Listed<'a>>>,
    gone: OnceCell<BTreeMap<(&'a str, &'a str), Vec<Listed<'a>>>>,
    by_uid: OnceCell<BTreeMap<&'a Uid, &'a AllocationId>>,
    by_place: OnceCell<BTreeMap<(&'a InterfaceId, Ipv4Addr), Listed<'a>>>,
    by_instance: OnceCell<BTreeMap<&'a str, Vec<Attached<'a>>>>,
    announcing: OnceCell<BTreeMap<&'a AllocationId, Vec<Named<'a>>>>,
    carriers: OnceCell<BTreeMap<&'a Uid, Vec<Named<'a>>>>,
}

impl<'a> Index<'a> {
    pub fn new(snapshot: &'a Snapshot) -> Self {
        Self {
            snapshot,
            left: OnceCell::new(),
            gone: OnceCell::new(),
            by_uid: OnceCell::new(),
            by_place: OnceCell::new(),
            by_instance: OnceCell::new(),
            announcing: OnceCell::new(),
            carriers: OnceCell::new(),
        }
    }

    /// Addresses bought for an Eip of this name that is gone.
    pub fn of_gone(&self, key: &Key) -> Vec<Listed<'a>> {
        let gone = self.gone.get_or_init(|| {
            let left = self.left_behind().iter().copied();
            grouped(left.map(|one| ((one.1.namespace.as_str(), one.1.name.as_str()), one)))
        });
        gone.get(&(key.namespace.as_str(), key.name.as_str())).cloned().unwrap_or_default()
    }

    /// The addresses of ours whose Eip does not exist, by a complete look.
    pub fn orphans(&self) -> Vec<Listed<'a>> {
        let left = self.left_behind().iter().copied();
        left.filter(|(_, address)| is_ours(self.snapshot, address, |_| false)).collect()
    }

    /// Addresses whose Eip does not exist, whosoever they are.
    fn left_behind(&self) -> &[Listed<'a>] {
        self.left.get_or_init(|| {
            if self.snapshot.eips.known().is_none() {
                return Vec::new();
            }
            let living = living(self.snapshot);
            self.addresses().filter(|(_, address)| !living.contains(&address.eip)).collect()
        })
    }

    /// An address that carries this Eip's uid, wherever its other tags say that it belongs. Of a
    /// claim without addresses it is one whose namespace tag a person has changed or lost.
    pub fn of_uid(&self, uid: &Uid) -> Option<&'a AllocationId> {
        let by_uid = self.by_uid.get_or_init(|| {
            let cluster = &self.snapshot.cluster.uid;
            let of_cluster = |a: &Address| a.cluster.as_ref().is_none_or(|uid| uid == cluster);
            let ours = self.addresses().filter(|(_, address)| of_cluster(address));
            first(ours.map(|(id, address)| (&address.eip, id)))
        });
        by_uid.get(uid).copied()
    }

    /// The address that is on this IP of an interface.
    pub fn at(&self, interface: &InterfaceId, ip: Ipv4Addr) -> Option<Listed<'a>> {
        let by_place = self.by_place.get_or_init(|| {
            first(
                self.addresses()
                    .filter_map(|one| Some(((one.1.interface.as_ref()?, one.1.private_ip?), one))),
            )
        });
        by_place.get(&(interface, ip)).copied()
    }

    /// The interface of an instance that holds this IP, a branch interface by way of its trunk.
    pub fn interface_with(&self, instance: &str, ip: Ipv4Addr) -> Option<&'a InterfaceId> {
        let by_instance = self.by_instance.get_or_init(|| {
            let Some(all) = self.snapshot.interfaces.known() else { return BTreeMap::new() };
            let instance_of = |one: &'a Interface| match &one.trunk {
                Some(trunk) => all.get(trunk)?.instance.as_deref(),
                None => one.instance.as_deref(),
            };
            grouped(all.iter().filter_map(|(id, one)| Some((instance_of(one)?, (id, one)))))
        });
        let mut interfaces = by_instance.get(instance)?.iter();
        interfaces.find(|(_, interface)| interface.holds(ip)).map(|(id, _)| *id)
    }

    /// The pods whose annotations name this address.
    pub fn announcing(&self, id: &AllocationId) -> &[Named<'a>] {
        let announcing = self.announcing.get_or_init(|| {
            grouped(
                self.pods().filter_map(|(key, pod)| Some((pod.allocation.as_ref()?, (key, pod)))),
            )
        });
        announcing.get(id).map_or(&[], Vec::as_slice)
    }

    /// The pod with this uid, if an address without an Eip is known to have been on it.
    pub fn carriers(&self, uid: &Uid) -> &[Named<'a>] {
        let carriers = self.carriers.get_or_init(|| {
            let wanted: BTreeSet<&Uid> = self.snapshot.recent.carriers.values().collect();
            let found = self.pods().filter(|(_, pod)| wanted.contains(&pod.uid));
            grouped(found.map(|(key, pod)| (&pod.uid, (key, pod))))
        });
        carriers.get(uid).map_or(&[], Vec::as_slice)
    }

    fn addresses(&self) -> impl Iterator<Item = Listed<'a>> + use<'a> {
        self.snapshot.addresses.known().into_iter().flatten()
    }

    fn pods(&self) -> impl Iterator<Item = Named<'a>> + use<'a> {
        self.snapshot.pods.known().into_iter().flatten()
    }
}

/// By key, in the order of the snapshot.
fn grouped<K: Ord, V>(all: impl Iterator<Item = (K, V)>) -> BTreeMap<K, Vec<V>> {
    let mut groups: BTreeMap<K, Vec<V>> = BTreeMap::new();
    all.for_each(|(key, value)| groups.entry(key).or_default().push(value));
    groups
}

/// By key, of several the first.
fn first<K: Ord, V>(all: impl Iterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut found = BTreeMap::new();
    for (key, value) in all {
        found.entry(key).or_insert(value);
    }
    found
}

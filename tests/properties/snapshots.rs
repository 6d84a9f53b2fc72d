//! Arbitrary worlds in which little is as it should be.
//!
//! Most of what is made fits together: an object has the uid, the IP and the owner that belong to
//! its name. A part of each does not, so that there is every kind of stranger, orphan, namesake
//! and liar, and so that rules which only meet in accidents meet here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use eip_operator::plan::snapshot::{
    Address, Cluster, Definition, Eip, Interface, Key, Node, Part, Pause, Phase, Pod, Quota,
    Recent, Settings, Snapshot, Status,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::weighted;
use proptest::prelude::*;

use crate::texts::{mostly, name, odd, seconds};

/// What stands there twice is drawn more often, so that more meets in one place.
const NAMESPACES: &[&str] = &["shop", "shop", "bank"];
const NAMES: &[&str] = &["web", "web", "web-0", "db"];
const NODES: &[&str] = &["n1", "n2", "n1"];
const INSTANCES: &[&str] = &["i-1", "i-2"];
const INTERFACES: &[&str] = &["eni-a", "eni-b", "eni-a", "eni-c"];
const ALLOCATIONS: &[&str] =
    &["eipalloc-1", "eipalloc-2", "eipalloc-3", "eipalloc-4", "eipalloc-5", "eipalloc-6"];
const ASSOCIATIONS: &[&str] = &["eipassoc-1", "eipassoc-2", "eipassoc-3", "eipassoc-4"];
const PUBLIC: &[&str] = &["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4"];
const PREFIXES: &[&str] =
    &["10.0.1.0/28", "10.0.1.0/28", "10.0.1.16/28", "10.0.0.0/0", "10.0.1.1/33", "x/y"];
const REASONS: &[&str] = &["AddressLimitExceeded", "InvalidID.NotFound", "Changed"];
const VERBS: &[&str] = &["allocate", "associate", "release", "tag", "hold", "annotate", "create"];
const FINALIZERS: &[&str] = &["eip.materialize.cloud/disassociate"];

/// A snapshot that is shown as the document it is.
#[derive(Clone)]
pub struct World(pub Snapshot);

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_yaml())
    }
}

/// Any world, also one that Kubernetes and AWS would not allow.
pub fn worlds() -> BoxedStrategy<World> {
    let read = (addresses(), eips(), pods(), nodes(), interfaces());
    let asked = (weighted(0.4, quota()), untagged(), definition(), settings(), recent());
    let unread = weighted(0.2, btree_map(keys(), Just("no answer".to_owned()), 1..3));
    let cluster = name(&["demo"]).prop_map(|name| Cluster { name, uid: "c1".to_owned() });
    (cluster, read, asked, unread)
        .prop_map(|(cluster, read, asked, unread)| {
            let unread_pods = unread.unwrap_or_default();
            let (addresses, eips, pods, nodes, interfaces) = read;
            let (quota, untagged, definition, settings, recent) = asked;
            World(Snapshot {
                cluster,
                settings,
                quota,
                addresses,
                eips,
                pods,
                unread_pods,
                nodes,
                interfaces,
                untagged,
                definition,
                recent,
            })
        })
        .boxed()
}

/// A world in which no two Eips and no two pods have one uid, and none has an empty one: Kubernetes
/// promises that, and nothing is safe without it.
pub fn possible() -> BoxedStrategy<World> {
    let distinct = |World(mut snapshot): World| {
        let eips = snapshot.eips.known_mut().into_iter().flat_map(BTreeMap::values_mut);
        make_distinct(eips.map(|eip| &mut eip.uid));
        let pods = snapshot.pods.known_mut().into_iter().flat_map(BTreeMap::values_mut);
        make_distinct(pods.map(|pod| &mut pod.uid));
        World(snapshot)
    };
    worlds().prop_map(distinct).boxed()
}

fn make_distinct<'a>(uids: impl Iterator<Item = &'a mut String>) {
    let mut seen = BTreeSet::from([String::new()]);
    for uid in uids {
        while !seen.insert(uid.clone()) {
            uid.push_str("-again");
        }
    }
}

/// A part, now and then one that could not be read.
fn part<T: Clone + fmt::Debug + 'static>(
    content: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Part<T>> {
    prop_oneof![24 => content.prop_map(Part::Known), 1 => odd().prop_map(Part::Unknown)].boxed()
}

pub fn keys() -> BoxedStrategy<Key> {
    (name(NAMESPACES), name(NAMES)).prop_map(|(namespace, name)| Key { namespace, name }).boxed()
}

/// The uid that an object of this kind and name has as a rule.
fn uid_of(kind: &str, key: &Key) -> String {
    format!("{kind}-{}-{}", key.namespace, key.name)
}

/// As a rule the uid of this object, else that of another, of a predecessor, or an odd one.
fn uids(kind: &'static str, key: &Key) -> BoxedStrategy<String> {
    let other = keys().prop_map(move |key| uid_of(kind, &key));
    let old = Just(format!("{kind}-old"));
    prop_oneof![20 => Just(uid_of(kind, key)), 2 => other, 2 => old, 1 => odd()].boxed()
}

/// The uid of any object of this kind.
fn any_uid(kind: &'static str) -> BoxedStrategy<String> {
    keys().prop_flat_map(move |key| uids(kind, &key)).boxed()
}

/// The IP that the pod of this name has as a rule.
fn ip_of(key: &Key) -> Ipv4Addr {
    let place = |all: &[&str], one: &str| all.iter().position(|other| *other == one).unwrap_or(7);
    let last = 2 * place(NAMESPACES, &key.namespace) + place(NAMES, &key.name);
    Ipv4Addr::new(10, 0, 1, u8::try_from(last + 1).unwrap_or(99))
}

fn ips(key: &Key) -> BoxedStrategy<Ipv4Addr> {
    prop_oneof![5 => Just(ip_of(key)), 1 => any_ip()].boxed()
}

fn any_ip() -> BoxedStrategy<Ipv4Addr> {
    (1..10_u8).prop_map(|last| Ipv4Addr::new(10, 0, 1, last)).boxed()
}

/// True in so many of a hundred.
fn chance(percent: u32) -> impl Strategy<Value = bool> {
    prop::bool::weighted(f64::from(percent) / 100.0)
}

/// Most of so many entries, of which some replace others.
fn many<K: Clone + Ord + fmt::Debug + 'static, V: Clone + fmt::Debug + 'static>(
    most: usize,
    one: impl Strategy<Value = (K, V)> + 'static,
) -> BoxedStrategy<BTreeMap<K, V>> {
    let some = vec(weighted(0.75, one), most);
    some.prop_map(|all| all.into_iter().flatten().collect()).boxed()
}

/// Objects by their keys, each made to fit its key as a rule.
fn by_key<T: Clone + fmt::Debug + 'static>(
    most: usize,
    object: impl Fn(Key) -> BoxedStrategy<T> + 'static,
) -> BoxedStrategy<BTreeMap<Key, T>> {
    let one = keys().prop_flat_map(move |key| (Just(key.clone()), object(key)));
    many(most, one)
}

fn addresses() -> BoxedStrategy<Part<BTreeMap<String, Address>>> {
    part(many(7, (mostly(ALLOCATIONS), keys().prop_flat_map(address))))
}

fn address(of: Key) -> BoxedStrategy<Address> {
    let cluster = prop_oneof![
        7 => Just(Some("c1".to_owned())),
        2 => Just(None),
        1 => mostly(&["c2"]).prop_map(Some),
    ];
    let ip = prop_oneof![2 => ips(&of), 1 => any_ip()];
    let place = (mostly(ASSOCIATIONS), weighted(0.95, mostly(INTERFACES)), weighted(0.95, ip));
    let tags = (cluster, uids("e", &of), mostly(PUBLIC), weighted(0.9, seconds()));
    (tags, weighted(0.5, place), chance(95))
        .prop_map(move |(tags, place, fits)| {
            let (cluster, eip, ip, age) = tags;
            let (association, interface, private_ip) = match place {
                Some((association, interface, ip)) => (Some(association), interface, ip),
                None => (None, None, None),
            };
            let name = if fits { of.name.clone() } else { String::new() };
            let namespace = of.namespace.clone();
            let place = (association, interface, private_ip);
            let (association, interface, private_ip) = place;
            Address { ip, cluster, eip, namespace, name, age, association, interface, private_ip }
        })
        .boxed()
}

fn eips() -> BoxedStrategy<Part<BTreeMap<Key, Eip>>> {
    part(by_key(6, eip))
}

fn eip(key: Key) -> BoxedStrategy<Eip> {
    let pod = prop_oneof![2 => Just(key.name.clone()), 1 => mostly(NAMES)];
    let namespace = key.namespace.clone();
    let owner = pod.prop_flat_map(move |pod| {
        let made_for = uids("p", &Key::new(namespace.clone(), pod.clone()));
        (Just(pod), weighted(0.3, made_for))
    });
    let marks = (chance(85), chance(15), chance(5), 0..3_i64);
    let created = mostly(&["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]);
    (uids("e", &key), owner, marks, created, statuses())
        .prop_map(|(uid, owner, marks, created, status)| {
            let (pod, autocreated_for) = owner;
            let (held, deleting, protected, generation) = marks;
            Eip {
                uid,
                pod,
                created,
                autocreated_for,
                held,
                deleting,
                protected,
                generation,
                status,
            }
        })
        .boxed()
}

/// What a status says, true or not.
pub fn statuses() -> BoxedStrategy<Status> {
    let missing = any::<bool>();
    let bought = (weighted(0.4, mostly(ALLOCATIONS)), weighted(0.4, mostly(PUBLIC)), missing);
    let place = (weighted(0.3, mostly(ASSOCIATIONS)), weighted(0.3, mostly(INTERFACES)));
    let pod = (weighted(0.3, mostly(&["10.0.1.1"])), weighted(0.3, mostly(NAMES)));
    let ready = (any::<bool>(), mostly(REASONS), mostly(&["all is well"]), 0..3_i64);
    (bought, place, pod, ready)
        .prop_map(|(bought, place, pod, ready)| Status {
            allocation: bought.0,
            ip: bought.1,
            missing: bought.2,
            association: place.0,
            interface: place.1,
            private_ip: pod.0,
            pod: pod.1,
            ready: ready.0,
            reason: ready.1,
            message: ready.2,
            generation: ready.3,
        })
        .boxed()
}

fn pods() -> BoxedStrategy<Part<BTreeMap<Key, Pod>>> {
    part(by_key(9, pod))
}

fn pod(key: Key) -> BoxedStrategy<Pod> {
    let ip = prop_oneof![
        20 => ips(&key).prop_map(|ip| Some(IpAddr::V4(ip))),
        1 => Just(None),
        1 => Just(Some(IpAddr::V6("2001:db8::1".parse().unwrap()))),
    ];
    let phase = prop_oneof![
        20 => Just(Phase::Running),
        2 => Just(Phase::Pending),
        1 => Just(Phase::Succeeded),
        1 => Just(Phase::Failed),
        1 => Just(Phase::Unknown),
    ];
    let whose = (chance(95), chance(40), chance(20));
    let end = (weighted(0.12, prop_oneof![4 => 0..40_u64, 1 => seconds()]), chance(4));
    let place = (uids("p", &key), weighted(0.95, mostly(NODES)), ip);
    let finalizers = weighted(0.1, btree_set(mostly(FINALIZERS), 0..2));
    (place, phase, whose, end, annotations(), finalizers)
        .prop_map(|(place, phase, whose, end, said, legacy_finalizers)| Pod {
            uid: place.0,
            node: place.1,
            // Pods on the network of their node have its IP.
            ip: if whose.2 { Some(Ipv4Addr::new(10, 0, 1, 9).into()) } else { place.2 },
            phase,
            managed: whose.0,
            autocreate: whose.1,
            host_network: whose.2,
            terminating: end.0,
            sandbox_down: end.1,
            target: said.0,
            alpha_target: said.1,
            allocation: said.2,
            legacy_finalizers: legacy_finalizers.unwrap_or_default(),
        })
        .boxed()
}

/// The three annotations, true or not.
pub type Annotations = (Option<String>, Option<String>, Option<String>);

pub fn annotations() -> BoxedStrategy<Annotations> {
    let target = || weighted(0.4, mostly(PUBLIC));
    (target(), target(), weighted(0.4, mostly(ALLOCATIONS))).boxed()
}

fn nodes() -> BoxedStrategy<Part<BTreeMap<String, Node>>> {
    let node = |name: String| {
        let instance = instance_of(NODES, &name);
        let node = (weighted(0.95, instance), chance(15));
        (Just(name), node.prop_map(|(instance, not_ready)| Node { instance, not_ready }))
    };
    let one = mostly(NODES).prop_flat_map(node);
    part(many(4, one))
}

fn interfaces() -> BoxedStrategy<Part<BTreeMap<String, Interface>>> {
    let ips = btree_set(any_ip(), 0..24);
    let occupied = btree_map(any_ip(), mostly(PUBLIC), 0..4);
    let trunk = weighted(0.1, mostly(INTERFACES));
    let prefixes = btree_set(mostly(PREFIXES), 0..4);
    let rest = (trunk, ips, prefixes, occupied);
    let one = (mostly(INTERFACES), rest).prop_flat_map(|(id, rest)| {
        let instance = weighted(0.9, instance_of(INTERFACES, &id));
        let one = instance.prop_map(move |instance| {
            let (trunk, ips, prefixes, occupied) = rest.clone();
            Interface { instance, trunk, ips, prefixes, occupied }
        });
        (Just(id), one)
    });
    part(many(5, one))
}

/// As a rule the instance in the place that this node or interface has among its like.
fn instance_of(all: &[&str], one: &str) -> BoxedStrategy<String> {
    let place = all.iter().position(|other| *other == one).unwrap_or(0);
    let own = Just(INSTANCES[place % INSTANCES.len()].to_owned());
    prop_oneof![6 => own, 1 => mostly(INSTANCES)].boxed()
}

fn untagged() -> BoxedStrategy<Part<BTreeMap<String, String>>> {
    part(btree_map(mostly(ALLOCATIONS), mostly(PUBLIC), 0..2))
}

fn definition() -> BoxedStrategy<Part<Definition>> {
    let one = (chance(10), chance(30));
    part(one.prop_map(|(deleting, release_all)| Definition { deleting, release_all }))
}

fn quota() -> BoxedStrategy<Quota> {
    let few = (0..8_u64, 0..8_u64).prop_map(|(limit, used)| Quota { limit, used });
    let odd = Just(Quota { limit: 5, used: u64::MAX });
    prop_oneof![20 => few, 1 => odd].boxed()
}

fn settings() -> BoxedStrategy<Settings> {
    let scope = weighted(0.1, mostly(NAMESPACES));
    let orphans = (chance(3), chance(60), seconds(), weighted(0.5, 0..4_u64));
    let limit = weighted(0.3, 0..4_u64);
    (scope, chance(50), limit, orphans, seconds())
        .prop_map(|(namespace, allow_host_network, namespace_limit, orphans, settle)| {
            let (protect, release_orphans, orphan_grace, max_releases) = orphans;
            Settings {
                namespace,
                allow_host_network,
                namespace_limit,
                protect,
                release_orphans,
                orphan_grace,
                max_releases,
                settle,
            }
        })
        .boxed()
}

fn recent() -> BoxedStrategy<Recent> {
    let due = prop_oneof![9 => Just(0), 1 => seconds()];
    let settling = many(9, (any_uid("e"), due));
    let terminating = many(8, (any_uid("p"), seconds()));
    let unclaimed = btree_map(mostly(ALLOCATIONS), seconds(), 0..6);
    let released = prop_oneof![8 => 0..3_u64, 1 => Just(u64::MAX)];
    let dwelling = btree_map(prop_oneof![any_uid("e"), any_uid("p")], seconds(), 0..4);
    let backoff = btree_map(any_uid("e"), pauses(), 0..2);
    let stopped = weighted(0.2, btree_map(mostly(VERBS), pauses(), 0..2));
    let carriers = btree_map(mostly(ALLOCATIONS), any_uid("p"), 0..4);
    let served = btree_map(mostly(VERBS), mostly(NAMESPACES), 0..3);
    (settling, terminating, unclaimed, released, dwelling, backoff, stopped, carriers, served)
        .prop_map(|all| Recent {
            settling: all.0,
            terminating: all.1,
            unclaimed: all.2,
            orphans_released: all.3,
            dwelling: all.4,
            backoff: all.5,
            stopped: all.6.unwrap_or_default(),
            carriers: all.7,
            served: all.8,
        })
        .boxed()
}

pub fn pauses() -> BoxedStrategy<Pause> {
    (seconds(), mostly(REASONS), mostly(&["AWS said no"]))
        .prop_map(|(seconds, reason, message)| Pause { seconds, reason, message })
        .boxed()
}

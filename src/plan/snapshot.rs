//! The observed world as one document: what the cluster and AWS hold, and what we remember.
//!
//! The same YAML serves the planner, the stories in `plans/` and bug reports. It holds only what
//! a decision needs. A part that could not be read is [`Part::Unknown`], never empty.

mod file;
mod parts;
mod recent;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

pub use self::parts::{Key, Part};
pub use self::recent::{Pause, Recent};
pub use self::settings::Settings;

/// Uid of a Kubernetes object.
pub type Uid = String;
/// `eipalloc-…`, the id of an Elastic IP.
pub type AllocationId = String;
/// `eni-…`, the id of a network interface.
pub type InterfaceId = String;

/// Everything a plan is made from. Equal snapshots give equal plans.
#[derive(Clone, Debug, Default, PartialEq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    pub cluster: Cluster,
    #[serde(default, skip_serializing_if = "is_default")]
    pub settings: Settings,
    /// Absent when it could not be read: unknown is not zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub addresses: Part<BTreeMap<AllocationId, Address>>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub eips: Part<BTreeMap<Key, Eip>>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub pods: Part<BTreeMap<Key, Pod>>,
    /// Pods that were asked for by name and not answered, and why: [`super::look::recorded_pods`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unread_pods: BTreeMap<Key, String>,
    /// The nodes of pods that need an association or are terminating.
    #[serde(default, skip_serializing_if = "is_default")]
    pub nodes: Part<BTreeMap<String, Node>>,
    /// The interfaces that may hold the IPs of pods that need an association.
    #[serde(default, skip_serializing_if = "is_default")]
    pub interfaces: Part<BTreeMap<InterfaceId, Interface>>,
    /// Of the addresses that an Eip's status records and the listing lacks, those that exist all
    /// the same, without our tags: their public addresses.
    #[serde(default, skip_serializing_if = "is_default")]
    pub untagged: Part<BTreeMap<AllocationId, String>>,
    /// Read where something may be released.
    #[serde(default, skip_serializing_if = "is_default")]
    pub definition: Part<Definition>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub recent: Recent,
}

/// Whose addresses these are.
#[derive(Clone, Debug, Default, PartialEq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// `CLUSTER_NAME`.
    pub name: String,
    /// Uid of the kube-system namespace.
    pub uid: Uid,
}

/// What is to be known of the custom resource definition: with it all Eips are deleted.
#[derive(Clone, Debug, Default, PartialEq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Definition {
    #[serde(skip_serializing_if = "is_default")]
    pub deleting: bool,
    /// A person has annotated it `eip.materialize.cloud/release-all=true`.
    #[serde(skip_serializing_if = "is_default")]
    pub release_all: bool,
}

/// The account's limit of Elastic IPs in this Region, and how many are taken.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    pub limit: u64,
    pub used: u64,
}

/// An Elastic IP that bears our cluster's name.
#[derive(Clone, Debug, Default, PartialEq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The public address.
    pub ip: String,
    /// Uid of the cluster that bought it; absent on one that the older operator bought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Uid>,
    /// Uid, namespace and name of the Eip it was bought for.
    pub eip: Uid,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Seconds since it was bought, if its tag says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<u64>,
    /// Where it is, all three or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub association: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<InterfaceId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_ip: Option<Ipv4Addr>,
}

impl Address {
    /// Where it is, for people: an instance's primary IP is not always shown.
    pub fn shown_private_ip(&self) -> String {
        self.private_ip.map_or_else(|| "an instance".to_owned(), |ip| ip.to_string())
    }
}

/// An `Eip` object.
#[derive(Clone, Debug, Default, PartialEq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Eip {
    pub uid: Uid,
    /// `spec.podName`; empty when the object could not be decoded.
    pub pod: String,
    /// creationTimestamp, RFC 3339 in UTC, so that text order is time order.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub created: String,
    /// Made by the operator for the pod with this uid, its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autocreated_for: Option<Uid>,
    /// It has our finalizer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub held: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub deleting: bool,
    /// A person has annotated it `eip.materialize.cloud/protect=true`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub protected: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub generation: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub status: Status,
}

/// What keeps the operator from releasing an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// That of the Eip.
    Annotation,
    /// `PROTECT=true`, which holds for all.
    Setting,
}

/// What the status of an Eip says. Output: at most a hint for its own claim.
#[derive(Clone, Debug, Default, PartialEq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Status {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocation: Option<AllocationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// That address was not there when this was written (condition `Allocated` is False).
    #[serde(skip_serializing_if = "is_default")]
    pub missing: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub association: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<InterfaceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_ip: Option<String>,
    /// Name of the pod that carries the address (`resourceId`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Condition `Ready`: its status, reason and message.
    #[serde(skip_serializing_if = "is_default")]
    pub ready: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "is_default")]
    pub generation: i64,
}

/// A pod that is labelled, or that an Eip's status says carries its address.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pod {
    pub uid: Uid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its IPv4 address, or an IPv6 one when it has no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    #[serde(default)]
    pub phase: Phase,
    /// Label `manage=true`.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub managed: bool,
    /// Label `autocreate_eip=true`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub autocreate: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    pub host_network: bool,
    /// deletionGracePeriodSeconds of a pod that is being deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminating: Option<u64>,
    /// Condition `PodReadyToStartContainers` has become false: its IP may soon be another's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sandbox_down: bool,
    /// The two annotations external-dns reads, and ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha_target: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation: Option<AllocationId>,
    /// Finalizers that the older operator left.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub legacy_finalizers: BTreeSet<String>,
}

/// `status.phase` of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    Pending,
    #[default]
    Running,
    Succeeded,
    Failed,
    Unknown,
}

impl Phase {
    /// Its containers have ended for good, so its IP may be given away although it still shows it.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// A node, as far as it says where its pods are.
#[derive(Clone, Debug, Default, PartialEq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// The EC2 instance in `spec.providerID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Condition `Ready` is not true: its kubelet does not end pods now.
    #[serde(default, skip_serializing_if = "is_default")]
    pub not_ready: bool,
}

/// A network interface in the cluster's VPC.
#[derive(Clone, Debug, Default, PartialEq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// The instance it is attached to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// For a branch interface (security groups for pods): the trunk it hangs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunk: Option<InterfaceId>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ips: BTreeSet<Ipv4Addr>,
    /// Delegated prefixes, `10.0.3.16/28`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub prefixes: BTreeSet<String>,
    /// Private IPs that carry a public one already, and which.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub occupied: BTreeMap<Ipv4Addr, String>,
}

impl Interface {
    /// Whether packets for this IP arrive here.
    pub fn holds(&self, ip: Ipv4Addr) -> bool {
        self.ips.contains(&ip) || self.prefixes.iter().any(|prefix| prefix_holds(prefix, ip))
    }
}

fn prefix_holds(prefix: &str, ip: Ipv4Addr) -> bool {
    let Some((base, length)) = prefix.split_once('/') else { return false };
    let (Ok(base), Ok(length)) = (base.parse::<Ipv4Addr>(), length.parse::<u32>()) else {
        return false;
    };
    let Some(host_bits) = 32_u32.checked_sub(length) else { return false };
    let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
    u32::from(base) & mask == u32::from(ip) & mask
}

impl Snapshot {
    /// The parts that could not be read, and why.
    pub fn unread(&self) -> BTreeMap<&'static str, &str> {
        [
            ("addresses", self.addresses.why_unknown()),
            ("eips", self.eips.why_unknown()),
            ("pods", self.pods.why_unknown()),
            ("nodes", self.nodes.why_unknown()),
            ("interfaces", self.interfaces.why_unknown()),
            ("recorded addresses", self.untagged.why_unknown()),
            ("definition", self.definition.why_unknown()),
            ("recorded pods", self.unread_pods.values().next().map(String::as_str)),
        ]
        .into_iter()
        .filter_map(|(part, why)| Some((part, why?)))
        .collect()
    }

    /// Whether nothing may be released: the definition is being deleted, which no person may have
    /// meant to cost all addresses, or nobody knows.
    pub fn holds_releases(&self) -> bool {
        self.definition.known().is_none_or(|one| one.deleting && !one.release_all)
    }

    /// The pods that were read, of the namespaces in scope.
    pub fn pods_in_scope(&self) -> impl Iterator<Item = (&Key, &Pod)> {
        let pods = self.pods.known().into_iter().flatten();
        pods.filter(|(key, _)| self.settings.in_scope(&key.namespace))
    }

    /// What a person has set against the release of any address of this Eip.
    pub fn protection(&self, eip: &Eip) -> Option<Protection> {
        let by = if eip.protected { Protection::Annotation } else { Protection::Setting };
        (eip.protected || self.settings.protect).then_some(by)
    }

    /// Reads the YAML document. Errors name the line and what was expected there.
    pub fn from_yaml(text: &str) -> Result<Self, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    /// The canonical YAML: sorted keys, defaults left out.
    pub fn to_yaml(&self) -> String {
        serde_saphyr::to_string(self).unwrap_or_else(|error| format!("# {error}\n"))
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn is_true(value: &bool) -> bool {
    *value
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_holds_its_sixteen_addresses() {
        let interface =
            Interface { prefixes: ["10.0.3.16/28".to_owned()].into(), ..Interface::default() };
        let held = (0..=255).filter(|last| interface.holds(Ipv4Addr::new(10, 0, 3, *last)));
        assert_eq!(held.collect::<Vec<_>>(), (16..32).collect::<Vec<u8>>());
        for wrong in ["10.0.3.16", "10.0.3.16/33", "x/28", "10.0.3.16/-1"] {
            let interface =
                Interface { prefixes: [wrong.to_owned()].into(), ..Interface::default() };
            assert!(!interface.holds(Ipv4Addr::new(10, 0, 3, 16)), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_part_survives_the_document() {
        let text = "cluster: {name: demo, uid: c1}\npods: 'unknown: pods is forbidden'\n";
        let snapshot = Snapshot::from_yaml(text).unwrap();
        assert_eq!(snapshot.pods.why_unknown(), Some("pods is forbidden"));
        assert_eq!(Snapshot::from_yaml(&snapshot.to_yaml()).unwrap(), snapshot);
    }

    #[test]
    fn the_document_leaves_out_what_is_usual() {
        let text = "cluster:\n  name: demo\n  uid: c1\nsettings:\n  settle: 60\n\
                    pods:\n  shop/web:\n    uid: p1\n    phase: Running\n";
        assert_eq!(Snapshot::from_yaml(text).unwrap().to_yaml(), text);
        let unusual = text.replace("  settle", "  orphan_grace: 60\n  settle");
        assert_eq!(Snapshot::from_yaml(&unusual).unwrap().to_yaml(), unusual);
    }

    #[test]
    fn a_part_that_is_neither_read_nor_unknown_is_refused_by_what_is_accepted() {
        let error = Snapshot::from_yaml("cluster: {name: a, uid: b}\npods: none\n").unwrap_err();
        assert!(error.contains("a mapping, or the text \"unknown: WHY\""), "{error}");
    }

    #[test]
    fn a_key_is_a_namespace_and_a_name() {
        assert_eq!("shop/web".parse(), Ok(Key::new("shop", "web")));
        for wrong in ["web", "/web", "shop/", "/", "shop/web/0", ""] {
            assert!(
                wrong.parse::<Key>().is_err_and(|error| error.contains("NAMESPACE/NAME")),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_wrong_document_names_the_line_and_the_field() {
        let text = "cluster: {name: demo, uid: c1}\npodz: {}\n";
        let error = Snapshot::from_yaml(text).unwrap_err();
        assert!(error.contains("podz") && error.contains('2'), "{error}");
        let text = "cluster: {name: demo, uid: c1}\neips:\n  web: {uid: e1, pod: web-0}\n";
        let error = Snapshot::from_yaml(text).unwrap_err();
        assert!(error.contains("NAMESPACE/NAME") && error.contains("\"web\""), "{error}");
    }
}

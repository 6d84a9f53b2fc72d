//! A snapshot that may be shown to strangers: names, ids and addresses are replaced, each by the
//! same wherever it stands, so that the plan is the same but for them.
//!
//! What is replaced keeps its order, for plans are in the order of names. Texts of others keep
//! their words, but for those that are replaced elsewhere or look like an account, a role or a
//! secret.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::rules::allocate::is_pod_name;
use super::snapshot::{Key, Part, Recent, Snapshot, Status};

/// A word of a text of others that is longer may be a secret: encoded authorization messages are.
const WORD_MAX: usize = 24;

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Cluster,
    Uid,
    Namespace,
    Name,
    /// What somebody wrote where a name of a pod belongs.
    Misnomer,
    Node,
    Instance,
    Interface,
    Allocation,
    Association,
    Public,
    /// The first half of a private IPv4 address.
    Network,
    Ipv6,
    /// Text of others.
    Prose,
}

impl Kind {
    /// What stands in the place of the nth of this kind, in order.
    fn stand_in(self, nth: usize) -> String {
        match self {
            Self::Cluster => format!("cluster-{nth}"),
            Self::Uid => format!("uid-{nth:05}"),
            Self::Namespace => format!("namespace-{nth:05}"),
            Self::Name => format!("name-{nth:05}"),
            Self::Misnomer => format!("Misnomer-{nth:05}"),
            Self::Node => format!("node-{nth:05}"),
            Self::Instance => format!("i-{nth:05}"),
            Self::Interface => format!("eni-{nth:05}"),
            Self::Allocation => format!("eipalloc-{nth:05}"),
            Self::Association => format!("eipassoc-{nth:05}"),
            // Of the range for benchmarks (RFC 2544), which is nobody's.
            Self::Public => format!("198.{}.{}.{}", 18 + nth / 65536, nth / 256 % 256, nth % 256),
            Self::Network => format!("{}.{}", 10 + nth / 256, nth % 256),
            Self::Ipv6 => format!("2001:db8::{nth:x}"),
            Self::Prose => String::new(),
        }
    }
}

/// The same world with other names, ids and addresses.
pub fn redacted(snapshot: &Snapshot) -> Snapshot {
    let mut found: BTreeMap<Kind, BTreeSet<String>> = BTreeMap::new();
    let mut collect = |kind: Kind, text: &str| {
        found.entry(kind).or_default().insert(text.to_owned());
        text.to_owned()
    };
    let _ = Walk(&mut collect).snapshot(snapshot);
    let mut stand_ins = BTreeMap::new();
    for (kind, texts) in found.into_iter().filter(|(kind, _)| *kind != Kind::Prose) {
        for (nth, text) in texts.into_iter().enumerate() {
            stand_ins.insert((kind, text), kind.stand_in(nth));
        }
    }
    let words: BTreeMap<&str, &str> = stand_ins
        .iter()
        .filter(|((kind, _), _)| *kind != Kind::Network)
        .map(|((_, text), stand_in)| (text.as_str(), stand_in.as_str()))
        .collect();
    let network = |text: &str| stand_ins.get(&(Kind::Network, text.to_owned())).cloned();
    let mut replace = |kind: Kind, text: &str| match kind {
        Kind::Prose => prose(text, &words, &network),
        kind => stand_ins.get(&(kind, text.to_owned())).cloned().unwrap_or_default(),
    };
    Walk(&mut replace).snapshot(snapshot)
}

/// The words of a text that are known are replaced, and those that tell too much are left out.
fn prose(
    text: &str,
    words: &BTreeMap<&str, &str>,
    network: &impl Fn(&str) -> Option<String>,
) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
    let mut told = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_part(c) != is_part(first)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        rest = after;
        if !is_part(first) {
            told.push_str(run);
            continue;
        }
        // A sentence may end with a name.
        let word = run.trim_end_matches(['.', ':']);
        let private = || {
            let ip: Ipv4Addr = word.parse().ok()?;
            let [a, b, c, d] = ip.octets();
            Some(format!("{}.{c}.{d}", network(&format!("{a}.{b}"))?))
        };
        let account = word.len() == 12 && word.bytes().all(|b| b.is_ascii_digit());
        let tells = account || word.len() > WORD_MAX || word.starts_with("arn:");
        match words.get(word).map(|known| (*known).to_owned()).or_else(private) {
            Some(known) => told.push_str(&known),
            None if tells => told.push_str("(left out)"),
            None => told.push_str(word),
        }
        told.push_str(&run[word.len()..]);
    }
    told
}

/// Goes through all that is replaced.
struct Walk<'a, F>(&'a mut F);

impl<F: FnMut(Kind, &str) -> String> Walk<'_, F> {
    fn text(&mut self, kind: Kind, text: &str) -> String {
        if text.is_empty() { String::new() } else { (self.0)(kind, text) }
    }

    fn maybe(&mut self, kind: Kind, text: &mut Option<String>) {
        if let Some(text) = text {
            *text = self.text(kind, text);
        }
    }

    fn set(&mut self, kind: Kind, text: &mut String) {
        *text = self.text(kind, text);
    }

    fn name(&mut self, name: &str) -> String {
        let kind = if is_pod_name(name) { Kind::Name } else { Kind::Misnomer };
        self.text(kind, name)
    }

    fn key(&mut self, key: &Key) -> Key {
        Key::new(self.text(Kind::Namespace, &key.namespace), self.name(&key.name))
    }

    fn ipv4(&mut self, ip: Ipv4Addr) -> Ipv4Addr {
        let [a, b, c, d] = ip.octets();
        let network = self.text(Kind::Network, &format!("{a}.{b}"));
        format!("{network}.{c}.{d}").parse().unwrap_or(ip)
    }

    fn ip(&mut self, ip: IpAddr) -> IpAddr {
        match ip {
            IpAddr::V4(ip) => IpAddr::V4(self.ipv4(ip)),
            IpAddr::V6(ip) => {
                let other = self.text(Kind::Ipv6, &ip.to_string());
                IpAddr::V6(other.parse().unwrap_or(Ipv6Addr::UNSPECIFIED))
            }
        }
    }

    /// A private address as text, or whatever stands there.
    fn private(&mut self, text: &mut Option<String>) {
        if let Some(text) = text {
            *text = match text.parse::<Ipv4Addr>() {
                Ok(ip) => self.ipv4(ip).to_string(),
                Err(_) => self.text(Kind::Prose, text),
            };
        }
    }

    fn keyed<V>(&mut self, kind: Kind, map: &BTreeMap<String, V>) -> BTreeMap<String, V>
    where
        V: Clone,
    {
        map.iter().map(|(key, value)| (self.text(kind, key), value.clone())).collect()
    }

    fn part<T: Clone>(&mut self, part: &Part<T>, walk: impl FnOnce(&mut Self, &T) -> T) -> Part<T> {
        match part {
            Part::Known(content) => Part::Known(walk(self, content)),
            Part::Unknown(why) => Part::Unknown(self.text(Kind::Prose, why)),
        }
    }

    fn snapshot(&mut self, seen: &Snapshot) -> Snapshot {
        let mut told = seen.clone();
        self.set(Kind::Cluster, &mut told.cluster.name);
        self.set(Kind::Uid, &mut told.cluster.uid);
        self.maybe(Kind::Namespace, &mut told.settings.namespace);
        told.addresses = self.part(&seen.addresses, |walk, addresses| {
            let mut all = BTreeMap::new();
            for (id, address) in addresses {
                let mut address = address.clone();
                walk.set(Kind::Public, &mut address.ip);
                walk.maybe(Kind::Uid, &mut address.cluster);
                walk.set(Kind::Uid, &mut address.eip);
                walk.set(Kind::Namespace, &mut address.namespace);
                address.name = walk.name(&address.name);
                walk.maybe(Kind::Association, &mut address.association);
                walk.maybe(Kind::Interface, &mut address.interface);
                address.private_ip = address.private_ip.map(|ip| walk.ipv4(ip));
                all.insert(walk.text(Kind::Allocation, id), address);
            }
            all
        });
        told.eips = self.part(&seen.eips, |walk, eips| {
            let mut all = BTreeMap::new();
            for (key, eip) in eips {
                let mut eip = eip.clone();
                walk.set(Kind::Uid, &mut eip.uid);
                eip.pod = walk.name(&eip.pod);
                walk.maybe(Kind::Uid, &mut eip.autocreated_for);
                walk.status(&mut eip.status);
                all.insert(walk.key(key), eip);
            }
            all
        });
        told.pods = self.part(&seen.pods, |walk, pods| {
            let mut all = BTreeMap::new();
            for (key, pod) in pods {
                let mut pod = pod.clone();
                walk.set(Kind::Uid, &mut pod.uid);
                walk.maybe(Kind::Node, &mut pod.node);
                pod.ip = pod.ip.map(|ip| walk.ip(ip));
                walk.maybe(Kind::Public, &mut pod.target);
                walk.maybe(Kind::Public, &mut pod.alpha_target);
                walk.maybe(Kind::Allocation, &mut pod.allocation);
                all.insert(walk.key(key), pod);
            }
            all
        });
        told.unread_pods = seen
            .unread_pods
            .iter()
            .map(|(key, why)| (self.key(key), self.text(Kind::Prose, why)))
            .collect();
        told.nodes = self.part(&seen.nodes, |walk, nodes| {
            let mut all = BTreeMap::new();
            for (name, node) in nodes {
                let mut node = node.clone();
                walk.maybe(Kind::Instance, &mut node.instance);
                all.insert(walk.text(Kind::Node, name), node);
            }
            all
        });
        told.interfaces = self.part(&seen.interfaces, |walk, interfaces| {
            let mut all = BTreeMap::new();
            for (id, interface) in interfaces {
                let mut one = interface.clone();
                walk.maybe(Kind::Instance, &mut one.instance);
                walk.maybe(Kind::Interface, &mut one.trunk);
                one.ips = interface.ips.iter().map(|ip| walk.ipv4(*ip)).collect();
                one.prefixes = interface.prefixes.iter().map(|text| walk.prefix(text)).collect();
                let occupied = interface.occupied.iter();
                one.occupied = occupied
                    .map(|(ip, by)| (walk.ipv4(*ip), walk.text(Kind::Public, by)))
                    .collect();
                all.insert(walk.text(Kind::Interface, id), one);
            }
            all
        });
        told.untagged = self.part(&seen.untagged, |walk, untagged| {
            let each = untagged.iter();
            each.map(|(id, ip)| (walk.text(Kind::Allocation, id), walk.text(Kind::Public, ip)))
                .collect()
        });
        told.definition = self.part(&seen.definition, |_, definition| definition.clone());
        told.recent = self.recent(&seen.recent);
        told
    }

    fn prefix(&mut self, text: &str) -> String {
        match text.split_once('/').map(|(base, length)| (base.parse(), length)) {
            Some((Ok(base), length)) => format!("{}/{length}", self.ipv4(base)),
            _ => self.text(Kind::Prose, text),
        }
    }

    fn status(&mut self, status: &mut Status) {
        self.maybe(Kind::Allocation, &mut status.allocation);
        self.maybe(Kind::Public, &mut status.ip);
        self.maybe(Kind::Association, &mut status.association);
        self.maybe(Kind::Interface, &mut status.interface);
        self.private(&mut status.private_ip);
        if let Some(pod) = &mut status.pod {
            *pod = self.name(pod);
        }
        self.set(Kind::Prose, &mut status.reason);
        self.set(Kind::Prose, &mut status.message);
    }

    fn recent(&mut self, seen: &Recent) -> Recent {
        let mut told = Recent {
            settling: self.keyed(Kind::Uid, &seen.settling),
            terminating: self.keyed(Kind::Uid, &seen.terminating),
            unclaimed: self.keyed(Kind::Allocation, &seen.unclaimed),
            carriers: seen
                .carriers
                .iter()
                .map(|(id, pod)| (self.text(Kind::Allocation, id), self.text(Kind::Uid, pod)))
                .collect(),
            orphans_released: seen.orphans_released,
            dwelling: self.keyed(Kind::Uid, &seen.dwelling),
            backoff: self.keyed(Kind::Uid, &seen.backoff),
            stopped: seen.stopped.clone(),
            served: seen
                .served
                .iter()
                .map(|(verb, namespace)| (verb.clone(), self.text(Kind::Namespace, namespace)))
                .collect(),
        };
        for pause in told.backoff.values_mut().chain(told.stopped.values_mut()) {
            self.set(Kind::Prose, &mut pause.reason);
            self.set(Kind::Prose, &mut pause.message);
        }
        told
    }
}

#[cfg(test)]
mod tests;

//! A model of the Kubernetes cluster: objects, the controllers that matter, and the CNI's pool of
//! pod IPs on each node. Times are milliseconds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use eip_operator::plan::action::Action;
use eip_operator::plan::forecast::Outcome;
use eip_operator::plan::snapshot::{Definition, Eip, Key, Node, Phase, Pod, Uid};

use super::chance::Chance;

/// A place for a pod's network on a node.
#[derive(Clone, Debug, Default, Hash)]
pub struct Slot {
    /// The pod whose sandbox has the IP, and since when.
    pub holder: Option<(Uid, u64)>,
    /// Not given away before.
    pub free_at: u64,
}

#[derive(Clone, Debug, Hash)]
pub struct Host {
    pub instance: String,
    pub interface: String,
    pub ready: bool,
    pub slots: BTreeMap<Ipv4Addr, Slot>,
}

#[derive(Clone, Debug, Hash)]
pub struct Live {
    pub seen: Pod,
    /// Made again by its controller when it is gone.
    pub stateful: bool,
    pub ipv6: bool,
    /// When its labels were last written.
    pub labelled_at: u64,
}

#[derive(Clone, Debug, Default, Hash)]
pub struct Cluster {
    pub pods: BTreeMap<Key, Live>,
    pub eips: BTreeMap<Key, Eip>,
    /// By uid, since when it is being deleted or has lost our finalizer by a stranger's hand.
    pub unfit_since: BTreeMap<Uid, u64>,
    /// By uid of an Eip, since when it is protected.
    pub protected_since: BTreeMap<Uid, u64>,
    pub hosts: BTreeMap<String, Host>,
    pub definition: Definition,
    /// By uid, when an Eip ceased to exist.
    pub gone_since: BTreeMap<Uid, u64>,
    /// How long a freed IP is not given away.
    pub cool_down: u64,
    made: u64,
}

/// What a controller or kubelet does next, and in how many milliseconds.
pub type Later = (u64, Deed);

#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Deed {
    Schedule(Key, Uid),
    GiveIp(Key, Uid),
    EndSandbox(Key, Uid),
    RemovePod(Key, Uid),
    Recreate(Key, bool),
    /// The Eips of a definition that is being deleted are deleted.
    EndDefinition,
    /// The garbage collector deletes an Eip whose owner is gone.
    Collect(Key, Uid),
}

type Answer = Result<Outcome, &'static str>;

impl Cluster {
    pub fn new(cool_down: u64) -> Self {
        Self { cool_down, ..Self::default() }
    }

    fn uid(&mut self, of: &str) -> Uid {
        self.made += 1;
        format!("{of}{}", self.made)
    }

    pub fn make_pod(
        &mut self,
        key: &Key,
        seen: Pod,
        stateful: bool,
        ipv6: bool,
        now: u64,
    ) -> Vec<Later> {
        if self.pods.contains_key(key) {
            return Vec::new();
        }
        let uid = self.uid("p");
        let seen = Pod { uid: uid.clone(), ..seen };
        self.pods.insert(key.clone(), Live { seen, stateful, ipv6, labelled_at: now });
        vec![(50, Deed::Schedule(key.clone(), uid))]
    }

    pub fn make_eip(&mut self, key: &Key, pod: &str, now: u64) {
        if self.eips.contains_key(key) || self.definition.deleting {
            return;
        }
        let eip = Eip {
            uid: self.uid("e"),
            pod: pod.to_owned(),
            created: format!("{now:012}"),
            generation: 1,
            ..Eip::default()
        };
        self.eips.insert(key.clone(), eip);
    }

    /// The same Eip under another uid.
    pub fn restore(&mut self, key: &Key, held: bool, now: u64) {
        let uid = self.uid("e");
        if let Some(eip) = self.eips.get_mut(key) {
            self.unfit_since.entry(eip.uid.clone()).or_insert(now);
            self.gone_since.insert(eip.uid.clone(), now);
            if eip.protected {
                self.protected_since.insert(uid.clone(), now);
            }
            (eip.uid, eip.held) = (uid, held);
            eip.deleting = false;
        }
    }

    pub fn protect(&mut self, key: &Key, protected: bool, now: u64) {
        let Some(eip) = self.eips.get_mut(key) else { return };
        eip.protected = protected;
        match protected {
            true => drop(self.protected_since.entry(eip.uid.clone()).or_insert(now)),
            false => drop(self.protected_since.remove(&eip.uid)),
        }
    }

    pub fn delete_eip(&mut self, key: &Key, now: u64) {
        let Some(eip) = self.eips.get_mut(key) else { return };
        self.unfit_since.entry(eip.uid.clone()).or_insert(now);
        if eip.held {
            eip.deleting = true;
        } else {
            self.gone_since.insert(eip.uid.clone(), now);
            self.eips.remove(key);
        }
    }

    /// All Eips are deleted with their definition, a moment after it is marked.
    pub fn delete_definition(&mut self, chance: &mut Chance) -> Vec<Later> {
        self.definition.deleting = true;
        vec![(chance.between(0, 5_000), Deed::EndDefinition)]
    }

    /// What is being deleted goes once our finalizer is off.
    pub fn end_of_eips(&mut self, now: u64) {
        let ends = |eip: &&Eip| eip.deleting && !eip.held;
        let ended: Vec<Uid> = self.eips.values().filter(ends).map(|eip| eip.uid.clone()).collect();
        self.eips.retain(|_, eip| eip.held || !eip.deleting);
        self.gone_since.extend(ended.into_iter().map(|uid| (uid, now)));
    }

    /// The Eip with this uid.
    pub fn eip(&self, uid: &str) -> Option<(&Key, &Eip)> {
        self.eips.iter().find(|(_, eip)| eip.uid == uid)
    }

    pub fn holder(&self, ip: Ipv4Addr) -> Option<&(Uid, u64)> {
        self.hosts.values().find_map(|host| host.slots.get(&ip)).and_then(|s| s.holder.as_ref())
    }

    /// A pod is asked to go: its sandbox ends within the grace period.
    pub fn delete_pod(&mut self, key: &Key, grace: u64, chance: &mut Chance) -> Vec<Later> {
        let Some(pod) = self.pods.get_mut(key) else { return Vec::new() };
        if pod.seen.terminating.is_some() {
            return Vec::new();
        }
        pod.seen.terminating = Some(grace);
        let uid = pod.seen.uid.clone();
        let scheduled = pod.seen.node.is_some();
        let host = pod.seen.node.as_ref().and_then(|node| self.hosts.get(node));
        if scheduled && host.is_none_or(|host| !host.ready) {
            return Vec::new(); // no kubelet does anything until a person forces it
        }
        let ends = if scheduled { chance.between(0, grace * 1000) } else { 0 };
        vec![
            (ends, Deed::EndSandbox(key.clone(), uid.clone())),
            (ends + chance.between(100, 4_000), Deed::RemovePod(key.clone(), uid)),
        ]
    }

    /// The object goes at once; what runs on the node may run on for a while.
    pub fn force_delete(&mut self, key: &Key, chance: &mut Chance) -> Vec<Later> {
        let Some(pod) = self.pods.get(key) else { return Vec::new() };
        let uid = pod.seen.uid.clone();
        let mut later =
            vec![(chance.between(100, 90_000), Deed::EndSandbox(key.clone(), uid.clone()))];
        later.extend(self.remove_pod(key, &uid, chance));
        later
    }

    /// The containers have ended for good; the CNI takes the IP, the object still shows it.
    pub fn finish(&mut self, key: &Key, now: u64) {
        let Some(pod) = self.pods.get_mut(key) else { return };
        pod.seen.phase = Phase::Succeeded;
        let uid = pod.seen.uid.clone();
        self.free(&uid, now);
    }

    /// The sandbox is lost and made again, with another IP, under the same uid.
    pub fn restart_sandbox(&mut self, key: &Key, now: u64, chance: &mut Chance) -> Vec<Later> {
        let Some(pod) = self.pods.get_mut(key) else { return Vec::new() };
        if pod.seen.ip.is_none() || pod.seen.phase.is_terminal() {
            return Vec::new();
        }
        pod.seen.sandbox_down = true;
        let uid = pod.seen.uid.clone();
        self.free(&uid, now);
        vec![(chance.between(200, 5_000), Deed::GiveIp(key.clone(), uid))]
    }

    pub fn lose_node(&mut self, node: &str) -> Option<String> {
        let host = self.hosts.get_mut(node)?;
        host.ready = false;
        host.slots.clear();
        Some(host.interface.clone())
    }

    fn free(&mut self, uid: &str, now: u64) {
        let cool_down = self.cool_down;
        for slot in self.hosts.values_mut().flat_map(|host| host.slots.values_mut()) {
            if slot.holder.as_ref().is_some_and(|(holder, _)| holder == uid) {
                *slot = Slot { holder: None, free_at: now + cool_down };
            }
        }
    }

    fn remove_pod(&mut self, key: &Key, uid: &str, chance: &mut Chance) -> Vec<Later> {
        let mut later = Vec::new();
        let Some(pod) = self.pods.get(key).filter(|pod| pod.seen.uid == uid) else { return later };
        if pod.stateful {
            let autocreate = pod.seen.autocreate;
            later.push((chance.between(100, 4_000), Deed::Recreate(key.clone(), autocreate)));
        }
        self.pods.remove(key);
        for (eip_key, eip) in &self.eips {
            if eip.autocreated_for.as_deref() == Some(uid) {
                let collect = Deed::Collect(eip_key.clone(), eip.uid.clone());
                later.push((chance.between(100, 8_000), collect));
            }
        }
        later
    }

    /// What a controller or kubelet does when its time has come.
    pub fn act(&mut self, deed: Deed, now: u64, chance: &mut Chance) -> Vec<Later> {
        match deed {
            Deed::Schedule(key, uid) => {
                let ready: Vec<&String> = self
                    .hosts
                    .iter()
                    .filter(|(_, host)| host.ready)
                    .map(|(name, _)| name)
                    .collect();
                let Some(node) = chance.one_of(ready).cloned() else {
                    return vec![(10_000, Deed::Schedule(key, uid))];
                };
                let Some(pod) = self.pods.get_mut(&key).filter(|pod| pod.seen.uid == uid) else {
                    return Vec::new();
                };
                pod.seen.node = Some(node);
                vec![(chance.between(100, 5_000), Deed::GiveIp(key, uid))]
            }
            Deed::GiveIp(key, uid) => self.give_ip(key, uid, now, chance),
            Deed::EndSandbox(key, uid) => {
                self.free(&uid, now);
                if let Some(pod) = self.pods.get_mut(&key).filter(|pod| pod.seen.uid == uid) {
                    pod.seen.sandbox_down = true;
                }
                Vec::new()
            }
            Deed::RemovePod(key, uid) => self.remove_pod(&key, &uid, chance),
            Deed::Recreate(key, autocreate) => {
                let seen = Pod { autocreate, phase: Phase::Pending, ..pod() };
                self.make_pod(&key, seen, true, false, now)
            }
            Deed::EndDefinition => {
                for key in self.eips.keys().cloned().collect::<Vec<_>>() {
                    self.delete_eip(&key, now);
                }
                Vec::new()
            }
            Deed::Collect(key, uid) => {
                if self.eips.get(&key).is_some_and(|eip| eip.uid == uid) {
                    self.delete_eip(&key, now);
                }
                Vec::new()
            }
        }
    }

    fn give_ip(&mut self, key: Key, uid: Uid, now: u64, chance: &mut Chance) -> Vec<Later> {
        let Some(pod) = self.pods.get_mut(&key).filter(|pod| pod.seen.uid == uid) else {
            return Vec::new();
        };
        if pod.seen.terminating.is_some() || pod.seen.phase.is_terminal() {
            return Vec::new();
        }
        let host = pod.seen.node.as_ref().and_then(|node| self.hosts.get_mut(node));
        let Some(host) = host.filter(|host| host.ready) else { return Vec::new() };
        let mut live = (pod.seen.phase, pod.seen.sandbox_down, pod.seen.ip);
        if pod.ipv6 {
            live.2 = "fd00::1".parse().ok();
        } else if !pod.seen.host_network {
            let free =
                host.slots.iter_mut().filter(|(_, s)| s.holder.is_none() && s.free_at <= now);
            let Some((ip, slot)) = chance.one_of(free) else {
                return vec![(5_000, Deed::GiveIp(key, uid))];
            };
            slot.holder = Some((uid, now));
            live.2 = Some(IpAddr::V4(*ip));
        }
        pod.seen.ip = live.2;
        pod.seen.sandbox_down = false;
        pod.seen.phase = Phase::Running;
        Vec::new()
    }

    /// The API server carries out what the operator asks.
    pub fn perform(&mut self, action: &Action, now: u64) -> Answer {
        match action {
            Action::Create { eip, pod_uid } => {
                if self.definition.deleting {
                    return Err("MethodNotAllowed");
                }
                if self.eips.contains_key(eip) {
                    return Err("AlreadyExists");
                }
                let made = Eip {
                    uid: self.uid("e"),
                    pod: eip.name.clone(),
                    created: format!("{now:012}"),
                    autocreated_for: Some(pod_uid.clone()),
                    held: true,
                    generation: 1,
                    ..Eip::default()
                };
                let outcome = Outcome::Created { uid: made.uid.clone() };
                self.eips.insert(eip.clone(), made);
                Ok(outcome)
            }
            Action::Delete { eip, uid, .. } => {
                self.eips.get(eip).ok_or("NotFound").and_then(|found| same(found, uid))?;
                self.delete_eip(eip, now);
                Ok(Outcome::Done)
            }
            Action::Hold { eip, uid } => self.edit(eip, uid, |found| {
                if found.deleting || found.held {
                    return Err("Changed");
                }
                found.held = true;
                Ok(())
            }),
            Action::LetGo { eip, uid } => {
                let outcome = self.edit(eip, uid, |found| {
                    found.held = false;
                    Ok(())
                })?;
                self.end_of_eips(now);
                Ok(outcome)
            }
            Action::Record { eip, uid, status } => self.edit(eip, uid, |found| {
                found.status = (**status).clone();
                Ok(())
            }),
            Action::Annotate { pod, uid, address, ip } => self.edit_pod(pod, uid, |found| {
                found.target = Some(ip.clone());
                found.alpha_target = Some(ip.clone());
                found.allocation = Some(address.clone());
            }),
            Action::Clear { pod, uid } => self.edit_pod(pod, uid, |found| {
                (found.target, found.alpha_target, found.allocation) = (None, None, None);
            }),
            Action::Unblock { pod, uid } => {
                self.edit_pod(pod, uid, |found| found.legacy_finalizers.clear())
            }
            _ => Err("NotKubernetes"),
        }
    }

    fn edit(
        &mut self,
        key: &Key,
        uid: &Uid,
        change: impl Fn(&mut Eip) -> Result<(), &'static str>,
    ) -> Answer {
        let found = self.eips.get_mut(key).ok_or("NotFound")?;
        same(found, uid)?;
        change(found)?;
        Ok(Outcome::Done)
    }

    fn edit_pod(&mut self, key: &Key, uid: &Uid, change: impl Fn(&mut Pod)) -> Answer {
        let found = self.pods.get_mut(key).ok_or("NotFound")?;
        if found.seen.uid != *uid {
            return Err("Invalid");
        }
        change(&mut found.seen);
        Ok(Outcome::Done)
    }

    pub fn list_pods(&self) -> BTreeMap<Key, Pod> {
        let managed = self.pods.iter().filter(|(_, pod)| pod.seen.managed);
        managed.map(|(key, pod)| (key.clone(), pod.seen.clone())).collect()
    }

    pub fn list_nodes(&self) -> BTreeMap<String, Node> {
        let node =
            |host: &Host| Node { instance: Some(host.instance.clone()), not_ready: !host.ready };
        self.hosts.iter().map(|(name, host)| (name.clone(), node(host))).collect()
    }

    /// The IPs that pods were given less than so many milliseconds ago.
    pub fn given_within(&self, millis: u64, now: u64) -> BTreeSet<Ipv4Addr> {
        let is_new = |(_, since): &(Uid, u64)| now < since + millis;
        let slots = self.hosts.values().flat_map(|host| &host.slots);
        let new = slots.filter(|(_, slot)| slot.holder.as_ref().is_some_and(is_new));
        new.map(|(ip, _)| *ip).collect()
    }
}

fn same(found: &Eip, uid: &Uid) -> Result<(), &'static str> {
    if found.uid == *uid { Ok(()) } else { Err("Conflict") }
}

/// A labelled pod without anything else.
pub fn pod() -> Pod {
    Pod {
        uid: String::new(),
        node: None,
        ip: None,
        phase: Phase::Pending,
        managed: true,
        autocreate: false,
        host_network: false,
        terminating: None,
        sandbox_down: false,
        target: None,
        alpha_target: None,
        allocation: None,
        legacy_finalizers: std::collections::BTreeSet::new(),
    }
}

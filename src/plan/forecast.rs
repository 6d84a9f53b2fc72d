//! Where the plans lead: rounds of plan and effect to the end, without touching anything.
//!
//! [`apply`] is also how the operator absorbs what its calls really answered, so the forecast and
//! the execution cannot differ in what a step means.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::action::{Action, Plan, Step};
use super::planner::plan;
use super::snapshot::{
    Address, AllocationId, Eip, Interface, InterfaceId, Key, Pod, Snapshot, Uid,
};

/// More rounds than this and the rules contradict each other. The longest way there is (delete,
/// clear, disassociate, release, let go, create, hold, allocate, associate, record) takes ten.
pub const MAX_ROUNDS: usize = 16;

/// What a call answered, as far as the next plan needs it.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Outcome {
    /// It was done, and there is nothing to learn from it.
    Done,
    /// It was so already: what is there instead is not known.
    AlreadySo,
    /// An Eip was made.
    Created {
        uid: Uid,
    },
    Allocated {
        address: AllocationId,
        ip: String,
    },
    Associated {
        association: String,
    },
}

impl Outcome {
    /// The outcome before it is known, with placeholders where AWS or Kubernetes has the choice.
    pub fn expected(action: &Action) -> Self {
        match action {
            Action::Create { eip, .. } => Self::Created { uid: known_after("create", eip) },
            Action::Allocate { eip, .. } => Self::Allocated {
                address: known_after("allocate", eip),
                ip: known_after("allocate", eip),
            },
            Action::Associate { pod, .. } => {
                Self::Associated { association: known_after("associate", pod) }
            }
            _ => Self::Done,
        }
    }
}

/// A placeholder; what follows the colon tells it from others and is not shown.
fn known_after(verb: &str, key: &Key) -> String {
    format!("(known after {verb}: {key})")
}

/// A value as people see it.
pub fn shown(value: &str) -> String {
    match value.strip_prefix("(known after ").and_then(|rest| rest.split_once(':')) {
        Some((verb, _)) => format!("(known after {verb})"),
        None => value.to_owned(),
    }
}

/// The rounds that lead to the end, and the end.
#[derive(Clone, Debug)]
pub struct Forecast<'a> {
    /// One plan a round; the last has no steps, only notes.
    pub rounds: Vec<Plan>,
    /// A world of its own only where something is to be done.
    pub end: Cow<'a, Snapshot>,
}

/// Plans and predicts until nothing is left to do.
pub fn forecast(snapshot: &Snapshot) -> Forecast<'_> {
    let mut end = Cow::Borrowed(snapshot);
    let mut rounds = Vec::new();
    loop {
        let round = plan(&end);
        let settled = round.steps.is_empty();
        if !settled {
            apply_all(end.to_mut(), &round.steps);
        }
        rounds.push(round);
        if settled || rounds.len() == MAX_ROUNDS {
            return Forecast { rounds, end };
        }
    }
}

/// Changes the snapshot as the steps of one round are expected to change the world. What is left of
/// the Eips whose addresses go is asked once, for each asking means to look through all addresses.
fn apply_all(snapshot: &mut Snapshot, steps: &[Step]) {
    for step in steps {
        change(snapshot, &step.action, &Outcome::expected(&step.action));
    }
    settle_released(snapshot, steps.iter().map(|step| &step.action));
}

/// Changes the snapshot as the action with this outcome has changed the world. Parts that are
/// unknown stay so.
pub fn apply(snapshot: &mut Snapshot, action: &Action, outcome: &Outcome) {
    change(snapshot, action, outcome);
    settle_released(snapshot, std::iter::once(action));
}

/// Of an Eip whose last address was given back none is on its way.
fn settle_released<'a>(snapshot: &mut Snapshot, actions: impl Iterator<Item = &'a Action>) {
    let mut released: BTreeSet<&Uid> = actions
        .filter_map(|action| match action {
            Action::Release { eip_uid, .. } => Some(eip_uid),
            _ => None,
        })
        .collect();
    let Some(addresses) = snapshot.addresses.known().filter(|_| !released.is_empty()) else {
        return;
    };
    for address in addresses.values() {
        released.remove(&address.eip);
    }
    let settled = released.into_iter().map(|uid| (uid.clone(), 0));
    snapshot.recent.settling.extend(settled);
}

fn change(snapshot: &mut Snapshot, action: &Action, outcome: &Outcome) {
    snapshot.recent.stopped.remove(action.verb()); // what concerned all of its kind is over
    match action {
        Action::Create { .. }
        | Action::Delete { .. }
        | Action::Hold { .. }
        | Action::LetGo { .. }
        | Action::Record { .. } => apply_to_eip(snapshot, action, outcome),
        Action::Annotate { .. } | Action::Clear { .. } | Action::Unblock { .. } => {
            apply_to_pod(snapshot, action);
        }
        Action::Allocate { .. }
        | Action::Release { .. }
        | Action::Tag { .. }
        | Action::Associate { .. }
        | Action::Disassociate { .. } => apply_to_address(snapshot, action, outcome),
    }
}

fn apply_to_eip(snapshot: &mut Snapshot, action: &Action, outcome: &Outcome) {
    let Some(eips) = snapshot.eips.known_mut() else { return };
    match (action, outcome) {
        (Action::Create { eip, pod_uid }, Outcome::Created { uid }) => {
            snapshot.recent.settling.insert(uid.clone(), 0);
            let made = Eip {
                uid: uid.clone(),
                pod: eip.name.clone(),
                autocreated_for: Some(pod_uid.clone()),
                held: true,
                generation: 1,
                ..Eip::default()
            };
            eips.insert(eip.clone(), made);
        }
        (Action::Delete { eip, .. }, _) => match eips.get_mut(eip) {
            Some(found) if found.held => found.deleting = true,
            _ => drop(eips.remove(eip)),
        },
        (Action::Hold { eip, uid }, _) => {
            snapshot.recent.settling.entry(uid.clone()).or_insert(0);
            if let Some(found) = eips.get_mut(eip) {
                found.held = true;
            }
        }
        (Action::LetGo { eip, .. }, _) => drop(eips.remove(eip)),
        (Action::Record { eip, status, .. }, _) => {
            if let Some(found) = eips.get_mut(eip) {
                found.status = (**status).clone();
            }
        }
        _ => {}
    }
}

fn apply_to_pod(snapshot: &mut Snapshot, action: &Action) {
    let Some(pods) = snapshot.pods.known_mut() else { return };
    let mut change = |key: &Key, change: &dyn Fn(&mut Pod)| {
        if let Some(pod) = pods.get_mut(key) {
            change(pod);
        }
    };
    match action {
        Action::Annotate { pod, address, ip, .. } => change(pod, &|pod| {
            pod.target = Some(ip.clone());
            pod.alpha_target = Some(ip.clone());
            pod.allocation = Some(address.clone());
        }),
        Action::Clear { pod, .. } => change(pod, &|pod| {
            (pod.target, pod.alpha_target, pod.allocation) = (None, None, None);
        }),
        Action::Unblock { pod, .. } => change(pod, &|pod| pod.legacy_finalizers.clear()),
        _ => {}
    }
}

fn apply_to_address(snapshot: &mut Snapshot, action: &Action, outcome: &Outcome) {
    let settle = snapshot.settings.settle;
    let Some(addresses) = snapshot.addresses.known_mut() else { return };
    match (action, outcome) {
        (Action::Allocate { eip, uid, .. }, Outcome::Allocated { address, ip }) => {
            let bought = Address {
                ip: ip.clone(),
                cluster: Some(snapshot.cluster.uid.clone()),
                eip: uid.clone(),
                namespace: eip.namespace.clone(),
                name: eip.name.clone(),
                age: Some(0),
                ..Address::default()
            };
            addresses.insert(address.clone(), bought);
            snapshot.recent.settling.insert(uid.clone(), settle);
            let quota = snapshot.quota.iter_mut();
            quota.for_each(|quota| quota.used = quota.used.saturating_add(1));
        }
        (Action::Release { address, .. }, _) => {
            addresses.remove(address);
            let quota = snapshot.quota.iter_mut();
            quota.for_each(|quota| quota.used = quota.used.saturating_sub(1));
        }
        (Action::Tag { address, uid, undated, .. }, _) => {
            if let Some(found) = addresses.get_mut(address) {
                found.cluster = Some(snapshot.cluster.uid.clone());
                found.eip.clone_from(uid);
                found.age = if *undated { Some(0) } else { found.age };
            }
        }
        (
            Action::Associate { address, interface, private_ip, ip, .. },
            Outcome::Associated { association },
        ) => {
            if let Some(found) = addresses.get_mut(address) {
                found.association = Some(association.clone());
                found.interface = Some(interface.clone());
                found.private_ip = Some(*private_ip);
            }
            if let Some(interface) = interface_mut(snapshot, interface) {
                interface.occupied.insert(*private_ip, ip.clone());
            }
        }
        (Action::Disassociate { address, association, .. }, outcome) => {
            let found = addresses.get_mut(address);
            let Some(found) = found.filter(|a| a.association.as_ref() == Some(association)) else {
                return;
            };
            found.association = None;
            let (interface, ip) = (found.interface.take(), found.private_ip.take());
            if let (Some(id), Some(ip), Outcome::Done) = (interface, ip, outcome)
                && let Some(interface) = interface_mut(snapshot, &id)
            {
                interface.occupied.remove(&ip);
            }
        }
        _ => {}
    }
}

fn interface_mut<'a>(snapshot: &'a mut Snapshot, id: &InterfaceId) -> Option<&'a mut Interface> {
    let interfaces: &mut BTreeMap<_, _> = snapshot.interfaces.known_mut()?;
    interfaces.get_mut(id)
}

#[cfg(test)]
mod tests;

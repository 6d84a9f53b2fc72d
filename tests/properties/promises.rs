//! Two promises about what a plan rests on: status and annotations are output, and a part that
//! could not be read is not an empty one.

use std::collections::BTreeSet;
use std::net::IpAddr;

use eip_operator::plan::action::{Absence, Action, Plan, Reason, Step, Subject, Wait};
use eip_operator::plan::forecast::forecast;
use eip_operator::plan::planner::plan;
use eip_operator::plan::snapshot::{AllocationId, Key, Part, Snapshot};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::check;
use crate::snapshots::{Annotations, World, annotations, possible, statuses};

/// The address that an action changes, if it changes one that is there.
fn changed(action: &Action) -> Option<&AllocationId> {
    match action {
        Action::Release { address, .. }
        | Action::Tag { address, .. }
        | Action::Associate { address, .. }
        | Action::Disassociate { address, .. } => Some(address),
        _ => None,
    }
}

/// Purchases for one Eip may wait for those of another while not all can have one.
fn is_plenty(snapshot: &Snapshot) -> bool {
    snapshot.quota.is_none() && snapshot.settings.namespace_limit.is_none()
}

/// What a plan does in AWS, without order. Purchases are left out where they compete.
fn calls<'a>(snapshot: &Snapshot, steps: impl IntoIterator<Item = &'a Step>) -> BTreeSet<String> {
    let buys = is_plenty(snapshot);
    let is_call = |action: &&Action| match action {
        Action::Allocate { .. } => buys,
        action => changed(action).is_some(),
    };
    let actions = steps.into_iter().map(|step| &step.action);
    actions.filter(is_call).map(|action| format!("{action:?}")).collect()
}

/// Those that concern other Eips than the one with this uid.
fn calls_for_others(snapshot: &Snapshot, plan: &Plan, uid: &str) -> BTreeSet<String> {
    let tagged = |id: &AllocationId| {
        let found = snapshot.addresses.known().and_then(|all| all.get(id));
        found.is_some_and(|address| address.eip == uid)
    };
    let concerns = |step: &&Step| match &step.action {
        Action::Allocate { uid: buyer, .. } => buyer == uid,
        action => changed(action).is_some_and(tagged),
    };
    calls(snapshot, plan.steps.iter().filter(|step| !concerns(step)))
}

#[test]
fn the_status_of_an_eip_moves_no_address_of_another() {
    check(500, (possible(), any::<Index>(), statuses()), |(World(before), which, lie)| {
        let mut after = before.clone();
        let Some(eips) = after.eips.known_mut().filter(|eips| !eips.is_empty()) else {
            return Ok(());
        };
        let which = which.index(eips.len());
        let liar = eips.values_mut().nth(which).unwrap();
        liar.status = lie;
        let uid = liar.uid.clone();
        let (honest, lied) = (plan(&before), plan(&after));
        let (honest, lied) =
            (calls_for_others(&before, &honest, &uid), calls_for_others(&after, &lied, &uid));
        prop_assert_eq!(honest, lied, "in a world with another status of the Eip {}", uid);
        Ok(())
    });
}

/// The world with these annotations on its pods instead.
fn annotated(mut world: Snapshot, said: Vec<Annotations>) -> Snapshot {
    let pods = world.pods.known_mut().into_iter().flat_map(|pods| pods.values_mut());
    for (pod, said) in pods.zip(said) {
        (pod.target, pod.alpha_target, pod.allocation) = said;
    }
    world
}

/// Whether DNS may point at a pod with this address: the annotations go first, then the address.
fn is_advertised(snapshot: &Snapshot, id: &AllocationId) -> bool {
    let address = snapshot.addresses.known().and_then(|all| all.get(id));
    let pods = || snapshot.pods.known().into_iter().flatten();
    address.is_some_and(|address| {
        pods().any(|(key, pod)| {
            key.namespace == address.namespace
                && pod.ip == address.private_ip.map(IpAddr::V4)
                && pod.allocation.as_ref() == Some(id)
        })
    })
}

#[test]
fn annotations_delay_the_end_of_an_association_and_nothing_else() {
    check(500, (possible(), vec(annotations(), 5)), |(World(before), said)| {
        let after = annotated(before.clone(), said);
        let waits = |step: &&Step| match &step.action {
            Action::Disassociate { address, .. } => {
                is_advertised(&before, address) || is_advertised(&after, address)
            }
            _ => false,
        };
        let at_once = |snapshot: &Snapshot| {
            calls(snapshot, plan(snapshot).steps.iter().filter(|step| !waits(step)))
        };
        prop_assert_eq!(at_once(&before), at_once(&after));
        let ever = |snapshot: &Snapshot| {
            calls(snapshot, forecast(snapshot).rounds.iter().flat_map(|round| &round.steps))
        };
        prop_assert_eq!(ever(&before), ever(&after));
        Ok(())
    });
}

/// A part of the world, as notes call it, and what makes it unread.
type Forget = (&'static str, fn(&mut Snapshot));

const PARTS: [Forget; 7] = [
    ("addresses", |world| world.addresses = unread()),
    ("eips", |world| world.eips = unread()),
    ("pods", |world| world.pods = unread()),
    ("nodes", |world| world.nodes = unread()),
    ("interfaces", |world| world.interfaces = unread()),
    ("recorded addresses", |world| world.untagged = unread()),
    ("definition", |world| world.definition = unread()),
];

fn unread<T>() -> Part<T> {
    Part::Unknown("throttled".to_owned())
}

/// Whether an address leaves a pod with an IP because that is terminating.
fn ended_with_its_ip(snapshot: &Snapshot, step: &Step) -> bool {
    let Reason::PodCannotCarry { pod, absence: Absence::Terminating } = &step.reason else {
        return false;
    };
    let pod = snapshot.pods.known().and_then(|pods| pods.get(pod));
    pod.is_some_and(|pod| matches!(pod.ip, Some(IpAddr::V4(_))))
}

/// Whether a step rests on this part, and so may not be planned without it.
fn rests_on(part: &str, snapshot: &Snapshot, step: &Step) -> bool {
    let verb = step.action.verb();
    match part {
        // Whose finalizer may come and whose Eip is no longer asked for, Kubernetes alone tells.
        "addresses" => !["create", "delete", "hold", "unblock"].contains(&verb),
        "eips" => verb != "unblock",
        // The addresses of an Eip that is deleted, and those without one, go wherever they are.
        "pods" => match verb {
            "hold" | "let go" | "tag" | "release" => false,
            "disassociate" => !matches!(step.reason, Reason::EipDeleted | Reason::Unclaimed { .. }),
            _ => true,
        },
        // On a node that nobody knows a pod may still be ending, if it ever had an IP.
        "nodes" => verb == "associate" || ended_with_its_ip(snapshot, step),
        "interfaces" => verb == "associate",
        "recorded addresses" => match &step.action {
            Action::Allocate { eip, .. } => {
                let eip = snapshot.eips.known().and_then(|eips| eips.get(eip));
                eip.is_none_or(|eip| eip.status.allocation.is_some())
            }
            _ => false,
        },
        // Nobody knows whether all Eips are about to be deleted without anybody having meant it.
        _ => {
            let costs = matches!(step.reason, Reason::EipDeleted | Reason::Unclaimed { .. });
            verb == "release" || verb == "disassociate" && costs
        }
    }
}

/// Whether a step may be one that a plan with this part would not have, for the reasons given.
fn is_other(part: &str, read: &Snapshot, step: &Step) -> bool {
    match &step.action {
        // An address of a deleted Eip leaves at once where nobody knows of a pod that says it.
        Action::Disassociate { address, .. } => part == "pods" && is_advertised(read, address),
        // Of two addresses the one in use is kept. On a node that nobody knows a pod goes on using
        // its own, so the idle one is too many, even if it is the older one.
        Action::Release { .. } => part == "nodes" && matches!(step.reason, Reason::Surplus { .. }),
        _ => false,
    }
}

#[test]
fn what_is_unread_is_said_and_no_step_rests_on_it() {
    check(300, possible(), |World(read)| {
        let with = calls(&read, &plan(&read).steps);
        for (part, forget) in PARTS {
            let mut without = read.clone();
            forget(&mut without);
            let planned = plan(&without);
            let unread =
                |wait: &Wait| matches!(wait, Wait::Unread { part: one, .. } if *one == part);
            let mut notes = planned.notes.iter();
            let said = notes.any(|note| note.subject == Subject::Cluster && unread(&note.wait));
            prop_assert!(said, "nothing says that the {part} are unknown");
            for step in &planned.steps {
                prop_assert!(!rests_on(part, &without, step), "without the {part}: {step:?}");
            }
            let comparable = planned.steps.iter().filter(|step| !is_other(part, &read, step));
            let calls = calls(&without, comparable);
            let new: Vec<_> = calls.difference(&with).collect();
            prop_assert!(new.is_empty(), "only without the {part}: {new:?}");
        }
        Ok(())
    });
}

/// What a step concerns in the cluster, the Eip that it is for first.
fn concerned(step: &Step) -> Vec<&Key> {
    let mut keys = vec![&step.claim];
    match &step.action {
        Action::Associate { pod, .. }
        | Action::Annotate { pod, .. }
        | Action::Clear { pod, .. }
        | Action::Unblock { pod, .. } => keys.push(pod),
        _ => {}
    }
    keys
}

#[test]
fn operators_of_two_namespaces_touch_nothing_of_each_other() {
    check(500, possible(), |World(world)| {
        let mut addresses: Vec<BTreeSet<AllocationId>> = Vec::new();
        for namespace in ["shop", "bank"] {
            let mut scoped = world.clone();
            scoped.settings.namespace = Some(namespace.to_owned());
            let rounds = forecast(&scoped).rounds;
            let steps = || rounds.iter().flat_map(|round| &round.steps);
            for key in steps().flat_map(concerned) {
                prop_assert_eq!(&key.namespace, namespace, "{:?} of an operator of another", key);
            }
            let is_there = |id: &&AllocationId| {
                world.addresses.known().is_some_and(|all| all.contains_key(*id))
            };
            let touched = steps().filter_map(|step| changed(&step.action)).filter(is_there);
            addresses.push(touched.cloned().collect());
        }
        let both: Vec<_> = addresses[0].intersection(&addresses[1]).collect();
        prop_assert!(both.is_empty(), "both touch {both:?}");
        Ok(())
    });
}

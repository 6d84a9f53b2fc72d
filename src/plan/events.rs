//! What is worth an Event on an Eip or a pod: that its address came, left or was given back, and
//! what a person has to do before it can come. Transitions only: the status remembers what was said
//! of an Eip, so that a new process does not say it again.

use std::collections::BTreeMap;

use super::action::{Action, Note, Plan, Subject, Wait};
use super::conditions::{self, ASSOCIATED, DISASSOCIATED, Ends, RELEASED, is_event};
use super::execution::End;
use super::rounds::Performed;
use super::snapshot::{Key, Snapshot, Status, Uid};

/// What an Event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    Eip(Key, Uid),
    Pod(Key, Uid),
}

/// One Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub on: Object,
    /// A person has to do something.
    pub warning: bool,
    /// A stable word.
    pub reason: String,
    /// What the operator did, or would have done.
    pub action: &'static str,
    pub note: String,
}

/// What was said of pods, which have no status of ours: by uid the word of what is waited for.
#[derive(Clone, Debug, Default)]
pub struct Said(BTreeMap<Uid, String>);

/// What a cycle is worth: from what it saw, what it did, and what it waits for.
pub fn events(
    before: &Snapshot,
    performed: &[Performed],
    plan: &Plan,
    said: &mut Said,
) -> Vec<Event> {
    let mut events: Vec<Event> = performed
        .iter()
        .filter(|one| one.end == End::Done)
        .flat_map(|one| of_step(before, one))
        .collect();
    events.extend(of_pods(before, plan, said));
    events
}

fn of_step(before: &Snapshot, performed: &Performed) -> Vec<Event> {
    let (step, eip) =
        (&performed.step, |key: &Key, uid: &Uid| Object::Eip(key.clone(), uid.clone()));
    match &step.action {
        Action::Record { eip: key, uid, status } => {
            let old = before.eips.known().and_then(|eips| eips.get(key)).map(|eip| &eip.status);
            of_status(before, eip(key, uid), key, old, status)
        }
        Action::Disassociate { ip, private_ip, .. } if !step.uid.is_empty() => vec![Event {
            on: eip(&step.claim, &step.uid),
            warning: false,
            reason: DISASSOCIATED.to_owned(),
            action: "Disassociate",
            note: format!("{ip} has left {private_ip}, because {}", step.reason),
        }],
        Action::Release { address, ip, orphan: false, .. } => vec![Event {
            on: eip(&step.claim, &step.uid),
            warning: false,
            reason: RELEASED.to_owned(),
            action: "Release",
            note: format!("{ip} ({address}) was given back to AWS, because {}", step.reason),
        }],
        _ => Vec::new(),
    }
}

fn of_status(
    before: &Snapshot,
    on: Object,
    key: &Key,
    old: Option<&Status>,
    new: &Status,
) -> Vec<Event> {
    let associated = new.reason == ASSOCIATED;
    let same = |old: &Status| {
        let said = (&old.reason, &old.pod, &old.ip) == (&new.reason, &new.pod, &new.ip);
        // A pod may be followed by another of its name within one look: then this alone differs.
        said && (!associated || old.association == new.association)
    };
    if old.is_some_and(same) || !is_event(&new.reason) {
        return Vec::new();
    }
    let event = |on: Object| Event {
        on,
        warning: !associated,
        reason: new.reason.clone(),
        action: if associated { "Associate" } else { "Plan" },
        note: new.message.clone(),
    };
    let pod = new.pod.as_ref().filter(|_| associated).map(|name| key.sibling(name));
    let pod = pod.and_then(|key| {
        let pod = before.pods.known()?.get(&key)?;
        Some(event(Object::Pod(key, pod.uid.clone())))
    });
    std::iter::once(event(on)).chain(pod).collect()
}

/// What keeps a pod from an Eip, each time that changes.
fn of_pods(before: &Snapshot, plan: &Plan, said: &mut Said) -> Vec<Event> {
    let mut events = Vec::new();
    let mut still = BTreeMap::new();
    for Note { subject, wait } in &plan.notes {
        let Subject::Pod(key) = subject else { continue };
        let pod = before.pods.known().and_then(|pods| pods.get(key));
        let (Some(pod), true) = (pod, needs_a_person(wait)) else { continue };
        let word = wait.code();
        if said.0.get(&pod.uid) != Some(&word) {
            events.push(Event {
                on: Object::Pod(key.clone(), pod.uid.clone()),
                warning: true,
                reason: word.clone(),
                action: "Plan",
                note: wait.lasting_text(),
            });
        }
        still.insert(pod.uid.clone(), word);
    }
    said.0 = still;
    events
}

/// Codes of failed calls are in no list of ours.
fn needs_a_person(wait: &Wait) -> bool {
    match wait {
        Wait::PausedAfterError { .. } => true,
        wait => conditions::of(&wait.code()).is_some_and(|told| told.ends == Ends::ByAPerson),
    }
}

#[cfg(test)]
mod tests;

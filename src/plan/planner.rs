//! The planner: from a snapshot to the next safe steps.
//!
//! | The claim …                         | its address …              | so the plan says          |
//! |-------------------------------------|----------------------------|---------------------------|
//! | names a pod that may carry it       | does not exist             | hold, then allocate       |
//! |                                     | is of an earlier namesake  | hold, then tag            |
//! |                                     | is idle                    | associate                 |
//! |                                     | is on that pod             | annotate, record          |
//! |                                     | is elsewhere               | clear, disassociate       |
//! | names a pod that may not, or none   | is idle, or does not exist | (a note says why)         |
//! |                                     | is somewhere               | clear, disassociate       |
//! | is being deleted                    | is somewhere               | clear, disassociate       |
//! |                                     | is idle                    | release                   |
//! |                                     | does not exist any more    | let go                    |
//!
//! An address leaves at once, in the round that clears too; only from a healthy pod it leaves in
//! the round after, for DNS may still point there (`rules::disassociate`).
//!
//! A plan rests only on what the snapshot holds, so it is one round: what depends on the outcome
//! of a step is planned once that outcome is in the snapshot. The order of the calls below is that
//! in which rules see what earlier ones have planned; the order in which steps are carried out is
//! that of `Action::rank`. [`super::forecast`] runs the rounds
//! to their end without touching anything, the operator runs them for real.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::action::{Action, Note, Plan, Reason, Step, Subject, Wait};
use super::claims::{Claim, claims};
use super::index::Index;
use super::rules;
use super::snapshot::{AllocationId, InterfaceId, Key, Pause, Snapshot, Uid};

/// The next safe steps for this snapshot, and what is held back. Pure: equal snapshots give equal
/// plans.
pub fn plan(snapshot: &Snapshot) -> Plan {
    let claims = claims(snapshot);
    let index = Index::new(snapshot);
    let mut draft = Draft::new(snapshot, &index);

    rules::unread::notes(&mut draft);

    // What must end.
    rules::clear::steps(&mut draft, &claims);
    rules::disassociate::steps(&mut draft, &claims);
    rules::unblock::steps(&mut draft);

    // Eips made for pods.
    rules::create::steps(&mut draft, &claims);
    rules::retire::steps(&mut draft, &claims);

    // The way to an address, and to the pod.
    rules::hold::steps(&mut draft, &claims);
    rules::complete::steps(&mut draft, &claims);
    rules::take_up::steps(&mut draft, &claims);
    rules::allocate::steps(&mut draft, &claims);
    rules::associate::steps(&mut draft, &claims);
    rules::annotate::steps(&mut draft, &claims);

    // The way back.
    rules::surplus::steps(&mut draft, &claims);
    rules::release::steps(&mut draft, &claims);
    rules::let_go::steps(&mut draft, &claims);

    rules::orphans::steps(&mut draft);

    // What people are told.
    rules::record::steps(&mut draft, &claims);

    draft.into_plan()
}

/// The plan while the rules fill it, and by what they ask for it: a rule does so for each claim, so
/// that nothing here may go through all steps or all notes.
pub(super) struct Draft<'a> {
    pub snapshot: &'a Snapshot,
    pub index: &'a Index<'a>,
    steps: Vec<Step>,
    waits: BTreeMap<Subject, Vec<Wait>>,
    /// Places of the steps for the Eip with this uid.
    by_uid: BTreeMap<Uid, Vec<usize>>,
    verbs: BTreeSet<&'static str>,
    ended: BTreeSet<AllocationId>,
    tagged: BTreeSet<AllocationId>,
    cleared: BTreeSet<Key>,
    coming: BTreeMap<(InterfaceId, Ipv4Addr), String>,
}

impl<'a> Draft<'a> {
    fn new(snapshot: &'a Snapshot, index: &'a Index<'a>) -> Self {
        Self {
            snapshot,
            index,
            steps: Vec::new(),
            waits: BTreeMap::new(),
            by_uid: BTreeMap::new(),
            verbs: BTreeSet::new(),
            ended: BTreeSet::new(),
            tagged: BTreeSet::new(),
            cleared: BTreeSet::new(),
            coming: BTreeMap::new(),
        }
    }

    /// Adds a step for a claim, unless an earlier failure asks to wait.
    pub fn step(&mut self, claim: &Claim<'_>, action: Action, reason: Reason) {
        self.step_for(claim.key, &claim.eip.uid, action, reason);
    }

    /// The same where the Eip does not exist, or is not of this snapshot.
    pub fn step_for(&mut self, claim: &Key, uid: &Uid, action: Action, reason: Reason) {
        if let Some(wait) = self.pause(uid, &action) {
            let subject = match &action {
                Action::Create { eip, .. } => Subject::Pod(eip.clone()),
                _ => Subject::Eip(claim.clone()),
            };
            self.wait(subject, wait);
            return;
        }
        self.note_effect(&action);
        self.by_uid.entry(uid.clone()).or_default().push(self.steps.len());
        self.steps.push(Step { claim: claim.clone(), uid: uid.clone(), action, reason });
    }

    fn note_effect(&mut self, action: &Action) {
        self.verbs.insert(action.verb());
        match action {
            Action::Disassociate { address, .. } => drop(self.ended.insert(address.clone())),
            Action::Tag { address, .. } => drop(self.tagged.insert(address.clone())),
            Action::Clear { pod, .. } => drop(self.cleared.insert(pod.clone())),
            Action::Associate { address, ip, interface, private_ip, .. } => {
                let place = (interface.clone(), *private_ip);
                self.coming.entry(place).or_insert_with(|| format!("{ip} ({address})"));
            }
            _ => {}
        }
    }

    /// Notes what something waits for, once.
    pub fn wait(&mut self, subject: Subject, wait: Wait) {
        let waits = self.waits.entry(subject).or_default();
        if !waits.contains(&wait) {
            waits.push(wait);
        }
    }

    /// The first thing this Eip waits for.
    pub fn wait_of(&self, eip: &Key) -> Option<&Wait> {
        self.waits_of(eip).first()
    }

    /// What keeps its address, though the Eip is to go.
    pub fn hold_of(&self, eip: &Key) -> Option<&Wait> {
        self.waits_of(eip).iter().find(|wait| wait.is_hold())
    }

    fn waits_of(&self, eip: &Key) -> &[Wait] {
        self.waits.get(&Subject::Eip(eip.clone())).map_or(&[], Vec::as_slice)
    }

    /// Steps planned so far for the Eip with this uid.
    pub fn steps_of(&self, uid: &Uid) -> impl Iterator<Item = &Step> {
        self.by_uid.get(uid).into_iter().flatten().map(|place| &self.steps[*place])
    }

    /// Whether an association of this address ends in this round.
    pub fn ends(&self, id: &AllocationId) -> bool {
        self.ended.contains(id)
    }

    /// The address that is put on this IP of an interface in this round.
    pub fn comes_to(&self, interface: &InterfaceId, ip: Ipv4Addr) -> Option<String> {
        self.coming.get(&(interface.clone(), ip)).cloned()
    }

    /// Whether the annotations of this pod are taken off in this round.
    pub fn clears(&self, key: &Key) -> bool {
        self.cleared.contains(key)
    }

    /// Whether the tags of this address are written in this round.
    pub fn tags(&self, id: &AllocationId) -> bool {
        self.tagged.contains(id)
    }

    /// The earlier failure for which an action waits.
    fn pause(&self, uid: &Uid, action: &Action) -> Option<Wait> {
        if is_never_held_back(action) {
            return None;
        }
        let recent = &self.snapshot.recent;
        let stopped =
            || recent.stopped.get(action.verb()).filter(|stop| self.is_held(stop, action));
        let pause = recent.backoff.get(uid).or_else(stopped)?;
        Some(Wait::PausedAfterError {
            seconds: pause.seconds,
            reason: pause.reason.clone(),
            message: pause.message.clone(),
        })
    }

    /// Whether a stop of its kind holds an action back. When its time is over one action finds out
    /// for the others whether the reason is, too: so who comes first is served first.
    fn is_held(&self, stop: &Pause, action: &Action) -> bool {
        stop.seconds > 0 || self.verbs.contains(action.verb())
    }

    fn into_plan(mut self) -> Plan {
        in_turn(&mut self.steps, &self.snapshot.recent.served);
        let note = |subject: &Subject, wait| Note { subject: subject.clone(), wait };
        let notes = self
            .waits
            .into_iter()
            .flat_map(|(subject, waits)| waits.into_iter().map(move |wait| note(&subject, wait)))
            .collect();
        Plan { steps: self.steps, notes }
    }
}

/// Ending exposure and telling people never wait for an earlier failure.
fn is_never_held_back(action: &Action) -> bool {
    matches!(action, Action::Disassociate { .. } | Action::Clear { .. } | Action::Record { .. })
}

/// The most urgent first; of equal urgency one of each namespace, then the second of each, so that
/// a namespace with hundreds of steps does not keep the others waiting while calls are limited. It
/// goes on after the namespace that was `served` last, or the first ones would be served at every
/// round and the last ones at none.
fn in_turn(steps: &mut Vec<Step>, served: &BTreeMap<String, String>) {
    let mut turns: BTreeMap<(u8, String), usize> = BTreeMap::new();
    let mut ordered: Vec<_> = std::mem::take(steps)
        .into_iter()
        .map(|step| {
            let (rank, namespace) = (step.action.rank(), step.claim.namespace.clone());
            let turn = turns.entry((rank, namespace.clone())).or_default();
            *turn += 1;
            // Of one turn who holds the fewest addresses buys first: that order is there already.
            let buys = matches!(step.action, Action::Allocate { .. });
            let last = served.get(step.action.verb());
            let seat = (!buys).then(|| (last.is_some_and(|last| namespace <= *last), namespace));
            ((rank, *turn, seat), step)
        })
        .collect();
    ordered.sort_by(|(one, _), (other, _)| one.cmp(other));
    steps.extend(ordered.into_iter().map(|(_, step)| step));
}

#[cfg(test)]
mod tests;

//! The act phase of one cycle: rounds of plan and absorb, until nothing is left to do.
//!
//! Without I/O: it says which steps come next and is told how each ended. Every step still rests
//! only on facts, for each round is planned from what the rounds before have really done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::action::{Action, Step};
use super::execution::End;
use super::faults::faults;
use super::forecast::{MAX_ROUNDS, Outcome, apply};
use super::meaning::{Failure, Meaning};
use super::planner::plan;
use super::recent::Memory;
use super::snapshot::{Snapshot, Uid};

/// How long after a plan was made changes that rest on it are sent, in milliseconds. What is left
/// is planned anew from a fresh look, so that urgent work never waits behind a queue. It does not
/// count from the look: where reading takes long nothing would ever be done.
pub const ACT_FOR: u64 = 5_000;
/// Where steps wait for the limiter, what has been done is planned on with after so long, in
/// milliseconds: a pod need not wait for the purchases of all others.
pub const ROUND_FOR: u64 = 500;
/// Soon enough to go on with what was left, late enough not to spin on a world that resists, in
/// milliseconds.
const PROGRESS_AFTER: u64 = 2_000;
/// A look that did not see everything is repeated after so long, in milliseconds.
const UNREAD_AFTER: u64 = 5_000;
/// Steps of a kind under way at the same time; the limiter, not this, keeps the rate.
const STEPS_AT_ONCE: usize = 16;

/// What became of a step.
#[derive(Clone, Debug, Hash)]
pub struct Performed {
    pub step: Step,
    /// The change that was tried last: the step's own, or the one that was to undo it.
    pub tried: Action,
    /// What was done, in order; also of a step that failed half way.
    pub effects: Vec<(Action, Outcome)>,
    pub end: End,
    /// When the change was sent, if it was.
    pub sent_at: Option<u64>,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// Perform these by way of a [`Queue`], and absorb each.
    Steps(Vec<Step>),
    /// Nothing is left; what failed is due when its pause is over.
    Settled,
    /// Something is left for the next cycle.
    Left,
    /// The plan contradicts itself and is dropped: its faults.
    Contradiction(Vec<String>),
}

/// The rounds of one cycle. Times are milliseconds on the clock of the [`Memory`].
#[derive(Clone, Debug, Default, Hash)]
pub struct Rounds {
    count: usize,
    /// Steps that failed in this cycle are not tried again in it.
    hopeless: BTreeSet<Identity>,
    /// By Eip uid: when we sent the write that put our finalizer on it.
    held: BTreeMap<Uid, u64>,
}

impl Rounds {
    /// The next round.
    pub fn turn(&mut self, snapshot: &Snapshot) -> Turn {
        if self.count == MAX_ROUNDS {
            return Turn::Left;
        }
        self.count += 1;
        let mut round = plan(snapshot);
        round.steps.retain(|step| !self.hopeless.contains(&identity(step)));
        if round.steps.is_empty() {
            return Turn::Settled;
        }
        let faults = faults(snapshot, &round);
        if faults.is_empty() { Turn::Steps(round.steps) } else { Turn::Contradiction(faults) }
    }

    /// When we sent the write that put our finalizer on the Eip of this step, if in this cycle.
    pub fn written_at(&self, step: &Step) -> Option<u64> {
        self.held.get(&step.uid).copied()
    }

    /// Takes in what became of a step.
    pub fn absorb(
        &mut self,
        snapshot: &mut Snapshot,
        memory: &mut Memory,
        performed: Performed,
        now: u64,
    ) {
        let settle = snapshot.settings.settle;
        let Performed { step, tried, effects, end, sent_at } = performed;
        if !matches!(end, End::Done | End::Late) {
            self.hopeless.insert(identity(&step));
        }
        for (action, outcome) in &effects {
            apply(snapshot, action, outcome);
            memory.done(&step.uid, action, outcome, now, settle);
            if let (Action::Create { .. }, Outcome::Created { uid })
            | (Action::Hold { uid, .. }, _) = (action, outcome)
            {
                self.held.insert(uid.clone(), sent_at.unwrap_or(0));
            }
        }
        memory.took_turn(&step, snapshot);
        if let Some(failure) = failure(end, &tried, snapshot) {
            memory.failed(&step.uid, &tried, &failure, now, settle);
        }
        memory.show_settling(&step.uid, snapshot);
    }
}

/// What is remembered of a step that did not end well.
fn failure(end: End, tried: &Action, snapshot: &Snapshot) -> Option<Failure> {
    match end {
        End::Done | End::Late => None,
        End::Changed(message) => {
            Some(Failure { code: "Changed".to_owned(), message, meaning: Meaning::Look })
        }
        End::Failed(failure) => {
            let meaning = of_an_address(failure.meaning, tried, snapshot);
            Some(Failure { meaning, ..failure })
        }
    }
}

/// What the lack of a right means for the address of this action: new ones may get it yet.
fn of_an_address(meaning: Meaning, action: &Action, snapshot: &Snapshot) -> Meaning {
    if meaning != Meaning::Denied {
        return meaning;
    }
    let Action::Associate { address, .. } = action else { return Meaning::Slow };
    let age = snapshot.addresses.known().and_then(|all| all.get(address)?.age);
    let is_new = age.is_some_and(|age| age < snapshot.settings.settle);
    if is_new { Meaning::Retry } else { Meaning::Slow }
}

/// In how many milliseconds to look again at the end of a cycle, if not at the next interval.
/// `left`: the act phase has left something to do.
pub fn look_again(snapshot: &Snapshot, memory: &Memory, left: bool, now: u64) -> Option<u64> {
    let progress = left.then_some(PROGRESS_AFTER);
    let unread = (!snapshot.unread().is_empty()).then_some(UNREAD_AFTER);
    progress.into_iter().chain(unread).chain(memory.next_due(now)).min()
}

/// The EC2 action that steps of a kind need, none for Kubernetes, and their verb.
type Sort = (Option<&'static str>, &'static str);

fn sort(action: &Action) -> Sort {
    (action.ec2_action(), action.verb())
}

/// The steps of one round on their way, in the order of the plan. Those of each kind go side by
/// side with all others: where the account's rate leaves no room for one EC2 action, or one kind
/// fills its places again and again, steps of other kinds are not held up.
#[derive(Clone, Debug, Default, Hash)]
pub struct Queue {
    /// The place in the plan, and the step.
    waiting: BTreeMap<Sort, VecDeque<(usize, Step)>>,
    under_way: BTreeMap<Sort, usize>,
}

impl Queue {
    pub fn new(steps: Vec<Step>) -> Self {
        let mut queue = Self::default();
        for (place, step) in steps.into_iter().enumerate() {
            queue.waiting.entry(sort(&step.action)).or_default().push_back((place, step));
        }
        queue
    }

    /// An address may be exposed: of what still waits, only what ends an exposure itself is begun.
    /// The rest is left for the next cycle.
    pub fn urgent(&mut self) {
        for steps in self.waiting.values_mut() {
            steps.retain(|(_, step)| step.action.is_urgent());
        }
    }

    /// The step to begin now: the first for which there is room. `takes` is asked whether the EC2
    /// action that it needs may be called now, and if so the step is begun.
    pub fn begin(&mut self, mut takes: impl FnMut(&'static str) -> bool) -> Option<Step> {
        let mut firsts: Vec<_> =
            self.with_room().filter_map(|(kind, steps)| Some((steps.front()?.0, kind))).collect();
        firsts.sort_unstable();
        let (_, kind) = firsts.into_iter().find(|(_, (ec2, _))| ec2.is_none_or(&mut takes))?;
        let (_, step) = self.waiting.get_mut(&kind)?.pop_front()?;
        *self.under_way.entry(kind).or_default() += 1;
        Some(step)
    }

    /// A step with this action that was begun has ended.
    pub fn ended(&mut self, action: &Action) {
        if let Some(count) = self.under_way.get_mut(&sort(action)) {
            *count = count.saturating_sub(1);
        }
    }

    /// The EC2 actions for which steps wait, though there is room for one more.
    pub fn wanted(&self) -> impl Iterator<Item = &'static str> {
        self.with_room().filter(|(_, steps)| !steps.is_empty()).filter_map(|((ec2, _), _)| ec2)
    }

    fn with_room(&self) -> impl Iterator<Item = (Sort, &VecDeque<(usize, Step)>)> {
        let has_room = |kind| self.under_way.get(kind).is_none_or(|count| *count < STEPS_AT_ONCE);
        self.waiting.iter().filter(move |(kind, _)| has_room(*kind)).map(|(kind, s)| (*kind, s))
    }
}

/// The Eip, its uid, what is done for it, and of associations that end which: each of several
/// is an exposure of its own.
type Identity = (Uid, String, &'static str, Option<String>);

fn identity(step: &Step) -> Identity {
    let association = match &step.action {
        Action::Disassociate { association, .. } => Some(association.clone()),
        _ => None,
    };
    (step.uid.clone(), step.claim.to_string(), step.action.verb(), association)
}

#[cfg(test)]
mod tests;

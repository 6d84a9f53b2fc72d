//! The loop: one worker, one cycle at a time.
//!
//! observe → overlay → forecast → log → dry run? stop → act, in rounds: plan → confirm → perform
//! → absorb. Every step still rests only on facts: each round is planned from what the rounds
//! before have really done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, info_span, warn};

use super::announce::Announcer;
use super::observe::{Base, observe};
use super::perform::{Hands, Performed};
use super::wake::{Mailbox, Wake};
use crate::plan::action::{Action, Step};
use crate::plan::execution::End;
use crate::plan::faults::faults;
use crate::plan::forecast::{MAX_ROUNDS, apply, forecast};
use crate::plan::meaning::{Failure, Meaning};
use crate::plan::planner::plan;
use crate::plan::recent::Memory;
use crate::plan::snapshot::{Cluster, Part, Quota, Settings, Snapshot, Uid};

/// How long after an observation steps may still rest on it. What is left is planned anew, so
/// that urgent work never waits behind a queue.
const ACT_FOR: Duration = Duration::from_secs(5);
/// Steps under way at the same time; the limiter, not this, keeps the rate.
const STEPS_AT_ONCE: usize = 16;
/// Soon enough to go on with what was left, late enough not to spin on a world that resists.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);

/// The one worker.
pub struct Operator {
    pub cluster: Cluster,
    pub settings: Settings,
    pub dry_run: bool,
    pub hands: Hands,
    pub quota: Arc<watch::Sender<Option<Quota>>>,
    pub announcer: Announcer,
    pub cancel: CancellationToken,
    memory: Memory,
    started: Instant,
    /// Parts that could not be read at the last look, and why.
    unread: BTreeMap<&'static str, String>,
}

/// How a cycle ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cycle {
    /// Every part of the world was read.
    pub complete: bool,
    /// Something is left to do, or will be soon: look again then.
    pub again_in: Option<Duration>,
}

impl Operator {
    pub fn new(
        cluster: Cluster,
        settings: Settings,
        dry_run: bool,
        hands: Hands,
        quota: Arc<watch::Sender<Option<Quota>>>,
        announcer: Announcer,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            cluster,
            settings,
            dry_run,
            hands,
            quota,
            announcer,
            cancel,
            memory: Memory::default(),
            started: Instant::now(),
            unread: BTreeMap::new(),
        }
    }

    /// One cycle, from observation to report.
    pub async fn cycle(&mut self, wakes: &BTreeSet<Wake>, mailbox: &Mailbox) -> Cycle {
        let span = info_span!("cycle", plan = tracing::field::Empty);
        self.run_cycle(wakes, mailbox).instrument(span).await
    }

    async fn run_cycle(&mut self, wakes: &BTreeSet<Wake>, mailbox: &Mailbox) -> Cycle {
        let deadline = Instant::now() + ACT_FOR;
        let base = Base {
            cluster: self.cluster.clone(),
            settings: self.settings.clone(),
            quota: self.quota.borrow().clone(),
        };
        let now = self.now();
        let look = observe(&self.hands.ec2, &self.hands.kubernetes, base, &mut self.memory, now);
        let mut snapshot = look.instrument(info_span!("observe")).await;
        let complete = self.say_unread(&snapshot);
        let forecast = info_span!("plan").in_scope(|| forecast(&snapshot));
        self.announcer.announce(wakes, &snapshot, &forecast);
        if self.dry_run {
            return Cycle { complete, again_in: None };
        }
        let left = self.act(&mut snapshot, mailbox, deadline).await;
        let due = self.memory.next_due(self.now()).map(Duration::from_millis);
        let again_in = if left { Some(PROGRESS_AFTER) } else { due };
        Cycle { complete, again_in }
    }

    /// Rounds of plan, perform and absorb. True when something is left for the next cycle.
    async fn act(&mut self, snapshot: &mut Snapshot, mailbox: &Mailbox, deadline: Instant) -> bool {
        let mut hopeless: BTreeSet<(Uid, &'static str)> = BTreeSet::new();
        let mut held: BTreeMap<Uid, Instant> = BTreeMap::new();
        for _ in 0..MAX_ROUNDS {
            let mut round = plan(snapshot);
            round.steps.retain(|step| !hopeless.contains(&identity(step)));
            if round.steps.is_empty() {
                return false; // what failed is due when its pause is over
            }
            let faults = faults(snapshot, &round);
            if !faults.is_empty() {
                error!(faults = faults.join("; "), "the plan contradicts itself and is dropped");
                return true;
            }
            let planned = round.steps.len();
            let performed = self.round(round.steps, snapshot, &held, mailbox, deadline).await;
            let complete = performed.len() == planned;
            for one in performed {
                if !matches!(one.end, End::Done) {
                    hopeless.insert(identity(&one.step));
                }
                self.absorb(snapshot, one, &mut held);
            }
            if !complete {
                return true;
            }
        }
        true
    }

    /// Performs steps in order, some at a time, and starts none once time is up, a managed pod
    /// has changed, or the process is told to stop.
    async fn round(
        &self,
        steps: Vec<Step>,
        snapshot: &Snapshot,
        held: &BTreeMap<Uid, Instant>,
        mailbox: &Mailbox,
        deadline: Instant,
    ) -> Vec<Performed> {
        let mut waiting = steps.into_iter();
        let mut under_way = FuturesUnordered::new();
        let mut performed = Vec::new();
        let mut urgent = std::pin::pin!(mailbox.urgent());
        let mut open = true;
        loop {
            while open && under_way.len() < STEPS_AT_ONCE {
                open = Instant::now() < deadline && !self.cancel.is_cancelled();
                let Some(step) = waiting.next().filter(|_| open) else {
                    open = false;
                    break;
                };
                let held_at = held.get(&step.uid).copied();
                under_way.push(self.hands.perform(step, snapshot, held_at, deadline));
            }
            tokio::select! {
                biased;
                () = &mut urgent, if open => open = false,
                () = self.cancel.cancelled(), if open => open = false,
                one = under_way.next() => match one {
                    Some(one) => performed.extend(one),
                    None => return performed,
                },
            }
        }
    }

    fn absorb(
        &mut self,
        snapshot: &mut Snapshot,
        performed: Performed,
        held: &mut BTreeMap<Uid, Instant>,
    ) {
        let (now, settle) = (self.now(), self.settings.settle);
        let Performed { step, effects, end } = performed;
        for (action, outcome) in &effects {
            apply(snapshot, action, outcome);
            self.memory.done(&step.uid, action, outcome, now, settle);
            match (action, outcome) {
                (
                    Action::Create { .. } | Action::Hold { .. },
                    crate::plan::forecast::Outcome::Eip { uid, .. },
                ) => {
                    held.insert(uid.clone(), Instant::now());
                }
                (Action::Allocate { .. } | Action::Release { .. }, _) => {
                    self.quota.send_replace(snapshot.quota.clone());
                }
                _ => {}
            }
        }
        let failure = match end {
            End::Done => return,
            End::Changed(message) => {
                Failure { code: "Changed".to_owned(), message, meaning: Meaning::Look }
            }
            End::Failed(failure) => failure,
        };
        self.memory.failed(&step.uid, &step.action, &failure, now, settle);
    }

    /// Says once per change what could not be read. True when everything was.
    fn say_unread(&mut self, snapshot: &Snapshot) -> bool {
        let mut unread = BTreeMap::new();
        note_unread(&mut unread, "addresses", &snapshot.addresses);
        note_unread(&mut unread, "eips", &snapshot.eips);
        note_unread(&mut unread, "pods", &snapshot.pods);
        note_unread(&mut unread, "nodes", &snapshot.nodes);
        note_unread(&mut unread, "interfaces", &snapshot.interfaces);
        for (part, why) in &unread {
            if self.unread.get(part) != Some(why) {
                let so = "nothing is done that needs them";
                warn!(part, error = %why, "{part} could not be read; {so}");
            }
        }
        for part in self.unread.keys().filter(|part| !unread.contains_key(*part)) {
            info!(part, "{part} can be read again");
        }
        self.unread = unread;
        self.unread.is_empty()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn note_unread<T>(unread: &mut BTreeMap<&'static str, String>, name: &'static str, part: &Part<T>) {
    if let Some(why) = part.why_unknown() {
        unread.insert(name, why.to_owned());
    }
}

fn identity(step: &Step) -> (Uid, &'static str) {
    (format!("{}/{}", step.uid, step.claim), step.action.verb())
}

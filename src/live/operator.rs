//! The loop: one worker, one cycle at a time.
//!
//! observe → overlay → forecast → log → dry run? stop → act, in rounds: plan → confirm → perform
//! → absorb. Every step still rests only on facts: each round is planned from what the rounds
//! before have really done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::field::Empty;
use tracing::{Instrument, Span, error, info, info_span, warn};

use super::announce::Announcer;
use super::http::{LastLook, Look};
use super::lease::Leadership;
use super::metrics::{CycleTold, Exposures, Metrics};
use super::observe::{Base, observe};
use super::perform::Hands;
use super::recorder::Events;
use super::wake::{Mailbox, Wake};
use crate::plan::action::{Plan, Step};
use crate::plan::events::{Said, events};
use crate::plan::forecast::{Forecast, forecast};
use crate::plan::recent::Memory;
use crate::plan::report::Agreed;
use crate::plan::rounds::{ACT_FOR, Performed, Queue, ROUND_FOR, Rounds, Turn, look_again};
use crate::plan::snapshot::{Cluster, Quota, Settings, Snapshot};
use crate::plan::text::{escaped, forecast_plan, step_identity};

/// The one worker.
pub struct Operator {
    pub cluster: Cluster,
    pub settings: Settings,
    pub dry_run: bool,
    pub hands: Hands,
    pub quota: Arc<watch::Sender<Option<Quota>>>,
    pub announcer: Announcer,
    pub last_look: LastLook,
    pub metrics: Metrics,
    /// Where Events go, if any are sent.
    pub events: Option<Events>,
    /// The names of the steps that it may carry out, where a person has agreed to some alone.
    pub only: Option<Agreed>,
    /// Whether it may act; always where there is no election.
    pub leadership: Option<watch::Receiver<Leadership>>,
    pub cancel: CancellationToken,
    memory: Memory,
    said: Said,
    exposures: Exposures,
    cycles: u64,
    /// Parts that could not be read at the last look, and why, as far as it lasts.
    unread: BTreeMap<&'static str, String>,
}

/// What an act phase has come to.
#[derive(Debug, Default)]
pub struct Acted {
    /// The steps that were tried, in the order in which they ended.
    pub performed: Vec<Performed>,
    /// Something is left for the next cycle.
    pub left: bool,
    /// Why the plan was dropped, if it contradicted itself.
    pub faults: Vec<String>,
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
            last_look: LastLook::default(),
            metrics: Metrics::default(),
            events: None,
            only: None,
            leadership: None,
            cancel,
            memory: Memory::default(),
            said: Said::default(),
            exposures: Exposures::default(),
            cycles: 0,
            unread: BTreeMap::new(),
        }
    }

    /// One cycle, from observation to report.
    pub async fn cycle(&mut self, wakes: &BTreeSet<Wake>, mailbox: &Mailbox) -> Cycle {
        let span = info_span!("cycle", cycle = self.cycles + 1, plan = Empty);
        self.run_cycle(wakes, mailbox).instrument(span).await
    }

    async fn run_cycle(&mut self, wakes: &BTreeSet<Wake>, mailbox: &Mailbox) -> Cycle {
        self.cycles += 1;
        let began = Instant::now();
        wakes.iter().for_each(|wake| self.metrics.triggered(wake.as_str()));
        let snapshot = self.look().instrument(info_span!("observe")).await;
        let look = Arc::new(Look { at: Timestamp::now(), cycle: self.cycles, snapshot });
        self.last_look.send_replace(Some(look.clone()));
        let snapshot = &look.snapshot;
        let complete = self.say_unread(snapshot);
        let observed = Instant::now();
        let planning = info_span!("plan", plan = Empty);
        let Forecast { rounds, end } = planning.in_scope(|| forecast(snapshot));
        let plan = forecast_plan(&rounds);
        let digest = self.announcer.announce(self.cycles, wakes, snapshot, &end, &plan);
        planning.record("plan", &digest);
        // What is large is in memory no longer than it is needed.
        drop((planning, end));
        Span::current().record("plan", &digest);
        self.hands.plan = digest;
        let planned = Instant::now();
        let acted = match self.dry_run || plan.steps.is_empty() {
            true => Acted::default(),
            false => self.act(&mut snapshot.clone(), mailbox).await,
        };
        let parts = [
            ("observe", observed - began),
            ("plan", planned - observed),
            ("act", planned.elapsed()),
        ];
        let exposed = rounds.first().map(|first| self.exposures.see(first, &acted.performed));
        self.tell(&acted, &plan, exposed.unwrap_or_default(), complete, parts);
        let left = acted.left;
        let again = look_again(snapshot, &self.memory, left, self.hands.clock.now());
        Cycle { complete, again_in: again.map(Duration::from_millis) }
    }

    /// Metrics, and Events, of what this cycle has come to; a dry run tells no Events.
    fn tell(
        &mut self,
        acted: &Acted,
        plan: &Plan,
        exposed: Duration,
        complete: bool,
        parts: [(&'static str, Duration); 3],
    ) {
        let Some(look) = self.last_look.borrow().clone() else { return };
        let (performed, left, seen) = (acted.performed.as_slice(), acted.left, &look.snapshot);
        self.metrics.cycle(&CycleTold {
            took: parts.iter().map(|(_, took)| *took).sum(),
            parts,
            complete,
            left,
            seen,
            plan,
            performed,
            exposed,
        });
        self.metrics.quota(self.quota.borrow().as_ref());
        if let Some(recorder) = &self.events {
            recorder.tell(&self.hands.plan, events(seen, performed, plan, &mut self.said));
        }
    }

    /// Observes the world.
    pub async fn look(&mut self) -> Snapshot {
        let base = Base {
            cluster: self.cluster.clone(),
            settings: self.settings.clone(),
            quota: self.quota.borrow().clone(),
        };
        let now = self.hands.clock.now();
        observe(&self.hands.ec2, &self.hands.kubernetes, base, &mut self.memory, now).await
    }

    /// Rounds of plan, perform and absorb, from a look that has just ended.
    pub async fn act(&mut self, snapshot: &mut Snapshot, mailbox: &Mailbox) -> Acted {
        let deadline = self.may_act_until().min(self.hands.clock.now() + ACT_FOR);
        let mut acted = Acted::default();
        let mut rounds = Rounds::default();
        loop {
            let steps = match rounds.turn(snapshot) {
                Turn::Steps(steps) => self.agreed(steps),
                Turn::Settled => return acted,
                Turn::Left => return Acted { left: true, ..acted },
                Turn::Contradiction(faults) => {
                    error!(
                        plan = self.hands.plan,
                        faults = faults.join("; "),
                        "the plan contradicts itself and is dropped"
                    );
                    return Acted { left: true, faults, ..acted };
                }
            };
            if steps.is_empty() {
                return acted;
            }
            let (performed, goes_on) =
                self.round(steps, snapshot, &rounds, mailbox, deadline).await;
            let quota = snapshot.quota.clone();
            for one in performed {
                acted.performed.push(one.clone());
                rounds.absorb(snapshot, &mut self.memory, one, self.hands.clock.now());
            }
            if snapshot.quota != quota {
                self.quota.send_replace(snapshot.quota.clone());
            }
            if !goes_on {
                return Acted { left: true, ..acted };
            }
        }
    }

    fn agreed(&self, mut steps: Vec<Step>) -> Vec<Step> {
        if let Some(only) = &self.only {
            steps.retain(|step| only.has(&step_identity(step)));
        }
        steps
    }

    /// A time of the clock.
    fn may_act_until(&self) -> u64 {
        let Some(leadership) = &self.leadership else { return u64::MAX };
        match *leadership.borrow() {
            Leadership::Leading { until } => self.hands.clock.millis(until),
            Leadership::StandingBy | Leadership::Lost { .. } => 0,
        }
    }

    /// Performs steps in order, some of each kind at a time and each as soon as the limiter lets
    /// it; begins none once time is up or the process is told to stop.
    ///
    /// An alarm says that an address may be exposed. What is under way goes on, and so do the steps
    /// that end an exposure. Of the others only those are begun for which there is room at once, or
    /// pods that come and go would keep everybody else from being served; those that would have to
    /// wait are left to the next cycle, which follows this round.
    ///
    /// True: the next round may plan what is left beside what follows from what was done.
    async fn round(
        &self,
        steps: Vec<Step>,
        snapshot: &Snapshot,
        rounds: &Rounds,
        mailbox: &Mailbox,
        deadline: u64,
    ) -> (Vec<Performed>, bool) {
        let (limiter, clock) = (&self.hands.limiter, self.hands.clock);
        let mut queue = Queue::new(steps);
        let mut under_way = FuturesUnordered::new();
        let mut performed = Vec::new();
        let mut urgent = std::pin::pin!(mailbox.urgent());
        let until = clock.now() + ROUND_FOR;
        let (mut open, mut alarmed) = (true, false);
        loop {
            while open {
                open = clock.now() < deadline && !self.cancel.is_cancelled();
                let step = if open { queue.begin(|name| limiter.take(name)) } else { None };
                let Some(step) = step else { break };
                let (action, written_at) = (step.action.clone(), rounds.written_at(&step));
                let performing = self.hands.perform(step, snapshot, written_at, deadline);
                under_way.push(performing.map(|performed| (action, performed)));
            }
            // When one more may begin, if that is before time is up.
            let due = queue.wanted().map(|name| limiter.due(name)).min();
            let mut due = due.filter(|due| open && clock.millis(*due) < deadline);
            let has_begun = !(under_way.is_empty() && performed.is_empty());
            if due.is_some() && has_begun && clock.now() >= until {
                (due, open) = (None, false);
            }
            if under_way.is_empty() && due.is_none() {
                let in_time = clock.now() < deadline && !self.cancel.is_cancelled();
                let goes_on = in_time && !alarmed && !performed.is_empty();
                return (performed, goes_on);
            }
            tokio::select! {
                biased;
                () = &mut urgent, if !alarmed => {
                    alarmed = true;
                    queue.urgent();
                }
                () = self.cancel.cancelled(), if open => open = false,
                Some((action, one)) = under_way.next() => {
                    queue.ended(&action);
                    performed.extend(one);
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }

    /// Says once per change what could not be read. True when everything was.
    fn say_unread(&mut self, snapshot: &Snapshot) -> bool {
        let unread = snapshot.unread();
        for (part, why) in &unread {
            if self.unread.get(part) != Some(&lasting(why)) {
                let so = "nothing is done that needs them";
                warn!(part, error = escaped(why), "{part} could not be read; {so}");
            }
        }
        for part in self.unread.keys().filter(|part| !unread.contains_key(*part)) {
            info!(part, "{part} can be read again");
        }
        self.unread = unread.into_iter().map(|(part, why)| (part, lasting(why))).collect();
        self.unread.is_empty()
    }
}

/// An error without its numbers: a port, a line or a number of bytes is another each time.
fn lasting(why: &str) -> String {
    why.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

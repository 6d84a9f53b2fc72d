//! One operator process: the same look, overlay, rounds and execution as the real one, driven one
//! call at a time. It says what it wants to read or to do; the world decides what it gets.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;

use eip_operator::plan::action::{Action, Step};
use eip_operator::plan::execution::{Answer, Call, End, Execution, Next};
use eip_operator::plan::forecast::{MAX_ROUNDS, forecast};
use eip_operator::plan::look::Read;
use eip_operator::plan::planner::plan;
use eip_operator::plan::recent::Memory;
use eip_operator::plan::rounds::{ACT_FOR, Performed, Queue, Rounds, Turn, look_again};
use eip_operator::plan::snapshot::{AllocationId, Cluster, Quota, Settings, Snapshot, Status, Uid};

/// A step on its way.
#[derive(Clone, Debug, Hash)]
pub struct Flight {
    pub step: Step,
    execution: Execution,
    /// When the first read was sent: of a release that of its Eip.
    pub asked_at: u64,
    /// When the last read was sent; it confirms the step.
    pub confirmed_at: u64,
}

#[derive(Clone, Debug, Hash)]
enum Phase {
    Idle,
    Looking(Box<Snapshot>),
    Acting(Box<Acting>),
}

#[derive(Clone, Debug, Hash)]
struct Acting {
    snapshot: Snapshot,
    rounds: Rounds,
    queue: Queue,
    /// EC2 actions that have begun in this round, where the limiter gives each one token a round.
    begun: BTreeSet<&'static str>,
    flights: BTreeMap<u64, Flight>,
    performed: Vec<Performed>,
    /// Until when changes may be sent.
    deadline: u64,
}

/// What a process wants next.
#[derive(Debug)]
pub enum Want {
    Read(Read),
    /// The call of a flight.
    Call(u64, Call),
    /// The cycle has ended; look again after so long, if that is said.
    Rest(Option<u64>),
    /// The rules contradict each other.
    Fault(String),
}

#[derive(Clone, Debug, Hash)]
pub struct Process {
    /// When it began. Its own clock counts from there.
    pub started: u64,
    /// When the observation of its cycle began.
    pub observed_at: u64,
    pub cycles: u64,
    memory: Memory,
    phase: Phase,
    /// An address may be exposed, as nobody knew when this cycle began.
    alarmed: bool,
    next_flight: u64,
    /// Its limiter lets one call of each EC2 action pass a round.
    slow: bool,
    cluster: Cluster,
    settings: Settings,
}

impl Process {
    pub fn start(now: u64, cluster: Cluster, settings: Settings, slow: bool) -> Self {
        Self {
            started: now,
            observed_at: now,
            cycles: 0,
            memory: Memory::default(),
            phase: Phase::Idle,
            alarmed: false,
            next_flight: 0,
            slow,
            cluster,
            settings,
        }
    }

    /// What it knows and is about to do, without what it has merely counted.
    pub fn essence(&self) -> impl Hash {
        (self.started, self.observed_at, &self.memory, &self.phase, self.alarmed)
    }

    /// Counts anew, so that two processes which know the same are the same.
    pub fn forget_counts(&mut self) {
        self.cycles = 1;
        if self.is_idle() {
            self.next_flight = 0;
        }
    }

    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle)
    }

    /// The snapshot the process works from, while it works.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        match &self.phase {
            Phase::Idle => None,
            Phase::Looking(snapshot) => Some(snapshot),
            Phase::Acting(acting) => Some(&acting.snapshot),
        }
    }

    /// Until when it may send changes.
    pub fn deadline(&self) -> Option<u64> {
        match &self.phase {
            Phase::Acting(acting) => Some(acting.deadline),
            _ => None,
        }
    }

    pub fn flight(&self, id: u64) -> Option<&Flight> {
        match &self.phase {
            Phase::Acting(acting) => acting.flights.get(&id),
            _ => None,
        }
    }

    /// Begins a cycle.
    pub fn look(&mut self, now: u64, quota: Option<Quota>) -> Want {
        self.observed_at = now;
        self.cycles += 1;
        self.alarmed = false;
        self.phase = Phase::Looking(Box::new(Snapshot {
            cluster: self.cluster.clone(),
            settings: self.settings.clone(),
            quota,
            ..Snapshot::default()
        }));
        Want::Read(Read::Addresses)
    }

    /// Takes in what a read has answered.
    pub fn read(
        &mut self,
        read: Read,
        fill: impl FnOnce(&mut Snapshot, &Memory),
        now: u64,
    ) -> Vec<Want> {
        let Phase::Looking(snapshot) = &mut self.phase else { return Vec::new() };
        fill(snapshot, &self.memory);
        let own_start = self.observed_at - self.started;
        if read == Read::RecordedPods {
            self.memory.overlay(snapshot, own_start);
        }
        if read == Read::Interfaces {
            self.memory.overlay_interfaces(snapshot);
        }
        if let Some(next) = Read::next(Some(read), snapshot) {
            return vec![Want::Read(next)];
        }
        self.memory.see_missing(snapshot);
        let snapshot = std::mem::take(snapshot.as_mut());
        // What dry runs say must come to an end in every world.
        if self.cycles % 8 == 1 {
            let end = forecast(&snapshot);
            let settles = end.rounds.last().is_none_or(|last| last.steps.is_empty());
            if !settles || end.rounds.len() > MAX_ROUNDS {
                return vec![Want::Fault("S17: the forecast does not settle".to_owned())];
            }
        }
        if self.cycles % 16 == 9
            && let Some(fault) = forged_status(&snapshot)
        {
            return vec![Want::Fault(fault)];
        }
        let acting = Acting {
            snapshot,
            rounds: Rounds::default(),
            queue: Queue::default(),
            begun: BTreeSet::new(),
            flights: BTreeMap::new(),
            performed: Vec::new(),
            deadline: now + ACT_FOR,
        };
        self.phase = Phase::Acting(Box::new(acting));
        self.turn(now)
    }

    /// Takes in what a call has answered.
    pub fn answer(&mut self, id: u64, answer: Answer, now: u64) -> Vec<Want> {
        let own_now = now - self.started;
        let Phase::Acting(acting) = &mut self.phase else { return Vec::new() };
        let Some(mut flight) = acting.flights.remove(&id) else { return Vec::new() };
        match flight.execution.answer(answer, own_now) {
            Next::Call(call) => {
                if !matches!(call, Call::Perform(_)) {
                    flight.confirmed_at = now;
                }
                acting.flights.insert(id, flight);
                vec![Want::Call(id, call)]
            }
            Next::End(end) => {
                acting.queue.ended(&flight.step.action);
                acting.performed.extend(performed(flight, end));
                self.go_on(now)
            }
        }
    }

    /// A pod that may carry an address has changed: of the steps that have not had their turn
    /// nothing is begun but what is urgent.
    pub fn exposure(&mut self) {
        self.alarmed = true;
        if let Phase::Acting(acting) = &mut self.phase {
            acting.queue.urgent();
        }
    }

    fn turn(&mut self, now: u64) -> Vec<Want> {
        let Phase::Acting(acting) = &mut self.phase else { return Vec::new() };
        match acting.rounds.turn(&acting.snapshot) {
            Turn::Steps(steps) => {
                acting.queue = Queue::new(steps);
                acting.begun.clear();
                self.go_on(now)
            }
            Turn::Settled => self.rest(false, now),
            Turn::Left => self.rest(true, now),
            Turn::Contradiction(faults) => {
                vec![Want::Fault(format!("the plan contradicts itself: {}", faults.join("; ")))]
            }
        }
    }

    /// Begins steps while there is room, and absorbs a round that has ended.
    fn go_on(&mut self, now: u64) -> Vec<Want> {
        let own_now = now - self.started;
        let Phase::Acting(acting) = &mut self.phase else { return Vec::new() };
        let mut wants = Vec::new();
        while now < acting.deadline {
            let (begun, slow) = (&mut acting.begun, self.slow);
            let Some(step) = acting.queue.begin(|name| begun.insert(name) || !slow) else { break };
            let snapshot = &acting.snapshot;
            let mut execution = Execution::new(
                step.action.clone(),
                snapshot.settings.clone(),
                snapshot.cluster.uid.clone(),
                acting.rounds.written_at(&step),
                acting.deadline - self.started,
            );
            let written_at = acting.rounds.written_at(&step).map(|at| at + self.started);
            let next = execution.start(own_now);
            let reads = matches!(next, Next::Call(ref call) if !matches!(call, Call::Perform(_)));
            let confirmed_at = if reads { now } else { written_at.unwrap_or(now) };
            let flight = Flight { step, execution, asked_at: confirmed_at, confirmed_at };
            match next {
                Next::Call(call) => {
                    self.next_flight += 1;
                    acting.flights.insert(self.next_flight, flight);
                    wants.push(Want::Call(self.next_flight, call));
                }
                Next::End(end) => {
                    acting.queue.ended(&flight.step.action);
                    acting.performed.extend(performed(flight, end));
                }
            }
        }
        if self.alarmed {
            acting.queue.urgent();
        }
        if !wants.is_empty() || !acting.flights.is_empty() {
            return wants;
        }
        let goes_on = !self.alarmed && now < acting.deadline && !acting.performed.is_empty();
        for one in std::mem::take(&mut acting.performed) {
            acting.rounds.absorb(&mut acting.snapshot, &mut self.memory, one, own_now);
        }
        if goes_on { self.turn(now) } else { self.rest(true, now) }
    }

    fn rest(&mut self, left: bool, now: u64) -> Vec<Want> {
        let Phase::Acting(acting) = std::mem::replace(&mut self.phase, Phase::Idle) else {
            return Vec::new();
        };
        vec![Want::Rest(look_again(&acting.snapshot, &self.memory, left, now - self.started))]
    }
}

/// S12: whatever one Eip's status says, nothing else is done to the addresses of others.
fn forged_status(snapshot: &Snapshot) -> Option<String> {
    let eips = snapshot.eips.known()?;
    let others = |snapshot: &Snapshot, uid: &Uid| -> Vec<Action> {
        let addresses = snapshot.addresses.known();
        let of = |id: &AllocationId| Some(&addresses?.get(id)?.eip);
        let is_anothers = |action: &Action| match action {
            Action::Associate { address, .. }
            | Action::Disassociate { address, .. }
            | Action::Release { address, .. }
            | Action::Tag { address, .. } => of(address) != Some(uid),
            _ => false,
        };
        let steps = plan(snapshot).steps.into_iter().map(|step| step.action);
        let mut actions: Vec<Action> = steps.filter(is_anothers).collect();
        actions.sort_by_key(|action| format!("{action:?}"));
        actions
    };
    let ids = snapshot.addresses.known()?.keys().next().cloned();
    for (key, eip) in eips {
        let mut forged = snapshot.clone();
        let status = &mut forged.eips.known_mut()?.get_mut(key)?.status;
        *status = Status {
            allocation: ids.clone(),
            pod: Some("web-1".to_owned()),
            ready: true,
            reason: "Associated".to_owned(),
            ..Status::default()
        };
        if others(&forged, &eip.uid) != others(snapshot, &eip.uid) {
            return Some(format!("S12: the status of eip {key} decides about others"));
        }
    }
    None
}

/// What became of a step; nothing if its time was over before.
fn performed(flight: Flight, end: End) -> Option<Performed> {
    let (effects, sent_at) = (flight.execution.effects().to_vec(), flight.execution.sent_at());
    let tried = flight.execution.tried().clone();
    let performed = Performed { step: flight.step, tried, effects, end, sent_at };
    Some(performed).filter(|performed| performed.end != End::Late)
}

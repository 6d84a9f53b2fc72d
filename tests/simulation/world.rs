//! The world of one run: time, chance, AWS, the cluster, the operators, and what goes wrong.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::Ipv4Addr;

use eip_operator::plan::action::Action;
use eip_operator::plan::execution::{Answer, Call};
use eip_operator::plan::forecast::Outcome;
use eip_operator::plan::look;
use eip_operator::plan::meaning::{Failure, Meaning, ec2_meaning, kubernetes_meaning};
use eip_operator::plan::snapshot::{self, Eip, Key, Part, Pod, Quota, Settings, Snapshot};

use super::chance::Chance;
use super::cluster::{Cluster, Deed, Host, Later, Slot, pod};
use super::ec2::{Account, Tags};
use super::invariants::Ledger;
use super::process::{Process, Read, Want};
use super::scenario::{Fault, Kind, SECOND, Scenario, TROUBLED, User};

/// The cluster that the operators serve.
pub const NAME: &str = "demo";
pub const UID: &str = "c1";
/// `RECONCILE_INTERVAL`.
pub const INTERVAL: u64 = 30 * SECOND;
/// `MIN_EVENT_INTERVAL`.
const MIN_EVENT_INTERVAL: u64 = SECOND;
/// One attempt of one call.
const ATTEMPT: u64 = 10 * SECOND;
/// Lines kept for a report.
const KEPT: usize = 60;

/// A broken promise.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    pub seed: u64,
    pub at: u64,
    /// Begins with the name of the invariant.
    pub what: String,
    /// The last lines of what happened.
    pub lines: Vec<String>,
    /// What the process that acted believed.
    pub snapshot: Option<Box<Snapshot>>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        write!(f, "seed {} at {} ms: {}", self.seed, self.at, self.what)
    }
}

#[derive(Debug)]
enum Event {
    Deed(Deed),
    User(usize),
    Tick { process: usize },
    Ring { process: usize, epoch: u64 },
    Read { process: usize, epoch: u64, read: Read },
    Effect { process: usize, epoch: u64, flight: u64, call: Call, sent: u64, heard: bool },
    Answer { process: usize, epoch: u64, flight: u64, answer: Answer },
    Restart { process: usize },
}

/// A place where an operator runs.
#[derive(Debug)]
struct Seat {
    process: Option<Process>,
    /// Answers to an earlier life are void.
    epoch: u64,
    paused_until: u64,
    cycle_began: u64,
    rung: bool,
}

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    pub steps: u64,
    /// Changing calls that took effect, by verb.
    pub effects: BTreeMap<&'static str, u64>,
}

pub struct World {
    pub now: u64,
    pub scenario: Scenario,
    pub account: Account,
    pub cluster: Cluster,
    pub ledger: Ledger,
    pub run: Run,
    chance: Chance,
    queue: BTreeMap<(u64, u64), Event>,
    queued: u64,
    seats: Vec<Seat>,
    past: VecDeque<(u64, BTreeMap<Key, Eip>, BTreeMap<Key, Pod>)>,
    speaks: bool,
    lines: VecDeque<String>,
    /// The process is killed right after its so-manieth effect.
    kill_after: Option<u64>,
}

impl World {
    pub fn new(scenario: Scenario, speaks: bool) -> Self {
        let mut account = Account::new(scenario.limit, scenario.lag);
        let mut cluster = Cluster::new(scenario.cool_down);
        for n in 1..=2_u8 {
            let (instance, interface) = (format!("i-{n}"), format!("eni-{n}"));
            let ips: BTreeSet<Ipv4Addr> =
                (1..=scenario.slots).map(|last| Ipv4Addr::new(10, 0, n, last)).collect();
            let slots = ips.iter().map(|ip| (*ip, Slot::default())).collect();
            account.interfaces.insert(interface.clone(), (instance.clone(), ips));
            cluster.hosts.insert(format!("n{n}"), Host { instance, interface, ready: true, slots });
        }
        let mut world = Self {
            now: 0,
            chance: Chance::new(scenario.seed ^ 0x5eed),
            account,
            cluster,
            ledger: Ledger::default(),
            run: Run::default(),
            queue: BTreeMap::new(),
            queued: 0,
            seats: Vec::new(),
            past: VecDeque::new(),
            speaks,
            lines: VecDeque::new(),
            kill_after: None,
            scenario,
        };
        for index in 0..world.scenario.deeds.len() {
            let at = world.scenario.deeds[index].0;
            world.push(at, Event::User(index));
        }
        for process in 0..if world.scenario.second { 2 } else { 1 } {
            world.seats.push(Seat {
                process: None,
                epoch: 0,
                paused_until: 0,
                cycle_began: 0,
                rung: false,
            });
            world.push(0, Event::Restart { process });
        }
        world
    }

    /// Runs until this time. The first broken promise ends the run.
    pub fn run_until(&mut self, end: u64) -> Result<(), Box<Violation>> {
        while let Some(entry) = self.queue.first_entry() {
            let (at, _) = *entry.key();
            if at > end {
                break;
            }
            let event = entry.remove();
            self.now = at;
            self.run.steps += 1;
            self.happen(event).and_then(|()| self.check_state()).map_err(|(what, process)| {
                let acted = process.and_then(|index| self.seats[index].process.as_ref());
                Box::new(Violation {
                    seed: self.scenario.seed,
                    at: self.now,
                    what,
                    lines: self.lines.iter().cloned().collect(),
                    snapshot: acted.and_then(Process::snapshot).cloned().map(Box::new),
                })
            })?;
        }
        self.now = end;
        Ok(())
    }

    pub fn kill_after(&mut self, effects: u64) {
        self.kill_after = Some(effects);
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }

    fn push(&mut self, at: u64, event: Event) {
        self.queued += 1;
        self.queue.insert((at, self.queued), event);
    }

    fn later(&mut self, later: Vec<Later>) {
        for (after, deed) in later {
            self.push(self.now + after, Event::Deed(deed));
        }
    }

    fn say(&mut self, line: impl FnOnce() -> String) {
        if self.speaks {
            if self.lines.len() == KEPT {
                self.lines.pop_front();
            }
            self.lines.push_back(format!("{:>8} {}", self.now, line()));
        }
    }

    /// Whether a fault of this kind hits now.
    fn hits(&mut self, is: impl Fn(&Kind) -> bool) -> bool {
        let now = self.now;
        let active = |fault: &&Fault| fault.from <= now && now < fault.until && is(&fault.kind);
        let percent = self.scenario.faults.iter().filter(active).map(|fault| fault.percent).max();
        percent.is_some_and(|percent| self.chance.happens(percent))
    }

    fn happen(&mut self, event: Event) -> Result<(), (String, Option<usize>)> {
        match event {
            Event::Deed(deed) => {
                self.say(|| format!("cluster: {deed:?}"));
                let later = self.cluster.act(deed, self.now, &mut self.chance);
                self.later(later);
                self.changed();
            }
            Event::User(index) => {
                let user = self.scenario.deeds[index].1.clone();
                self.say(|| format!("user: {user:?}"));
                self.user(user);
                self.changed();
            }
            Event::Tick { process } => {
                self.push(self.now + INTERVAL, Event::Tick { process });
                self.ring(process, 0);
            }
            Event::Restart { process } => {
                self.say(|| format!("operator {process} starts"));
                let cluster = snapshot::Cluster { name: NAME.to_owned(), uid: UID.to_owned() };
                let seat = &mut self.seats[process];
                let first = seat.epoch == 0;
                seat.epoch += 1;
                seat.rung = false;
                seat.process = Some(Process::start(self.now, cluster, Settings::default()));
                if first {
                    self.push(self.now, Event::Tick { process });
                }
                self.ring(process, 0);
            }
            Event::Ring { process, epoch } => self.begin(process, epoch),
            Event::Read { process, epoch, read } => {
                if self.seats[process].epoch == epoch {
                    self.read(process, read).map_err(|what| (what, Some(process)))?;
                }
            }
            Event::Effect { process, epoch, flight, call, sent, heard } => {
                self.effect(process, epoch, flight, call, sent, heard)
                    .map_err(|what| (what, Some(process)))?;
            }
            Event::Answer { process, epoch, flight, answer } => {
                let seat = &mut self.seats[process];
                if seat.paused_until > self.now {
                    let at = seat.paused_until;
                    self.push(at, Event::Answer { process, epoch, flight, answer });
                } else if seat.epoch == epoch {
                    let now = self.now;
                    let running = seat.process.as_mut();
                    let wants = running.map(|one| one.answer(flight, answer, now));
                    self.want(process, wants.unwrap_or_default())
                        .map_err(|what| (what, Some(process)))?;
                }
            }
        }
        Ok(())
    }

    /// Watches tell every operator, unless they are silent.
    fn changed(&mut self) {
        if self.scenario.faults.iter().any(|f| matches!(f.kind, Kind::StaleLists { .. })) {
            let seen = (self.now, self.cluster.eips.clone(), self.cluster.list_pods());
            self.past.push_back(seen);
            while self.past.len() > 200 {
                self.past.pop_front();
            }
        }
        if self.hits(|kind| *kind == Kind::Silence) {
            return;
        }
        for process in 0..self.seats.len() {
            if let Some(running) = &mut self.seats[process].process {
                running.exposure();
            }
            self.ring(process, 50);
        }
    }

    /// A cycle begins after so long, no sooner than the shortest time after the last.
    fn ring(&mut self, process: usize, after: u64) {
        let seat = &mut self.seats[process];
        if seat.rung {
            return;
        }
        seat.rung = true;
        let at = (self.now + after).max(seat.cycle_began + MIN_EVENT_INTERVAL);
        let epoch = seat.epoch;
        self.push(at, Event::Ring { process, epoch });
    }

    fn begin(&mut self, process: usize, epoch: u64) {
        let used = self.account.living().count() as u64;
        let limit = self.scenario.limit;
        let now = self.now;
        let seat = &mut self.seats[process];
        if seat.epoch != epoch {
            return;
        }
        if seat.paused_until > now {
            let at = seat.paused_until;
            self.push(at, Event::Ring { process, epoch });
            return;
        }
        let Some(running) = &mut seat.process else { return };
        if !running.is_idle() {
            // It rings again when the cycle has ended.
            return;
        }
        seat.rung = false;
        seat.cycle_began = now;
        // Half of the accounts let the operator see their quota.
        let quota = (self.scenario.seed % 2 == 0).then_some(Quota { limit, used });
        let Want::Read(read) = running.look(now, quota) else { return };
        let at = now + self.chance.between(1, 40);
        self.push(at, Event::Read { process, epoch, read });
    }

    fn want(&mut self, process: usize, wants: Vec<Want>) -> Result<(), String> {
        let epoch = self.seats[process].epoch;
        for want in wants {
            match want {
                Want::Read(read) => {
                    let at = self.now + self.chance.between(1, 40);
                    self.push(at, Event::Read { process, epoch, read });
                }
                Want::Call(flight, call) => self.send(process, flight, call),
                Want::Rest(again) => {
                    let seat = &mut self.seats[process];
                    if seat.rung {
                        seat.rung = false;
                        self.ring(process, 0);
                    } else if let Some(after) = again {
                        // Unlike a bell this does not stand in the way of an earlier one.
                        let at = (self.now + after).max(self.now + MIN_EVENT_INTERVAL);
                        self.push(at, Event::Ring { process, epoch });
                    }
                }
                Want::Fault(what) => return Err(what),
            }
        }
        Ok(())
    }

    fn read(&mut self, process: usize, read: Read) -> Result<(), String> {
        let now = self.now;
        if self.seats[process].paused_until > now {
            let (at, epoch) = (self.seats[process].paused_until, self.seats[process].epoch);
            self.push(at, Event::Read { process, epoch, read });
            return Ok(());
        }
        let part = match read {
            Read::Addresses => "addresses",
            Read::Eips => "eips",
            Read::Pods => "pods",
            Read::Nodes => "nodes",
            Read::Interfaces => "interfaces",
            Read::Recorded => "",
        };
        let failed = self.hits(|kind| matches!(kind, Kind::Unread { part: one } if *one == part));
        let (eips, pods) = self.lists();
        let (account, cluster, chance) = (&self.account, &self.cluster, &mut self.chance);
        let unknown = || "Timeout: no answer".to_owned();
        let fill = |snapshot: &mut Snapshot| match read {
            Read::Addresses if failed => snapshot.addresses = Part::Unknown(unknown()),
            Read::Addresses => {
                snapshot.addresses = Part::Known(account.describe(NAME, now, chance));
            }
            Read::Eips if failed => snapshot.eips = Part::Unknown(unknown()),
            Read::Eips => snapshot.eips = Part::Known(eips),
            Read::Pods if failed => snapshot.pods = Part::Unknown(unknown()),
            Read::Pods => snapshot.pods = Part::Known(pods),
            Read::Recorded => {
                let recorded = look::recorded_pods(snapshot);
                if let Some(pods) = snapshot.pods.known_mut() {
                    let found =
                        |key: Key| Some((key.clone(), cluster.pods.get(&key)?.seen.clone()));
                    pods.extend(recorded.into_iter().filter_map(found));
                }
            }
            Read::Nodes if failed => snapshot.nodes = Part::Unknown(unknown()),
            Read::Nodes => snapshot.nodes = Part::Known(cluster.list_nodes()),
            Read::Interfaces if failed => snapshot.interfaces = Part::Unknown(unknown()),
            Read::Interfaces => {
                let lookups = look::lookups(snapshot);
                snapshot.interfaces = Part::Known(account.describe_interfaces(&lookups));
            }
        };
        let running = self.seats[process].process.as_mut();
        let wants = running.map(|one| one.read(read, fill, now)).unwrap_or_default();
        self.want(process, wants)
    }

    /// The lists as they are, or as they were a while ago.
    fn lists(&mut self) -> (BTreeMap<Key, Eip>, BTreeMap<Key, Pod>) {
        let now = self.now;
        let stale = self.scenario.faults.iter().find_map(|fault| match fault.kind {
            Kind::StaleLists { millis } if fault.from <= now && now < fault.until => {
                Some((millis, fault.percent))
            }
            _ => None,
        });
        if let Some((millis, percent)) = stale
            && self.chance.happens(percent)
        {
            let at = now.saturating_sub(self.chance.between(0, millis));
            if let Some((_, eips, pods)) = self.past.iter().rev().find(|(then, _, _)| *then <= at) {
                return (eips.clone(), pods.clone());
            }
        }
        (self.cluster.eips.clone(), self.cluster.list_pods())
    }

    /// A call leaves the operator.
    fn send(&mut self, process: usize, flight: u64, call: Call) {
        let epoch = self.seats[process].epoch;
        let (sent, verb) = (self.now, verb(&call));
        let on_ec2 = is_ec2(&call);
        let mut after = self.chance.between(1, 40);
        if let Some(code) = self.refusal(verb) {
            let Call::Perform(action) = &call else { return };
            let answer = failed(action, code);
            self.say(|| format!("operator {process}: {verb} answers {code}"));
            self.push(sent + after, Event::Answer { process, epoch, flight, answer });
            return;
        }
        let mut heard = true;
        match &call {
            Call::Perform(_) if on_ec2 => {
                heard = !self.hits(|kind| *kind == Kind::AnswerLost { verb });
                if self.hits(|kind| *kind == Kind::Late { verb }) {
                    after = self.chance.between(SECOND, ATTEMPT + 2 * SECOND);
                    heard = heard && after < ATTEMPT;
                }
            }
            Call::Perform(_) => {
                if self.hits(|kind| *kind == Kind::WritesLost) {
                    heard = false;
                    if self.chance.happens(50) {
                        let answer = no_answer(&call);
                        let at = sent + ATTEMPT;
                        self.push(at, Event::Answer { process, epoch, flight, answer });
                        return;
                    }
                }
            }
            Call::DescribeAddress(_) => {}
            Call::GetPod(_) | Call::GetEip(_) => {
                heard = !self.hits(|kind| *kind == Kind::ReadsLost);
                if self.hits(|kind| *kind == Kind::SlowReads) {
                    after = self.chance.between(100, 3 * SECOND);
                }
            }
        }
        if !heard {
            let answer = no_answer(&call);
            let at = sent + if on_ec2 { ATTEMPT } else { 2 * SECOND };
            self.push(at, Event::Answer { process, epoch, flight, answer });
        }
        self.push(sent + after, Event::Effect { process, epoch, flight, call, sent, heard });
    }

    fn refusal(&mut self, verb: &'static str) -> Option<&'static str> {
        let now = self.now;
        let mut hit = None;
        for fault in &self.scenario.faults {
            if let Kind::Refuses { verb: one, code } = fault.kind
                && one == verb
                && fault.from <= now
                && now < fault.until
                && self.chance.happens(fault.percent)
            {
                hit = Some(code);
            }
        }
        hit
    }

    /// A call arrives and takes effect.
    fn effect(
        &mut self,
        process: usize,
        epoch: u64,
        flight: u64,
        call: Call,
        sent: u64,
        heard: bool,
    ) -> Result<(), String> {
        let answer = match &call {
            Call::GetPod(key) => {
                Answer::Pod(self.cluster.pods.get(key).map(|live| live.seen.clone()))
            }
            Call::GetEip(key) => Answer::Eip(self.cluster.eips.get(key).cloned()),
            Call::DescribeAddress(id) => {
                Answer::Address(self.account.describe_one(id, NAME, self.now, &mut self.chance))
            }
            Call::Perform(action) => {
                let running = self.seats[process].process.as_ref();
                let lives = self.seats[process].epoch == epoch;
                let running = running.filter(|_| lives);
                let confirmed_at =
                    running.and_then(|one| Some(one.flight(flight)?.confirmed_at)).unwrap_or(sent);
                let observed_at = running.map_or(sent, |one| one.observed_at);
                self.ledger.before(
                    action,
                    &self.account,
                    &self.cluster,
                    super::invariants::Moment { now: self.now, sent, confirmed_at, observed_at },
                    &self.scenario,
                )
                .map_err(|what| format!("{what}, by operator {process}: {action:?}"))?;
                let answer = self.change(action)?;
                self.say(|| format!("operator {process}: {action:?} → {answer:?}"));
                let effects: u64 = self.run.effects.values().sum();
                if self.kill_after == Some(effects) && lives {
                    self.kill_after = None;
                    self.user(User::Crash { process });
                }
                answer
            }
        };
        if heard {
            let at = self.now + self.chance.between(1, 40);
            self.push(at, Event::Answer { process, epoch, flight, answer });
        }
        Ok(())
    }

    /// The change itself, in AWS or in the cluster.
    fn change(&mut self, action: &Action) -> Result<Answer, String> {
        let (now, chance) = (self.now, &mut self.chance);
        let done = match action {
            Action::Allocate { eip, uid, .. } => {
                let tags = Tags {
                    cluster_name: NAME.to_owned(),
                    cluster_uid: Some(UID.to_owned()),
                    eip: uid.clone(),
                    namespace: eip.namespace.clone(),
                    name: eip.name.clone(),
                    allocated_at: Some(now),
                };
                self.account.allocate(tags, now, chance).map(|address| {
                    let ip = self.account.elastics[&address].ip.clone();
                    Outcome::Allocated { address, ip }
                })
            }
            Action::Release { address, .. } => {
                self.account.release(address, now, chance).map(|()| Outcome::Done)
            }
            Action::Associate { address, interface, private_ip, .. } => {
                let done = self.account.associate(address, interface, *private_ip, now, chance);
                let eip =
                    |id: &String| self.account.elastics.get(id).map(|one| one.tags().eip.clone());
                match done {
                    // Two that believe they lead may each bring an address of the same Eip.
                    Ok((association, Some(thrown_off)))
                        if self.scenario.second && eip(&thrown_off) == eip(address) =>
                    {
                        Ok(Outcome::Associated { association })
                    }
                    Ok((_, Some(thrown_off))) => {
                        return Err(format!("S8: {address} threw {thrown_off} off {private_ip}"));
                    }
                    Ok((association, None)) => Ok(Outcome::Associated { association }),
                    Err(code) => Err(code),
                }
            }
            Action::Disassociate { address, association, .. } => {
                match self.account.disassociate(association, now, chance) {
                    Ok(of) if of != *address => {
                        return Err(format!("S8: {association} was of {of}, not of {address}"));
                    }
                    Ok(_) => Ok(Outcome::Done),
                    Err(code) => Err(code),
                }
            }
            kubernetes => {
                let done = self.cluster.perform(kubernetes, now);
                // Our own writes do not ring, but a deletion does.
                if matches!(kubernetes, Action::Delete { .. }) {
                    self.changed();
                }
                done
            }
        };
        Ok(match done {
            Ok(outcome) => {
                *self.run.effects.entry(action.verb()).or_default() += 1;
                self.ledger.after(action, &outcome, now);
                Answer::Done(outcome)
            }
            Err(code) => failed(action, code),
        })
    }

    fn check_state(&mut self) -> Result<(), (String, Option<usize>)> {
        self.ledger
            .state(self.now, &self.account, &self.cluster, &self.scenario)
            .map_err(|what| (what, None))
    }

    fn user(&mut self, user: User) {
        let (now, chance) = (self.now, &mut self.chance);
        let later = match user {
            User::MakePod { key, stateful, autocreate, host_network, ipv6 } => {
                let seen = Pod { autocreate, host_network, ..pod() };
                self.cluster.make_pod(&key, seen, stateful, ipv6)
            }
            User::DeletePod { key, grace } => self.cluster.delete_pod(&key, grace, chance),
            User::ForceDelete { key } => self.cluster.force_delete(&key, chance),
            User::Finish { key } => {
                self.cluster.finish(&key, now);
                Vec::new()
            }
            User::RestartSandbox { key } => self.cluster.restart_sandbox(&key, now, chance),
            User::SetManaged { key, managed } => {
                if let Some(live) = self.cluster.pods.get_mut(&key) {
                    live.seen.managed = managed;
                }
                Vec::new()
            }
            User::SetAutocreate { key, autocreate } => {
                if let Some(live) = self.cluster.pods.get_mut(&key) {
                    live.seen.autocreate = autocreate;
                }
                Vec::new()
            }
            User::LoseNode { node } => {
                if let Some(interface) = self.cluster.lose_node(&node) {
                    self.account.lose_interface(&interface, now, chance);
                }
                Vec::new()
            }
            User::MakeEip { key, pod } => {
                self.cluster.make_eip(&key, &pod, now);
                Vec::new()
            }
            User::DeleteEip { key } => {
                self.cluster.delete_eip(&key, now);
                Vec::new()
            }
            User::Rename { key, pod } => {
                if let Some(eip) = self.cluster.eips.get_mut(&key)
                    && eip.autocreated_for.is_none()
                {
                    eip.pod = pod;
                    eip.generation += 1;
                }
                Vec::new()
            }
            User::StripFinalizer { key } => {
                if let Some(eip) = self.cluster.eips.get_mut(&key)
                    && eip.held
                {
                    eip.held = false;
                    let uid = eip.uid.clone();
                    self.cluster.unfit_since.insert(uid.clone(), now);
                    self.ledger.stripped.insert(uid);
                    self.cluster.eips.retain(|_, eip| eip.held || !eip.deleting);
                }
                Vec::new()
            }
            User::ForgeStatus { key, from } => {
                let status = self.cluster.eips.get(&from).map(|eip| eip.status.clone());
                if let (Some(status), Some(eip)) = (status, self.cluster.eips.get_mut(&key)) {
                    eip.status = status;
                }
                Vec::new()
            }
            User::ForgeAnnotations { key, from } => {
                let from = self.cluster.pods.get(&from).map(|live| live.seen.clone());
                if let (Some(from), Some(live)) = (from, self.cluster.pods.get_mut(&key)) {
                    live.seen.target = from.target;
                    live.seen.alpha_target = from.alpha_target;
                    live.seen.allocation = from.allocation;
                }
                Vec::new()
            }
            User::Disassociate { nth } => {
                if let Some(id) = self.nth(nth) {
                    self.account.end(&id, now, &mut self.chance);
                }
                Vec::new()
            }
            User::Release { nth } => {
                if let Some(id) = self.nth(nth) {
                    self.account.end(&id, now, &mut self.chance);
                    let _ = self.account.release(&id, now, &mut self.chance);
                    self.ledger.taken(&self.account.elastics[&id].tags().eip);
                }
                Vec::new()
            }
            User::Pause { process, millis } => {
                self.seats[process].paused_until = now + millis;
                Vec::new()
            }
            User::Crash { process } => {
                let seat = &mut self.seats[process];
                if seat.process.take().is_some() {
                    seat.rung = false;
                    seat.epoch += 1;
                    let after = self.chance.between(100, 20 * SECOND);
                    self.push(now + after, Event::Restart { process });
                }
                Vec::new()
            }
        };
        self.later(later);
    }

    fn nth(&self, nth: u64) -> Option<String> {
        let living: Vec<&String> = self.account.living().map(|(id, _)| id).collect();
        let index = usize::try_from(nth).ok()?.checked_rem(living.len())?;
        Some(living[index].clone())
    }

    /// Whether anything was wrong lately, so that the operator may be late.
    pub fn is_troubled(&self) -> bool {
        self.now < TROUBLED
    }
}

fn verb(call: &Call) -> &'static str {
    match call {
        Call::Perform(action) => action.verb(),
        _ => "read",
    }
}

fn is_ec2(call: &Call) -> bool {
    matches!(
        call,
        Call::DescribeAddress(_)
            | Call::Perform(
                Action::Allocate { .. }
                    | Action::Release { .. }
                    | Action::Associate { .. }
                    | Action::Disassociate { .. }
            )
    )
}

/// What the operator is told when the world refuses.
fn failed(action: &Action, code: &str) -> Answer {
    let ec2 = is_ec2(&Call::Perform(action.clone()));
    let meaning = if ec2 {
        ec2_meaning(action, code)
    } else {
        kubernetes_meaning(Some(match code {
            "NotFound" => 404,
            "AlreadyExists" | "Conflict" => 409,
            _ => 422,
        }))
    };
    if meaning == Meaning::Success {
        return Answer::Done(Outcome::Done);
    }
    Answer::Failed(Failure { code: code.to_owned(), message: code.to_owned(), meaning })
}

fn no_answer(call: &Call) -> Answer {
    match call {
        Call::Perform(action) if is_ec2(call) => failed(action, "Timeout"),
        Call::DescribeAddress(_) => Answer::Failed(Failure {
            code: "Timeout".to_owned(),
            message: "no answer".to_owned(),
            meaning: Meaning::Retry,
        }),
        _ => Answer::Failed(Failure {
            code: "Timeout".to_owned(),
            message: "no answer".to_owned(),
            meaning: kubernetes_meaning(None),
        }),
    }
}

//! The world of one run: time, chance, AWS, the cluster, the operators, and what goes wrong.

mod reads;
mod small;
mod users;
mod watches;
mod wire;

pub use small::{explore, smalls};

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use eip_operator::plan::execution::{Answer, Call};
use eip_operator::plan::look::{self, Read};
use eip_operator::plan::snapshot::{self, Eip, Key, Part, Pod, Quota, Snapshot, Uid};

use super::chance::Chance;
use super::cluster::{Cluster, Deed, Host, Later, Slot};
use super::ec2::{Account, Bucket};
use super::invariants::Ledger;
use super::process::{Process, Want};
use super::scenario::{Fault, Kind, SECOND, Scenario};
use super::shared::Shared;

/// The cluster that the operators serve.
pub const NAME: &str = "demo";
pub const UID: &str = "c1";
/// `RECONCILE_INTERVAL`.
pub const INTERVAL: u64 = 30 * SECOND;
/// `MIN_EVENT_INTERVAL`.
const MIN_EVENT_INTERVAL: u64 = SECOND;
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

impl Violation {
    /// The name of the invariant.
    pub fn name(&self) -> &str {
        self.what.split(':').next().unwrap_or_default()
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        write!(f, "seed {} at {} ms: {}", self.seed, self.at, self.what)
    }
}

#[derive(Clone, Debug, Hash)]
enum Event {
    Deed(Deed),
    User(usize),
    Tick {
        process: usize,
    },
    Ring {
        process: usize,
        epoch: u64,
    },
    /// The last cycle wanted another one by now.
    Again {
        process: usize,
        epoch: u64,
    },
    Read {
        process: usize,
        epoch: u64,
        read: Read,
    },
    Effect {
        process: usize,
        epoch: u64,
        flight: u64,
        call: Call,
        sent: Sent,
        heard: bool,
    },
    Answer {
        process: usize,
        epoch: u64,
        flight: u64,
        answer: Answer,
    },
    Restart {
        process: usize,
    },
}

/// A place where an operator runs.
#[derive(Clone, Debug)]
struct Seat {
    process: Option<Process>,
    /// Answers to an earlier life are void.
    epoch: u64,
    paused_until: u64,
    cycle_began: u64,
    rung: bool,
    /// The place in the queue of the one [`Event::Again`] there may be.
    again: Option<(u64, u64)>,
    /// Cycles of all its lives.
    cycles: u64,
}

/// When a call was sent, and on what: its cycle may be over before the call takes effect.
#[derive(Clone, Copy, Debug, Hash)]
struct Sent {
    at: u64,
    asked_at: u64,
    confirmed_at: u64,
    observed_at: u64,
    /// Until when its cycle may send changes.
    deadline: Option<u64>,
}

/// The Eips and the managed pods of one moment.
type Lists = (BTreeMap<Key, Eip>, BTreeMap<Key, Pod>);
/// What an address on a pod rests on: its IP, its node, and whether it is being deleted.
type Grip = (IpAddr, Option<String>, bool);

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    pub steps: u64,
    /// Changing calls that took effect, by verb.
    pub effects: BTreeMap<&'static str, u64>,
}

#[derive(Clone)]
pub struct World {
    pub now: u64,
    pub scenario: Shared<Scenario>,
    pub account: Shared<Account>,
    pub cluster: Shared<Cluster>,
    pub ledger: Ledger,
    pub run: Run,
    chance: Chance,
    queue: BTreeMap<(u64, u64), Event>,
    queued: u64,
    seats: Vec<Seat>,
    past: VecDeque<(u64, Lists)>,
    /// By uid, what an address on a pod rested on when the cluster last changed.
    carriers: BTreeMap<Uid, Grip>,
    /// What the watches last saw.
    facts: u64,
    speaks: bool,
    lines: VecDeque<String>,
    /// The process is killed right after its so-manieth effect.
    kill_after: Option<u64>,
    /// The verb of the effect after which it was killed.
    pub killed_after: Option<&'static str>,
}

impl World {
    pub fn new(scenario: Scenario, speaks: bool) -> Self {
        let mut account = Account::new(scenario.limit, scenario.lag);
        account.prefixes = scenario.prefixes;
        account.shy = scenario.shy;
        account.bucket = scenario.throttled.then(|| Bucket::new(1, 4));
        let mut cluster = Cluster::new(scenario.cool_down);
        for n in 1..=2_u8 {
            let (instance, interface) = (format!("i-{n}"), format!("eni-{n}"));
            let ips: BTreeSet<Ipv4Addr> =
                (1..=scenario.slots).map(|last| Ipv4Addr::new(10, 0, n, last)).collect();
            let slots = ips.iter().map(|ip| (*ip, Slot::default())).collect();
            account.interfaces.insert(interface.clone(), (instance.clone(), ips));
            cluster.hosts.insert(format!("n{n}"), Host { instance, interface, ready: true, slots });
        }
        if scenario.seed.is_multiple_of(3) {
            account.strangers(NAME);
        }
        let mut world = Self {
            now: 0,
            chance: Chance::new(scenario.seed ^ 0x5eed),
            account: Shared::new(account),
            cluster: Shared::new(cluster),
            ledger: Ledger::default(),
            run: Run::default(),
            queue: BTreeMap::new(),
            queued: 0,
            seats: Vec::new(),
            past: VecDeque::new(),
            carriers: BTreeMap::new(),
            facts: 0,
            speaks,
            lines: VecDeque::new(),
            kill_after: None,
            killed_after: None,
            scenario: Shared::new(scenario),
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
                again: None,
                cycles: 0,
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

    /// How many cycles the first operator has begun.
    pub fn cycles(&self) -> u64 {
        self.seats[0].cycles
    }

    pub fn kill_after(&mut self, effects: u64) {
        self.kill_after = Some(effects);
    }

    /// A promise that was found broken after the fact.
    pub fn complaint(&self, what: String) -> Box<Violation> {
        let (seed, at, lines) = (self.scenario.seed, self.now, self.lines());
        Box::new(Violation { seed, at, what, lines, snapshot: None })
    }

    /// By Eip: how many addresses it has, and whether one is on the pod that it names.
    pub fn summary(&self) -> BTreeMap<Key, (usize, bool)> {
        let served = |key: &Key, eip: &Eip| {
            let pod = self.cluster.pods.get(&key.sibling(&eip.pod)).and_then(|live| live.seen.ip);
            self.account.of(&eip.uid).any(|(_, one)| {
                one.association().is_some_and(|there| pod == Some(there.private_ip.into()))
            })
        };
        let eips = self.cluster.eips.iter();
        eips.map(|(key, eip)| (key.clone(), (self.account.of(&eip.uid).count(), served(key, eip))))
            .collect()
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
                let next = self.now + self.scenario.interval();
                self.push(next, Event::Tick { process });
                self.ring(process, 0);
            }
            Event::Restart { process } => {
                self.say(|| format!("operator {process} starts"));
                let cluster = snapshot::Cluster { name: NAME.to_owned(), uid: UID.to_owned() };
                let settings = self.scenario.settings.clone();
                let seat = &mut self.seats[process];
                let (first, slow) = (seat.epoch == 0, self.scenario.throttled);
                seat.epoch += 1;
                seat.rung = false;
                seat.process = Some(Process::start(self.now, cluster, settings, slow));
                if first {
                    self.push(self.now, Event::Tick { process });
                }
                self.ring(process, 0);
            }
            Event::Ring { process, epoch } => self.begin(process, epoch),
            Event::Again { process, epoch } => {
                if self.seats[process].epoch == epoch {
                    self.ring(process, 0);
                }
            }
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
        let limit = self.account.limit;
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
        seat.cycles += 1;
        // The cycle that begins will say anew when the next one is wanted.
        if let Some(place) = seat.again.take() {
            self.queue.remove(&place);
        }
        // Half of the accounts let the operator see their quota.
        let quota = (self.scenario.seed.is_multiple_of(2)).then_some(Quota { limit, used });
        let Want::Read(read) = running.look(now, quota) else { return };
        let at = now + self.reads_in();
        self.push(at, Event::Read { process, epoch, read });
    }

    fn want(&mut self, process: usize, wants: Vec<Want>) -> Result<(), String> {
        let epoch = self.seats[process].epoch;
        for want in wants {
            match want {
                Want::Read(read) => {
                    let at = self.now + self.reads_in();
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
                        let at = self.now + after;
                        self.push(at, Event::Again { process, epoch });
                        self.seats[process].again = Some((at, self.queued));
                    }
                }
                Want::Fault(what) => return Err(what),
            }
        }
        Ok(())
    }

    fn check_state(&mut self) -> Result<(), (String, Option<usize>)> {
        self.ledger
            .state(self.now, &self.account, &self.cluster, &self.scenario)
            .map_err(|what| (what, None))
    }
}

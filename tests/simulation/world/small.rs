//! Small worlds, gone through to the end: every order in which what is under way may happen, with one
//! crash, one lost answer and one stale read at any of its places.
//!
//! It is the same world as elsewhere, whose events happen in any order instead of that of the
//! clock. The clock goes on in thirds of the settle time, at any place too.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use eip_operator::plan::execution::Call;
use eip_operator::plan::look::Read;
use eip_operator::plan::snapshot::Key;

use super::super::chance::Chance;
use super::super::ec2::{Account, Lag};
use super::super::invariants::SETTLE;
use super::super::scenario::{SECOND, Scenario, User};
use super::super::shared::Shared;
use super::wire::no_answer;
use super::{Event, World};

/// By then both Eips have been served.
const SERVED: u64 = 20 * SECOND;
/// The clock's step.
const TICK: u64 = SETTLE / 3;

/// What an exploration came to.
#[derive(Debug)]
pub struct Explored {
    pub states: usize,
    /// Every state that can be reached was reached.
    pub complete: bool,
    /// The promises that were broken, each with the way there.
    pub broken: Vec<String>,
}

/// A world, and what may still go wrong in it.
#[derive(Clone)]
struct State {
    world: World,
    /// The account before it last changed, and when that was.
    before: Option<(u64, Shared<Account>)>,
    /// People's deeds that are still to come.
    deeds: Vec<User>,
    ticks: u64,
    crash: bool,
    lost: bool,
    stale: bool,
    way: Option<Arc<Way>>,
}

/// What has happened, the last of it first.
struct Way {
    step: Move,
    before: Option<Arc<Way>>,
}

/// One thing that may happen next.
#[derive(Clone, Copy, Debug)]
enum Move {
    /// An event that is under way, by its place in the queue.
    Event(usize),
    /// The same, and its answer is lost; `done`: it took effect before.
    Lost(usize, bool),
    /// A listing that shows the account as it was before its last change.
    Stale(usize),
    /// The operator is killed.
    Crash,
    Deed(usize),
    Tick,
}

/// A beginning, from which everything that can happen is gone through.
#[derive(Clone, Debug)]
pub struct Small {
    /// The operator has served both Eips already.
    pub served: bool,
    /// What people do, each at any time.
    pub deeds: Vec<User>,
    /// How often the clock goes on by a third of the settle time.
    pub ticks: u64,
    /// What goes wrong, each of it once and at any time.
    pub faults: &'static [Trouble],
}

/// What may go wrong once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    Crash,
    LostAnswer,
    StaleRead,
}

/// Goes through all states that can be reached, as far as `most` states and `limit` allow.
pub fn explore(small: &Small, most: usize, limit: Duration) -> Explored {
    let began = Instant::now();
    let first = State::first(small);
    let seen = Mutex::new(HashSet::from([first.print()]));
    let open = Mutex::new(vec![first]);
    let (busy, count) = (AtomicUsize::new(0), AtomicUsize::new(1));
    let (broken, cut) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let next = {
                        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
                        let next = open.pop();
                        busy.fetch_add(usize::from(next.is_some()), Ordering::SeqCst);
                        next
                    };
                    let Some(state) = next else {
                        if busy.load(Ordering::SeqCst) == 0 {
                            return;
                        }
                        std::thread::sleep(Duration::from_millis(1));
                        continue;
                    };
                    let mut found = Vec::new();
                    for step in state.moves() {
                        match state.after(step) {
                            Ok(next) => found.push((next.print(), next)),
                            Err(what) => {
                                let mut broken =
                                    broken.lock().unwrap_or_else(PoisonError::into_inner);
                                let way = state.told(small);
                                let last = state.named(step);
                                broken.push(format!("{way}{last}\n{what}"));
                                cut.store(broken.len() > 3, Ordering::SeqCst);
                            }
                        }
                    }
                    let over = began.elapsed() >= limit || count.load(Ordering::SeqCst) >= most;
                    if over && !found.is_empty() {
                        cut.store(true, Ordering::SeqCst);
                    }
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    found.retain(|(print, _)| seen.insert(*print));
                    count.store(seen.len(), Ordering::SeqCst);
                    drop(seen);
                    let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
                    if cut.load(Ordering::SeqCst) {
                        open.clear();
                    } else {
                        open.extend(found.into_iter().map(|(_, next)| next));
                    }
                    busy.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
    });
    let states = count.load(Ordering::SeqCst);
    let complete = !cut.load(Ordering::SeqCst);
    Explored { states, complete, broken: broken.into_inner().unwrap_or_default() }
}

impl State {
    /// Two Eips, two pods, and two pod IPs for them.
    fn first(small: &Small) -> Self {
        let deeds = &small.deeds;
        // What may be stale for as long as the settle time is what the promises are judged by.
        let mut scenario = Scenario::undisturbed(2);
        (scenario.lag, scenario.slots) = (Lag::UpTo(SETTLE), 2);
        scenario.deeds = deeds.iter().cloned().map(|deed| (0, deed)).collect();
        let mut world = World::new(scenario, false);
        world.queue.clear();
        world.account.lag = Lag::None;
        world.account.named_ids = true;
        world.cluster.hosts.remove("n2");
        world.account.interfaces.remove("eni-2");
        for (eip, pod) in [("web", "web-0"), ("spare", "web-1")] {
            let (namespace, key) = ("shop", Key::new("shop", pod));
            let make = User::MakePod {
                key,
                stateful: true,
                autocreate: false,
                host_network: false,
                ipv6: false,
            };
            world.user(make);
            while let Some((_, event)) = world.queue.pop_first() {
                let _ = world.happen(event);
            }
            world.user(User::MakeEip { key: Key::new(namespace, eip), pod: pod.to_owned() });
        }
        world.push(0, Event::Restart { process: 0 });
        if small.served {
            let _ = world.run_until(SERVED);
            world.queue.clear();
        }
        let has = |trouble| small.faults.contains(&trouble);
        let mut first = Self {
            world,
            before: None,
            deeds: deeds.clone(),
            ticks: small.ticks,
            crash: has(Trouble::Crash),
            lost: has(Trouble::LostAnswer),
            stale: has(Trouble::StaleRead),
            way: None,
        };
        first.forget_order();
        first
    }

    fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        // Steps of one round do not depend on each other: they are begun one after the other.
        let is_ours = |event: &&Event| matches!(event, Event::Effect { epoch, .. } if *epoch == self.world.seats[0].epoch);
        let first = self.world.queue.values().filter(is_ours).filter_map(Event::flight).min();
        for (place, event) in self.world.queue.values().enumerate() {
            if is_ours(&event) && event.flight() != first {
                continue;
            }
            match event {
                Event::Effect { call: Call::Perform(_), .. } if self.lost => {
                    moves.extend([Move::Lost(place, true), Move::Lost(place, false)]);
                }
                Event::Read { read: Read::Addresses, .. } if self.stale && self.lags() => {
                    moves.push(Move::Stale(place));
                }
                _ => {}
            }
            moves.push(Move::Event(place));
        }
        if self.crash && self.world.seats[0].process.is_some() {
            moves.push(Move::Crash);
        }
        moves.extend((0..self.deeds.len()).map(Move::Deed));
        if self.ticks > 0 {
            moves.push(Move::Tick);
        }
        moves
    }

    /// Whether EC2 may still show the account as it was.
    fn lags(&self) -> bool {
        self.before.as_ref().is_some_and(|(at, _)| at + SETTLE > self.world.now)
    }

    fn after(&self, step: Move) -> Result<Self, String> {
        let mut next = self.clone();
        next.way = Some(Arc::new(Way { step, before: self.way.clone() }));
        // What is left to chance is always the same here.
        next.world.chance = Chance::new(0);
        match step {
            Move::Event(place) => {
                if let Some(event) = next.take(place) {
                    next.happen(event)?;
                }
                // An answer that comes later is a lost one, or that of a killed process. Only what
                // lies between addresses and cluster, and between those and what is read after
                // them, makes a difference to what is seen.
                let at_once = |event: &Event| match event {
                    Event::Answer { .. } => true,
                    Event::Read { read, .. } => !matches!(
                        read,
                        Read::Addresses | Read::Eips | Read::Definition | Read::Nodes
                    ),
                    _ => false,
                };
                while let Some(place) = next.world.queue.values().position(at_once) {
                    if let Some(event) = next.take(place) {
                        next.happen(event)?;
                    }
                }
            }
            Move::Lost(place, done) => {
                next.lost = false;
                if let Some(Event::Effect { process, epoch, flight, call, sent, .. }) =
                    next.take(place)
                {
                    let answer = no_answer(&call);
                    if done {
                        let heard = false;
                        next.happen(Event::Effect { process, epoch, flight, call, sent, heard })?;
                    }
                    // Nothing tells the time at which it is given up from that of the effect.
                    next.happen(Event::Answer { process, epoch, flight, answer })?;
                }
            }
            Move::Stale(place) => {
                next.stale = false;
                if let (Some(event), Some((_, shown))) = (next.take(place), &self.before) {
                    next.world.account.clone_from(shown);
                    let happened = next.happen(event);
                    next.world.account.clone_from(&self.world.account);
                    happened?;
                }
            }
            Move::Crash => {
                next.crash = false;
                next.world.user(User::Crash { process: 0 });
                // What the dead process would have read or been told is void.
                next.world.queue.retain(|_, event| {
                    !matches!(event, Event::Read { .. } | Event::Answer { .. } | Event::Ring { .. })
                });
            }
            Move::Deed(place) => {
                let deed = next.deeds.remove(place);
                next.world.user(deed);
                next.world.changed();
            }
            Move::Tick => {
                next.ticks -= 1;
                next.world.now += TICK;
                next.world.ring(0, 0);
            }
        }
        if next.world.account.changes > 0 {
            next.world.account.changes = 0;
            next.before = Some((next.world.now, self.world.account.clone()));
        }
        if let Some(process) = &mut next.world.seats[0].process {
            process.forget_counts();
        }
        next.forget_order();
        Ok(next)
    }

    /// What is under way has no order here, and a second bell rings for the same cycle: so that worlds
    /// which are the same go on the same.
    fn forget_order(&mut self) {
        let queue = std::mem::take(&mut self.world.queue).into_values();
        let under_way = queue.filter(|event| !matches!(event, Event::Tick { .. }));
        let by_print: BTreeMap<u64, Event> = under_way.map(|event| (hash(&event), event)).collect();
        self.world.queue.extend(by_print.into_iter().map(|(print, event)| ((0, print), event)));
    }

    fn take(&mut self, place: usize) -> Option<Event> {
        let key = *self.world.queue.keys().nth(place)?;
        self.world.queue.remove(&key)
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        self.world.happen(event).map_err(|(what, _)| what)
    }

    /// How it came to this, for a report: by going the way again.
    fn told(&self, small: &Small) -> String {
        let mut steps = Vec::new();
        let mut way = self.way.as_ref();
        while let Some(here) = way {
            steps.push(here.step);
            way = here.before.as_ref();
        }
        let (mut state, mut text) = (Self::first(small), String::new());
        for step in steps.into_iter().rev() {
            text.push_str(&state.named(step));
            text.push('\n');
            if let Ok(next) = state.after(step) {
                state = next;
            }
        }
        text
    }

    fn named(&self, step: Move) -> String {
        let event = |place: usize| self.world.queue.values().nth(place);
        match step {
            Move::Event(place) => format!("{:?}", event(place)),
            Move::Lost(place, done) => format!("lost, done: {done}: {:?}", event(place)),
            Move::Stale(place) => format!("stale: {:?}", event(place)),
            Move::Deed(place) => format!("{:?}", self.deeds[place]),
            Move::Crash | Move::Tick => format!("{step:?}"),
        }
    }

    /// 64 bits that stand for the state: what is the same, and will go on the same, has the same.
    /// Of five million states two share them with a chance of less than one in a million.
    fn print(&self) -> u64 {
        let World { now, account, cluster, ledger, queue, seats, .. } = &self.world;
        let under_way: Vec<&u64> = queue.keys().map(|(_, print)| print).collect();
        let seat = &seats[0];
        let process = seat.process.as_ref().map(super::Process::essence);
        let rest = (seat.epoch, seat.rung, self.crash, self.lost, self.stale, self.ticks);
        let before = self.before.as_ref().filter(|_| self.stale && self.lags());
        hash(&(now, account, cluster, ledger, under_way, process, rest, &self.deeds, before))
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Event {
    fn flight(&self) -> Option<u64> {
        match self {
            Self::Effect { flight, .. } => Some(*flight),
            _ => None,
        }
    }
}

/// The small worlds: two Eips are served from nothing; then a pod is replaced, an Eip goes, and the
/// other is pointed at its pod, any two of them in any order. Once with all troubles while the clock
/// stands still, and with each of them alone while it goes on.
pub fn smalls() -> Vec<Small> {
    use Trouble::{Crash, LostAnswer, StaleRead};
    let key = |name: &str| Key::new("shop", name);
    let replaced = User::DeletePod { key: key("web-0"), grace: 0 };
    let deleted = User::DeleteEip { key: key("web") };
    let pointed = User::Rename { key: key("spare"), pod: "web-0".to_owned() };
    let beginnings = [
        (false, Vec::new()),
        (true, vec![replaced.clone(), deleted.clone()]),
        (true, vec![replaced, pointed.clone()]),
        (true, vec![deleted, pointed]),
    ];
    let troubles: [(u64, &[Trouble]); 4] = [
        (0, &[Crash, LostAnswer, StaleRead]),
        (1, &[Crash]),
        (1, &[LostAnswer]),
        (1, &[StaleRead]),
    ];
    let with = |(ticks, faults): (u64, &'static [Trouble])| {
        beginnings.clone().map(|(served, deeds)| Small { served, deeds, ticks, faults })
    };
    troubles.into_iter().flat_map(with).collect()
}

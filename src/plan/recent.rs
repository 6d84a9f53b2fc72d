//! What a process remembers between looks: its own effects that AWS may not show yet, for how
//! long a purchase may be on its way, what failed and is not tried again at once.
//!
//! Time is an argument: milliseconds on a clock that never goes back.

mod effect;
mod seen;

use std::collections::{BTreeMap, BTreeSet};

use self::effect::Effect;
use super::action::{Action, Step};
use super::forecast::{Outcome, apply};
use super::look::{Lookup, recorded_pods};
use super::meaning::{Failure, Meaning};
use super::names::digest;
use super::rules::orphans::orphans;
use super::snapshot::{AllocationId, Key, Pause, Recent, Snapshot, Uid};

/// The longest that a purchase can be under way: the operation's own deadline, in seconds.
pub const ALLOCATE_TIMEOUT: u64 = 25;
/// The first pause after a failure, or where an interface is missing, in seconds. It doubles with
/// each further failure.
const FIRST_PAUSE: u64 = 2;
/// The longest pause, in seconds, and the one after a failure that a person must mend: often
/// enough to notice that it was mended, seldom enough to be no load.
const LONGEST_PAUSE: u64 = 300;
/// The longest time, in seconds, until what ends an exposure is tried again: it is never held back,
/// and this wakes the operator for it.
const URGENT_PAUSE: u64 = 5;
/// Milliseconds between two looks while an association may be there that no listing shows.
const UNSURE_LOOK: u64 = 10_000;

/// One answer of EC2 may show what the next does not yet: for this part of the settle time what we
/// did is believed even if it was shown once and then no more.
const FLICKERS: u64 = 10;
/// Seconds between two moves of one address, after the first; EC2 charges for moves, and the calls
/// for them are limited for the whole account.
const DWELL: u64 = 60;
/// `MAX_RELEASES` holds for so many milliseconds, and moves are remembered as long.
const HOUR: u64 = 3_600_000;

/// The memory of one process.
#[derive(Clone, Debug, Default, Hash)]
pub struct Memory {
    effects: Vec<Effect>,
    /// By Eip uid: since when nothing can have been bought for it but by us, or until when an
    /// earlier process's purchase may show.
    intents: BTreeMap<Uid, u64>,
    /// By Eip uid: until when a purchase or a tag whose answer was lost may show.
    lost: BTreeMap<Uid, u64>,
    /// By Eip uid and address: until when it may be there although a listing does not show it.
    seen: BTreeMap<(Uid, AllocationId), u64>,
    /// By pod uid: when it was first seen terminating, and when it keeps its address no longer.
    terminating: BTreeMap<Uid, (u64, u64)>,
    /// By address: for how many milliseconds it has been seen without an Eip.
    unclaimed: BTreeMap<AllocationId, u64>,
    /// By address: the pod that it was last seen on while an Eip had both, or when it was first
    /// seen without one.
    carriers: BTreeMap<AllocationId, Uid>,
    /// Pods that a status names, and that the last look has asked for by name and not found.
    gone: BTreeSet<Key>,
    /// Since when pods have IPs that EC2 shows on no interface of their node.
    missing: BTreeMap<Lookup, u64>,
    /// When the last look was.
    looked: Option<u64>,
    /// By Eip uid: until when EC2 may come to show what a lost call of ours has done or undone at
    /// an IP.
    unsure: BTreeMap<Uid, u64>,
    /// When addresses without an Eip were released.
    orphans_released: Vec<u64>,
    /// By Eip uid: when its address was last put somewhere, and whether it had been before. By pod
    /// uid: the same of its annotations.
    moves: BTreeMap<Uid, (u64, bool)>,
    backoff: BTreeMap<Uid, Setback>,
    /// By Eip uid: when what was to end an exposure and failed is tried again, whatever else of the
    /// Eip waits for longer.
    urgent: BTreeMap<Uid, u64>,
    stopped: BTreeMap<String, Setback>,
    /// By verb: the namespace that was served last.
    served: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Hash)]
struct Setback {
    /// What failed.
    verb: &'static str,
    until: u64,
    count: u32,
    failure: Failure,
}

impl Memory {
    /// Of the [`recorded_pods`] those to ask for. One that was not there is not asked for again:
    /// what comes under its name without our label is another pod, without annotations of ours.
    pub fn pods_to_read(&self, snapshot: &Snapshot) -> BTreeSet<Key> {
        recorded_pods(snapshot).into_iter().filter(|key| !self.gone.contains(key)).collect()
    }

    /// Says for how long addresses of an Eip may be on their way, after something was done about
    /// it. Counted from the last look: what has come since is in no snapshot.
    pub fn show_settling(&self, uid: &Uid, snapshot: &mut Snapshot) {
        let seen = self.seen.range((uid.clone(), AllocationId::new())..);
        let seen = seen.take_while(|((of, _), _)| of == uid).map(|(_, until)| until);
        let until = self.intents.get(uid).into_iter().chain(self.lost.get(uid)).chain(seen).max();
        // What went well since holds nothing of the Eip back any more.
        if !self.backoff.contains_key(uid) {
            snapshot.recent.backoff.remove(uid);
        }
        let settling = &mut snapshot.recent.settling;
        match until {
            Some(until) => drop(settling.insert(uid.clone(), seconds(*until, self.last_look()))),
            None => drop(settling.remove(uid)),
        }
    }

    /// Says whose turn it was, so that the next one is that of another namespace.
    pub fn took_turn(&mut self, step: &Step, snapshot: &mut Snapshot) {
        self.served.insert(step.action.verb().to_owned(), step.claim.namespace.clone());
        snapshot.recent.served.clone_from(&self.served);
    }

    /// Adds to what was observed what we know better, and the `recent` section.
    pub fn overlay(&mut self, snapshot: &mut Snapshot, now: u64) {
        let settle = snapshot.settings.settle * 1000;
        let gone = recorded_pods(snapshot).into_iter();
        self.gone = gone.filter(|key| !snapshot.unread_pods.contains_key(key)).collect();
        self.effects.retain(|effect| now.saturating_sub(effect.at) < settle);
        self.read_own_writes(snapshot, now);
        self.see_settling(snapshot, now, settle);
        self.see_terminating(snapshot, now);
        self.see_unclaimed(snapshot, now);
        self.see_carriers(snapshot);
        // A count outlives its pause for a while, so that the next failure waits longer.
        self.backoff.retain(|_, setback| setback.until + LONGEST_PAUSE * 1000 > now);
        self.stopped.retain(|_, setback| setback.until + LONGEST_PAUSE * 1000 > now);
        self.urgent.retain(|_, until| *until > now);
        self.unsure.retain(|_, until| *until > now);
        snapshot.recent = self.recent(now);
        let orphans = orphans(snapshot).into_iter().map(|(id, _)| id.clone());
        let carriers = orphans.filter_map(|id| Some((id.clone(), self.carriers.get(&id)?.clone())));
        let carriers = carriers.collect();
        snapshot.recent.carriers = carriers;
    }

    /// Takes off the interfaces what we know to have left them: an association that we have ended
    /// may be shown there for a while yet.
    pub fn overlay_interfaces(&self, snapshot: &mut Snapshot) {
        let Some(interfaces) = snapshot.interfaces.known_mut() else { return };
        let ended: BTreeSet<(&str, &str)> = self
            .effects
            .iter()
            .filter_map(|effect| match (&effect.action, &effect.outcome) {
                (Action::Disassociate { ip, private_ip, .. }, Outcome::Done) => {
                    Some((&**ip, &**private_ip))
                }
                _ => None,
            })
            .collect();
        for interface in interfaces.values_mut() {
            interface
                .occupied
                .retain(|private_ip, ip| !ended.contains(&(&**ip, &*private_ip.to_string())));
        }
    }

    /// Remembers what a call has done.
    pub fn done(&mut self, uid: &Uid, action: &Action, outcome: &Outcome, now: u64, settle: u64) {
        self.stopped.remove(action.verb());
        // That something else was done, as a status which tells of a failure, is no end of it.
        if self.backoff.get(uid).is_some_and(|setback| setback.verb == action.verb()) {
            self.backoff.remove(uid);
        }
        match (action, outcome) {
            (Action::Hold { uid, .. }, _) => {
                let looked = self.last_look();
                self.intents.entry(uid.clone()).or_insert(looked);
            }
            (Action::Create { .. }, Outcome::Created { uid }) => {
                self.intents.insert(uid.clone(), self.last_look());
            }
            (Action::Allocate { uid, .. }, Outcome::Allocated { address, .. })
            | (Action::Tag { uid, address, .. }, _) => {
                self.seen.insert((uid.clone(), address.clone()), now + settle * 1000);
                self.unclaimed.remove(address);
            }
            (Action::Associate { address, .. }, _) => {
                self.is_back(address);
                self.moves.insert(uid.clone(), (now, self.moves.contains_key(uid)));
            }
            (Action::Annotate { uid, .. }, _) => {
                self.moves.insert(uid.clone(), (now, self.moves.contains_key(uid)));
            }
            (Action::Release { address, eip_uid, orphan, .. }, _) => {
                if *orphan {
                    self.orphans_released.push(now);
                }
                self.seen.retain(|(_, seen), _| seen != address);
                self.intents.insert(eip_uid.clone(), self.last_look());
                // There may be room again.
                if let Some(stop) = self.stopped.get_mut("allocate") {
                    stop.until = stop.until.min(now);
                }
            }
            // EC2 may not know a new association yet, so only a listing shows that it has ended.
            (Action::Disassociate { .. }, Outcome::AlreadySo) => return,
            _ => {}
        }
        if let Action::Tag { address, .. } = action {
            let of_it =
                |one: &Action| matches!(one, Action::Tag { address: id, .. } if id == address);
            self.effects.retain(|effect| !of_it(&effect.action));
        }
        let firm_until = now + settle * 1000 / FLICKERS;
        self.effects.extend(Effect::of(action, outcome, now, firm_until));
    }

    /// An address that was put on an IP again is there, wherever it was taken off before.
    fn is_back(&mut self, id: &AllocationId) {
        for effect in &mut self.effects {
            if let Action::Disassociate { address, .. } = &effect.action
                && address == id
            {
                effect.outcome = Outcome::AlreadySo;
            }
        }
    }

    /// Remembers that a call failed, and how long to leave it.
    pub fn failed(&mut self, uid: &Uid, action: &Action, failure: &Failure, now: u64, settle: u64) {
        if failure.meaning == Meaning::Lost {
            let until = now + (settle + ALLOCATE_TIMEOUT) * 1000;
            match action {
                Action::Allocate { uid, .. } | Action::Tag { uid, .. } => {
                    self.lost.insert(uid.clone(), until);
                }
                Action::Associate { .. } | Action::Disassociate { .. } => {
                    self.unsure.insert(uid.clone(), until);
                }
                _ => {}
            }
            self.effects.iter_mut().for_each(|effect| effect.doubt(action));
        }
        let urgent = matches!(action, Action::Disassociate { .. } | Action::Clear { .. });
        let longest = if urgent { URGENT_PAUSE } else { LONGEST_PAUSE };
        let count = self.backoff.get(uid).map_or(1, |setback| setback.count.saturating_add(1));
        let seconds = match failure.meaning {
            Meaning::Slow | Meaning::Stop => longest,
            _ => (FIRST_PAUSE << count.saturating_sub(1).min(8)).min(longest),
        };
        let until = now + seconds * 1000 + spread(uid, count, seconds);
        if urgent {
            self.urgent.insert(uid.clone(), until);
        }
        if failure.meaning == Meaning::Stop {
            let (until, failure) = (now + longest * 1000, failure.clone());
            let setback = Setback { verb: action.verb(), until, count: 1, failure };
            self.stopped.insert(action.verb().to_owned(), setback);
            return;
        }
        // A lesser failure does not shorten the pause after a greater one.
        if self.backoff.get(uid).is_none_or(|setback| setback.until < until) {
            let (verb, failure) = (action.verb(), failure.clone());
            self.backoff.insert(uid.clone(), Setback { verb, until, count, failure });
        }
    }

    /// Milliseconds until the next pause is over, if there is one.
    pub fn next_due(&self, now: u64) -> Option<u64> {
        let setbacks = self.backoff.values().chain(self.stopped.values()).map(|s| s.until);
        let settling = self.settling();
        setbacks
            .chain(settling.into_values())
            .chain(self.unsure.values().map(|until| (*until).min(self.last_look() + UNSURE_LOOK)))
            .chain(self.dwelling().map(|(_, until)| until))
            .chain(self.urgent.values().copied())
            .chain(self.missing.values().map(|since| self.looks_for_again(*since)))
            .chain(self.terminating.values().map(|(_, until)| *until))
            // What the last look still held back is due, be it over by now.
            .filter(|until| *until > self.last_look())
            .min()
            .map(|until| until.saturating_sub(now))
    }

    fn recent(&self, now: u64) -> Recent {
        let pause = |setback: &Setback| Pause {
            seconds: seconds(setback.until, now),
            reason: setback.failure.code.clone(),
            message: setback.failure.message.clone(),
        };
        let due = |setback: &&Setback| setback.until > now;
        Recent {
            settling: self
                .settling()
                .into_iter()
                .map(|(uid, at)| (uid, seconds(at, now)))
                .collect(),
            terminating: self
                .terminating
                .iter()
                .map(|(uid, (since, _))| (uid.clone(), now.saturating_sub(*since) / 1000))
                .collect(),
            backoff: self
                .backoff
                .iter()
                .filter(|(_, setback)| due(setback))
                .map(|(uid, setback)| (uid.clone(), pause(setback)))
                .collect(),
            stopped: self
                .stopped
                .iter()
                .map(|(verb, setback)| (verb.clone(), pause(setback)))
                .collect(),
            unclaimed: self.unclaimed.iter().map(|(id, ms)| (id.clone(), ms / 1000)).collect(),
            orphans_released: self.orphans_released.len() as u64,
            dwelling: self
                .dwelling()
                .filter(|(_, until)| *until > now)
                .map(|(uid, until)| (uid.clone(), seconds(until, now)))
                .collect(),
            carriers: BTreeMap::new(),
            served: self.served.clone(),
        }
    }

    /// Shows in the snapshot what we did and the listing does not show yet. A purchase and an
    /// association are forgotten soon after they were seen, so that a person who undoes them is
    /// noticed at once; ids that were ended or released never come back, so those are remembered
    /// until they are surely gone.
    fn read_own_writes(&mut self, snapshot: &mut Snapshot, now: u64) {
        let Some(observed) = snapshot.addresses.known() else { return };
        let ended: BTreeSet<String> = self
            .effects
            .iter()
            .filter_map(|effect| match &effect.action {
                Action::Disassociate { association, .. } => Some(association.clone()),
                _ => None,
            })
            .collect();
        self.effects.retain_mut(|effect| effect.see(observed, &ended, now));
        let unseen = |effect: &&Effect| !effect.is_shown(observed, &ended);
        let unseen: Vec<&Effect> = self.effects.iter().filter(unseen).collect();
        for effect in unseen {
            match &effect.action {
                Action::Release { address, .. } => {
                    if let Some(addresses) = snapshot.addresses.known_mut() {
                        addresses.remove(address);
                    }
                }
                action => {
                    // The quota's count is read apart and knows of these.
                    let quota = snapshot.quota.take();
                    apply(snapshot, action, &effect.outcome);
                    snapshot.quota = quota;
                }
            }
        }
    }

    fn see_settling(&mut self, snapshot: &Snapshot, now: u64, settle: u64) {
        let Some(addresses) = snapshot.addresses.known() else { return };
        for (id, address) in addresses {
            let uid = &address.eip;
            // The purchase whose answer was lost has shown.
            if self.seen.insert((uid.clone(), id.clone()), now + settle).is_none() {
                self.lost.remove(uid);
            }
            self.intents.insert(uid.clone(), now);
        }
        let Some(eips) = snapshot.eips.known() else { return };
        // One that records an address was held before, whoever took our finalizer off.
        for eip in eips.values().filter(|eip| eip.held || eip.status.allocation.is_some()) {
            self.intents.entry(eip.uid.clone()).or_insert(now + settle);
        }
        // One list without an Eip is no proof that it is gone.
        let living: BTreeSet<&Uid> = eips.values().map(|eip| &eip.uid).collect();
        self.intents.retain(|uid, until| living.contains(uid) || *until + settle > now);
        self.moves.retain(|uid, (at, _)| living.contains(uid) || *at + HOUR > now);
        self.lost.retain(|_, until| *until > now);
        self.seen.retain(|_, until| *until > now);
    }

    /// By Eip uid: until when its address stays where it was put. By pod uid: until when its
    /// annotations stay as they are.
    fn dwelling(&self) -> impl Iterator<Item = (&Uid, u64)> {
        let moved = self.moves.iter().filter(|(_, (_, again))| *again);
        moved.map(|(uid, (at, _))| (uid, at + DWELL * 1000))
    }

    /// By Eip uid: until when an address of it may be on its way, or be there unseen.
    fn settling(&self) -> BTreeMap<Uid, u64> {
        let mut settling = self.intents.clone();
        let others = self.lost.iter().map(|(uid, until)| (uid, *until));
        for (uid, until) in others.chain(self.seen.iter().map(|((uid, _), until)| (uid, *until))) {
            let latest = settling.entry(uid.clone()).or_insert(until);
            *latest = until.max(*latest);
        }
        settling
    }

    fn last_look(&self) -> u64 {
        self.looked.unwrap_or(0)
    }
}

/// Seconds until then, from now.
fn seconds(until: u64, now: u64) -> u64 {
    until.saturating_sub(now).div_ceil(1000)
}

/// Up to a fifth of the pause more, different for each claim and time, the same in every run: so
/// that claims which failed together are not tried again together.
fn spread(uid: &Uid, count: u32, seconds: u64) -> u64 {
    let hash = digest(format!("{uid}/{count}").as_bytes());
    let part = u64::from_str_radix(&hash[..4], 16).unwrap_or(0); // four hexadecimal digits
    seconds * 200 * part / 0xffff
}

#[cfg(test)]
mod tests;

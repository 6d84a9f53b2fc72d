//! What must hold whatever happens, checked on what AWS and the cluster really hold.
//!
//! Each check names its invariant: S for safety, after every single step; L for what must have
//! come about once faults have stopped and the operators have had their time.

mod calls;
mod exposure;
mod liveness;
mod purchases;

pub use self::calls::is_ours;
pub use self::liveness::liveness;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use eip_operator::plan::action::{Action, Reason};
use eip_operator::plan::claims::eligible;
use eip_operator::plan::forecast::Outcome;
use eip_operator::plan::meaning::Meaning;
use eip_operator::plan::snapshot::{AllocationId, Eip, Key, Pod, Settings, Snapshot, Uid};

use self::calls::{annotate, announced_no_more, delete, owned, read_completely, release};
use super::cluster::Cluster;
use super::ec2::{Account, Lag};
use super::scenario::{Kind, SECOND, Scenario, User};
use super::world::UID;

/// `EC2_SETTLE`.
pub const SETTLE: u64 = 300 * SECOND;
/// How old a confirming read may be when its call is sent.
const CONFIRMED: u64 = 2 * SECOND;
/// Between two tries of what a person must mend first; a step that succeeds in between may be what
/// mended it.
const SLOW: u64 = 20 * SECOND;
/// Between two moves of one address.
const DWELL: u64 = 60 * SECOND;
/// The CNI keeps an IP for thirty seconds; five are for what lies between.
const BOUND_BY: u64 = 25 * SECOND;

type Check = Result<(), String>;

/// When a call takes effect, was sent, was confirmed, and when its cycle looked.
#[derive(Clone, Debug)]
pub struct Moment<'a> {
    pub now: u64,
    pub sent: u64,
    /// When the first of the reads that confirmed it was sent.
    pub asked_at: u64,
    pub confirmed_at: u64,
    pub observed_at: u64,
    /// Until when its cycle may send changes.
    pub deadline: Option<u64>,
    /// The process that sent it; none if it has ended meanwhile, and so have those below.
    pub life: Option<Life>,
    pub reason: Option<Reason>,
    /// What it acts on.
    pub snapshot: Option<&'a Snapshot>,
}

/// What has been done so far, as far as a later check needs it.
#[derive(Clone, Debug, Default, Hash)]
pub struct Ledger {
    /// By Eip uid: when addresses were bought for it, or taken up.
    bought: BTreeMap<Uid, Vec<u64>>,
    /// By Eip uid: addresses that were given back, by us or by a person.
    gone: BTreeMap<Uid, u64>,
    /// Eips and the addresses they took up.
    tagged: BTreeSet<(Uid, AllocationId)>,
    /// Eips whose finalizer a stranger has taken off.
    pub stripped: BTreeSet<Uid>,
    /// Addresses whose tags a person has taken off: they are nobody's, whatever is written on them.
    pub untagged: BTreeSet<AllocationId>,
    /// Eips whose address a person has released.
    pub robbed: BTreeSet<Uid>,
    /// By address: the pod that holds its IP and should not, and since when.
    exposed: BTreeMap<AllocationId, (Uid, u64)>,
    /// By address: the pod of its Eip that it was last on.
    rightful: BTreeMap<AllocationId, Uid>,
    /// By process and Eip: when it was told of an association; by process and pod: of annotations.
    moves: BTreeMap<(Life, Uid), Vec<u64>>,
    /// Releases that a process was told of, and of which of them no Eip was left.
    released: BTreeMap<Life, Vec<(AllocationId, u64, bool)>>,
    /// By process, Eip and verb: when it was last told that a person must mend something.
    refused: BTreeMap<(Life, Uid, &'static str), u64>,
    /// What has been asked again too soon.
    hasty: Option<String>,
    /// By process: when it last could not read the addresses or the Eips.
    interrupted: BTreeMap<Life, u64>,
    /// Since when the definition is being deleted.
    ends_since: Option<u64>,
    /// By pod: when a call of a process that had ended annotated it.
    annotated_late: BTreeMap<Uid, u64>,
}

/// A process: its place, and when it began.
pub type Life = (usize, u64);

impl Ledger {
    /// A person has released an address of this Eip.
    pub fn taken(&mut self, eip: &Uid) {
        *self.gone.entry(eip.clone()).or_default() += 1;
        self.robbed.insert(eip.clone());
    }

    /// A process could not read the addresses or the Eips.
    pub fn interrupted(&mut self, life: Life, now: u64) {
        self.interrupted.insert(life, now);
    }

    /// The definition of Eips is being deleted.
    pub fn definition_deleted(&mut self, now: u64) {
        self.ends_since.get_or_insert(now);
    }

    /// A process is told that a call of its was not carried out.
    pub fn refused(
        &mut self,
        life: Life,
        uid: Uid,
        verb: &'static str,
        meaning: Meaning,
        now: u64,
    ) {
        let purchase = matches!(verb, "allocate" | "associate" | "release");
        if meaning != Meaning::Slow || !purchase {
            return;
        }
        let last = self.refused.insert((life, uid.clone(), verb), now);
        if let Some(last) = last.filter(|last| last + SLOW > now) {
            self.hasty = Some(format!("S13: {verb} for {uid} again at {now}, after {last}"));
        }
    }

    /// A process is told that a call of its was carried out.
    pub fn heard(&mut self, life: Life, claim: Option<Uid>, action: &Action, now: u64) -> Check {
        match (action, claim) {
            (Action::Associate { .. }, Some(uid)) => {
                let moves = self.moves.entry((life, uid)).or_default();
                // The first brings the address, the second moves it, and others wait.
                let soon = moves.len() > 1 && moves.last().is_some_and(|at| at + DWELL > now);
                moves.push(now);
                need(!soon, || format!("S13: an address is moved again too soon: {moves:?}"))
            }
            (Action::Clear { uid, .. }, _) => {
                self.moves.remove(&(life, uid.clone())); // it is another beginning
                Ok(())
            }
            (Action::Annotate { uid, .. }, _) => {
                let times = self.moves.entry((life, uid.clone())).or_default();
                let soon = times.len() > 1 && times.last().is_some_and(|at| at + DWELL > now);
                times.push(now);
                need(!soon, || format!("S13: pod {uid} is annotated again too soon: {times:?}"))
            }
            (Action::Release { address, orphan, .. }, _) => {
                let released = self.released.entry(life).or_default();
                let again = released.iter().any(|(one, _, _)| one == address);
                released.push((address.clone(), now, *orphan));
                need(!again, || format!("S13: {address} is released twice"))
            }
            _ => Ok(()),
        }
    }

    /// S14: what has no Eip goes on request only, after its time, and not too many.
    fn orphan(
        &self,
        address: &AllocationId,
        uid: &Uid,
        cluster: &Cluster,
        at: &Moment<'_>,
    ) -> Check {
        let Some((life, snapshot)) = at.life.zip(at.snapshot) else { return Ok(()) };
        let began = life.1;
        let settings = &snapshot.settings;
        let grace = settings.orphan_grace * SECOND;
        need(settings.release_orphans, || format!("S14: {address} goes, and nobody asked"))?;
        need(at.sent >= began + grace, || format!("S14: {address} goes soon after the start"))?;
        let blind = self.interrupted.get(&life).copied();
        need(blind.is_none_or(|blind| at.sent >= blind + grace), || {
            format!("S14: {address} goes, and its time was interrupted at {blind:?}")
        })?;
        let gone = cluster.gone_since.get(uid).copied().unwrap_or(0);
        need(cluster.eip(uid).is_none() && gone + grace <= at.sent, || {
            format!("S14: {address} goes, and its Eip was there until {gone}")
        })?;
        let most = settings.max_releases.unwrap_or(u64::MAX);
        let released = self.released.get(&life).map_or(&[][..], Vec::as_slice);
        let recent = |then: u64| then + 3_600 * SECOND > at.sent;
        let times = released.iter().filter(|(_, then, orphan)| *orphan && recent(*then));
        let times = times.count() as u64;
        need(times < most, || format!("S14: {address} is one too many in an hour"))
    }

    /// A call is about to take effect.
    pub fn before(
        &mut self,
        action: &Action,
        account: &Account,
        cluster: &Cluster,
        at: &Moment<'_>,
        scenario: &Scenario,
    ) -> Check {
        // What undoes an association that went wrong is sent at any time.
        let undoes = matches!(
            (action, &at.reason),
            (Action::Disassociate { .. }, Some(Reason::PodIsRunning { .. }))
        );
        need(undoes || at.deadline.is_none_or(|deadline| at.sent <= deadline), || {
            format!("S15: sent at {}, and its cycle had until {:?}", at.sent, at.deadline)
        })?;
        read_completely(action, at)?;
        let since = at.observed_at.saturating_sub(lag(scenario));
        match action {
            Action::Allocate { eip, uid, .. } => {
                self.allocate(eip, uid, account, cluster, at, scenario)
            }
            Action::Release { address, eip, eip_uid, orphan, .. } => {
                let ends = self.ends_since.filter(|_| !cluster.definition.release_all);
                need(ends.is_none_or(|since| since > at.observed_at), || {
                    format!("S14: {address} goes while the definition is being deleted")
                })?;
                self.protected(address, eip_uid, cluster, at, scenario)?;
                if *orphan {
                    let undated = account.elastics.get(address).filter(|one| {
                        one.tags().allocated_at.is_none()
                            && one.tagged_at() + lag(scenario) < at.sent
                    });
                    need(undated.is_none(), || format!("S14: {address} goes and bears no date"))?;
                    self.named(eip, cluster, at, scenario)?;
                    self.orphan(address, eip_uid, cluster, at)?;
                }
                // Two leaders may each keep what the other takes for a surplus (seed 27019).
                let doubled = self.bought.get(eip_uid).is_some_and(|times| times.len() > 1);
                if scenario.second && doubled {
                    return Ok(());
                }
                // A fresh read of the address has confirmed it.
                release(address, account, cluster, at.confirmed_at.saturating_sub(lag(scenario)))
            }
            Action::Associate { address, private_ip, pod, pod_uid, .. } => {
                let found = owned(account, cluster, address, "associated", since)?;
                let (of, to) = (&found.tags().namespace, &pod.namespace);
                need(of == to || found.tags().namespace.is_empty(), || {
                    format!("S7: {address} of {of} goes to pod {pod}")
                })?;
                let timely = scenario.cool_down >= 30 * SECOND
                    && at.now - at.confirmed_at <= BOUND_BY
                    && at.sent - at.confirmed_at <= CONFIRMED;
                let stranger = cluster.holder(*private_ip).filter(|(uid, _)| uid != pod_uid);
                need(!timely || stranger.is_none(), || {
                    format!("S6: {address} goes to {private_ip}, which {stranger:?} holds")
                })?;
                need(at.sent - at.confirmed_at <= CONFIRMED, || {
                    format!(
                        "S6: {address} is associated on a read {} ms old",
                        at.sent - at.confirmed_at
                    )
                })
            }
            Action::Tag { address, eip, uid, from, .. } => {
                let found = owned(account, cluster, address, "tagged", since)?;
                let (tags, lives) = (found.tags(), cluster.eip(from).is_some());
                let same = (&tags.namespace, &tags.name) == (&eip.namespace, &eip.name);
                need(uid == from || !lives && (same || tags.namespace.is_empty()), || {
                    format!("S1: {address} is taken from {from} for {uid}")
                })
            }
            Action::Disassociate { address, association, .. } => {
                let there = account.elastics.get(address).filter(|one| one.exists());
                let Some(there) = there else { return Ok(()) };
                owned(account, cluster, address, "disassociated", since)?;
                let late = &self.annotated_late;
                announced_no_more((address, association), there, cluster, late, at, scenario)
            }
            Action::LetGo { eip, uid } => {
                // What another leader bought and EC2 does not show yet cannot be known (seed 16218).
                let unknown = if scenario.second { lag(scenario) } else { 0 };
                let left = account.of(uid).find(|(_, one)| one.tagged_at() + unknown <= at.now);
                need(left.is_none(), || format!("S5: eip {eip} is let go while it has {left:?}"))?;
                // Another of its name has a status of its own (seed 42560).
                let recorded = cluster.eip(uid).and_then(|(_, eip)| eip.status.allocation.as_ref());
                // That its tags are gone is shown after a while too.
                let hidden = recorded.filter(|id| self.untagged.contains(*id)).and_then(|id| {
                    let there = account.elastics.get(id).filter(|one| one.exists())?;
                    (there.tagged_at().max(there.born) + lag(scenario) < at.observed_at)
                        .then_some(there)
                });
                need(hidden.is_none(), || {
                    format!("S5: eip {eip} is let go while {recorded:?} is there without our tags")
                })
            }
            Action::Annotate { uid, .. } => {
                match at.life {
                    None => self.annotated_late.insert(uid.clone(), at.now),
                    Some(_) => self.annotated_late.remove(uid),
                };
                annotate(action, account, cluster, at, scenario)
            }
            Action::Delete { eip, uid, pod_uid } => delete(eip, uid, pod_uid, cluster, at),
            _ => Ok(()),
        }
    }

    /// S14, on what a person protects: a fresh read of its Eip tells. An Eip whose finalizer a
    /// stranger has taken off is gone, and protects nothing any more (seed 4121).
    fn protected(
        &self,
        id: &AllocationId,
        uid: &Uid,
        cluster: &Cluster,
        at: &Moment<'_>,
        scenario: &Scenario,
    ) -> Check {
        let since = cluster.eip(uid).and_then(|_| cluster.protected_since.get(uid));
        let known = since.is_some_and(|since| *since < at.asked_at);
        need(!scenario.settings.protect && !known, || format!("S14: {id} goes and is protected"))
    }

    /// S14, on names: none of an Eip that is there, and none while there are no Eips at all.
    fn named(&self, key: &Key, cluster: &Cluster, at: &Moment<'_>, scenario: &Scenario) -> Check {
        let fresh = at.now - at.confirmed_at <= CONFIRMED + SECOND;
        // One that was made after the fresh read began could not be seen by it.
        let made = |eip: &Eip| eip.created.parse::<u64>().unwrap_or(0);
        let there = cluster.eips.get(key);
        let late = there.is_none_or(|eip| made(eip) > at.asked_at);
        need(late && (there.is_none() || fresh && at.sent > at.confirmed_at), || {
            format!("S14: what has no Eip is released while {key} is there")
        })?;
        // The last one may go after the look, and a stale list may still show it (seed 17336).
        let last = cluster.gone_since.values().max().copied().unwrap_or(0);
        let stale =
            scenario.faults.iter().any(|fault| matches!(fault.kind, Kind::StaleLists { .. }));
        need(!cluster.eips.is_empty() || last > at.observed_at || stale, || {
            format!("S14: what {key} had is released while there are no Eips at all")
        })
    }

    /// A call has taken effect.
    pub fn after(&mut self, action: &Action, outcome: &Outcome, now: u64) {
        match (action, outcome) {
            (Action::Allocate { uid, .. }, Outcome::Allocated { .. }) => {
                self.bought.entry(uid.clone()).or_default().push(now);
            }
            (Action::Tag { uid, from, address, .. }, _)
                if uid != from
                    && !self.untagged.contains(address)
                    && self.tagged.insert((uid.clone(), address.clone())) =>
            {
                self.bought.entry(uid.clone()).or_default().push(now);
            }
            (Action::Release { eip_uid, .. }, _) => {
                *self.gone.entry(eip_uid.clone()).or_default() += 1;
            }
            _ => {}
        }
    }
}

/// Whether somebody else changes our addresses.
fn strangers(scenario: &Scenario) -> bool {
    let acts = |user: &User| {
        matches!(
            user,
            User::Release { .. }
                | User::Disassociate { .. }
                | User::Move { .. }
                | User::LoseNode { .. }
        )
    };
    scenario.second || scenario.deeds.iter().any(|(_, user)| acts(user))
}

/// How late a change of EC2's may be shown.
pub fn lag(scenario: &Scenario) -> u64 {
    match scenario.lag {
        Lag::None => 0,
        Lag::UpTo(most) | Lag::Flickers(most) => most,
    }
}

fn target(pod: &Pod) -> Option<Ipv4Addr> {
    eligible(pod, &Settings::default()).ok()
}

fn need(holds: bool, or: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(or()) }
}

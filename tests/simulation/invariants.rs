//! What must hold whatever happens, checked on what AWS and the cluster really hold.
//!
//! Each check names its invariant: S for safety, after every single step; L for what must have
//! come about once faults have stopped and the operators have had their time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use eip_operator::plan::action::{Action, Reason};
use eip_operator::plan::claims::eligible;
use eip_operator::plan::forecast::Outcome;
use eip_operator::plan::meaning::Meaning;
use eip_operator::plan::snapshot::{AllocationId, Eip, Key, Pod, Settings, Snapshot, Uid};

use super::cluster::Cluster;
use super::ec2::{Account, Elastic, Lag, Tags};
use super::scenario::{Kind, SECOND, Scenario, User};
use super::world::{INTERVAL, NAME, UID, World};

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
    /// By process and Eip: when it was told of an association.
    moves: BTreeMap<(Life, Uid), Vec<u64>>,
    /// Releases that a process was told of, and of which of them no Eip was left.
    released: BTreeMap<Life, Vec<(AllocationId, u64, bool)>>,
    /// By process, Eip and verb: when it was last told that a person must mend something.
    refused: BTreeMap<(Life, Uid, &'static str), u64>,
    /// What has been asked again too soon.
    hasty: Option<String>,
    /// Since when the definition is being deleted.
    ends_since: Option<u64>,
}

/// A process: its place, and when it began.
pub type Life = (usize, u64);

impl Ledger {
    /// A person has released an address of this Eip.
    pub fn taken(&mut self, eip: &Uid) {
        *self.gone.entry(eip.clone()).or_default() += 1;
        self.robbed.insert(eip.clone());
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
            (Action::Release { address, absent, .. }, _) => {
                let released = self.released.entry(life).or_default();
                let again = released.iter().any(|(one, _, _)| one == address);
                released.push((address.clone(), now, absent.is_some()));
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
            Action::Release { address, eip_uid, absent, .. } => {
                let ends = self.ends_since.filter(|_| !cluster.definition.release_all);
                need(ends.is_none_or(|since| since > at.observed_at), || {
                    format!("S14: {address} goes while the definition is being deleted")
                })?;
                if let Some(key) = absent {
                    self.named(key, cluster, at)?;
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
            Action::Disassociate { address, .. } => {
                let there = account.elastics.get(address).filter(|one| one.exists());
                let Some(there) = there else { return Ok(()) };
                owned(account, cluster, address, "disassociated", since)?;
                announced_no_more(address, there, cluster, at, scenario)
            }
            Action::LetGo { eip, uid } => {
                // What another leader bought and EC2 does not show yet cannot be known (seed 16218).
                let unknown = if scenario.second { lag(scenario) } else { 0 };
                let left = account.of(uid).find(|(_, one)| one.tagged_at() + unknown <= at.now);
                need(left.is_none(), || format!("S5: eip {eip} is let go while it has {left:?}"))
            }
            Action::Annotate { .. } => annotate(action, account, cluster, at, scenario),
            Action::Delete { eip, uid, pod_uid } => delete(eip, uid, pod_uid, cluster, at),
            _ => Ok(()),
        }
    }

    /// S14, on names: none of an Eip that is there, and none while there are no Eips at all.
    fn named(&self, key: &Key, cluster: &Cluster, at: &Moment<'_>) -> Check {
        let fresh = at.now - at.confirmed_at <= CONFIRMED + SECOND;
        let there = cluster.eips.contains_key(key);
        need(!there || fresh && at.sent > at.confirmed_at, || {
            format!("S14: what has no Eip is released while {key} is there")
        })
    }

    fn allocate(
        &mut self,
        key: &Key,
        uid: &Uid,
        account: &Account,
        cluster: &Cluster,
        at: &Moment<'_>,
        scenario: &Scenario,
    ) -> Check {
        // Lost intent within the two seconds before the call was sent is nobody's fault.
        let found = cluster.eip(uid).map(|(_, eip)| eip);
        let fit = found.is_some_and(|eip| eip.held && !eip.deleting);
        let since = cluster.unfit_since.get(uid).copied();
        let excused = since.is_some_and(|since| since + CONFIRMED >= at.sent);
        need(fit || excused, || format!("S4: eip {key} is no longer to own an address"))?;
        // S18: what the status records is there, though perhaps without our tags.
        let recorded = found.and_then(|eip| eip.status.allocation.as_ref());
        let there = recorded.and_then(|id| account.elastics.get(id)).filter(|one| one.exists());
        let seen = at.observed_at.saturating_sub(60 * SECOND + lag(scenario));
        // A status that was forged after the look is not seen (seed 34244).
        let forged = |(at_, user): &(u64, User)| {
            matches!(user, User::ForgeStatus { .. }) && *at_ + SECOND * 60 > at.observed_at
        };
        let excused = scenario.second || scenario.deeds.iter().any(forged);
        need(excused || there.is_none_or(|one| one.born > seen), || {
            format!("S18: eip {key} buys although {recorded:?} is there")
        })?;
        // A person's Eip whose address is lost gets no other.
        let lost = found.is_some_and(|eip| eip.autocreated_for.is_none())
            && self.robbed.contains(uid)
            && recorded.is_some();
        need(!lost, || format!("S18: eip {key} had {recorded:?}, which is lost, and buys"))?;
        self.namesake(key, account, cluster, at, scenario)?;
        self.limit(key, account, at, scenario)?;
        let old = account.of(uid).find(|(_, one)| one.born + SETTLE < at.sent);
        need(old.is_none(), || {
            format!("S3: eip {key} buys again, and has had {old:?} for longer than the settle time")
        })?;
        if scenario.second {
            return Ok(());
        }
        // Without its finalizer an Eip looks as if nothing had ever been bought for it (seed 7411).
        if self.stripped.contains(uid) && lag(scenario) > 0 {
            return Ok(());
        }
        let bought = self.bought.get(uid).map_or(0, |times| times.len() as u64);
        let gone = self.gone.get(uid).copied().unwrap_or(0);
        need(bought <= gone, || format!("S3: eip {key} buys a second address"))
    }

    /// S18: what an Eip of this name had is taken up, not bought again.
    fn namesake(
        &self,
        key: &Key,
        account: &Account,
        cluster: &Cluster,
        at: &Moment<'_>,
        scenario: &Scenario,
    ) -> Check {
        let since = at.observed_at.saturating_sub(SETTLE.max(lag(scenario)) + 60 * SECOND);
        let of_name = account.living().find(|(_, one)| {
            let tags = one.tags();
            let gone = cluster.gone_since.get(&tags.eip).is_some_and(|at| *at < since);
            tags.cluster_uid.as_deref() == Some(UID)
                && (&tags.namespace, &tags.name) == (&key.namespace, &key.name)
                && one.born < since
                && gone
        });
        need(of_name.is_none() || scenario.second, || {
            format!("S18: eip {key} buys although {of_name:?} had its name")
        })
    }

    /// NAMESPACE_LIMIT, on what must have been seen.
    fn limit(&self, key: &Key, account: &Account, at: &Moment<'_>, scenario: &Scenario) -> Check {
        let Some(limit) = scenario.settings.namespace_limit else { return Ok(()) };
        let since = at.observed_at.saturating_sub(lag(scenario));
        let seen = account.living().filter(|(_, one)| {
            let tags = one.tags();
            let ours = tags.cluster_uid.as_deref() == Some(UID) && tags.namespace == key.namespace;
            ours && one.born < since && one.tagged_at() < since
        });
        let held: BTreeSet<&Uid> = seen.map(|(_, one)| &one.tags().eip).collect();
        need((held.len() as u64) < limit, || {
            format!("S14: eip {key} is beyond the limit of its namespace: {held:?}")
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

    /// S6b, after every step: nobody is exposed for longer than the operator needs to see it.
    pub fn state(
        &mut self,
        now: u64,
        account: &Account,
        cluster: &Cluster,
        scenario: &Scenario,
    ) -> Check {
        if let Some(hasty) = self.hasty.take() {
            return Err(hasty);
        }
        if scenario.cool_down == 0 {
            return Ok(());
        }
        let exposed = exposures(account, cluster);
        self.exposed.retain(|id, (uid, _)| exposed.get(id) == Some(uid));
        for (id, uid) in exposed {
            let (_, since) = self.exposed.entry(id.clone()).or_insert((uid.clone(), now));
            let bound = (*since).max(trouble_until(scenario, now)) + patience(scenario);
            if now > bound {
                return Err(format!(
                    "S6b: {id} has been on pod {uid}, which it does not belong to, since {since}"
                ));
            }
        }
        Ok(())
    }
}

/// Addresses of living Eips on IPs that a pod holds which is not the one the Eip names.
fn exposures(account: &Account, cluster: &Cluster) -> BTreeMap<AllocationId, Uid> {
    let mut found = BTreeMap::new();
    for (id, one) in account.living() {
        let Some(association) = one.association() else { continue };
        let Some((holder, _)) = cluster.holder(association.private_ip) else { continue };
        let Some((key, eip)) = cluster.eip(&one.tags().eip) else { continue };
        if one.tags().cluster_name.is_empty() {
            continue; // a person took its tags off: it is not ours any more
        }
        let target = cluster.pods.get(&key.sibling(&eip.pod)).map(|live| &live.seen.uid);
        if target != Some(holder) {
            found.insert(id.clone(), holder.clone());
        }
    }
    found
}

/// Until when something kept the operator from seeing or doing what it should.
fn trouble_until(scenario: &Scenario, now: u64) -> u64 {
    let faults = scenario.faults.iter().filter(|fault| fault.from <= now).map(|fault| fault.until);
    let halts =
        scenario.deeds.iter().filter(|(at, _)| *at <= now).filter_map(|(at, user)| match user {
            User::Crash { .. } => Some(at + 20 * SECOND),
            User::Pause { millis, .. } => Some(at + millis),
            _ => None,
        });
    faults.chain(halts).max().unwrap_or(0)
}

/// How long it may take to end an exposure once nothing is in the way.
fn patience(scenario: &Scenario) -> u64 {
    // What a person does in the AWS console is not watched, but looked at once in an interval.
    let silent = scenario.faults.iter().any(|fault| fault.kind == Kind::Silence)
        || scenario.deeds.iter().any(|(_, user)| matches!(user, User::Move { .. }));
    let late = scenario.faults.iter().any(|fault| matches!(fault.kind, Kind::Late { .. }));
    let usual = 10 * SECOND;
    // While everything is read slowly a look takes half a minute, and what has just been missed is
    // seen by the next one.
    let usual = if scenario.slow { usual + 60 * SECOND } else { usual };
    usual + lag(scenario) + if silent { INTERVAL } else { 0 } + if late { 15 * SECOND } else { 0 }
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

/// `since`: what has changed before then is shown to everybody.
fn owned<'a>(
    account: &'a Account,
    cluster: &Cluster,
    id: &AllocationId,
    verb: &str,
    since: u64,
) -> Result<&'a Elastic, String> {
    let found = account.elastics.get(id).ok_or_else(|| format!("S1: {id} was never there"))?;
    // Until the settle time is over what we bought is believed to be there although the listing does
    // not show it, for that is how a lag looks (seed 304).
    // So is one without a cluster uid whose Eip goes while a call is under way (seed 109893).
    let gone = cluster.gone_since.get(&found.tags().eip).is_some_and(|at| *at > since);
    let unsettled = found.born + SETTLE > since || found.tagged_at() > since || gone;
    let ours = is_ours(found.tags(), cluster) || unsettled;
    need(ours, || format!("S1: {id} is {verb} and is not ours"))?;
    Ok(found)
}

pub fn is_ours(tags: &Tags, cluster: &Cluster) -> bool {
    let of_cluster = match &tags.cluster_uid {
        Some(uid) => uid == UID,
        None => cluster.eip(&tags.eip).is_some(),
    };
    of_cluster && tags.cluster_name == NAME && !tags.eip.is_empty()
}

fn release(id: &AllocationId, account: &Account, cluster: &Cluster, since: u64) -> Check {
    if !account.elastics.get(id).is_some_and(Elastic::exists) {
        return Ok(());
    }
    let found = owned(account, cluster, id, "released", since)?;
    let uid = &found.tags().eip;
    let lives = cluster.eip(uid).is_some_and(|(_, eip)| !eip.deleting);
    // A second one that a person has just released, or taken our tags off, may still be shown as
    // it was (seeds 79056 and 14879).
    let is_other = |(other, one): &(&AllocationId, &Elastic)| {
        let its = one.exists() && one.tags().eip == *uid;
        *other != id && (its || one.gone_at() > since || one.tagged_at() > since)
    };
    let others = account.elastics.iter().any(|other| is_other(&other));
    // EC2 may show a surplus address as idle that is not (seed 2242).
    let idle = found.association().is_none() || found.changed_at() > since;
    need(!lives || others && idle, || {
        format!("S2: {id} is released and is the address of a living Eip")
    })
}

/// S10: every part that a step depends on was read.
fn read_completely(action: &Action, at: &Moment<'_>) -> Check {
    let Some(snapshot) = at.snapshot else { return Ok(()) };
    let for_the_pod = !matches!(at.reason, Some(Reason::EipDeleted | Reason::Unclaimed { .. }));
    let needed: &[&str] = match action {
        Action::Release { .. } => &["addresses", "eips", "definition"],
        Action::LetGo { .. } => &["addresses", "eips"],
        Action::Allocate { .. } => &["addresses", "eips"],
        Action::Disassociate { .. } if !for_the_pod => &["addresses", "eips"],
        Action::Disassociate { .. } | Action::Delete { .. } => &["addresses", "eips", "pods"],
        Action::Associate { .. } => &["addresses", "eips", "pods", "nodes", "interfaces"],
        _ => &[],
    };
    // A deletion does not depend on addresses: what it leads to does.
    let needed = if matches!(action, Action::Delete { .. }) { &needed[1..] } else { needed };
    let unread = snapshot.unread();
    let missing = needed.iter().find(|part| unread.contains_key(**part));
    need(missing.is_none(), || format!("S10: {missing:?} was not read"))
}

/// S19: where nobody is exposed the annotations go before the association.
fn announced_no_more(
    id: &AllocationId,
    address: &Elastic,
    cluster: &Cluster,
    at: &Moment<'_>,
    scenario: &Scenario,
) -> Check {
    let forged = scenario
        .deeds
        .iter()
        .any(|(_, user)| matches!(user, User::ForgeAnnotations { .. } | User::SetManaged { .. }));
    let lost = scenario
        .faults
        .iter()
        .any(|fault| matches!(fault.kind, Kind::WritesLost | Kind::StaleLists { .. }));
    let voluntary = matches!(at.reason, Some(Reason::EipDeleted));
    let unread = at.snapshot.is_none_or(|snapshot| snapshot.pods.known().is_none());
    if forged || lost || unread || scenario.second || !voluntary {
        return Ok(());
    }
    let Some(association) = address.association() else { return Ok(()) };
    let announcing = cluster.pods.iter().find(|(_, live)| {
        live.seen.allocation.as_ref() == Some(id)
            && target(&live.seen) == Some(association.private_ip)
    });
    need(announcing.is_none(), || {
        format!("S19: {id} leaves while pod {:?} announces it", announcing.map(|(key, _)| key))
    })
}

fn annotate(
    action: &Action,
    account: &Account,
    cluster: &Cluster,
    at: &Moment<'_>,
    scenario: &Scenario,
) -> Check {
    let Action::Annotate { pod, uid, address, ip } = action else { return Ok(()) };
    let since = at.observed_at.saturating_sub(lag(scenario));
    let Some(live) = cluster.pods.get(pod).filter(|live| live.seen.uid == *uid) else {
        return Ok(()); // refused by the precondition
    };
    let found = owned(account, cluster, address, "announced", since)?;
    let tagged = !found.tags().namespace.is_empty();
    need(found.tags().namespace == pod.namespace || !tagged, || {
        format!("S7: {address} is announced by pod {pod} of another namespace")
    })?;
    // What has changed is seen when EC2 shows it, and then by the next cycle. What a stranger has
    // undone before it was shown to us cannot be told from what EC2 does not show yet (seeds 453
    // and 745).
    let blind = if strangers(scenario) { SETTLE } else { lag(scenario) };
    let since = at.observed_at.saturating_sub(blind);
    let there = match live.seen.ip {
        Some(IpAddr::V4(private)) => found.was_on(private, since),
        _ => false,
    };
    // A stale list shows the pod at an earlier IP; the address follows it at the next look.
    let stale = scenario.faults.iter().any(|fault| matches!(fault.kind, Kind::StaleLists { .. }));
    let moved = live.seen.sandbox_down || stale;
    need(found.ip == *ip && (there || moved), || {
        format!("S9: pod {pod} announces {ip}, and {address} is not on it")
    })
}

fn delete(eip: &Key, uid: &Uid, pod_uid: &Uid, cluster: &Cluster, at: &Moment<'_>) -> Check {
    let Some((_, found)) = cluster.eip(uid) else { return Ok(()) };
    need(found.autocreated_for.as_ref() == Some(pod_uid), || {
        format!("S20: eip {eip} was not made by the operator for pod {pod_uid}")
    })?;
    let asking = cluster.pods.get(eip).filter(|live| {
        let pod = &live.seen;
        pod.uid == *pod_uid && pod.managed && pod.autocreate && !pod.phase.is_terminal()
    });
    // A label that comes back within the two seconds of the confirming read is nobody's fault.
    let asks = asking.is_some_and(|live| live.labelled_at + CONFIRMED + SECOND < at.now);
    need(!asks, || format!("S20: eip {eip} is deleted while its pod asks for it"))
}

/// What should have come about, now that all has been quiet for long enough.
pub fn liveness(world: &World) -> Vec<String> {
    let (account, cluster) = (&world.account, &world.cluster);
    let mut found = Vec::new();
    for (key, eip) in &cluster.eips {
        if is_broken(world, key, eip) {
            continue;
        }
        if eip.deleting && cluster.definition.deleting && !cluster.definition.release_all {
            continue; // held until a person says that the addresses may go
        }
        if eip.deleting {
            found.push(format!("L2: eip {key} is still being deleted"));
            continue;
        }
        found.extend(settled(world, key, eip).err());
    }
    found.extend(orphans_left(world));
    for (key, live) in &cluster.pods {
        let pod = &live.seen;
        if let Some(id) = pod.allocation.as_ref().filter(|_| pod.managed) {
            let on = account.elastics.get(id).filter(|one| one.exists()).and_then(on);
            if pod.ip != on.map(IpAddr::V4) && pod.terminating.is_none() {
                found.push(format!("L1: pod {key} announces {id}, which is not on it"));
            }
        }
        let asks = pod.autocreate && target(pod).is_some();
        let named = cluster.eips.iter().any(|(eip_key, eip)| {
            eip_key == key || eip_key.namespace == key.namespace && eip.pod == key.name
        });
        let refused = world.scenario.broken.as_ref().is_some_and(|broken| {
            broken.verb == "create" && broken.namespace.is_none_or(|it| it == key.namespace)
        });
        if asks && !named && !refused && !cluster.definition.deleting {
            found.push(format!("L1: pod {key} asks for an Eip and has none"));
        }
    }
    found
}

/// L5 and L9: whether this Eip needs what EC2 never does.
fn is_broken(world: &World, key: &Key, eip: &Eip) -> bool {
    let Some(broken) = &world.scenario.broken else { return false };
    if broken.namespace.is_some_and(|namespace| namespace != key.namespace) {
        return false;
    }
    let own: Vec<_> = world.account.of(&eip.uid).collect();
    match broken.verb {
        "allocate" => own.is_empty() && !eip.deleting,
        "create" => false,
        "associate" => own.iter().any(|(_, one)| one.association().is_none()) && !eip.deleting,
        _ => eip.deleting || own.len() > 1,
    }
}

/// L3: with RELEASE_ORPHANS what has no Eip is gone, unless that would be too many.
fn orphans_left(world: &World) -> Option<String> {
    let (account, cluster, settings) = (&world.account, &world.cluster, &world.scenario.settings);
    let held = cluster.definition.deleting && !cluster.definition.release_all
        || world.scenario.broken.is_some();
    if !settings.release_orphans
        || cluster.eips.is_empty()
        || held
        || settings.max_releases != Some(50)
    {
        return None;
    }
    let left = account.living().find(|(_, one)| {
        let tags = one.tags();
        tags.cluster_uid.is_some()
            && tags.allocated_at.is_some()
            && is_ours(tags, cluster)
            && cluster.eip(&tags.eip).is_none()
            && !cluster.eips.contains_key(&Key::new(tags.namespace.clone(), tags.name.clone()))
    });
    left.map(|(id, one)| format!("L3: {id} of {:?} has no Eip and is still there", one.tags()))
}

fn on(elastic: &Elastic) -> Option<Ipv4Addr> {
    elastic.association().map(|one| one.private_ip)
}

fn target(pod: &Pod) -> Option<Ipv4Addr> {
    eligible(pod, &Settings::default()).ok()
}

fn settled(world: &World, key: &Key, eip: &Eip) -> Check {
    let (account, cluster) = (&world.account, &world.cluster);
    let pod_key = key.sibling(&eip.pod);
    let live = cluster.pods.get(&pod_key).map(|live| &live.seen);
    let mine = |pod: &&Pod| eip.autocreated_for.as_ref().is_none_or(|owner| *owner == pod.uid);
    let live = live.filter(mine);
    let rivals = cluster.eips.iter().filter(|(other, one)| {
        *other != key && other.namespace == key.namespace && one.pod == eip.pod
    });
    let contested = rivals.count() > 0;
    let own: Vec<_> = account.of(&eip.uid).collect();
    need(own.len() <= 1, || format!("L4: eip {key} has {} addresses", own.len()))?;
    let Some((id, one)) = own.first() else {
        let full = account.living().count() as u64 >= account.limit;
        let lost = world.ledger.robbed.contains(&eip.uid) && eip.autocreated_for.is_none();
        let never =
            live.is_some_and(|pod| pod.host_network || pod.ip.is_some_and(|ip| ip.is_ipv6()));
        let idle = eip.autocreated_for.is_some() && live.is_none_or(|pod| target(pod).is_none());
        let forged = matches!(&*eip.status.reason, "AddressLost" | "Untagged");
        let namespace_full = world.scenario.settings.namespace_limit.is_some_and(|limit| {
            let of_namespace = account.living().filter(|(_, one)| {
                one.tags().namespace == key.namespace && is_ours(one.tags(), cluster)
            });
            let uids: BTreeSet<&Uid> = of_namespace.map(|(_, one)| &one.tags().eip).collect();
            uids.len() as u64 >= limit
        });
        let untagged = world.ledger.robbed.contains(&eip.uid) && eip.status.reason == "Untagged";
        let full = full || namespace_full || untagged;
        let excused = full || lost || never || idle || contested || forged;
        return need(excused, || format!("L1: eip {key} has no address: {}", eip.status.reason));
    };
    if live.is_some_and(|pod| pod.terminating.is_some()) {
        return Ok(()); // on a lost node it stays so
    }
    let wanted = live.and_then(target);
    // A node that is lost has no interface any more. The address of an Eip that is gone is reported,
    // and left where it is unless an Eip of that name has the pod (seed 3718).
    let orphaned = |ip: &Ipv4Addr| {
        account.on(*ip).is_some_and(|(id, one)| {
            cluster
                .eip(&one.tags().eip)
                .is_none_or(|(_, eip)| account.of(&eip.uid).all(|(own, _)| own != id))
        })
    };
    let reachable = wanted
        .filter(|ip| account.interfaces.values().any(|(_, ips)| ips.contains(ip)))
        .filter(|ip| !orphaned(ip));
    let there = on(one);
    if contested {
        return need(there.is_none() || there == wanted, || {
            format!("L1: {id} of eip {key} is on {there:?}, which is not its pod's")
        });
    }
    need(there == reachable, || {
        format!("L1: {id} of eip {key} is on {there:?} and belongs on {reachable:?}")
    })?;
    let announced = live.is_none_or(|pod| {
        there.is_none()
            || pod.allocation.as_ref() == Some(*id) && pod.target.as_ref() == Some(&one.ip)
    });
    need(announced, || format!("L1: pod {pod_key} does not announce {id}"))?;
    need(eip.status.ready == there.is_some() && eip.status.ip.as_ref() == Some(&one.ip), || {
        format!("L1: the status of eip {key} says {:?}", eip.status)
    })
}

fn need(holds: bool, or: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(or()) }
}

//! What each call must find in AWS and in the cluster when it takes effect.

use std::collections::BTreeMap;
use std::net::IpAddr;

use eip_operator::plan::action::{Action, Reason};
use eip_operator::plan::snapshot::{AllocationId, Key, Uid};

use super::super::cluster::Cluster;
use super::super::ec2::{Account, Elastic, Tags};
use super::super::scenario::{Kind, SECOND, Scenario, User};
use super::super::world::{NAME, UID};
use super::{CONFIRMED, Check, Moment, SETTLE, lag, need, strangers, target};

/// `since`: what has changed before then is shown to everybody.
pub(super) fn owned<'a>(
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

pub(super) fn release(
    id: &AllocationId,
    account: &Account,
    cluster: &Cluster,
    since: u64,
) -> Check {
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
pub(super) fn read_completely(action: &Action, at: &Moment<'_>) -> Check {
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
pub(super) fn announced_no_more(
    (id, association): (&AllocationId, &str),
    address: &Elastic,
    cluster: &Cluster,
    annotated_late: &BTreeMap<Uid, u64>,
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
    // One that ended long ago, and is shown once more, is named in vain (seed 18865).
    let named = address.association().filter(|there| there.id == association);
    let Some(association) = named else { return Ok(()) };
    // A call of a process that has ended may still be on its way when its successor reads the pods;
    // it shows at the next look, and the annotations go then (the small world of an Eip that is
    // deleted while its pod gets the address and the operator is killed).
    let unseen = |key: &Key, uid: &Uid| {
        let read = at.snapshot.and_then(|snapshot| snapshot.pods.known()?.get(key));
        let announced = read.is_some_and(|pod| pod.allocation.as_ref() == Some(id));
        !announced && annotated_late.get(uid).is_some_and(|late| *late >= at.observed_at)
    };
    let announcing = cluster.pods.iter().find(|(key, live)| {
        live.seen.allocation.as_ref() == Some(id)
            && target(&live.seen) == Some(association.private_ip)
            && !unseen(key, &live.seen.uid)
    });
    need(announcing.is_none(), || {
        format!("S19: {id} leaves while pod {:?} announces it", announcing.map(|(key, _)| key))
    })
}

pub(super) fn annotate(
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
    // A stale list, or one that was read long ago, shows the pod at an earlier IP; the address
    // follows it at the next look (seed 59792).
    let stale = scenario.faults.iter().any(|fault| matches!(fault.kind, Kind::StaleLists { .. }));
    let moved = live.seen.sandbox_down || stale || scenario.slow;
    need(found.ip == *ip && (there || moved), || {
        format!("S9: pod {pod} announces {ip}, and {address} is not on it")
    })
}

pub(super) fn delete(
    eip: &Key,
    uid: &Uid,
    pod_uid: &Uid,
    cluster: &Cluster,
    at: &Moment<'_>,
) -> Check {
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

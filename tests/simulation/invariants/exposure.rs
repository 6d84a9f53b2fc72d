//! S6b: nobody is exposed for longer than the operator needs to see it. Checked after every step.

use std::collections::BTreeMap;

use eip_operator::plan::snapshot::{AllocationId, Uid};

use super::super::cluster::Cluster;
use super::super::ec2::Account;
use super::super::scenario::{Fault, Kind, SECOND, Scenario, User};
use super::super::world::INTERVAL;
use super::{Check, Ledger, is_ours, lag};

impl Ledger {
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
        let exposed = exposures(account, cluster, &mut self.rightful);
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
fn exposures(
    account: &Account,
    cluster: &Cluster,
    rightful: &mut BTreeMap<AllocationId, Uid>,
) -> BTreeMap<AllocationId, Uid> {
    let mut found = BTreeMap::new();
    for (id, one) in account.living() {
        let Some(association) = one.association() else { continue };
        let Some((holder, _)) = cluster.holder(association.private_ip) else { continue };
        if one.tags().cluster_name.is_empty() {
            continue; // a person took its tags off: it is not ours any more
        }
        let Some((key, eip)) = cluster.eip(&one.tags().eip) else {
            // Its Eip is gone, and so is the pod that had the IP when it came there. One that never
            // had an Eip, and was put there by a person, is seen on that pod first (seed 45524). One
            // that a person has moved to an IP which the pod of its Eip came to get is that pod's
            // (seed 31412).
            let (_, since) = cluster.holder(association.private_ip).expect("found above");
            let had = cluster.gone_since.contains_key(&one.tags().eip);
            let came_later = *since > one.changed_at() && rightful.get(id) != Some(holder);
            if had && is_ours(one.tags(), cluster) && came_later {
                found.insert(id.clone(), holder.clone());
            }
            continue;
        };
        let target = cluster.pods.get(&key.sibling(&eip.pod)).map(|live| &live.seen.uid);
        match target == Some(holder) {
            true => rightful.insert(id.clone(), holder.clone()),
            false => {
                rightful.remove(id);
                found.insert(id.clone(), holder.clone())
            }
        };
    }
    found
}

/// Until when something kept the operator from seeing or doing what it should.
fn trouble_until(scenario: &Scenario, now: u64) -> u64 {
    let ends = |fault: &Fault| match fault.kind {
        // The event of a change that a stale list does not show yet has been used up, and the next
        // look comes by the clock (seed 9285).
        Kind::StaleLists { .. } => fault.until + INTERVAL,
        _ => fault.until,
    };
    let faults = scenario.faults.iter().filter(|fault| fault.from <= now).map(ends);
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

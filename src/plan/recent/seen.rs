//! What a look has shown that a later one compares with: addresses without an Eip, the pods that
//! addresses were on, pods that are being deleted, and pod IPs that no interface shows.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{FIRST_PAUSE, HOUR, Memory};
use crate::plan::claims::{claims, drains_for};
use crate::plan::index::Index;
use crate::plan::look::{Lookup, lookups};
use crate::plan::rules::orphans::orphans;
use crate::plan::snapshot::{AllocationId, Snapshot, Uid};

/// One gap between two looks counts as at most this part of `ORPHAN_GRACE`, so that a process which
/// was stopped for an hour has not observed for an hour.
const GAPS: u64 = 5;

impl Memory {
    /// A look that did not see everything knows of no orphans, so that the count begins anew.
    pub(super) fn see_unclaimed(&mut self, snapshot: &Snapshot, now: u64) {
        self.orphans_released.retain(|at| at + HOUR > now);
        let longest = snapshot.settings.orphan_grace * 1000 / GAPS;
        let gap = self.looked.map_or(0, |at| now.saturating_sub(at)).min(longest);
        self.looked = Some(now);
        self.unclaimed = orphans(snapshot)
            .into_iter()
            .map(|(id, _)| (id.clone(), self.unclaimed.get(id).map_or(0, |before| before + gap)))
            .collect();
    }

    pub(super) fn see_carriers(&mut self, snapshot: &Snapshot) {
        let Some(pods) = snapshot.pods.known() else { return };
        for claim in claims(snapshot) {
            let Some(target) = claim.seat.keeps() else { continue };
            let here = claim.addresses.iter().filter(|(_, a)| a.private_ip == Some(target.ip));
            for (id, _) in here {
                self.carriers.insert((*id).clone(), target.pod.uid.clone());
            }
        }
        let mut places: BTreeMap<(&str, IpAddr), Vec<&AllocationId>> = BTreeMap::new();
        for (id, address) in orphans(snapshot) {
            let Some(ip) = address.private_ip else { continue };
            places.entry((&address.namespace, IpAddr::V4(ip))).or_default().push(id);
        }
        for (key, pod) in pods {
            let ids = pod.ip.and_then(|ip| places.remove(&(key.namespace.as_str(), ip)));
            for id in ids.into_iter().flatten() {
                self.carriers.entry(id.clone()).or_insert(pod.uid.clone());
            }
        }
        let seen: BTreeSet<&AllocationId> = self.seen.keys().map(|(_, id)| id).collect();
        self.carriers.retain(|id, _| seen.contains(id));
    }

    /// Remembers which pod IPs no interface of their node shows. Called at the end of each look;
    /// one that did not see everything says nothing of them.
    pub fn see_missing(&mut self, snapshot: &Snapshot) {
        if !snapshot.unread().is_empty() {
            return;
        }
        let index = Index::new(snapshot);
        let is_missing =
            |lookup: &Lookup| index.interface_with(&lookup.instance, lookup.ip).is_none();
        let now = self.last_look();
        self.missing = lookups(snapshot)
            .into_iter()
            .filter(is_missing)
            .map(|lookup| {
                let since = self.missing.get(&lookup).copied().unwrap_or(now);
                (lookup, since)
            })
            .collect();
    }

    /// When to look again for an IP that has been missing since: after as long as it has been, two
    /// seconds at least. So nobody waits for more than twice the time that EC2 takes to show it,
    /// and what never comes, such as an IP that is not the VPC's, is looked for less and less.
    pub(super) fn looks_for_again(&self, since: u64) -> u64 {
        let looked = self.last_look();
        looked + looked.saturating_sub(since).max(FIRST_PAUSE * 1000)
    }

    pub(super) fn see_terminating(&mut self, snapshot: &Snapshot, now: u64) {
        let Some(pods) = snapshot.pods.known() else { return };
        let ending: BTreeMap<&Uid, u64> =
            pods.values().filter_map(|pod| Some((&pod.uid, drains_for(pod)?))).collect();
        self.terminating.retain(|uid, _| ending.contains_key(uid));
        for (uid, seconds) in ending {
            let ends = |since: u64| since.saturating_add(seconds.saturating_mul(1000));
            let seen = self.terminating.entry(uid.clone()).or_insert((now, ends(now)));
            // Another deletion has shortened the grace period, which the kubelet counts anew.
            if seen.1 != ends(seen.0) {
                *seen = (now, ends(now));
            }
        }
    }
}

//! What must hold when an address is bought.

use super::*;

impl Ledger {
    pub(super) fn allocate(
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
}

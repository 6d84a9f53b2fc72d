//! What a look of an operator is shown, and when.

use eip_operator::plan::recent::Memory;

use super::*;

impl World {
    /// How long a read of a look takes.
    pub(super) fn reads_in(&mut self) -> u64 {
        if self.scenario.slow {
            self.chance.between(SECOND, 3 * SECOND)
        } else {
            self.chance.between(1, 40)
        }
    }

    pub(super) fn read(&mut self, process: usize, read: Read) -> Result<(), String> {
        let now = self.now;
        if self.seats[process].paused_until > now {
            let (at, epoch) = (self.seats[process].paused_until, self.seats[process].epoch);
            self.push(at, Event::Read { process, epoch, read });
            return Ok(());
        }
        if self.hits(|kind| *kind == Kind::Alarms)
            && let Some(running) = &mut self.seats[process].process
        {
            running.exposure();
        }
        let part = match read {
            Read::Addresses => "addresses",
            Read::Eips => "eips",
            Read::Pods => "pods",
            Read::Nodes => "nodes",
            Read::Interfaces => "interfaces",
            Read::Definition => "definition",
            Read::RecordedAddresses => "recorded addresses",
            Read::RecordedPods => "recorded pods",
        };
        let failed = self.hits(|kind| matches!(kind, Kind::Unread { part: one } if *one == part));
        if let (true, Read::Addresses | Read::Eips, Some(running)) =
            (failed, read, &self.seats[process].process)
        {
            self.ledger.interrupted((process, running.started), now);
        }
        let (eips, pods) = self.lists();
        let late = self.scenario.hidden;
        let (account, cluster, chance) = (&self.account, &self.cluster, &mut self.chance);
        let unknown = || "Timeout: no answer".to_owned();
        let fill = |snapshot: &mut Snapshot, memory: &Memory| match read {
            Read::Addresses if failed => snapshot.addresses = Part::Unknown(unknown()),
            Read::Addresses => {
                snapshot.addresses = Part::Known(account.describe(NAME, now, chance));
            }
            Read::Eips if failed => snapshot.eips = Part::Unknown(unknown()),
            Read::Eips => snapshot.eips = Part::Known(eips),
            Read::Pods if failed => snapshot.pods = Part::Unknown(unknown()),
            Read::Pods => snapshot.pods = Part::Known(pods),
            Read::RecordedPods if failed => {
                let recorded = memory.pods_to_read(snapshot).into_iter();
                snapshot.unread_pods = recorded.map(|key| (key, unknown())).collect();
            }
            Read::RecordedPods => {
                let recorded = memory.pods_to_read(snapshot);
                if let Some(pods) = snapshot.pods.known_mut() {
                    let found =
                        |key: Key| Some((key.clone(), cluster.pods.get(&key)?.seen.clone()));
                    pods.extend(recorded.into_iter().filter_map(found));
                }
            }
            Read::Definition if failed => snapshot.definition = Part::Unknown(unknown()),
            Read::Definition => snapshot.definition = Part::Known(cluster.definition.clone()),
            Read::RecordedAddresses if failed => snapshot.untagged = Part::Unknown(unknown()),
            Read::RecordedAddresses => {
                let ids = look::recorded_addresses(snapshot);
                look::see_recorded(snapshot, account.describe_by_id(&ids, NAME, now, chance));
            }
            Read::Nodes if failed => snapshot.nodes = Part::Unknown(unknown()),
            Read::Nodes => snapshot.nodes = Part::Known(cluster.list_nodes()),
            Read::Interfaces if failed => snapshot.interfaces = Part::Unknown(unknown()),
            Read::Interfaces => {
                let lookups = look::lookups(snapshot);
                let hidden = cluster.given_within(late, now);
                let mut interfaces = account.describe_interfaces(&lookups);
                interfaces.values_mut().for_each(|one| one.ips.retain(|ip| !hidden.contains(ip)));
                snapshot.interfaces = Part::Known(interfaces);
            }
        };
        let running = self.seats[process].process.as_mut();
        let wants = running.map(|one| one.read(read, fill, now)).unwrap_or_default();
        self.want(process, wants)
    }

    /// The lists as they are, or as they were a while ago.
    fn lists(&mut self) -> Lists {
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
            if let Some((_, lists)) = self.past.iter().rev().find(|(then, _)| *then <= at) {
                return lists.clone();
            }
        }
        (self.cluster.eips.clone(), self.cluster.list_pods())
    }
}

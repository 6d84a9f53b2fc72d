//! What people, tenants and chance do to the world.

use eip_operator::plan::snapshot::Pod;

use super::super::cluster::pod;
use super::super::ec2::Tags;
use super::super::invariants::SETTLE;
use super::super::scenario::{SECOND, User};
use super::{Event, NAME, UID, World};

impl World {
    pub(super) fn user(&mut self, user: User) {
        let (now, chance) = (self.now, &mut self.chance);
        let later = match user {
            User::MakePod { key, stateful, autocreate, host_network, ipv6 } => {
                let seen = Pod { autocreate, host_network, ..pod() };
                self.cluster.make_pod(&key, seen, stateful, ipv6, now)
            }
            User::DeletePod { key, grace } => self.cluster.delete_pod(&key, grace, chance),
            User::ForceDelete { key } => self.cluster.force_delete(&key, chance),
            User::Finish { key } => {
                self.cluster.finish(&key, now);
                Vec::new()
            }
            User::RestartSandbox { key } => self.cluster.restart_sandbox(&key, now, chance),
            User::SetManaged { key, managed } => {
                if let Some(live) = self.cluster.pods.get_mut(&key) {
                    live.seen.managed = managed;
                    live.labelled_at = now;
                }
                Vec::new()
            }
            User::SetAutocreate { key, autocreate } => {
                if let Some(live) = self.cluster.pods.get_mut(&key) {
                    live.seen.autocreate = autocreate;
                    live.labelled_at = now;
                }
                Vec::new()
            }
            User::LoseNode { node } => {
                if let Some(interface) = self.cluster.lose_node(&node) {
                    self.account.lose_interface(&interface, now, chance);
                }
                Vec::new()
            }
            User::MakeEip { key, pod } => {
                self.cluster.make_eip(&key, &pod, now);
                Vec::new()
            }
            User::DeleteEip { key } => {
                self.cluster.delete_eip(&key, now);
                Vec::new()
            }
            User::Protect { key, protected } => {
                self.cluster.protect(&key, protected, now);
                Vec::new()
            }
            User::Rename { key, pod } => {
                if let Some(eip) = self.cluster.eips.get_mut(&key)
                    && eip.autocreated_for.is_none()
                {
                    eip.pod = pod;
                    eip.generation += 1;
                }
                Vec::new()
            }
            User::StripFinalizer { key } => {
                if let Some(eip) = self.cluster.eips.get_mut(&key)
                    && eip.held
                {
                    eip.held = false;
                    let uid = eip.uid.clone();
                    self.cluster.unfit_since.insert(uid.clone(), now);
                    self.ledger.stripped.insert(uid);
                    self.cluster.end_of_eips(now);
                }
                Vec::new()
            }
            User::Restore { key, held } => {
                self.cluster.restore(&key, held, now);
                Vec::new()
            }
            User::Age { nth } => {
                let id = self.nth(nth);
                let old = |id: &String| self.account.elastics[id].born + SETTLE < now;
                if let Some(id) = id.filter(old) {
                    let forget = |tags: &mut Tags| {
                        (tags.cluster_uid, tags.allocated_at) = (None, None);
                    };
                    self.account.never_tagged(&id, forget, now);
                }
                Vec::new()
            }
            User::ForgeStatus { key, from } => {
                let status = self.cluster.eips.get(&from).map(|eip| eip.status.clone());
                if let (Some(status), Some(eip)) = (status, self.cluster.eips.get_mut(&key)) {
                    eip.status = status;
                }
                Vec::new()
            }
            User::ForgeAnnotations { key, from } => {
                let from = self.cluster.pods.get(&from).map(|live| live.seen.clone());
                if let (Some(from), Some(live)) = (from, self.cluster.pods.get_mut(&key)) {
                    live.seen.target = from.target;
                    live.seen.alpha_target = from.alpha_target;
                    live.seen.allocation = from.allocation;
                }
                Vec::new()
            }
            User::Retarget { key } => {
                if let Some(live) = self.cluster.pods.get_mut(&key) {
                    live.seen.target = Some("192.0.2.1".to_owned());
                }
                Vec::new()
            }
            User::Disassociate { nth } => {
                if let Some(id) = self.nth(nth) {
                    self.account.end(&id, now, &mut self.chance);
                }
                Vec::new()
            }
            User::Release { nth } => {
                if let Some(id) = self.nth(nth) {
                    self.account.end(&id, now, &mut self.chance);
                    let _ = self.account.release(&id, now, &mut self.chance);
                    self.ledger.taken(&self.account.elastics[&id].tags().eip);
                }
                Vec::new()
            }
            User::Move { nth } => {
                let free = self.account.interfaces.iter().find_map(|(interface, (_, ips))| {
                    let ip = ips.iter().find(|ip| self.account.on(**ip).is_none())?;
                    Some((interface.clone(), *ip))
                });
                if let (Some(id), Some((interface, ip))) = (self.nth(nth), free) {
                    self.account.end(&id, now, &mut self.chance);
                    let chance = &mut self.chance;
                    let _ = self.account.associate(&id, &interface, ip, now, chance);
                }
                Vec::new()
            }
            User::Untag { nth } => {
                if let Some(id) = self.nth(nth) {
                    self.ledger.taken(&self.account.elastics[&id].tags().eip);
                    self.ledger.untagged.insert(id.clone());
                    let off = |tags: &mut Tags| *tags = Tags::default();
                    let _ = self.account.tag(&id, off, now, &mut self.chance);
                }
                Vec::new()
            }
            User::Counterfeit => {
                self.account.counterfeit(NAME, UID, now, &mut self.chance);
                Vec::new()
            }
            User::DeleteDefinition => {
                self.ledger.definition_deleted(now);
                self.cluster.delete_definition(chance)
            }
            User::ReleaseAll => {
                self.cluster.definition.release_all = true;
                Vec::new()
            }
            User::Pause { process, millis } => {
                self.seats[process].paused_until = now + millis;
                Vec::new()
            }
            User::Crash { process } => {
                let seat = &mut self.seats[process];
                if seat.process.take().is_some() {
                    seat.rung = false;
                    seat.epoch += 1;
                    let after = self.chance.between(100, 20 * SECOND);
                    self.push(now + after, Event::Restart { process });
                }
                Vec::new()
            }
        };
        self.later(later);
    }

    fn nth(&self, nth: u64) -> Option<String> {
        let living: Vec<&String> = self.account.living().map(|(id, _)| id).collect();
        let index = usize::try_from(nth).ok()?.checked_rem(living.len())?;
        Some(living[index].clone())
    }
}

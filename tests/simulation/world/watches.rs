//! What the watches tell the operators, as src/live/watch.rs does.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use eip_operator::plan::snapshot::Pod;

use super::World;
use crate::cluster::Cluster;
use crate::scenario::Kind;

impl World {
    /// Watches tell every operator what its own writes do not touch, unless they are silent.
    pub(super) fn changed(&mut self) {
        if self.scenario.faults.iter().any(|f| matches!(f.kind, Kind::StaleLists { .. })) {
            let seen = (self.now, (self.cluster.eips.clone(), self.cluster.list_pods()));
            self.past.push_back(seen);
            while self.past.len() > 200 {
                self.past.pop_front();
            }
        }
        if self.hits(|kind| *kind == Kind::Silence) {
            return;
        }
        // Only what an address may rest on cuts a cycle short when it goes, as in src/live/watch.rs.
        let carries = |pod: &Pod| pod.managed && !pod.phase.is_terminal() && !pod.sandbox_down;
        let pods = self.cluster.list_pods().into_values().filter(carries);
        let grip = |pod: Pod| Some((pod.uid, (pod.ip?, pod.node, pod.terminating.is_some())));
        let carriers = pods.filter_map(grip).collect();
        let before = std::mem::replace(&mut self.carriers, carriers);
        let cut = before.iter().any(|(uid, grip)| self.carriers.get(uid) != Some(grip));
        let facts = facts(&self.cluster);
        if std::mem::replace(&mut self.facts, facts) == facts {
            return;
        }
        for process in 0..self.seats.len() {
            if let (true, Some(running)) = (cut, &mut self.seats[process].process) {
                running.exposure();
            }
            self.ring(process, 50);
        }
    }
}

/// The facts of Eips and managed pods that ring, as in src/live/watch.rs, where they are kept as
/// hashes too.
fn facts(cluster: &Cluster) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (key, eip) in &cluster.eips {
        let made = eip.autocreated_for.is_some();
        (key, &eip.uid, eip.deleting, made, eip.protected, &eip.pod).hash(&mut hasher);
    }
    for (key, pod) in cluster.list_pods() {
        let unwritten = Pod {
            target: None,
            alpha_target: None,
            allocation: None,
            legacy_finalizers: BTreeSet::new(),
            ..pod
        };
        (key, unwritten).hash(&mut hasher);
    }
    hasher.finish()
}

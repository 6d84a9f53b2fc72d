//! One look at everything: AWS addresses first, then the cluster, then the interfaces of the pods
//! that need an association. A part that could not be read is unknown.
//!
//! The order matters: an Eip and its address that are made between two reads must not look like
//! an address without an Eip.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt};

use super::ec2::{Ec2, Lookup};
use super::kubernetes::Kubernetes;
use crate::plan::claims::{Claim, Seat, claims, eligible};
use crate::plan::meaning::Failure;
use crate::plan::recent::Memory;
use crate::plan::snapshot::{Cluster, Key, Part, Pod, Quota, Settings, Snapshot};

/// Pods that an Eip's status names and the list lacks are read one by one, so many at a time.
const POD_READS_AT_ONCE: usize = 8;

/// Observes the world. `now` is in milliseconds on the monotonic clock, for what is remembered.
pub async fn observe(
    ec2: &Ec2,
    kubernetes: &Kubernetes,
    base: Base,
    memory: &mut Memory,
    now: u64,
) -> Snapshot {
    let addresses = part(ec2.addresses().await);
    let eips = part(kubernetes.eips().await);
    let pods = part(kubernetes.pods().await);
    let mut snapshot = Snapshot {
        cluster: base.cluster,
        settings: base.settings,
        quota: base.quota,
        addresses,
        eips,
        pods,
        ..Snapshot::default()
    };
    read_recorded_pods(kubernetes, &mut snapshot).await;
    memory.overlay(&mut snapshot, now);
    if needs_nodes(&snapshot) {
        snapshot.nodes = part(kubernetes.nodes().await);
    }
    let lookups = lookups(&snapshot);
    if !lookups.is_empty() {
        snapshot.interfaces = part(ec2.interfaces(&lookups).await);
    }
    snapshot
}

/// What an observation starts from.
pub struct Base {
    pub cluster: Cluster,
    pub settings: Settings,
    pub quota: Option<Quota>,
}

fn part<T>(read: Result<T, Failure>) -> Part<T> {
    match read {
        Ok(content) => Part::Known(content),
        Err(failure) => Part::Unknown(failure.to_string()),
    }
}

/// A pod whose label was taken off is not listed. While an Eip's status says that it carries the
/// address it is read by name, so that its annotations can be cleared.
async fn read_recorded_pods(kubernetes: &Kubernetes, snapshot: &mut Snapshot) {
    let (Some(eips), Some(pods)) = (snapshot.eips.known(), snapshot.pods.known()) else { return };
    let recorded: BTreeSet<Key> = eips
        .iter()
        .filter_map(|(key, eip)| Some(key.sibling(eip.status.pod.as_ref()?)))
        .filter(|key| !pods.contains_key(key))
        .collect();
    let read = |key: Key| async move {
        // Without an answer the pod stays out of the picture, as an unlabelled one is.
        let pod = kubernetes.pod(&key).await.ok().flatten();
        (key, pod)
    };
    let found: BTreeMap<Key, Option<Pod>> =
        stream::iter(recorded).map(read).buffer_unordered(POD_READS_AT_ONCE).collect().await;
    if let Some(pods) = snapshot.pods.known_mut() {
        pods.extend(found.into_iter().filter_map(|(key, pod)| Some((key, pod?))));
    }
}

fn needs_nodes(snapshot: &Snapshot) -> bool {
    let terminating =
        snapshot.pods.known().into_iter().flatten().any(|(_, pod)| pod.terminating.is_some());
    let claims = claims(snapshot);
    terminating || claims.iter().any(|claim| claim.needs_interface().is_some()) || {
        // A pod that asks for an Eip will need an association once it has one, in this cycle.
        let mut pods = snapshot.pods.known().into_iter().flatten();
        pods.any(|(key, pod)| pod.autocreate && !has_seat(&claims, key))
    }
}

fn has_seat(claims: &[Claim<'_>], pod: &Key) -> bool {
    claims.iter().any(|claim| matches!(&claim.seat, Seat::Pod(target) if target.key == *pod))
}

/// The IPs whose interfaces are wanted: of pods whose claim has no address on them yet, and of
/// pods that ask for an Eip they do not have yet.
fn lookups(snapshot: &Snapshot) -> BTreeSet<Lookup> {
    let Some(nodes) = snapshot.nodes.known() else { return BTreeSet::new() };
    let claims = claims(snapshot);
    let wanted = claims.iter().filter_map(Claim::needs_interface).map(|target| target.pod);
    let asking = snapshot.pods.known().into_iter().flatten();
    let asking = asking.filter(|(key, pod)| pod.autocreate && !has_seat(&claims, key));
    wanted
        .chain(asking.map(|(_, pod)| pod))
        .filter_map(|pod| {
            let ip = eligible(pod, &snapshot.settings).ok()?;
            let instance = nodes.get(pod.node.as_ref()?)?.instance.clone()?;
            Some(Lookup { ip, instance })
        })
        .collect()
}

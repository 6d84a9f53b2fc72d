//! One look at everything: AWS addresses first, then the cluster, then the interfaces of the pods
//! that need an association. A part that could not be read is unknown.
//!
//! The order matters: an Eip and its address that are made between two reads must not look like
//! an address without an Eip.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt};

use super::ec2::Ec2;
use super::kubernetes::Kubernetes;
use crate::plan::look::{
    lookups, needs_definition, needs_nodes, recorded_addresses, recorded_pods, see_recorded,
};
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
    if needs_definition(&snapshot) {
        snapshot.definition = part(kubernetes.definition().await);
    }
    let recorded = recorded_addresses(&snapshot);
    if !recorded.is_empty() {
        match ec2.addresses_by_id(&recorded).await {
            Ok(found) => see_recorded(&mut snapshot, found),
            Err(failure) => snapshot.untagged = Part::Unknown(failure.to_string()),
        }
    }
    if needs_nodes(&snapshot) {
        snapshot.nodes = part(kubernetes.nodes().await);
    }
    let lookups = lookups(&snapshot);
    if !lookups.is_empty() {
        snapshot.interfaces = part(ec2.interfaces(&lookups).await);
        memory.overlay_interfaces(&mut snapshot);
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

/// Reads the pods that the list lacks and an Eip's status names.
async fn read_recorded_pods(kubernetes: &Kubernetes, snapshot: &mut Snapshot) {
    let read = |key: Key| async move {
        // Without an answer the pod stays out of the picture, as an unlabelled one is.
        let pod = kubernetes.pod(&key).await.ok().flatten();
        (key, pod)
    };
    let found: BTreeMap<Key, Option<Pod>> = stream::iter(recorded_pods(snapshot))
        .map(read)
        .buffer_unordered(POD_READS_AT_ONCE)
        .collect()
        .await;
    if let Some(pods) = snapshot.pods.known_mut() {
        pods.extend(found.into_iter().filter_map(|(key, pod)| Some((key, pod?))));
    }
}

//! One look at everything, in the order of [`Read`]. A part that could not be read is unknown.

use futures::stream::{self, StreamExt};
use tracing::{Instrument, Span, info_span};

use super::ec2::Ec2;
use super::kubernetes::Kubernetes;
use crate::plan::look::{Read, lookups, recorded_addresses, see_recorded};
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
    let mut snapshot = Snapshot {
        cluster: base.cluster,
        settings: base.settings,
        quota: base.quota,
        ..Snapshot::default()
    };
    let mut last = None;
    while let Some(read) = Read::next(last, &snapshot) {
        take(read, ec2, kubernetes, &mut snapshot, memory).instrument(span(read)).await;
        match read {
            Read::RecordedPods => memory.overlay(&mut snapshot, now),
            Read::Interfaces => memory.overlay_interfaces(&mut snapshot),
            _ => {}
        }
        last = Some(read);
    }
    memory.see_missing(&snapshot);
    snapshot
}

/// A read in a trace, under the name of what is asked.
fn span(read: Read) -> Span {
    match read {
        Read::Addresses | Read::RecordedAddresses => info_span!("aws", ?read),
        Read::Interfaces => info_span!("interfaces", ?read),
        Read::Eips | Read::Pods | Read::RecordedPods | Read::Definition | Read::Nodes => {
            info_span!("cluster", ?read)
        }
    }
}

async fn take(
    read: Read,
    ec2: &Ec2,
    kubernetes: &Kubernetes,
    snapshot: &mut Snapshot,
    memory: &Memory,
) {
    match read {
        Read::Addresses => snapshot.addresses = part(ec2.addresses().await),
        Read::Eips => snapshot.eips = part(kubernetes.eips().await),
        Read::Pods => snapshot.pods = part(kubernetes.pods().await),
        Read::RecordedPods => read_recorded_pods(kubernetes, snapshot, memory).await,
        Read::Definition => snapshot.definition = part(kubernetes.definition().await),
        Read::RecordedAddresses => match ec2.addresses_by_id(&recorded_addresses(snapshot)).await {
            Ok(found) => see_recorded(snapshot, found),
            Err(failure) => snapshot.untagged = Part::Unknown(failure.to_string()),
        },
        Read::Nodes => snapshot.nodes = part(kubernetes.nodes().await),
        Read::Interfaces => {
            snapshot.interfaces = part(ec2.interfaces(&lookups(snapshot)).await);
        }
    }
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
async fn read_recorded_pods(kubernetes: &Kubernetes, snapshot: &mut Snapshot, memory: &Memory) {
    let read = |key: Key| async move {
        let pod = kubernetes.pod(&key).await;
        (key, pod)
    };
    let answers: Vec<(Key, Result<Option<Pod>, Failure>)> =
        stream::iter(memory.pods_to_read(snapshot))
            .map(read)
            .buffer_unordered(POD_READS_AT_ONCE)
            .collect()
            .await;
    for (key, answer) in answers {
        match (answer, snapshot.pods.known_mut()) {
            (Ok(Some(pod)), Some(pods)) => drop(pods.insert(key, pod)),
            (Ok(_), _) => {}
            (Err(failure), _) => drop(snapshot.unread_pods.insert(key, failure.to_string())),
        }
    }
}

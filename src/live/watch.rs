//! The watches of Eips and managed pods. They ring the mailbox when a fact that matters has
//! changed, and no decision reads what they saw: a stale cache has released live addresses before.
//!
//! A pod's annotations, finalizers, the Eip's status and resourceVersions are no facts: the
//! operator writes them, and its own writes must not ring. What a stranger does to them is repaired
//! within one interval.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ApiResource;
use kube::core::{NotUsed, Object};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::crd::Eip;
use super::kubernetes::failure;
use super::wake::{Ringer, Wake};
use crate::plan::names::{AUTOCREATE_LABEL, AUTOCREATED_LABEL, PROTECT_ANNOTATION};
use crate::plan::text::escaped;

/// Pods with this label are managed.
const MANAGED: &str = "eip.materialize.cloud/manage=true";

/// Rings [`Wake::Eip`] until it is cancelled.
pub async fn watch_eips(
    client: Client,
    namespace: Option<&str>,
    ringer: Ringer,
    cancel: CancellationToken,
) {
    let resource = ApiResource::erase::<Eip>(&());
    let events = watcher(api::<SeenEip>(client, namespace, &resource), watcher::Config::default());
    follow(events.default_backoff(), "eips", ringer, cancel).await;
}

/// Rings [`Wake::Pod`] until it is cancelled.
pub async fn watch_pods(
    client: Client,
    namespace: Option<&str>,
    ringer: Ringer,
    cancel: CancellationToken,
) {
    let resource = ApiResource::erase::<Pod>(&());
    let managed = watcher::Config::default().labels(MANAGED);
    let events = watcher(api::<SeenPod>(client, namespace, &resource), managed);
    follow(events.default_backoff(), "pods", ringer, cancel).await;
}

fn api<K>(client: Client, namespace: Option<&str>, resource: &ApiResource) -> Api<K>
where
    K: kube::Resource<DynamicType = ApiResource, Scope = kube::core::DynamicResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, resource),
        None => Api::all_with(client, resource),
    }
}

/// An object of which only the facts are decoded.
trait Seen {
    type Facts: Hash;
    /// What a change rings.
    const NEWS: Wake;
    /// What an address on an object with these facts rests on, if one may be there: when this is
    /// no longer so, somebody may be exposed.
    fn grip(facts: &Self::Facts) -> Option<impl Hash>;
    fn metadata(&self) -> &ObjectMeta;
    fn facts(&self) -> Self::Facts;
}

/// Any spec will do: an Eip stored under an older schema must not end the watch.
type SeenEip = Object<Value, NotUsed>;

#[derive(Debug, Hash)]
struct EipFacts {
    uid: Option<String>,
    deleting: bool,
    is_autocreated: Option<String>,
    /// What a person says about its release.
    protect: Option<String>,
    pod_name: Option<Value>,
}

impl Seen for SeenEip {
    type Facts = EipFacts;
    const NEWS: Wake = Wake::Eip;
    fn grip(_: &EipFacts) -> Option<impl Hash> {
        None::<()>
    }
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn facts(&self) -> EipFacts {
        let annotations = self.metadata.annotations.as_ref();
        EipFacts {
            uid: self.metadata.uid.clone(),
            deleting: self.metadata.deletion_timestamp.is_some(),
            is_autocreated: label(&self.metadata, AUTOCREATED_LABEL),
            protect: annotations.and_then(|all| all.get(PROTECT_ANNOTATION).cloned()),
            pod_name: self.spec.get("podName").cloned(),
        }
    }
}

type SeenPod = Object<PodSpec, PodStatus>;

#[derive(Debug, Clone, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSpec {
    node_name: Option<String>,
    host_network: Option<bool>,
}

#[derive(Debug, Clone, Default, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<Value>>,
    conditions: Vec<PodCondition>,
}

#[derive(Debug, Clone, Hash, Serialize, Deserialize)]
struct PodCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

#[derive(Debug, Hash)]
struct PodFacts {
    uid: Option<String>,
    deleting: bool,
    /// A second deletion may leave it less time.
    grace: Option<i64>,
    autocreate: Option<String>,
    spec: PodSpec,
    status: PodStatus,
}

impl Seen for SeenPod {
    type Facts = PodFacts;
    const NEWS: Wake = Wake::Pod;
    fn grip(facts: &PodFacts) -> Option<impl Hash> {
        let PodFacts { uid, deleting, spec, status, .. } = facts;
        let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
        let is_down = status.conditions.iter().any(|condition| condition.status == "False");
        let may_carry = status.pod_ip.is_some() && !ended && !is_down;
        may_carry.then_some((uid, deleting, spec, &status.pod_ip, &status.pod_ips))
    }
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn facts(&self) -> PodFacts {
        let mut status = self.status.clone().unwrap_or_default();
        // The other conditions come and go while a pod starts, and say nothing about its IP.
        status.conditions.retain(|condition| condition.kind == "PodReadyToStartContainers");
        PodFacts {
            uid: self.metadata.uid.clone(),
            deleting: self.metadata.deletion_timestamp.is_some(),
            grace: self.metadata.deletion_grace_period_seconds,
            autocreate: label(&self.metadata, AUTOCREATE_LABEL),
            spec: self.spec.clone(),
            status,
        }
    }
}

/// What the watch last showed, to tell a change from noise: of each object's facts their hash, for
/// the facts themselves would be as much memory as all else, and that of their grip.
struct Memory<K: Seen> {
    known: BTreeMap<String, (u64, Option<u64>)>,
    relisted: BTreeSet<String>,
    /// What the list under way has changed.
    changed: Option<Wake>,
    kind: PhantomData<K>,
}

impl<K: Seen> Memory<K> {
    fn new() -> Self {
        let (known, relisted) = (BTreeMap::new(), BTreeSet::new());
        Memory { known, relisted, changed: None, kind: PhantomData }
    }

    /// Takes in an event and says what to ring. A list is judged when it is complete.
    fn absorb(&mut self, event: &Event<K>) -> Option<Wake> {
        match event {
            Event::Apply(object) => self.learn(key(object), &object.facts()),
            Event::Delete(object) => {
                self.known.remove(&key(object)).map(|(_, grip)| wake::<K>(grip, None))
            }
            Event::Init => {
                self.relisted.clear();
                None
            }
            Event::InitApply(object) => {
                self.changed = self.learn(key(object), &object.facts()).max(self.changed);
                self.relisted.insert(key(object));
                None
            }
            Event::InitDone => {
                let relisted = std::mem::take(&mut self.relisted);
                let gone = self.known.extract_if(.., |key, _| !relisted.contains(key));
                let gone = gone.map(|(_, (_, grip))| wake::<K>(grip, None)).max();
                gone.max(self.changed.take())
            }
        }
    }

    fn learn(&mut self, key: String, facts: &K::Facts) -> Option<Wake> {
        let now = (hash(facts), K::grip(facts).map(hash));
        match self.known.insert(key, now) {
            Some((before, _)) if before == now.0 => None,
            Some((_, grip)) => Some(wake::<K>(grip, now.1)),
            None => Some(K::NEWS),
        }
    }
}

/// What to ring when an object has changed or gone.
fn wake<K: Seen>(grip: Option<u64>, now: Option<u64>) -> Wake {
    if grip.is_some() && grip != now { Wake::Exposure } else { K::NEWS }
}

fn hash(facts: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    facts.hash(&mut hasher);
    hasher.finish()
}

fn label(metadata: &ObjectMeta, name: &str) -> Option<String> {
    metadata.labels.as_ref()?.get(name).cloned()
}

fn key<K: Seen>(object: &K) -> String {
    let metadata = object.metadata();
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    format!("{}/{}", part(&metadata.namespace), part(&metadata.name))
}

/// Says an error once, and again only when its text changes or when it has gone.
#[derive(Default)]
struct Trouble(Option<String>);

impl Trouble {
    /// Whether the text is news.
    fn arises(&mut self, text: &str) -> bool {
        let news = self.0.as_deref() != Some(text);
        self.0 = Some(text.to_owned());
        news
    }

    /// Whether there was trouble.
    fn ends(&mut self) -> bool {
        self.0.take().is_some()
    }
}

async fn follow<K>(
    events: impl Stream<Item = watcher::Result<Event<K>>>,
    what: &'static str,
    ringer: Ringer,
    cancel: CancellationToken,
) where
    K: Seen + Clone + Debug + DeserializeOwned,
{
    let mut events = std::pin::pin!(events);
    let (mut memory, mut trouble) = (Memory::new(), Trouble::default());
    loop {
        let event = tokio::select! {
            () = cancel.cancelled() => return,
            event = events.next() => event,
        };
        match event {
            None => return,
            Some(Ok(event)) => {
                // A fresh list begins before the server has answered anything.
                if !matches!(event, Event::Init) && trouble.ends() {
                    info!(watch = what, "the watch works again");
                }
                if let Some(wake) = memory.absorb(&event) {
                    ringer.ring(wake);
                }
            }
            Some(Err(error)) => {
                let error = escaped(&told(&error));
                if trouble.arises(&error) {
                    warn!(watch = what, error, "the watch fails, the interval goes on without it");
                }
            }
        }
    }
}

/// What a person needs of an error: the server's own words, without its whole answer.
fn told(error: &watcher::Error) -> String {
    use watcher::Error;
    match error {
        Error::InitialListFailed(error)
        | Error::WatchStartFailed(error)
        | Error::WatchFailed(error) => failure(error).to_string(),
        Error::WatchError(status) => format!("{}: {}", status.reason, status.message),
        Error::NoResourceVersion => error.to_string(),
    }
}

#[cfg(test)]
mod tests;

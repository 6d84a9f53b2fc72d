//! The Kubernetes API: lists and fresh reads that become the snapshot's types, and our writes.
//!
//! Every write carries the uid, so that it can never hit an object that was replaced meanwhile, and
//! one that changes finalizers the resourceVersion of the object just read, so that it drops none.

pub mod client;
mod light;
mod objects;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{self as core, Namespace};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{NamespaceResourceScope, Request};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use self::light::{LightEip, LightNode, LightPod, Page};
use self::objects::{eip, key, node, pod, status_object};
use super::crd::{CRD_NAME, Eip as EipObject, EipSpec};
use crate::plan::action::Action;
use crate::plan::forecast::Outcome;
use crate::plan::meaning::{Failure, Meaning, kubernetes_meaning};
use crate::plan::names;
use crate::plan::snapshot::{Definition, Eip, Key, Node, Pod, Status, Uid};

/// A page of a list. The API server's own default for large lists.
const PAGE: u32 = 500;
/// A confirming read that takes longer is as good as none: what it confirms may have changed.
const GET_TIMEOUT: Duration = Duration::from_secs(2);
/// A write; the server itself gives up after a minute at the latest.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a write that lost a race is tried again in one go.
const TRIES: usize = 3;

/// The API server, as the operator uses it.
pub struct Kubernetes {
    client: Client,
    namespace: Option<String>,
    /// By Eip uid: its conditions when last seen, for their lastTransitionTime.
    conditions: Mutex<BTreeMap<Uid, Vec<Condition>>>,
}

impl Kubernetes {
    /// `namespace`: the only one in scope, all when unset.
    pub fn new(client: Client, namespace: Option<String>) -> Self {
        Self { client, namespace, conditions: Mutex::default() }
    }

    /// Uid of the kube-system namespace, which is the identity of the cluster.
    pub async fn cluster_uid(&self) -> Result<Uid, Failure> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let namespace = bounded(GET_TIMEOUT, api.get("kube-system")).await?;
        Ok(namespace.uid().unwrap_or_default())
    }

    /// All Eips in scope, from a consistent list.
    pub async fn eips(&self) -> Result<BTreeMap<Key, Eip>, Failure> {
        let seen = |object: EipObject| {
            let (key, eip) = (key(&object), eip(&object));
            (key, eip, object.status.and_then(|status| status.conditions).unwrap_or_default())
        };
        let listed = list::<_, LightEip, _>(&self.scope(), ListParams::default(), seen).await;
        let listed = listed.map_err(without_definition)?;
        let mut conditions = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        conditions.clear();
        let mut eips = BTreeMap::new();
        for (key, eip, seen) in listed {
            conditions.insert(eip.uid.clone(), seen);
            eips.insert(key, eip);
        }
        Ok(eips)
    }

    /// All labelled pods in scope, from a consistent list.
    pub async fn pods(&self) -> Result<BTreeMap<Key, Pod>, Failure> {
        let managed = format!("{}={}", names::MANAGE_LABEL, names::TRUE);
        let params = ListParams::default().labels(&managed);
        let seen = |object: core::Pod| (key(&object), pod(&object));
        let listed = list::<_, LightPod, _>(&self.scope(), params, seen).await?;
        Ok(listed.into_iter().collect())
    }

    /// All nodes.
    pub async fn nodes(&self) -> Result<BTreeMap<String, Node>, Failure> {
        let api: Api<core::Node> = Api::all(self.client.clone());
        let seen = |object: core::Node| (object.name_any(), node(&object));
        let listed = list::<_, LightNode, _>(&api, ListParams::default(), seen).await?;
        Ok(listed.into_iter().collect())
    }

    /// Whether the definition of Eips is being deleted; where there is none, no Eip is left either.
    pub async fn definition(&self) -> Result<Definition, Failure> {
        let api: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let found = bounded(GET_TIMEOUT, api.get_metadata_opt(CRD_NAME)).await?;
        let Some(found) = found else {
            return Ok(Definition { deleting: true, release_all: false });
        };
        let said = found.annotations().get(names::RELEASE_ALL).map(String::as_str);
        Ok(Definition {
            deleting: found.meta().deletion_timestamp.is_some(),
            release_all: said == Some(names::TRUE),
        })
    }

    /// One pod, fresh, whatever its labels; a 404 is none.
    pub async fn pod(&self, key: &Key) -> Result<Option<Pod>, Failure> {
        let api: Api<core::Pod> = self.api(key);
        let found = bounded(GET_TIMEOUT, api.get_opt(&key.name)).await?;
        Ok(found.as_ref().map(pod))
    }

    /// The last Events about the objects of these names, the newest first, as a person reads them.
    pub async fn events(
        &self,
        namespace: &str,
        names: &BTreeSet<String>,
        most: usize,
    ) -> Result<Vec<String>, Failure> {
        let api: Api<core::Event> = Api::namespaced(self.client.clone(), namespace);
        let mut listed = Vec::new();
        for name in names {
            let of_name = ListParams::default().fields(&format!("involvedObject.name={name}"));
            listed.extend(list::<_, core::Event, _>(&api, of_name, |event| event).await?);
        }
        listed.sort_by_key(|event| std::cmp::Reverse(objects::time_of(event)));
        Ok(listed.iter().take(most).map(objects::event).collect())
    }

    /// One Eip, fresh; a 404 is none.
    pub async fn eip(&self, key: &Key) -> Result<Option<Eip>, Failure> {
        let api: Api<EipObject> = self.api(key);
        let found = bounded(GET_TIMEOUT, api.get_opt(&key.name)).await?;
        Ok(found.as_ref().map(eip))
    }

    /// Carries out an action on Kubernetes; what reads before it writes writes nothing after
    /// `until`. Actions on EC2 are not for here.
    pub async fn perform(&self, action: &Action, until: Instant) -> Result<Outcome, Failure> {
        match action {
            Action::Create { eip, pod_uid } => self.create(eip, pod_uid).await,
            Action::Delete { eip, uid, .. } => self.delete(eip, uid).await,
            Action::Hold { eip, uid } => self.set_finalizer(eip, uid, true, until).await,
            Action::LetGo { eip, uid } => self.set_finalizer(eip, uid, false, until).await,
            Action::Record { eip, uid, status } => self.record(eip, uid, status).await,
            Action::Annotate { pod, uid, address, ip } => {
                self.annotate(pod, uid, json!(ip), json!(address)).await
            }
            Action::Clear { pod, uid } => {
                match self.annotate(pod, uid, Value::Null, Value::Null).await {
                    // The pod is gone or another: its annotations went with it.
                    Err(failure) if is_gone(&failure) => Ok(Outcome::Done),
                    done => done,
                }
            }
            Action::Unblock { pod, uid } => self.unblock(pod, uid, until).await,
            other => Err(Failure {
                code: "NotKubernetes".to_owned(),
                message: format!("{} is not Kubernetes's", other.verb()),
                meaning: Meaning::Slow,
            }),
        }
    }

    async fn create(&self, key: &Key, pod_uid: &Uid) -> Result<Outcome, Failure> {
        let mut object = EipObject::new(&key.name, EipSpec { pod_name: key.name.clone() });
        let metadata = object.meta_mut();
        metadata.namespace = Some(key.namespace.clone());
        metadata.labels =
            Some([(names::AUTOCREATED_LABEL.to_owned(), names::TRUE.to_owned())].into());
        metadata.finalizers = Some(vec![names::FINALIZER.to_owned()]);
        metadata.owner_references = Some(vec![OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            name: key.name.clone(),
            uid: pod_uid.clone(),
            ..OwnerReference::default()
        }]);
        let params = PostParams {
            field_manager: Some(names::FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let api: Api<EipObject> = self.api(key);
        let made = bounded(WRITE_TIMEOUT, api.create(&params, &object)).await?;
        Ok(Outcome::Created { uid: made.uid().unwrap_or_default() })
    }

    async fn delete(&self, key: &Key, uid: &Uid) -> Result<Outcome, Failure> {
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid: Some(uid.clone()), resource_version: None }),
            ..DeleteParams::default()
        };
        let api: Api<EipObject> = self.api(key);
        bounded(WRITE_TIMEOUT, api.delete(&key.name, &params)).await?;
        Ok(Outcome::Done)
    }

    async fn set_finalizer(
        &self,
        key: &Key,
        uid: &Uid,
        held: bool,
        until: Instant,
    ) -> Result<Outcome, Failure> {
        let api: Api<EipObject> = self.api(key);
        edit_finalizers(&api, key, uid, until, |finalizers| {
            // Whose patch added it may buy at once, so that of another must not count as ours.
            if held && finalizers.iter().any(|one| one == names::FINALIZER) {
                return Err(changed(format!("{key} is held already")));
            }
            finalizers.retain(|one| one != names::FINALIZER);
            if held {
                finalizers.push(names::FINALIZER.to_owned());
            }
            Ok(())
        })
        .await
    }

    async fn unblock(&self, key: &Key, uid: &Uid, until: Instant) -> Result<Outcome, Failure> {
        let api: Api<core::Pod> = self.api(key);
        edit_finalizers(&api, key, uid, until, |finalizers| {
            finalizers.retain(|one| !names::LEGACY_POD_FINALIZERS.contains(&one.as_str()));
            Ok(())
        })
        .await
    }

    /// Only a `test` keeps a status from being written to an object of the same name: a merge
    /// patch of a status ignores a wrong uid (seen on kube-apiserver 1.36).
    async fn record(&self, key: &Key, uid: &Uid, status: &Status) -> Result<Outcome, Failure> {
        let seen = {
            let conditions = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
            conditions.get(uid).cloned().unwrap_or_default()
        };
        let written_status = status_object(status, &seen);
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "add", "path": "/status", "value": written_status},
        ]);
        let patch: kube::core::params::Patch<Value> = Patch::Json(
            serde_json::from_value(patch).map_err(|error| unexpected(&error.to_string()))?,
        );
        let api: Api<EipObject> = self.api(key);
        let params = PatchParams::apply(names::FIELD_MANAGER);
        bounded(WRITE_TIMEOUT, api.patch_status(&key.name, &params, &patch)).await?;
        let mut conditions = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        conditions.insert(uid.clone(), written_status.conditions.unwrap_or_default());
        Ok(Outcome::Done)
    }

    /// A merge patch of our three keys, with the uid as precondition: 422 when it is another's.
    async fn annotate(
        &self,
        key: &Key,
        uid: &Uid,
        ip: Value,
        address: Value,
    ) -> Result<Outcome, Failure> {
        let patch = json!({"metadata": {"uid": uid, "annotations": {
            names::TARGET_ANNOTATION: ip,
            names::ALPHA_TARGET_ANNOTATION: ip,
            names::ALLOCATION_ANNOTATION: address,
        }}});
        let api: Api<core::Pod> = self.api(key);
        let params = PatchParams::apply(names::FIELD_MANAGER);
        let patch = Patch::Merge(patch);
        bounded(WRITE_TIMEOUT, api.patch(&key.name, &params, &patch)).await?;
        Ok(Outcome::Done)
    }

    fn api<K>(&self, key: &Key) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &key.namespace)
    }

    fn scope<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }
}

/// What is wanted of every object of a list, which is decoded as `L`: page by page, so that no more
/// than a page of objects is in memory. Without a resourceVersion the server answers with the
/// latest state; an expired page fails the whole list, which is then unknown.
async fn list<K, L, T>(
    api: &Api<K>,
    params: ListParams,
    wanted: impl Fn(K) -> T,
) -> Result<Vec<T>, Failure>
where
    K: Resource + Clone + From<L>,
    L: DeserializeOwned,
{
    let mut params = params.limit(PAGE);
    let mut items = Vec::new();
    loop {
        let request = Request::new(api.resource_url()).list(&params);
        let request = request.map_err(|error| unexpected(&error.to_string()))?;
        let page = api.clone().into_client().request(request).await;
        let page: Page<L> = page.map_err(|error| failure(&error))?;
        let next = page.metadata.continue_.filter(|token| !token.is_empty());
        items.extend(page.items.into_iter().map(|item| wanted(item.into())));
        match next {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(items),
        }
    }
}

/// Reads the object, changes its finalizers and writes them back against the version read.
async fn edit_finalizers<K>(
    api: &Api<K>,
    key: &Key,
    uid: &Uid,
    until: Instant,
    edit: impl Fn(&mut Vec<String>) -> Result<(), Failure>,
) -> Result<Outcome, Failure>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    for _ in 0..TRIES {
        let Some(object) = bounded(GET_TIMEOUT, api.get_opt(&key.name)).await? else {
            return Err(changed(format!("{key} is gone")));
        };
        if object.uid().as_ref() != Some(uid) {
            return Err(changed(format!("{key} was replaced")));
        }
        let before = object.finalizers().to_vec();
        let mut after = before.clone();
        edit(&mut after)?;
        let adds = after.len() > before.len();
        if adds && object.meta().deletion_timestamp.is_some() {
            return Err(changed(format!("{key} is being deleted")));
        }
        let patch = Patch::Merge(json!({"metadata": {
            "uid": uid,
            "resourceVersion": object.resource_version(),
            "finalizers": after,
        }}));
        let params = PatchParams::apply(names::FIELD_MANAGER);
        if Instant::now() > until {
            return Err(changed(format!("the time to change {key} is over")));
        }
        match bounded(WRITE_TIMEOUT, api.patch(&key.name, &params, &patch)).await {
            Ok(_) => return Ok(Outcome::Done),
            Err(failure) if failure.code == "Conflict" => {}
            Err(failure) => return Err(failure),
        }
    }
    Err(changed(format!("{key} changes too often")))
}

/// A list of a kind that the server does not know is answered with a page that is not there.
fn without_definition(failure: Failure) -> Failure {
    match failure.message.contains("404 page not found") {
        true => Failure {
            message: format!("there is no definition {CRD_NAME}; manifests/crd.yaml has it"),
            ..failure
        },
        false => failure,
    }
}

/// Whether an object is gone, or another of its name is there. An admission policy answers 422 too,
/// and that the write conflicts with another says nothing of the kind.
fn is_gone(failure: &Failure) -> bool {
    failure.code == "NotFound"
        || failure.code == "Invalid" && failure.message.contains("metadata.uid")
}

/// A call of the API server, given up when it takes longer than the limit.
pub(super) async fn bounded<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Failure> {
    match timeout(limit, call).await {
        Ok(answer) => answer.map_err(|error| failure(&error)),
        Err(_) => Err(Failure {
            code: "Timeout".to_owned(),
            message: format!("the API server did not answer within {} s", limit.as_secs()),
            meaning: Meaning::Retry,
        }),
    }
}

/// What a failed call means to the planner.
pub fn failure(error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) => Failure {
            code: status.reason.clone(),
            message: status.message.clone(),
            meaning: kubernetes_meaning(Some(status.code)),
        },
        other => Failure {
            code: "NoAnswer".to_owned(),
            message: match other {
                // Where in the text it ended differs from look to look, though nothing has changed.
                kube::Error::SerdeError(error) if error.is_eof() => "it is cut off".to_owned(),
                kube::Error::SerdeError(error) if error.is_syntax() => "it is no JSON".to_owned(),
                _ => with_causes(other),
            },
            meaning: kubernetes_meaning(None),
        },
    }
}

/// An error and what it says it comes from, for the first alone often says "client error".
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

fn changed(message: String) -> Failure {
    Failure { code: "Changed".to_owned(), message, meaning: Meaning::Look }
}

fn unexpected(message: &str) -> Failure {
    Failure { code: "Unexpected".to_owned(), message: message.to_owned(), meaning: Meaning::Slow }
}

#[cfg(test)]
pub(super) mod tests;

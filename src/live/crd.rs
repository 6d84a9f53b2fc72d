//! The `Eip` custom resource: its type, its definition, and how the definition gets into a cluster.
//!
//! The schema is strict and the decoding is not. The server checks what is written; but an object
//! that was stored under another schema (the older operator's, say) must not fail the list of all
//! Eips, so what cannot be read is left out: an empty pod name is an invalid Eip, a missing status
//! field unknown.

#![allow(clippy::duplicated_attributes, reason = "each printed column has a type of its own")]

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::Status;
use kube::{Api, Client, CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use tokio::time::{sleep, timeout};

/// The definition's name.
pub const CRD_NAME: &str = "eips.materialize.cloud";
/// How long a definition may take until it is served.
const SERVED_WITHIN: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_millis(250);

/// What a person asks for: an address for one pod.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[kube(
    group = "materialize.cloud",
    version = "v1",
    kind = "Eip",
    plural = "eips",
    shortname = "eip",
    category = "aws",
    namespaced,
    status = "EipStatus",
    doc = "An AWS Elastic IP for a pod.",
    printcolumn(name = "Public IP", type_ = "string", json_path = ".status.publicIpAddress"),
    printcolumn(name = "Pod", type_ = "string", json_path = ".spec.podName"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(
        name = "Allocation",
        type_ = "string",
        json_path = ".status.allocationId",
        priority = 1
    ),
    printcolumn(name = "ENI", type_ = "string", json_path = ".status.eni", priority = 1),
    printcolumn(
        name = "Private IP",
        type_ = "string",
        json_path = ".status.privateIpAddress",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct EipSpec {
    /// Name of the pod, in the Eip's namespace, that gets the address; may be changed.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub pod_name: String,
}

/// What the operator found. It is output only: nothing about another claim follows from it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EipStatus {
    /// The address's id in EC2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocation_id: Option<String>,
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_ip_address: Option<String>,
    /// The network interface that the address is associated with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eni: Option<String>,
    /// The pod's IP that the address is associated with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_ip_address: Option<String>,
    /// The name of the pod that has the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// The association's id in EC2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub association_id: Option<String>,
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Allocated and Associated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["type"]
    ))]
    pub conditions: Option<Vec<Condition>>,
}

impl<'de> Deserialize<'de> for EipSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Value::deserialize(deserializer)?;
        Ok(EipSpec { pod_name: field(&stored, "podName").unwrap_or_default() })
    }
}

impl<'de> Deserialize<'de> for EipStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Value::deserialize(deserializer)?;
        let conditions = stored.get("conditions").and_then(Value::as_array).map(|conditions| {
            conditions.iter().filter_map(|one| Condition::deserialize(one).ok()).collect()
        });
        Ok(EipStatus {
            allocation_id: field(&stored, "allocationId"),
            public_ip_address: field(&stored, "publicIpAddress"),
            eni: field(&stored, "eni"),
            private_ip_address: field(&stored, "privateIpAddress"),
            resource_id: field(&stored, "resourceId"),
            association_id: field(&stored, "associationId"),
            observed_generation: field(&stored, "observedGeneration"),
            conditions,
        })
    }
}

fn field<T: DeserializeOwned>(stored: &Value, name: &str) -> Option<T> {
    stored.get(name).and_then(|value| T::deserialize(value).ok())
}

/// The definition cannot be made, installed, or is not served.
#[derive(Debug, thiserror::Error)]
pub enum CrdError {
    /// The definition cannot be written as text.
    #[error("the definition {CRD_NAME} cannot be written as yaml: {0}")]
    Yaml(String),
    /// Objects are stored in a version that would be taken away.
    #[error("{}", stored_recipe(.0))]
    StoredVersions(Vec<String>),
    /// The server refused.
    #[error("cannot {0}: {1}")]
    Refused(&'static str, String),
    /// Right is missing.
    #[error("cannot {0}: it is forbidden; grant the verb {1} on {2} to this service account ({3})")]
    Forbidden(&'static str, &'static str, &'static str, String),
    /// Too long.
    #[error("waited 60s for the server to list {CRD_NAME}: {0}")]
    NotServed(String),
}

fn stored_recipe(versions: &[String]) -> String {
    format!(
        "the cluster stores {CRD_NAME} as {}, accepted is v1 alone: an Eip of another version, \
         read as v1, has lost the name of its pod; store every Eip as v1 first, by the recipe of \
         README.md, \"Moving over from the older operator\"",
        versions.join(", ")
    )
}

/// The definition as YAML, the same bytes each time: `eip-operator crd` and `manifests/crd.yaml`.
pub fn crd_yaml() -> Result<String, CrdError> {
    serde_saphyr::to_string(&Eip::crd()).map_err(|error| CrdError::Yaml(error.to_string()))
}

/// Refuses a cluster that stores Eips in another version than v1: read as v1 they name no pod, and
/// their addresses would be taken off their pods. Whoever may not read the definition is not
/// stopped here: an Eip that names no pod keeps its address where it is, see `seat` of
/// [`crate::plan::claims`].
pub async fn stored_as_v1(client: Client) -> Result<(), CrdError> {
    match other_versions(&Api::all(client)).await {
        Err(CrdError::Forbidden(..)) => Ok(()),
        checked => checked,
    }
}

async fn other_versions(definitions: &Api<CustomResourceDefinition>) -> Result<(), CrdError> {
    let present = definitions.get_opt(CRD_NAME).await;
    let present = present.map_err(|error| told(error, "read the definition", "get"))?;
    let stored =
        present.and_then(|present| present.status).and_then(|status| status.stored_versions);
    let stored = stored.unwrap_or_default();
    match stored.iter().any(|version| version != "v1") {
        true => Err(CrdError::StoredVersions(stored)),
        false => Ok(()),
    }
}

/// Installs the definition, or brings it up to date, by server-side apply.
pub async fn install(client: Client, field_manager: &str) -> Result<(), CrdError> {
    let definitions = Api::<CustomResourceDefinition>::all(client);
    other_versions(&definitions).await?;
    let apply = PatchParams::apply(field_manager).force();
    let applied = definitions.patch(CRD_NAME, &apply, &Patch::Apply(Eip::crd())).await;
    applied.map_err(|error| told(error, "install the definition", "patch"))?;
    Ok(())
}

/// Waits until Eips can be listed. Right after the definition was made the server answers 404 or
/// 429 for a moment; any other error is told at once.
pub async fn wait_served(client: Client, namespace: Option<&str>) -> Result<(), CrdError> {
    let eips: Api<Eip> = match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let mut last = "no answer".to_owned();
    let served = timeout(SERVED_WITHIN, async {
        loop {
            match eips.list(&ListParams::default().limit(1)).await {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if soon(&status) => last = status.message.clone(),
                Err(error) => return Err(told(error, "list eips", "list")),
            }
            sleep(ASK_EVERY).await;
        }
    });
    served.await.unwrap_or(Err(CrdError::NotServed(last)))
}

fn soon(status: &Status) -> bool {
    matches!(status.code, 404 | 429 | 503)
}

fn told(error: kube::Error, what: &'static str, verb: &'static str) -> CrdError {
    match error {
        kube::Error::Api(status) if status.is_forbidden() => {
            let resource = if verb == "list" {
                CRD_NAME
            } else {
                "customresourcedefinitions.apiextensions.k8s.io"
            };
            CrdError::Forbidden(what, verb, resource, status.message.clone())
        }
        kube::Error::Api(status) => CrdError::Refused(what, status.message.clone()),
        other => CrdError::Refused(what, other.to_string()),
    }
}

#[cfg(test)]
mod tests;

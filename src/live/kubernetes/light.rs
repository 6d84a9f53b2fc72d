//! Objects of a list, of which only what we look at is decoded: their managed fields, volumes and
//! images are most of a list, and decoding them would cost most of an observation.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta, OwnerReference, Time};
use serde::Deserialize;

use crate::live::crd::{Eip, EipSpec, EipStatus};

/// A page of a list.
#[derive(Deserialize)]
pub struct Page<T> {
    pub metadata: ListMeta,
    pub items: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    generation: Option<i64>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    deletion_grace_period_seconds: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    finalizers: Option<Vec<String>>,
    owner_references: Option<Vec<OwnerReference>>,
}

impl From<Meta> for ObjectMeta {
    fn from(meta: Meta) -> Self {
        Self {
            name: meta.name,
            namespace: meta.namespace,
            uid: meta.uid,
            generation: meta.generation,
            creation_timestamp: meta.creation_timestamp,
            deletion_timestamp: meta.deletion_timestamp,
            deletion_grace_period_seconds: meta.deletion_grace_period_seconds,
            labels: meta.labels,
            annotations: meta.annotations,
            finalizers: meta.finalizers,
            owner_references: meta.owner_references,
            ..Self::default()
        }
    }
}

#[derive(Deserialize)]
pub struct LightEip {
    metadata: Meta,
    spec: EipSpec,
    status: Option<EipStatus>,
}

impl From<LightEip> for Eip {
    fn from(light: LightEip) -> Self {
        let LightEip { metadata, spec, status } = light;
        Self { metadata: metadata.into(), spec, status }
    }
}

#[derive(Deserialize)]
struct Condition {
    r#type: String,
    status: String,
}

#[derive(Deserialize)]
pub struct LightPod {
    metadata: Meta,
    spec: Option<PodSpec>,
    status: Option<PodStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSpec {
    node_name: Option<String>,
    host_network: Option<bool>,
}

#[derive(Deserialize)]
struct PodStatus {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<core::PodIP>>,
    conditions: Option<Vec<Condition>>,
}

impl From<LightPod> for core::Pod {
    fn from(light: LightPod) -> Self {
        let spec = light.spec.map(|spec| core::PodSpec {
            node_name: spec.node_name,
            host_network: spec.host_network,
            ..core::PodSpec::default()
        });
        let condition = |one: Condition| core::PodCondition {
            type_: one.r#type,
            status: one.status,
            ..core::PodCondition::default()
        };
        let status = light.status.map(|status| core::PodStatus {
            phase: status.phase,
            pod_ip: status.pod_ip,
            pod_ips: status.pod_ips,
            conditions: status.conditions.map(|all| all.into_iter().map(condition).collect()),
            ..core::PodStatus::default()
        });
        Self { metadata: light.metadata.into(), spec, status }
    }
}

#[derive(Deserialize)]
pub struct LightNode {
    metadata: Meta,
    spec: Option<NodeSpec>,
    status: Option<NodeStatus>,
}

#[derive(Deserialize)]
struct NodeSpec {
    #[serde(rename = "providerID")]
    provider_id: Option<String>,
}

#[derive(Deserialize)]
struct NodeStatus {
    conditions: Option<Vec<Condition>>,
}

impl From<LightNode> for core::Node {
    fn from(light: LightNode) -> Self {
        let spec = light.spec.map(|spec| core::NodeSpec {
            provider_id: spec.provider_id,
            ..core::NodeSpec::default()
        });
        let condition = |one: Condition| core::NodeCondition {
            type_: one.r#type,
            status: one.status,
            ..core::NodeCondition::default()
        };
        let status = light.status.map(|status| core::NodeStatus {
            conditions: status.conditions.map(|all| all.into_iter().map(condition).collect()),
            ..core::NodeStatus::default()
        });
        Self { metadata: light.metadata.into(), spec, status }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::live::kubernetes::objects::{eip, node, pod};

    fn metadata() -> Value {
        json!({
            "name": "web-0", "namespace": "shop", "uid": "u1", "generation": 3,
            "creationTimestamp": "2026-11-25T10:00:00Z",
            "deletionTimestamp": "2026-11-25T11:00:00Z", "deletionGracePeriodSeconds": 30,
            "labels": {
                "eip.materialize.cloud/manage": "true",
                "eip.materialize.cloud/autocreated": "true",
                "eip.materialize.cloud/autocreate_eip": "true",
            },
            "annotations": {
                "eip.materialize.cloud/allocation_id": "eipalloc-1",
                "eip.materialize.cloud/protect": "true",
                "external-dns.alpha.kubernetes.io/target": "203.0.113.1",
                "external-dns.kubernetes.io/target": "203.0.113.2",
            },
            "finalizers": ["eip.materialize.cloud/destroy", "eip.materialize.cloud/disassociate"],
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Pod", "name": "web-0", "uid": "p1"},
            ],
            "managedFields": [{"manager": "other", "fieldsV1": {"f:metadata": {}}}],
        })
    }

    /// What is made of a whole object, and of its light form.
    fn both<K, L, T>(object: &Value, seen: impl Fn(&K) -> T) -> (T, T)
    where
        K: for<'a> Deserialize<'a> + From<L>,
        L: for<'a> Deserialize<'a>,
    {
        let whole: K = serde_json::from_value(object.clone()).unwrap();
        let light: L = serde_json::from_value(object.clone()).unwrap();
        (seen(&whole), seen(&light.into()))
    }

    #[test]
    fn nothing_that_we_look_at_is_left_out() {
        let conditions = json!([
            {"type": "PodReadyToStartContainers", "status": "False"},
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-25T10:00:01Z"},
        ]);
        let object = json!({
            "metadata": metadata(),
            "spec": {"nodeName": "n1", "hostNetwork": true, "containers": [{"name": "main"}]},
            "status": {"phase": "Running", "podIP": "10.0.1.1", "podIPs": [{"ip": "10.0.1.1"}],
                "conditions": conditions},
        });
        let (whole, light) = both::<core::Pod, LightPod, _>(&object, pod);
        assert_eq!(whole, light);
        assert!(light.sandbox_down && light.host_network && !light.legacy_finalizers.is_empty());

        let object = json!({
            "metadata": metadata(),
            "spec": {"providerID": "aws:///us-east-1a/i-1", "podCIDR": "10.0.1.0/24"},
            "status": {"conditions": conditions, "images": [{"names": ["a"]}]},
        });
        let (whole, light) = both::<core::Node, LightNode, _>(&object, node);
        assert_eq!(whole, light);
        assert!(light.instance.is_some() && !light.not_ready);

        let ready = json!({"type": "Ready", "status": "True", "reason": "Associated",
            "message": "", "lastTransitionTime": "2026-11-25T10:00:01Z"});
        let object = json!({
            "apiVersion": "materialize.cloud/v1", "kind": "Eip",
            "metadata": metadata(), "spec": {"podName": "web-0"},
            "status": {"allocationId": "eipalloc-1", "resourceId": "web-0", "conditions": [ready]},
        });
        let (whole, light) = both::<Eip, LightEip, _>(&object, eip);
        assert_eq!(whole, light);
        assert!(light.held && light.deleting && light.protected && light.status.ready);
    }
}

//! Objects of the cluster as the snapshot's types, and a status as the object's.

use std::collections::BTreeSet;
use std::net::IpAddr;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};

use crate::live::crd::{Eip as EipObject, EipStatus};
use crate::plan::conditions::{
    ADDRESS_NOT_SEEN, ALLOCATED, ASSOCIATED, IDLE, NOT_ALLOCATED, READY,
};
use crate::plan::names;
use crate::plan::snapshot::{Eip, Key, Node, Phase, Pod, Status};

pub(super) fn key<K: ResourceExt>(object: &K) -> Key {
    Key::new(object.namespace().unwrap_or_default(), object.name_any())
}

fn is_true<K: ResourceExt>(object: &K, label: &str) -> bool {
    object.labels().get(label).is_some_and(|value| value == names::TRUE)
}

pub(super) fn eip(object: &EipObject) -> Eip {
    let owner = object.owner_references().iter().find(|owner| owner.kind == "Pod");
    let autocreated = is_true(object, names::AUTOCREATED_LABEL);
    let created = object.creation_timestamp();
    Eip {
        uid: object.uid().unwrap_or_default(),
        pod: object.spec.pod_name.clone(),
        created: created.map(|time| time.0.to_string()).unwrap_or_default(),
        autocreated_for: owner.filter(|_| autocreated).map(|owner| owner.uid.clone()),
        held: object.finalizers().iter().any(|one| one == names::FINALIZER),
        deleting: object.meta().deletion_timestamp.is_some(),
        protected: is_protected(object),
        generation: object.meta().generation.unwrap_or_default(),
        status: object.status.as_ref().map(status).unwrap_or_default(),
    }
}

fn is_protected(object: &EipObject) -> bool {
    object.annotations().get(names::PROTECT_ANNOTATION).is_some_and(|value| value == names::TRUE)
}

fn status(object: &EipStatus) -> Status {
    let conditions = object.conditions.as_deref().unwrap_or_default();
    let of = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
    let (ready, allocated) = (of(READY), of(ALLOCATED));
    let no_more = allocated.is_some_and(|allocated| allocated.status == "False");
    Status {
        missing: object.allocation_id.is_some() && no_more,
        allocation: object.allocation_id.clone(),
        ip: object.public_ip_address.clone(),
        association: object.association_id.clone(),
        interface: object.eni.clone(),
        private_ip: object.private_ip_address.clone(),
        pod: object.resource_id.clone(),
        ready: ready.is_some_and(|ready| ready.status == "True"),
        reason: ready.map(|ready| ready.reason.clone()).unwrap_or_default(),
        message: ready.map(|ready| ready.message.clone()).unwrap_or_default(),
        generation: object.observed_generation.unwrap_or_default(),
    }
}

/// The status as it is written. `Allocated` and `Associated` follow from its fields.
pub(super) fn status_object(status: &Status, seen: &[Condition]) -> EipStatus {
    let condition = |kind: &str, holds: bool, reason: &str, message: &str| {
        let value = if holds { "True" } else { "False" };
        let before = seen.iter().find(|one| one.type_ == kind && one.status == value);
        Condition {
            type_: kind.to_owned(),
            status: value.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            observed_generation: Some(status.generation),
            last_transition_time: before.map_or_else(
                || Time(Timestamp::now()),
                |before| before.last_transition_time.clone(),
            ),
        }
    };
    let allocated = status.allocation.is_some() && !status.missing;
    let why_not = if status.missing { ADDRESS_NOT_SEEN } else { NOT_ALLOCATED };
    let associated = status.association.is_some();
    EipStatus {
        allocation_id: status.allocation.clone(),
        public_ip_address: status.ip.clone(),
        eni: status.interface.clone(),
        private_ip_address: status.private_ip.clone(),
        resource_id: status.pod.clone(),
        association_id: status.association.clone(),
        observed_generation: Some(status.generation),
        conditions: Some(vec![
            condition(ALLOCATED, allocated, if allocated { ALLOCATED } else { why_not }, ""),
            condition(ASSOCIATED, associated, if associated { ASSOCIATED } else { IDLE }, ""),
            condition(READY, status.ready, &status.reason, &status.message),
        ]),
    }
}

pub(super) fn pod(object: &core::Pod) -> Pod {
    let spec = object.spec.as_ref();
    let status = object.status.as_ref();
    let annotation = |name: &str| object.annotations().get(name).cloned();
    let sandbox = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    let mut sandbox = sandbox.filter(|one| one.type_ == "PodReadyToStartContainers");
    let ip = status.and_then(pod_ip);
    let meta = object.meta();
    let deleting = meta.deletion_timestamp.is_some();
    let grace = meta.deletion_grace_period_seconds.unwrap_or_default();
    let legacy = names::LEGACY_POD_FINALIZERS.into_iter().map(str::to_owned);
    let legacy: BTreeSet<String> = legacy.filter(|one| object.finalizers().contains(one)).collect();
    Pod {
        uid: object.uid().unwrap_or_default(),
        node: spec.and_then(|spec| spec.node_name.clone()).filter(|node| !node.is_empty()),
        ip,
        phase: phase(status.and_then(|status| status.phase.as_deref())),
        managed: is_true(object, names::MANAGE_LABEL),
        autocreate: is_true(object, names::AUTOCREATE_LABEL),
        host_network: spec.and_then(|spec| spec.host_network).unwrap_or_default(),
        terminating: deleting.then(|| u64::try_from(grace).unwrap_or_default()),
        // Before its first sandbox a pod says False too, but has no IP then.
        sandbox_down: ip.is_some() && sandbox.any(|one| one.status == "False"),
        target: annotation(names::TARGET_ANNOTATION),
        alpha_target: annotation(names::ALPHA_TARGET_ANNOTATION),
        allocation: annotation(names::ALLOCATION_ANNOTATION),
        legacy_finalizers: legacy,
    }
}

/// When an Event was last seen: the older API of Events and the newer one say it apart.
pub(super) fn time_of(event: &core::Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    let micro = series.or(event.event_time.as_ref()).map(|time| time.0);
    event.last_timestamp.as_ref().map(|time| time.0).or(micro)
}

/// `2026-11-25T19:00:00Z Pod Scheduled: Successfully assigned …`
pub(super) fn event(event: &core::Event) -> String {
    let time = time_of(event).map_or_else(String::new, |time| format!("{time:.0} "));
    let kind = event.involved_object.kind.as_deref().unwrap_or("object");
    let reason = event.reason.as_deref().unwrap_or("unknown");
    let message = event.message.as_deref().unwrap_or_default();
    format!("{time}{kind} {reason}: {message}")
}

/// The IPv4 address of a pod, which in a dual-stack cluster may be its second one.
fn pod_ip(status: &core::PodStatus) -> Option<IpAddr> {
    let all = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str());
    let all: Vec<IpAddr> =
        all.chain(status.pod_ip.as_deref()).filter_map(|ip| ip.parse().ok()).collect();
    all.iter().find(|ip| ip.is_ipv4()).or_else(|| all.first()).copied()
}

fn phase(text: Option<&str>) -> Phase {
    match text {
        Some("Running") => Phase::Running,
        Some("Succeeded") => Phase::Succeeded,
        Some("Failed") => Phase::Failed,
        Some("Unknown") => Phase::Unknown,
        _ => Phase::Pending,
    }
}

pub(super) fn node(object: &core::Node) -> Node {
    let provider = object.spec.as_ref().and_then(|spec| spec.provider_id.as_deref());
    let conditions = object.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.into_iter().flatten().find(|one| one.type_ == "Ready");
    Node {
        instance: provider.and_then(instance),
        not_ready: ready.is_none_or(|ready| ready.status != "True"),
    }
}

/// `i-…` from `aws:///us-east-1a/i-0abc`, the form of the AWS cloud provider.
fn instance(provider_id: &str) -> Option<String> {
    let path = provider_id.strip_prefix("aws:///")?;
    let instance = path.rsplit('/').next()?;
    instance.starts_with("i-").then(|| instance.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod_from(value: Value) -> Pod {
        pod(&serde_json::from_value::<core::Pod>(value).unwrap())
    }

    #[test]
    fn a_label_counts_only_when_it_is_true() {
        let labelled = |value: &str| {
            pod_from(json!({"metadata": {"labels": {names::MANAGE_LABEL: value}}})).managed
        };
        assert!(labelled("true"));
        assert!(!labelled("false") && !labelled("True") && !labelled(""));
    }

    #[test]
    fn an_eip_is_protected_by_its_annotation_when_that_is_true() {
        let annotated = |value: &str| {
            let annotations = json!({names::PROTECT_ANNOTATION: value});
            let object = json!({"apiVersion": "materialize.cloud/v1", "kind": "Eip",
                "metadata": {"annotations": annotations}, "spec": {"podName": "web-0"}});
            eip(&serde_json::from_value(object).unwrap()).protected
        };
        assert!(annotated("true"));
        assert!(!annotated("false") && !annotated("yes"));
    }

    #[test]
    fn a_dual_stack_pod_has_its_ipv4_address() {
        let pod = pod_from(json!({"status": {
            "podIP": "2001:db8::1", "podIPs": [{"ip": "2001:db8::1"}, {"ip": "10.0.1.2"}],
        }}));
        assert_eq!(pod.ip, "10.0.1.2".parse().ok());
        let pod = pod_from(json!({"status": {"podIP": "2001:db8::1"}}));
        assert_eq!(pod.ip, "2001:db8::1".parse().ok());
    }

    #[test]
    fn a_sandbox_is_down_only_after_it_was_there() {
        let condition = json!([{"type": "PodReadyToStartContainers", "status": "False"}]);
        let before = pod_from(json!({"status": {"conditions": condition}}));
        let after = pod_from(json!({"status": {"conditions": condition, "podIP": "10.0.1.2"}}));
        assert!(!before.sandbox_down && after.sandbox_down);
    }

    #[test]
    fn an_instance_is_read_from_a_provider_id() {
        assert_eq!(instance("aws:///us-east-1a/i-0abc").as_deref(), Some("i-0abc"));
        for other in ["", "aws:///us-east-1a/fargate-10.0.0.1", "gce:///a/i-1", "i-0abc"] {
            assert_eq!(instance(other), None, "{other}");
        }
    }

    #[test]
    fn a_condition_keeps_its_time_while_its_status_stays() {
        let first = status_object(&Status::default(), &[]).conditions.unwrap();
        let mut old = first.clone();
        for condition in &mut old {
            condition.last_transition_time = Time(Timestamp::UNIX_EPOCH);
        }
        let ready = Status { ready: true, ..Status::default() };
        let then = status_object(&ready, &old).conditions.unwrap();
        let epoch = Time(Timestamp::UNIX_EPOCH);
        let kept: Vec<bool> = then.iter().map(|one| one.last_transition_time == epoch).collect();
        assert_eq!(kept, [true, true, false]);
    }
}

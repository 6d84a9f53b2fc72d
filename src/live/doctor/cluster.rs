//! What is to be known of the cluster itself: the definition of Eips, the nodes, how pods leave the
//! VPC, and what external-dns will read.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{self as core, EnvVar};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, PartialObjectMeta};
use kube::{Api, Client, CustomResourceExt, ResourceExt};

use super::Finding;
use crate::live::config::Config;
use crate::live::crd::{CRD_NAME, Eip};
use crate::live::kubernetes::failure;
use crate::plan::meaning::Failure;
use crate::plan::names;
use crate::plan::snapshot::Node;

const CNI: (&str, &str) = ("kube-system", "aws-node");
const EXTERNAL_SNAT: &str = "AWS_VPC_K8S_CNI_EXTERNALSNAT";
/// What asks external-dns for a record: without it there is none, whatever the target.
const HOSTNAMES: [&str; 2] =
    ["external-dns.kubernetes.io/hostname", "external-dns.alpha.kubernetes.io/hostname"];
/// So many names are told; a page of a list, for more pods say nothing new.
const TOLD: usize = 3;
const PAGE: u32 = 500;

/// Whether Eips are served as this version stores them.
pub(super) async fn definition(client: &Client, config: &Config) -> Finding {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    match api.get_opt(CRD_NAME).await {
        Ok(found) => defined(found.as_ref(), config.installs_crd()),
        Err(error) => unknown("definition of Eips", &failure(&error)),
    }
}

fn unknown(thing: &str, failure: &Failure) -> Finding {
    let todo = "ask again with rights to read it";
    Finding::warn(thing, format!("not known: {failure}"), todo)
}

pub(super) fn defined(found: Option<&CustomResourceDefinition>, installs: bool) -> Finding {
    let thing = "definition of Eips";
    let apply = "kubectl apply -f manifests/crd.yaml";
    let Some(found) = found else {
        return match installs {
            true => Finding::pass(thing, "not there; the operator installs it at its start"),
            false => Finding::fail(thing, "not there", apply),
        };
    };
    if found.metadata.deletion_timestamp.is_some() {
        let seen = "it is being deleted, and every Eip with it; addresses are kept meanwhile";
        return Finding::fail(thing, seen, "README.md, \"A deleted definition costs no address\"");
    }
    let status = found.status.clone().unwrap_or_default();
    let stored = status.stored_versions.unwrap_or_default();
    if stored.iter().any(|version| version != "v1") {
        let seen = format!("Eips are stored as {}, accepted is v1 alone", stored.join(", "));
        let todo = "start the operator: it refuses with a recipe, and changes nothing";
        return Finding::fail(thing, seen, todo);
    }
    let version = found.spec.versions.iter().find(|version| version.name == "v1");
    let conditions = status.conditions.unwrap_or_default();
    let established =
        conditions.iter().any(|one| one.type_ == "Established" && one.status == "True");
    if !established || !version.is_some_and(|version| version.served) {
        let todo = format!("kubectl describe crd {CRD_NAME}");
        return Finding::fail(thing, "v1 is not served", todo);
    }
    let ours = &Eip::crd().spec.versions[0];
    match (version == Some(ours), installs) {
        (true, _) => Finding::pass(thing, "v1 is served, and stored"),
        (false, true) => {
            let seen = "v1 is served; the operator brings it up to date at its start";
            Finding::pass(thing, seen)
        }
        (false, false) => Finding::warn(thing, "v1 is served, and not as of this version", apply),
    }
}

/// Whether pods on every node can be found in EC2.
pub(super) fn nodes(found: &Result<BTreeMap<String, Node>, Failure>) -> Finding {
    let thing = "provider ids of the nodes";
    let found = match found {
        Ok(found) => found,
        Err(failure) => return unknown(thing, failure),
    };
    let without = found.iter().filter(|(_, node)| node.instance.is_none());
    let without: Vec<&str> = without.map(|(name, _)| name.as_str()).collect();
    let todo = "pods there get no address (Fargate, hybrid nodes, or a cloud provider that has not \
                set spec.providerID): keep those that need one off such nodes";
    match (found.len(), without.len()) {
        (0, _) => Finding::warn(thing, "there is no node", "ask again when there are nodes"),
        (all, 0) => Finding::pass(thing, format!("all {all} name an EC2 instance")),
        (all, none) if all == none => {
            let seen = "no node has one that names an EC2 instance (aws:///ZONE/i-…)";
            Finding::fail(thing, seen, todo)
        }
        (all, some) => {
            let seen = format!("{some} of {all} name no EC2 instance: {}", some_of(&without));
            Finding::warn(thing, seen, todo)
        }
    }
}

fn some_of(names: &[&str]) -> String {
    let told = names[..names.len().min(TOLD)].join(", ");
    match names.len().saturating_sub(TOLD) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

/// Whether what a pod itself sends leaves by its Elastic IP.
pub(super) async fn external_snat(client: &Client) -> Finding {
    let (namespace, name) = CNI;
    let api: Api<DaemonSet> = Api::namespaced(client.clone(), namespace);
    snat(&api.get_opt(name).await.map_err(|error| failure(&error)))
}

pub(super) fn snat(found: &Result<Option<DaemonSet>, Failure>) -> Finding {
    let (namespace, name) = CNI;
    let thing = format!("external SNAT of {name}");
    let why = "without it pods are reached by their Elastic IP and leave by their node's address";
    let set = format!(
        "{why}. If it matters: kubectl -n {namespace} set env daemonset {name} \
         {EXTERNAL_SNAT}=true; other pods then reach the internet by a NAT gateway alone"
    );
    let found = match found {
        Ok(Some(found)) => found,
        Ok(None) => {
            let seen = format!("there is no DaemonSet {namespace}/{name}");
            let todo = "see that pods have IPs of the VPC, as the VPC CNI gives them";
            return Finding::warn(&thing, seen, todo);
        }
        Err(failure) if failure.code == "Forbidden" => {
            let seen = "not readable with these rights, which the operator does not need";
            let todo = format!(
                "look yourself: kubectl -n {namespace} get daemonset {name} -o yaml | grep -A1 \
                 {EXTERNAL_SNAT}; {why}"
            );
            return Finding::warn(&thing, seen, todo);
        }
        Err(failure) => return unknown(&thing, failure),
    };
    let spec = found.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let containers = spec.map_or(&[][..], |spec| &spec.containers);
    let set_to = containers.iter().flat_map(|one| one.env.iter().flatten()).find(is_external_snat);
    match set_to {
        None => {
            Finding::warn(&thing, format!("{EXTERNAL_SNAT} is not set, which means false"), set)
        }
        Some(EnvVar { value: Some(value), .. }) if value == "true" => {
            Finding::pass(&thing, format!("{EXTERNAL_SNAT}=true"))
        }
        Some(EnvVar { value: Some(value), .. }) => {
            Finding::warn(&thing, format!("{EXTERNAL_SNAT}={value}"), set)
        }
        Some(_) => Finding::warn(&thing, "not known: it is taken from elsewhere", why),
    }
}

fn is_external_snat(variable: &&EnvVar) -> bool {
    variable.name == EXTERNAL_SNAT
}

/// Of the pods in the operator's care: what it would overwrite, and what external-dns reads.
pub(super) async fn external_dns(client: &Client, config: &Config) -> Vec<Finding> {
    let api: Api<core::Pod> = match &config.namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let managed = format!("{}={}", names::MANAGE_LABEL, names::TRUE);
    let params = ListParams::default().labels(&managed).limit(PAGE);
    match api.list_metadata(&params).await {
        Ok(pods) => vec![targets(&pods.items), hostnames(&pods.items)],
        Err(error) => vec![unknown("annotations for external-dns", &failure(&error))],
    }
}

type PodMeta = PartialObjectMeta<core::Pod>;

fn named<'a>(pods: impl Iterator<Item = &'a PodMeta>) -> Vec<String> {
    pods.map(|pod| format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any())).collect()
}

fn listed(names: &[String]) -> String {
    some_of(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A target without an allocation id beside it is somebody else's, and is overwritten.
pub(super) fn targets(pods: &[PodMeta]) -> Finding {
    let thing = "targets for external-dns";
    let theirs = named(pods.iter().filter(|pod| {
        let has = |key| pod.annotations().contains_key(key);
        !has(names::ALLOCATION_ANNOTATION)
            && (has(names::TARGET_ANNOTATION) || has(names::ALPHA_TARGET_ANNOTATION))
    }));
    if theirs.is_empty() {
        let seen = format!("none is another's; managed pods: {}", pods.len());
        return Finding::pass(thing, seen);
    }
    let seen = format!("set by somebody else on pods {}", listed(&theirs));
    let todo = format!(
        "once such a pod has an Elastic IP the operator writes it into {} and {}: take them off, \
         or the label {} off the pod",
        names::TARGET_ANNOTATION,
        names::ALPHA_TARGET_ANNOTATION,
        names::MANAGE_LABEL
    );
    Finding::warn(thing, seen, todo)
}

/// The operator writes targets under both prefixes; the names are the users' own.
pub(super) fn hostnames(pods: &[PodMeta]) -> Finding {
    let thing = "hostnames for external-dns";
    let [now, before] = HOSTNAMES;
    let has = |pod: &&PodMeta, key: &str| pod.annotations().contains_key(key);
    let asks = pods.iter().filter(|pod| has(pod, now) || has(pod, before)).count();
    let old = named(pods.iter().filter(|pod| has(pod, before) && !has(pod, now)));
    if old.is_empty() {
        let seen = format!("managed pods that ask for a name: {asks} of {}", pods.len());
        return Finding::pass(thing, seen);
    }
    let seen = format!("only as {before} on pods {}", listed(&old));
    let todo = format!("external-dns 0.22 and later read {now} alone: annotate with both");
    Finding::warn(thing, seen, todo)
}

//! What the operator needs to be allowed in Kubernetes, and whether who asks is.
//!
//! `manifests/base/rbac.yaml` grants exactly this, which a test compares.

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};

use super::Finding;
use crate::live::config::Config;
use crate::live::crd::CRD_NAME;
use crate::live::kubernetes::failure;
use crate::live::serve::lease_namespace;

/// Where a right is needed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Of what has no namespace, or in every namespace.
    Everywhere,
    /// In one namespace.
    In(String),
}

/// Verbs on one kind of object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    pub group: &'static str,
    /// With the subresource, as RBAC writes it.
    pub resource: &'static str,
    /// Of the one object that it is about.
    pub name: Option<&'static str>,
    pub verbs: &'static [&'static str],
    pub scope: Scope,
    /// What cannot be done without it.
    pub what_for: &'static str,
}

/// What an operator with these settings needs.
pub fn rights(config: &Config) -> Vec<Right> {
    let served = match &config.namespace {
        Some(namespace) => Scope::In(namespace.clone()),
        None => Scope::Everywhere,
    };
    let right = |group, resource, name, verbs, scope: &Scope, what_for| Right {
        group,
        resource,
        name,
        verbs,
        scope: scope.clone(),
        what_for,
    };
    let everywhere = Scope::Everywhere;
    let acts = !config.dry_run;
    let (eips, pods): (&[&str], &[&str]) = match acts {
        true => (
            &["get", "list", "watch", "create", "patch", "delete"],
            &["get", "list", "watch", "patch"],
        ),
        false => (&["list", "watch"], &["get", "list", "watch"]),
    };
    let (group, definitions) = ("apiextensions.k8s.io", "customresourcedefinitions");
    let installing: &[&str] =
        if config.installs_crd() { &["get", "create", "patch"] } else { &["get"] };
    let eip = "materialize.cloud";
    let mut all = vec![
        right(eip, "eips", None, eips, &served, "no Eip is served"),
        right("", "pods", None, pods, &served, "no pod gets an address"),
        right("", "nodes", None, &["list"], &everywhere, "no pod's interface is found"),
        right(
            "",
            "namespaces",
            Some("kube-system"),
            &["get"],
            &everywhere,
            "this cluster has no identity, and nothing is done",
        ),
        right(
            group,
            definitions,
            Some(CRD_NAME),
            installing,
            &everywhere,
            "it is not known whether Eips are about to vanish, and none is let go",
        ),
    ];
    if acts {
        let status = "an Eip does not say what has become of it";
        all.insert(1, right(eip, "eips/status", None, &["patch"], &served, status));
        let events = "nothing is told as Events";
        let verbs = &["create", "patch"];
        all.push(right("events.k8s.io", "events", None, verbs, &served, events));
    }
    if acts && config.leader_elect != Some(false) {
        let own = Scope::In(lease_namespace(config));
        let verbs = &["get", "create", "update"];
        let lease = "the operator never begins";
        all.push(right("coordination.k8s.io", "leases", None, verbs, &own, lease));
    }
    all
}

impl Right {
    /// What it is about, as RBAC writes it.
    fn thing(&self) -> String {
        match self.name {
            Some(name) => format!("{} {name}", self.resource),
            None => self.resource.to_owned(),
        }
    }

    /// The same, to be granted.
    fn granted(&self) -> String {
        match self.group {
            "" => self.thing(),
            group => format!("{} (API group {group})", self.thing()),
        }
    }
}

/// Whose rights these are, as the end of a sentence; nothing where the server does not say.
pub(super) async fn asker(client: &Client) -> String {
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let answer = api.create(&PostParams::default(), &SelfSubjectReview::default()).await;
    let name = answer.ok().and_then(|answer| answer.status?.user_info?.username);
    name.map_or(String::new(), |name| format!("; asked with the rights of {name}"))
}

/// Asks for every verb of a right.
pub(super) async fn asked(client: &Client, right: &Right) -> Finding {
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let mut missing = Vec::new();
    for verb in right.verbs {
        match api.create(&PostParams::default(), &review(right, verb)).await {
            Ok(answer) if answer.status.as_ref().is_some_and(|status| status.allowed) => {}
            Ok(_) => missing.push(*verb),
            Err(error) => {
                let seen = format!("not known: {}", failure(&error));
                return Finding::warn(&right.thing(), seen, "ask again, or with other rights");
            }
        }
    }
    told(right, &missing)
}

fn review(right: &Right, verb: &str) -> SelfSubjectAccessReview {
    let (resource, subresource) = match right.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (right.resource, None),
    };
    let namespace = match &right.scope {
        Scope::Everywhere => None,
        Scope::In(namespace) => Some(namespace.clone()),
    };
    let attributes = ResourceAttributes {
        group: Some(right.group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource,
        verb: Some(verb.to_owned()),
        name: right.name.map(str::to_owned),
        namespace,
        ..ResourceAttributes::default()
    };
    SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    }
}

pub(super) fn told(right: &Right, missing: &[&str]) -> Finding {
    let thing = right.thing();
    if missing.is_empty() {
        return Finding::pass(&thing, format!("allowed: {}", right.verbs.join(", ")));
    }
    let place = match &right.scope {
        Scope::Everywhere => String::new(),
        Scope::In(namespace) => format!(" in namespace {namespace}"),
    };
    let verbs = missing.join(", ");
    let seen = format!("not allowed{place}: {verbs}; without it {}", right.what_for);
    let granted = right.granted();
    Finding::fail(&thing, seen, format!("grant {verbs} on {granted}{place}: see manifests/"))
}

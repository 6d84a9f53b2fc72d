use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionCondition, CustomResourceDefinitionStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::CustomResourceExt;
use serde_json::json;

use super::actions::{judged, quota};
use super::cluster::{defined, hostnames, nodes, snat, targets};
use super::*;
use crate::live::crd::Eip;
use crate::live::ec2::{Change, Tried};
use crate::plan::meaning::{Failure, Meaning};
use crate::plan::names;
use crate::plan::snapshot::{Node, Quota};

fn told(code: &str, message: &str) -> Tried {
    Tried::Told { code: code.to_owned(), message: message.to_owned() }
}

fn action(change: Change) -> Action {
    *ACTIONS.iter().find(|action| action.change == Some(change)).unwrap()
}

const CHANGES: [Change; 5] =
    [Change::Allocate, Change::Tag, Change::Associate, Change::Disassociate, Change::Release];

#[test]
fn what_would_have_succeeded_is_allowed() {
    for change in CHANGES {
        let finding = judged(&action(change), false, &told("DryRunOperation", "would"));
        assert_eq!((finding.grade, finding.todo.as_str()), (Grade::Pass, ""), "{change:?}");
    }
}

#[test]
fn what_is_refused_is_named_with_the_statement_that_allows_it() {
    let encoded = "You are not authorized. Encoded authorization failure message: bm90IHJlYWQ";
    for change in CHANGES {
        let finding = judged(&action(change), false, &told("UnauthorizedOperation", encoded));
        let optional = change == Change::Tag;
        assert!(!finding.seen.contains(".."), "{}", finding.seen);
        assert_eq!(finding.grade, if optional { Grade::Warn } else { Grade::Fail }, "{change:?}");
        assert!(finding.seen.starts_with("UnauthorizedOperation: You are not authorized"));
        assert!(!finding.seen.contains("bm90IHJlYWQ"), "{}", finding.seen);
        let action = action(change);
        assert!(finding.todo.starts_with(&format!("allow {}: statement", action.name)));
        assert!(action.statements.iter().all(|one| finding.todo.contains(one)), "{}", finding.todo);
    }
}

#[test]
fn what_is_refused_on_a_made_up_id_is_not_known_unless_it_is_denied_to_all() {
    let deny = "… with an explicit deny in a service control policy";
    for change in [Change::Associate, Change::Disassociate, Change::Release] {
        let finding = judged(&action(change), true, &told("UnauthorizedOperation", "no"));
        assert_eq!(finding.grade, Grade::Warn, "{change:?}");
        assert!(finding.todo.starts_with("ask again with --address eipalloc-…"));
        let finding = judged(&action(change), true, &told("UnauthorizedOperation", deny));
        assert_eq!(finding.grade, Grade::Fail, "{change:?}");
    }
}

#[test]
fn an_id_that_is_looked_for_was_allowed_if_it_is_made_up() {
    let allowed = |change, code, made_up| {
        judged(&action(change), made_up, &told(code, "")).grade == Grade::Pass
    };
    for (change, code) in [
        (Change::Release, "InvalidAllocationID.NotFound"),
        (Change::Release, "InvalidAddress.NotFound"),
        (Change::Associate, "InvalidNetworkInterfaceID.NotFound"),
        (Change::Disassociate, "InvalidAssociationID.NotFound"),
        (Change::Tag, "InvalidElasticIpID.NotFound"),
    ] {
        assert!(allowed(change, code, true), "{code}");
        assert!(!allowed(change, code, false), "{code}: somebody released it meanwhile");
    }
    assert!(allowed(Change::Associate, "InvalidParameterValue", false), "the IP is made up");
    assert!(!allowed(Change::Allocate, "InvalidParameterValue", false));
    assert!(!allowed(Change::Release, "InvalidAllocationID.Malformed", true));
}

#[test]
fn every_other_answer_says_what_it_is() {
    for (code, grade, todo) in [
        ("AddressLimitExceeded", Grade::Warn, "ask AWS for more"),
        ("TagPolicyViolation", Grade::Fail, "change DEFAULT_TAGS"),
        ("InvalidTagKey.Malformed", Grade::Fail, "change DEFAULT_TAGS"),
        ("AuthFailure", Grade::Fail, "aws sts get-caller-identity"),
        ("ExpiredToken", Grade::Fail, "aws sts get-caller-identity"),
        ("RequestLimitExceeded", Grade::Warn, "ask again"),
        ("Timeout", Grade::Warn, "ask again"),
    ] {
        let finding = judged(&action(Change::Allocate), false, &told(code, "as EC2 says"));
        assert_eq!(finding.grade, grade, "{code}");
        assert!(finding.todo.contains(todo), "{code}: {}", finding.todo);
    }
}

#[test]
fn what_was_carried_out_in_spite_of_dry_run_is_told() {
    let finding = judged(&action(Change::Release), true, &Tried::Done);
    assert_eq!(finding.grade, Grade::Warn);
    // Of a real address it is no riddle but a loss.
    let finding = judged(&action(Change::Release), false, &Tried::Done);
    assert_eq!(finding.grade, Grade::Fail);
    let bought = |given_back| Tried::Bought { address: "eipalloc-1".to_owned(), given_back };
    let finding = judged(&action(Change::Allocate), false, &bought(true));
    assert!(finding.grade == Grade::Fail && finding.seen.ends_with("and given back"));
    let finding = judged(&action(Change::Allocate), false, &bought(false));
    assert!(finding.grade == Grade::Fail && finding.todo.starts_with("release eipalloc-1"));
}

#[test]
fn a_call_is_made_up_where_what_it_needs_is_not_there() {
    let made_up = |subject: &crate::live::ec2::Subject| -> Vec<Change> {
        CHANGES.into_iter().filter(|change| subject.is_made_up(*change)).collect()
    };
    let mut subject = crate::live::ec2::Subject::default();
    assert_eq!(made_up(&subject), CHANGES[1..]);
    subject.interface = Some("eni-1".to_owned());
    assert_eq!(made_up(&subject), CHANGES[1..]);
    let address = json!({"ip": "203.0.113.9", "eip": "e1", "association": "eipassoc-1",
                         "interface": "eni-1", "private_ip": "10.0.0.1"});
    let address: crate::plan::snapshot::Address = serde_json::from_value(address).unwrap();
    subject.address = Some(("eipalloc-1".to_owned(), address));
    assert_eq!(made_up(&subject), []);
    subject.address.as_mut().unwrap().1.association = None;
    assert_eq!(made_up(&subject), [Change::Disassociate]);
}

#[test]
fn a_quota_that_is_used_up_or_unknown_is_told() {
    let grade = |limit, used| quota(Ok(Quota { limit, used })).grade;
    assert_eq!([grade(5, 4), grade(5, 5), grade(5, 6)], [Grade::Pass, Grade::Warn, Grade::Warn]);
    let todo = |why: &str| quota(Err(why.to_owned())).todo;
    assert!(todo("service quota: AccessDeniedException").starts_with("allow servicequotas:"));
    assert!(todo("service quota: NoSuchResourceException").starts_with("look at it yourself"));
}

// --- the cluster ---

fn served() -> CustomResourceDefinition {
    let established = CustomResourceDefinitionCondition {
        type_: "Established".to_owned(),
        status: "True".to_owned(),
        ..CustomResourceDefinitionCondition::default()
    };
    let status = CustomResourceDefinitionStatus {
        stored_versions: Some(vec!["v1".to_owned()]),
        conditions: Some(vec![established]),
        ..CustomResourceDefinitionStatus::default()
    };
    CustomResourceDefinition { status: Some(status), ..Eip::crd() }
}

#[test]
fn the_definition_is_judged_by_what_is_served_and_stored() {
    use Grade::{Fail, Pass, Warn};
    let grades = |found: Option<CustomResourceDefinition>| {
        [true, false].map(|installs| defined(found.as_ref(), installs).grade)
    };
    let with = |change: &dyn Fn(&mut CustomResourceDefinition)| {
        let mut crd = served();
        change(&mut crd);
        grades(Some(crd))
    };
    assert_eq!(grades(None), [Pass, Fail]);
    assert_eq!(grades(Some(served())), [Pass, Pass]);
    assert_eq!(grades(Some(Eip::crd())), [Fail, Fail], "not established");
    assert_eq!(with(&|crd| crd.spec.versions[0].additional_printer_columns = None), [Pass, Warn]);
    assert_eq!(with(&|crd| crd.spec.versions[0].served = false), [Fail, Fail]);
    assert_eq!(with(&|crd| crd.spec.versions[0].name = "v2".to_owned()), [Fail, Fail]);
    let stored = vec!["v1".to_owned(), "v2".to_owned()];
    let older = |crd: &mut CustomResourceDefinition| {
        crd.status.as_mut().unwrap().stored_versions = Some(stored.clone());
    };
    assert_eq!(with(&older), [Fail, Fail]);
    let going = |crd: &mut CustomResourceDefinition| {
        crd.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    };
    assert_eq!(with(&going), [Fail, Fail]);
}

fn forbidden() -> Failure {
    Failure { code: "Forbidden".to_owned(), message: "no".to_owned(), meaning: Meaning::Slow }
}

#[test]
fn nodes_without_an_instance_are_named() {
    let found = |instances: &[Option<&str>]| {
        let node = |(n, instance): (usize, &Option<&str>)| {
            let instance = instance.map(str::to_owned);
            (format!("node-{n}"), Node { instance, not_ready: false })
        };
        nodes(&Ok(instances.iter().enumerate().map(node).collect::<BTreeMap<_, _>>()))
    };
    let i = Some("i-1");
    assert_eq!(found(&[i, i]).grade, Grade::Pass);
    assert_eq!(found(&[None, None]).grade, Grade::Fail);
    assert_eq!(found(&[]).grade, Grade::Warn);
    let some = found(&[i, None, None, None, None, None]);
    assert_eq!(some.grade, Grade::Warn);
    assert!(some.seen.ends_with("5 of 6 name no EC2 instance: node-1, node-2, node-3 and 2 more"));
    assert_eq!(nodes(&Err(forbidden())).grade, Grade::Warn);
}

#[test]
fn how_pods_leave_is_known_or_why_it_matters() {
    let found = |env: serde_json::Value| {
        let containers = json!([{"name": "aws-node", "env": env}, {"name": "agent"}]);
        let daemons: DaemonSet = serde_json::from_value(json!({"spec": {
            "selector": {}, "template": {"spec": {"containers": containers}}}}))
        .unwrap();
        snat(&Ok(Some(daemons)))
    };
    let set = |value| json!([{"name": "AWS_VPC_K8S_CNI_EXTERNALSNAT", "value": value}]);
    assert_eq!(found(set("true")).grade, Grade::Pass);
    let from = json!([{"name": "AWS_VPC_K8S_CNI_EXTERNALSNAT", "valueFrom": {}}]);
    let unset = [found(set("false")), found(json!([])), found(from)];
    for finding in [snat(&Ok(None)), snat(&Err(forbidden()))].iter().chain(&unset) {
        assert_eq!(finding.grade, Grade::Warn, "{finding:?}");
    }
    assert!(unset.iter().all(|finding| finding.todo.contains("leave by their node's address")));
    assert!(snat(&Err(forbidden())).seen.contains("not readable with these rights"));
}

#[test]
fn what_external_dns_will_not_read_and_what_would_be_overwritten_is_named() {
    let pod = |name: &str, annotations: &[&str]| {
        let annotations: BTreeMap<&str, &str> = annotations.iter().map(|key| (*key, "x")).collect();
        let metadata = json!({"name": name, "namespace": "shop", "annotations": annotations});
        serde_json::from_value(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata}))
            .unwrap()
    };
    let (now, before) =
        ("external-dns.kubernetes.io/hostname", "external-dns.alpha.kubernetes.io/hostname");
    let ours = pod("ours", &[names::TARGET_ANNOTATION, names::ALLOCATION_ANNOTATION, now, before]);
    let plain = pod("plain", &[]);
    let well = [ours, plain];
    assert_eq!([targets(&well).grade, hostnames(&well).grade], [Grade::Pass, Grade::Pass]);
    assert_eq!(hostnames(&well).seen, "managed pods that ask for a name: 1 of 2");
    let theirs = [pod("theirs", &[names::ALPHA_TARGET_ANNOTATION]), pod("old", &[before])];
    assert_eq!(targets(&theirs).seen, "set by somebody else on pods shop/theirs");
    assert_eq!(hostnames(&theirs).seen, format!("only as {before} on pods shop/old"));
    assert_eq!([targets(&theirs).grade, hostnames(&theirs).grade], [Grade::Warn, Grade::Warn]);
}

// --- the table ---

#[test]
fn the_table_has_columns_says_what_to_do_and_counts() {
    let findings = [
        Finding::pass("pods", "allowed: get"),
        Finding::warn("ec2:ReleaseAddress", "not\nknown", "ask again"),
        Finding::fail("leases", "not allowed: get", "grant get"),
    ];
    let text = "cluster demo, all namespaces\n\
                pass  pods                allowed: get\n\
                warn  ec2:ReleaseAddress  not\\nknown\n\
                \u{20}                         → ask again\n\
                fail  leases              not allowed: get\n\
                \u{20}                         → grant get\n\
                1 pass, 1 warn, 1 fail\n";
    assert_eq!(table("cluster demo, all namespaces", &findings), text);
}

#[test]
fn a_right_that_is_missing_is_told_with_its_group_its_place_and_what_it_is_for() {
    let raw = Raw { cluster_name: Some("demo".to_owned()), ..Raw::default() };
    let all = rights(&Config::check(&raw).unwrap());
    let right = all.iter().find(|right| right.resource == "leases").unwrap();
    let finding = rights::told(right, &["create", "update"]);
    assert_eq!(finding.grade, Grade::Fail);
    let seen = "not allowed in namespace eip-operator: create, update; without it the operator \
                never begins";
    assert_eq!(finding.seen, seen);
    let todo = "grant create, update on leases (API group coordination.k8s.io) in namespace \
                eip-operator: see manifests/";
    assert_eq!(finding.todo, todo);
    assert_eq!(rights::told(right, &[]).seen, "allowed: get, create, update");
}

//! What the operator asks for is what the manifests grant: no more in Kubernetes, no less in AWS.
#![cfg(feature = "live")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use eip_operator::live::config::{Config, Raw};
use eip_operator::live::doctor::{ACTIONS, Scope, rights};
use serde_json::Value;

fn committed(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

fn documents(text: &str) -> Vec<Value> {
    text.split("\n---\n").map(|one| serde_saphyr::from_str(one).unwrap()).collect()
}

/// A right as one line: what RBAC and the list in the code must agree on.
fn line(group: &str, resource: &str, name: &str, verb: &str, place: &str) -> String {
    format!("{verb} {resource}.{group} {name} in {place}")
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().map_or(Vec::new(), |all| all.iter().map(|one| one.as_str().unwrap()).collect())
}

/// Every single right that a role grants.
fn granted(role: &Value) -> BTreeSet<String> {
    let place = role["metadata"]["namespace"].as_str().unwrap_or("all namespaces");
    let mut all = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        let mut names = texts(&rule["resourceNames"]);
        if names.is_empty() {
            names.push("");
        }
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    all.extend(names.iter().map(|name| line(group, resource, name, verb, place)));
                }
            }
        }
    }
    all
}

fn granted_by(roles: &[Value]) -> BTreeSet<String> {
    let is_role = |one: &&Value| one["kind"] == "ClusterRole" || one["kind"] == "Role";
    roles.iter().filter(is_role).flat_map(granted).collect()
}

/// The roles that a kustomization's patches put in the place of the base's.
fn patched(file: &str) -> Vec<Value> {
    let kustomization: Value = serde_saphyr::from_str(&committed(file)).unwrap();
    let patches = kustomization["patches"].as_array().unwrap().iter();
    let patches =
        patches.map(|one| serde_saphyr::from_str(one["patch"].as_str().unwrap()).unwrap());
    patches.filter(|one: &Value| one["rules"].is_array()).collect()
}

fn needed(more: Raw) -> BTreeSet<String> {
    let raw = Raw {
        cluster_name: Some("demo".to_owned()),
        pod_namespace: Some("eip-operator".to_owned()),
        ..more
    };
    let config = Config::check(&raw).unwrap();
    let single = |right: eip_operator::live::doctor::Right| {
        let place = match right.scope {
            Scope::Everywhere => "all namespaces".to_owned(),
            Scope::In(namespace) => namespace,
        };
        let name = right.name.unwrap_or_default();
        let line = move |verb: &&str| line(right.group, right.resource, name, verb, &place);
        right.verbs.iter().map(line).collect::<Vec<_>>()
    };
    rights(&config).into_iter().flat_map(single).collect()
}

#[test]
fn the_base_grants_what_the_operator_needs_and_no_more() {
    let base = granted_by(&documents(&committed("manifests/base/rbac.yaml")));
    assert_eq!(needed(Raw::default()), base);
    assert!(base.contains("patch pods.  in all namespaces"), "{base:#?}");
}

#[test]
fn so_do_the_overlays() {
    let dry = patched("manifests/overlays/dry-run/kustomization.yaml");
    let raw = Raw { dry_run: Some("true".to_owned()), ..Raw::default() };
    assert_eq!(needed(raw), granted_by(&dry));
    let mut one = patched("manifests/overlays/namespaced/kustomization.yaml");
    one.extend(documents(&committed("manifests/overlays/namespaced/role.yaml")));
    let lease = documents(&committed("manifests/base/rbac.yaml"));
    one.extend(lease.into_iter().filter(|one| one["kind"] == "Role"));
    // That namespace is filled in by the kustomization.
    let raw = Raw { namespace: Some("filled-in".to_owned()), ..Raw::default() };
    assert_eq!(needed(raw), granted_by(&one));
}

#[test]
fn settings_that_need_less_are_asked_for_less() {
    let raw = Raw {
        install_crd: Some("false".to_owned()),
        leader_elect: Some("false".to_owned()),
        ..Raw::default()
    };
    let less: Vec<String> = needed(Raw::default()).difference(&needed(raw)).cloned().collect();
    let leases = ["create leases", "create customres", "get leases", "patch customres", "update"];
    assert_eq!(less.len(), leases.len(), "{less:?}");
    assert!(leases.iter().all(|one| less.iter().any(|it| it.starts_with(one))), "{less:?}");
}

// --- AWS ---

fn policy() -> Vec<Value> {
    let policy: Value = serde_json::from_str(&committed("manifests/iam/policy.json")).unwrap();
    policy["Statement"].as_array().unwrap().clone()
}

#[test]
fn the_iam_policy_allows_what_the_operator_asks_for_and_no_more() {
    let one = |value: &Value| match value.as_str() {
        Some(text) => vec![text.to_owned()],
        None => texts(value).into_iter().map(str::to_owned).collect(),
    };
    let allowed: BTreeSet<(String, String)> = policy()
        .iter()
        .flat_map(|statement| {
            assert_eq!(statement["Effect"], "Allow");
            let sid = statement["Sid"].as_str().unwrap().to_owned();
            one(&statement["Action"]).into_iter().map(move |action| (action, sid.clone()))
        })
        .collect();
    let mut asked = BTreeSet::new();
    for action in ACTIONS {
        for statement in action.statements {
            asked.insert((action.name.to_owned(), (*statement).to_owned()));
        }
    }
    // A purchase tags what it buys.
    asked.remove(&("ec2:AllocateAddress".to_owned(), "TagOnlyAtAllocation".to_owned()));
    asked.insert(("ec2:CreateTags".to_owned(), "TagOnlyAtAllocation".to_owned()));
    assert_eq!(asked, allowed);
}

const RIGHT: [&str; 10] = [
    "--account",
    "123456789012",
    "--cluster-uid",
    "5a6b7c8d-0000-4000-8000-0123456789ab",
    "--region",
    "eu-central-1",
    "--cluster-name",
    "my-cluster",
    "--vpc-id",
    "vpc-0a1b",
];

/// Runs bin/iam-policy with these options before, or in place of, the right ones.
fn iam_policy(environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join("bin/iam-policy"));
    for name in ["AWS_REGION", "CLUSTER_NAME", "VPC_ID", "DEFAULT_TAGS"] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied()).args(arguments).output().unwrap()
}

fn printed(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    for placeholder in
        ["REGION", "ACCOUNT", "PARTITION", "CLUSTER", "CLUSTER_UID", "VPC_ID", "DEFAULT_TAG"]
    {
        assert!(!text.contains(placeholder), "{placeholder} is left:\n{text}");
    }
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_iam_policy_is_filled_in_and_nothing_else_is_changed() {
    let policy_of = |tags: &str| printed(&iam_policy(&[("DEFAULT_TAGS", tags)], &RIGHT));
    let text = policy_of(r#"{"team":"shop","a*?$":"b"}"#).to_string();
    for part in [
        "arn:aws:ec2:eu-central-1:123456789012:elastic-ip/*",
        r#""ec2:Vpc":"arn:aws:ec2:eu-central-1:123456789012:vpc/vpc-0a1b""#,
        r#"cluster_uid":"5a6b7c8d-0000-4000-8000-0123456789ab""#,
        r#"cluster_name":"my-cluster""#,
        r#"["eip.materialize.cloud/*","Name","team","a${*}${?}${$}"]"#,
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let mut template = Value::from(policy()).to_string();
    for (placeholder, value) in [
        ("\"DEFAULT_TAG_KEYS\"", r#""team","a${*}${?}${$}""#),
        ("CLUSTER_UID", RIGHT[3]),
        ("PARTITION", "aws"),
        ("REGION", RIGHT[5]),
        ("ACCOUNT", RIGHT[1]),
        ("VPC_ID", RIGHT[9]),
        ("CLUSTER", RIGHT[7]),
    ] {
        template = template.replace(placeholder, value);
    }
    let template: Value = serde_json::from_str(&template).unwrap();
    assert_eq!(policy_of(r#"{"team":"shop","a*?$":"b"}"#)["Statement"], template);
    assert!(policy_of("{}").to_string().contains(r#"["eip.materialize.cloud/*","Name"]"#));
}

#[test]
fn the_iam_policy_takes_the_operators_variables_and_knows_the_partitions() {
    let of = |region: &str| {
        let environment =
            [("AWS_REGION", region), ("CLUSTER_NAME", "c"), ("VPC_ID", "vpc-1"), ("NAME", "x")];
        printed(&iam_policy(&environment, &RIGHT[..4])).to_string()
    };
    for (region, partition) in
        [("us-east-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
    {
        let (text, own) = (of(region), format!("\"arn:{partition}:"));
        let count = |part: &str| text.matches(part).count();
        assert_eq!(count("\"arn:"), count(&own), "{text}");
        assert!(text.contains(&format!("{own}ec2:{region}:123456789012:elastic-ip/*")), "{text}");
    }
}

#[test]
fn the_iam_policy_of_a_dry_run_only_reads() {
    let arguments = ["--account", "123456789012", "--region", "eu-central-1", "--dry-run"];
    let statements = printed(&iam_policy(&[], &arguments))["Statement"].clone();
    let sids: Vec<&str> =
        statements.as_array().unwrap().iter().map(|one| one["Sid"].as_str().unwrap()).collect();
    assert_eq!(sids, ["Read", "Quota"]);
}

#[test]
fn everything_that_is_wrong_with_an_iam_policy_is_named_and_nothing_is_printed() {
    let many: Vec<String> = (0..80).map(|n| format!("\"{}{n}\":\"\"", "k".repeat(125))).collect();
    let many = format!("{{{}}}", many.join(","));
    for (option, value, words) in [
        ("--account", "12345", "--account is \"12345\"; accepted: 12 digits"),
        ("--account", "", "--account is missing"),
        ("--account", "１２３４５６７８９０１２", "accepted: 12 digits"),
        ("--cluster-uid", "CLUSTER_UID", "accepted: a uid"),
        ("--region", "eu-central", "--region (AWS_REGION) is \"eu-central\""),
        ("--region", "us-iso-east-1", "accepted: a Region of aws, aws-cn or aws-us-gov"),
        ("--cluster-name", "a*", "accepted: 1 to 100 letters"),
        ("--cluster-name", "a\n", "accepted: 1 to 100 letters"),
        ("--vpc-id", "vpc", "accepted: a VPC id"),
        ("--default-tags", "team=web", "it is no JSON"),
        ("--default-tags", "[]", "a JSON map of texts"),
        ("--default-tags", r#"{"a":1}"#, "a JSON map of texts"),
        ("--default-tags", r#"{"a":"","a":""}"#, "a key stands there twice"),
        ("--default-tags", r#"{"Name":"x"}"#, "the key is \"Name\""),
        ("--default-tags", &many, "accepted: 10240"),
    ] {
        let output = iam_policy(&[], &[&RIGHT[..], &[option, value]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{option} {value}");
        assert!(output.stdout.is_empty() && said.contains(words), "{option} {value}: {said}");
    }
    let nothing = iam_policy(&[], &[]);
    let said = String::from_utf8_lossy(&nothing.stderr).into_owned();
    assert_eq!((nothing.status.code(), said.lines().count()), (Some(1), 5), "{said}");
    for arguments in [&["--regoin", "x"][..], &["--region"]] {
        assert_eq!(iam_policy(&[], arguments).status.code(), Some(1), "{arguments:?}");
    }
}

#[test]
fn how_long_an_iam_policy_is_and_where_it_fits_is_said() {
    let said = |tags: &str| {
        let output = iam_policy(&[("DEFAULT_TAGS", tags)], &RIGHT);
        let counted = printed(&output).to_string().replace([' ', '\n'], "").chars().count();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(&format!("iam-policy: {counted} characters; ")), "{counted}: {said}");
        said
    };
    assert!(said("{}").contains("fits a managed and an inline policy"));
    let many: Vec<String> = (0..40).map(|n| format!("\"{}{n}\":\"\"", "k".repeat(125))).collect();
    assert!(said(&format!("{{{}}}", many.join(","))).contains("fits an inline policy only"));
}

//! `eip-operator doctor`: looks for what the operator would miss, and says what to do about it.
//!
//! It takes no Lease and writes nothing: calls to AWS that would change something are sent with
//! `DryRun`, rights in Kubernetes are asked for by SelfSubjectAccessReview, and the rest is read.

mod actions;
mod cluster;
mod rights;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::ExitCode;

use aws_config::BehaviorVersion;
use kube::Client;

pub use self::actions::{ACTIONS, Action};
pub use self::rights::{Right, Scope, rights};
use super::command::DoctorArgs;
use super::config::{Config, Raw};
use super::ec2::Ec2;
use super::kubernetes::Kubernetes;
use super::kubernetes::client::clients;
use super::metrics::Metrics;
use super::oneshot::print;
use super::quotas;
use crate::plan::snapshot::Cluster;
use crate::plan::text::escaped;

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// As it should be.
    Pass,
    /// The operator works, but something is not as most would want it, or is not known.
    Warn,
    /// The operator does not do its work like this.
    Fail,
}

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub grade: Grade,
    /// What was looked at.
    pub thing: String,
    /// What was seen.
    pub seen: String,
    /// What to do; nothing when it passes.
    pub todo: String,
}

impl Finding {
    pub fn pass(thing: &str, seen: impl Into<String>) -> Self {
        Self::new(Grade::Pass, thing, seen.into(), String::new())
    }

    pub fn warn(thing: &str, seen: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(Grade::Warn, thing, seen.into(), todo.into())
    }

    pub fn fail(thing: &str, seen: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::new(Grade::Fail, thing, seen.into(), todo.into())
    }

    fn new(grade: Grade, thing: &str, seen: String, todo: String) -> Self {
        Self { grade, thing: thing.to_owned(), seen, todo }
    }
}

/// `eip-operator doctor`.
pub fn doctor(args: &DoctorArgs, raw: &Raw) -> anyhow::Result<ExitCode> {
    let config = Config::check(raw)?;
    let (head, findings) = examine(args, &config)?;
    print(&table(&head, &findings))?;
    let failed = findings.iter().any(|finding| finding.grade == Grade::Fail);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[tokio::main]
async fn examine(args: &DoctorArgs, config: &Config) -> anyhow::Result<(String, Vec<Finding>)> {
    let client = clients().await?.calls;
    let kubernetes = Kubernetes::new(client.clone(), config.namespace.clone());
    let mut findings = Vec::new();
    let scope = config
        .namespace
        .as_deref()
        .map_or("all namespaces".to_owned(), |namespace| format!("namespace {namespace}"));
    let mut head = format!("cluster {}, {scope}", config.cluster_name);
    let (mut instances, mut uid) = (BTreeSet::new(), None);
    match kubernetes.cluster_uid().await {
        // Nothing else would have an answer, either.
        Err(failure) if failure.code != "Forbidden" => {
            let todo = "see whether the API server answers, and knows you: kubectl auth whoami";
            findings.push(Finding::fail("kubernetes", failure.to_string(), todo));
        }
        known => {
            uid = known.ok();
            head += &rights::asker(&client).await;
            instances = of_kubernetes(&client, &kubernetes, config, &mut findings).await;
        }
    }
    findings.extend(of_aws(args, config, uid, instances).await);
    Ok((head, findings))
}

/// Returns the instances of the nodes, too.
async fn of_kubernetes(
    client: &Client,
    kubernetes: &Kubernetes,
    config: &Config,
    findings: &mut Vec<Finding>,
) -> BTreeSet<String> {
    for right in rights(config) {
        findings.push(rights::asked(client, &right).await);
    }
    findings.push(cluster::definition(client, config).await);
    let nodes = kubernetes.nodes().await;
    findings.push(cluster::nodes(&nodes));
    findings.push(cluster::external_snat(client).await);
    findings.extend(cluster::external_dns(client, config).await);
    nodes.into_iter().flatten().filter_map(|(_, node)| node.instance).collect()
}

async fn of_aws(
    args: &DoctorArgs,
    config: &Config,
    uid: Option<String>,
    instances: BTreeSet<String>,
) -> Vec<Finding> {
    let sdk = aws_config::defaults(BehaviorVersion::v2026_01_12()).load().await;
    let region = sdk.region().map(|region| region.as_ref().to_owned());
    let Some(region) = region.filter(|region| !region.is_empty()) else {
        let todo = "set AWS_REGION to the Region of the cluster's nodes";
        return vec![Finding::fail("aws", "no Region is set", todo)];
    };
    let knows_uid = uid.is_some();
    // What is tried is refused for its tags, or not, whatever uid they say.
    let uid = uid.unwrap_or_else(|| "unknown".to_owned());
    let cluster = Cluster { name: config.cluster_name.clone(), uid };
    let ec2 = Ec2::new(&sdk, cluster.clone(), config, &Metrics::default());
    let asked =
        actions::Asked { region, cluster, knows_uid, instances, address: args.address.clone() };
    let (mut findings, answers) = actions::tried(&ec2, &asked, config.dry_run).await;
    if answers {
        findings.push(actions::quota(quotas::asked(&sdk, &ec2).await));
    }
    findings
}

/// The findings in columns, each with what to do below it, and how many there are of each kind.
fn table(head: &str, findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.thing.chars().count()).max().unwrap_or(0);
    let mut text = format!("{}\n", escaped(head));
    for Finding { grade, thing, seen, todo } in findings {
        let (grade, seen) = (name(*grade), escaped(seen));
        let _ = writeln!(text, "{grade}  {thing:width$}  {seen}");
        if !todo.is_empty() {
            let _ = writeln!(text, "{:width$}  → {}", "", escaped(todo), width = width + 6);
        }
    }
    let count = |grade| findings.iter().filter(|finding| finding.grade == grade).count();
    let counts = [Grade::Pass, Grade::Warn, Grade::Fail]
        .map(|grade| format!("{} {}", count(grade), name(grade)));
    let _ = writeln!(text, "{}", counts.join(", "));
    text
}

fn name(grade: Grade) -> &'static str {
    match grade {
        Grade::Pass => "pass",
        Grade::Warn => "warn",
        Grade::Fail => "fail",
    }
}

#[cfg(test)]
mod tests;

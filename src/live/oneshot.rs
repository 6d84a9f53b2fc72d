//! Commands that look once and end.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use aws_config::BehaviorVersion;
use kube::Client;

use super::command::{Color, ExplainArgs, Output, PlanArgs, SnapshotArgs};
use super::config::{Config, Raw};
use super::crd;
use super::ec2::Ec2;
use super::kubernetes::Kubernetes;
use super::kubernetes::client::clients;
use super::metrics::Metrics;
use super::observe::{Base, observe};
use super::quotas;
use crate::plan::recent::Memory;
use crate::plan::redact::redacted;
use crate::plan::report::Report;
use crate::plan::snapshot::{Cluster, Key, Quota, Snapshot};
use crate::plan::text::escaped;

/// Exit code of `--detailed-exitcode` when something would be changed.
const CHANGES: u8 = 2;
/// So many of the last Events are told, as far as there is room.
const EVENTS: usize = 3;
/// No explanation is longer.
const LINES: usize = 19;

/// `eip-operator plan`.
pub fn plan(args: &PlanArgs, raw: &Raw) -> anyhow::Result<ExitCode> {
    let (snapshot, observed) = seen(args.snapshot.as_deref(), raw)?;
    let report = Report::of(&snapshot, args.eip.as_ref()).map_err(anyhow::Error::msg)?;
    let text = match args.output {
        Output::Text => {
            let plan = plan_text(&report, args.color);
            format!("{plan}{} Nothing was changed.\n", report.headline())
        }
        Output::Json => serde_json::to_string_pretty(&report)? + "\n",
        Output::Yaml => serde_saphyr::to_string(&report)?,
    };
    print(&text)?;
    // What a file does not know is not "nothing to do" for a script, either.
    if observed || args.detailed_exitcode {
        complete(&snapshot)?;
    }
    let changes = args.detailed_exitcode && report.changes();
    Ok(if changes { ExitCode::from(CHANGES) } else { ExitCode::SUCCESS })
}

/// `eip-operator snapshot`.
pub fn snapshot(args: &SnapshotArgs, raw: &Raw) -> anyhow::Result<ExitCode> {
    let (seen, observed) = seen(args.snapshot.as_deref(), raw)?;
    print(&if args.redact { redacted(&seen) } else { seen.clone() }.to_yaml())?;
    if observed {
        complete(&seen)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `eip-operator explain`.
pub fn explain(args: &ExplainArgs, raw: &Raw) -> anyhow::Result<ExitCode> {
    let (snapshot, events) = match &args.snapshot {
        Some(file) => (from_file(file)?, Vec::new()),
        None => look_for(&Config::check(raw)?, &args.name)?,
    };
    let lines = crate::plan::explain::explain(&snapshot, &args.name).map_err(anyhow::Error::msg)?;
    let room = LINES.saturating_sub(lines.len());
    let events = events.iter().map(|event| format!("  {:<12}{}", "event", escaped(event)));
    let lines: Vec<String> = lines.into_iter().chain(events.take(room)).collect();
    print(&(lines.join("\n") + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// An error that says what could not be read, if something could not.
pub(super) fn complete(seen: &Snapshot) -> anyhow::Result<()> {
    let unread: Vec<String> =
        seen.unread().iter().map(|(part, why)| format!("{part}: {}", escaped(why))).collect();
    anyhow::ensure!(unread.is_empty(), "not everything could be read; {}", unread.join("; "));
    Ok(())
}

/// The world of a file, or the one there is; and whether it is that one.
fn seen(file: Option<&Path>, raw: &Raw) -> anyhow::Result<(Snapshot, bool)> {
    Ok(match file {
        Some(file) => (from_file(file)?, false),
        None => (look(&Config::check(raw)?)?, true),
    })
}

fn from_file(file: &Path) -> anyhow::Result<Snapshot> {
    let snapshot = Snapshot::from_file(&read(file)?).map_err(anyhow::Error::msg);
    snapshot.with_context(|| format!("{} is no snapshot", file.display()))
}

/// The text of a file; `-` is the standard input.
pub(super) fn read(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("the standard input is unreadable")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("{} is unreadable", file.display()))
}

/// Where one look is taken from.
pub(super) struct Sources {
    pub client: Client,
    pub cluster: Cluster,
    pub ec2: Ec2,
    pub kubernetes: Kubernetes,
    pub quota: Option<Quota>,
}

impl Sources {
    pub async fn of(config: &Config) -> anyhow::Result<Self> {
        let clients = clients().await?;
        let sdk = aws_config::defaults(BehaviorVersion::v2026_01_12()).load().await;
        let client = clients.calls;
        let kubernetes = Kubernetes::new(client.clone(), config.namespace.clone());
        let uid = kubernetes.cluster_uid().await;
        let uid = uid.map_err(|failure| {
            let failure = escaped(&failure.to_string());
            anyhow::anyhow!("namespace kube-system: {failure}")
        })?;
        crd::stored_as_v1(client.clone()).await?;
        let cluster = Cluster { name: config.cluster_name.clone(), uid };
        let ec2 = Ec2::new(&sdk, cluster.clone(), config, &Metrics::default());
        let quota = quotas::asked(&sdk, &ec2).await.ok();
        Ok(Self { client, cluster, ec2, kubernetes, quota })
    }

    async fn look(&self, config: &Config) -> Snapshot {
        let (cluster, quota) = (self.cluster.clone(), self.quota.clone());
        let base = Base { cluster, settings: config.for_plans(), quota };
        observe(&self.ec2, &self.kubernetes, base, &mut Memory::default(), 0).await
    }
}

/// One look at the world, with rights to read only.
#[tokio::main]
async fn look(config: &Config) -> anyhow::Result<Snapshot> {
    Ok(Sources::of(config).await?.look(config).await)
}

/// The same, with what is to be known of one name: a pod of it without our label is not listed, and
/// the last Events tell what happened.
#[tokio::main]
async fn look_for(config: &Config, of: &Key) -> anyhow::Result<(Snapshot, Vec<String>)> {
    let sources = Sources::of(config).await?;
    let mut seen = sources.look(config).await;
    let names = related(&seen, of);
    for name in &names {
        let key = of.sibling(name);
        if seen.pods.known().is_none_or(|pods| pods.contains_key(&key)) {
            continue;
        }
        match (sources.kubernetes.pod(&key).await, seen.pods.known_mut()) {
            (Ok(pod), Some(pods)) => pods.extend(pod.map(|pod| (key, pod))),
            (Ok(_), None) => {}
            (Err(failure), _) => drop(seen.unread_pods.insert(key, failure.to_string())),
        }
    }
    let events = match sources.kubernetes.events(&of.namespace, &names, EVENTS).await {
        Ok(events) => events,
        Err(failure) => vec![format!("Events could not be read: {failure}")],
    };
    Ok((seen, events))
}

/// The name itself, that of the pod which an Eip of this name names, and those of Eips that name a
/// pod of it.
fn related(seen: &Snapshot, name: &Key) -> BTreeSet<String> {
    let eips = seen.eips.known().into_iter().flatten();
    let of_namespace = eips.filter(|(key, _)| key.namespace == name.namespace);
    let near = of_namespace.filter(|(key, eip)| key.name == name.name || eip.pod == name.name);
    let mut names = BTreeSet::from([name.name.clone()]);
    names.extend(near.flat_map(|(key, eip)| [key.name.clone(), eip.pod.clone()]));
    // What nothing can be called would change the meaning of the selector it is put into.
    let is_name =
        |name: &String| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    names.retain(is_name);
    names
}

fn is_coloured(color: Color) -> bool {
    let set = |variable: &str| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => io::stdout().is_terminal() && !set("NO_COLOR"),
    }
}

/// One line each; those with a sign in its colour, where that is wanted.
pub(super) fn plan_text(report: &Report, color: Color) -> String {
    let coloured = is_coloured(color);
    let paint = |line: String| {
        let sign = line.trim_start().chars().next().filter(|_| coloured);
        match sign.and_then(colour) {
            Some(code) => format!("\u{1b}[{code}m{line}\u{1b}[0m\n"),
            None => format!("{line}\n"),
        }
    };
    report.lines().into_iter().map(paint).collect()
}

/// The code of a colour (ECMA-48, "select graphic rendition"): what comes is green, what goes
/// red.
fn colour(sign: char) -> Option<u8> {
    match sign {
        '+' => Some(32),
        '-' => Some(31),
        '>' => Some(36),
        '<' => Some(33),
        '!' => Some(35),
        _ => None,
    }
}

/// A reader that has seen enough and goes is no error.
pub fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

//! Commands that look once and end.

use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use aws_config::BehaviorVersion;

use super::command::{Color, Output, PlanArgs, SnapshotArgs};
use super::config::{Config, Raw};
use super::ec2::Ec2;
use super::kubernetes::Kubernetes;
use super::kubernetes::client::clients;
use super::observe::{Base, observe};
use super::quotas;
use crate::plan::recent::Memory;
use crate::plan::redact::redacted;
use crate::plan::report::Report;
use crate::plan::snapshot::{Cluster, Snapshot};
use crate::plan::text::escaped;

/// Exit code of `--detailed-exitcode` when something would be changed.
const CHANGES: u8 = 2;

/// `eip-operator plan`.
pub fn plan(args: &PlanArgs, raw: &Raw) -> anyhow::Result<ExitCode> {
    let snapshot = match &args.snapshot {
        Some(file) => from_file(file)?,
        None => look(&Config::check(raw)?)?,
    };
    let report = Report::of(&snapshot, args.eip.as_ref()).map_err(anyhow::Error::msg)?;
    let text = match args.output {
        Output::Text => text(&report, is_coloured(args.color)),
        Output::Json => serde_json::to_string_pretty(&report)? + "\n",
        Output::Yaml => serde_saphyr::to_string(&report)?,
    };
    print(&text)?;
    if args.snapshot.is_none() {
        complete(&snapshot)?;
    }
    let changes = args.detailed_exitcode && report.changes();
    Ok(if changes { ExitCode::from(CHANGES) } else { ExitCode::SUCCESS })
}

/// `eip-operator snapshot`.
pub fn snapshot(args: &SnapshotArgs, raw: &Raw) -> anyhow::Result<ExitCode> {
    let seen = look(&Config::check(raw)?)?;
    print(&if args.redact { redacted(&seen) } else { seen.clone() }.to_yaml())?;
    complete(&seen)?;
    Ok(ExitCode::SUCCESS)
}

/// An error that says what could not be read, if something could not.
fn complete(seen: &Snapshot) -> anyhow::Result<()> {
    let unread: Vec<String> =
        seen.unread().iter().map(|(part, why)| format!("{part}: {}", escaped(why))).collect();
    anyhow::ensure!(unread.is_empty(), "not everything could be read; {}", unread.join("; "));
    Ok(())
}

fn from_file(file: &Path) -> anyhow::Result<Snapshot> {
    let name = file.display();
    let text = if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("the standard input is unreadable")?;
        text
    } else {
        std::fs::read_to_string(file).with_context(|| format!("{name} is unreadable"))?
    };
    let read = Snapshot::from_file(&text).map_err(anyhow::Error::msg);
    read.with_context(|| format!("{name} is no snapshot"))
}

/// One look at the world, with rights to read only.
#[tokio::main]
async fn look(config: &Config) -> anyhow::Result<Snapshot> {
    let clients = clients().await?;
    let sdk = aws_config::defaults(BehaviorVersion::v2026_01_12()).load().await;
    let kubernetes = Kubernetes::new(clients.calls, config.namespace.clone());
    let uid = kubernetes.cluster_uid().await;
    let uid = uid.map_err(|failure| anyhow::anyhow!("namespace kube-system: {failure}"))?;
    let cluster = Cluster { name: config.cluster_name.clone(), uid };
    let ec2 = Ec2::new(&sdk, cluster.clone(), config.default_tags.clone(), config.vpc_id.clone());
    let quota = quotas::once(&sdk, &ec2).await;
    let base = Base { cluster, settings: config.for_plans(), quota };
    Ok(observe(&ec2, &kubernetes, base, &mut Memory::default(), 0).await)
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
fn text(report: &Report, coloured: bool) -> String {
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
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

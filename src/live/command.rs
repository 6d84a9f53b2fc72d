//! The subcommands and their arguments.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::plan::names::is_allocation_id;
use crate::plan::snapshot::Key;

/// The subcommands.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run the operator until it is told to stop (the default)
    Run,
    /// Look once, say what would be done and why, and change nothing
    Plan(PlanArgs),
    /// Carry out what is planned, and nothing else, once it is confirmed
    Apply(ApplyArgs),
    /// Say why an Eip or a pod has an address, or has none, and what it waits for
    Explain(ExplainArgs),
    /// Look once and print what was seen, as the YAML document that "plan --snapshot" reads
    Snapshot(SnapshotArgs),
    /// Say what is missing or odd in AWS and in the cluster, and what to do; change nothing
    Doctor(DoctorArgs),
    /// Print the custom resource definition as YAML
    Crd,
    /// Print a script that completes commands and flags in a shell
    Completions(CompletionsArgs),
    /// Print the manual page, of the operator or of one of its commands
    Man(ManArgs),
}

/// What to plan, and how to print it.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct PlanArgs {
    /// Plan from a file instead of the world, without a cluster, AWS or a network: a snapshot, or a
    /// story as in plans/, with its own settings; "-" is the standard input
    #[arg(long, value_name = "FILE")]
    pub snapshot: Option<PathBuf>,
    /// Only what concerns this Eip
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub eip: Option<Key>,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Exit with 0 when there is nothing to do, with 2 when something would be changed, with 1 when
    /// not everything could be read
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Colours; "auto" means on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
}

/// What to carry out.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ApplyArgs {
    /// Only if this is still the plan: what "plan -o yaml" has printed of this cluster; "-" is the
    /// standard input
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Do not ask; without a terminal nothing is done otherwise
    #[arg(long)]
    pub yes: bool,
    /// Colours; "auto" means on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
}

/// What to explain.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ExplainArgs {
    /// An Eip or a pod
    #[arg(value_name = "NAMESPACE/NAME")]
    pub name: Key,
    /// In the world of a file, as for "plan"
    #[arg(long, value_name = "FILE")]
    pub snapshot: Option<PathBuf>,
}

/// What to look at more closely.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct DoctorArgs {
    /// Ask AWS about this address of the cluster, with DryRun, instead of about one that is made
    /// up: a policy that allows things by an address's tags refuses what has none
    #[arg(long, value_name = "ALLOCATION_ID", value_parser = allocation_id)]
    pub address: Option<String>,
}

fn allocation_id(text: &str) -> Result<String, String> {
    is_allocation_id(text)
        .then(|| text.to_owned())
        .ok_or_else(|| "accepted: an id as eipalloc-0a1b2c3d".to_owned())
}

/// The shell.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct CompletionsArgs {
    #[arg(value_enum)]
    pub shell: Shell,
}

/// The page.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ManArgs {
    /// A command; unset means the operator
    pub command: Option<String>,
}

/// Where a snapshot comes from, and what to leave out.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct SnapshotArgs {
    /// Read it from a file instead of the world, as for "plan": what a running operator serves at
    /// /plan
    #[arg(long, value_name = "FILE")]
    pub snapshot: Option<PathBuf>,
    /// Replace names, ids and addresses, each by the same wherever it stands, for a bug report; the
    /// plan is the same but for them
    #[arg(long)]
    pub redact: bool,
}

/// A form of printing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Text,
    Json,
    Yaml,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

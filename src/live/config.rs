//! The command line and the environment: what a person may set, and the check that names every
//! mistake at once.
//!
//! clap only collects text ([`Raw`]); [`Config::check`] reads it, so that all wrong values are told
//! in one message, and so that the check is tested with plain strings. An empty value counts as
//! unset.

mod collector;
mod raw;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser};

pub use self::collector::Collector;
pub use self::raw::Raw;
use self::raw::default;
use crate::live::command::Command;
use crate::live::wake::Schedule;
use crate::plan::snapshot::Settings;

/// The command line of `eip-operator`.
#[derive(Debug, Parser)]
#[command(name = "eip-operator", version, propagate_version = true, about, max_term_width = 100)]
pub struct Cli {
    /// What to do; the loop when nothing is said, so that a Deployment needs no arguments.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings, valid before and after the subcommand.
    #[command(flatten)]
    pub settings: Raw,
}

impl Cli {
    /// Reads the arguments, and the environment for what they leave out. An error is printed by
    /// [`clap::Error::print`] and ends the process with [`exit_code`].
    pub fn read<I, T>(arguments: I) -> Result<Cli, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        let mut command = Cli::command();
        if arguments.first().is_some_and(is_plugin) {
            // Nobody means to run the loop with "kubectl eip".
            command = command.bin_name("kubectl eip").subcommand_required(true);
        }
        let matches = command.try_get_matches_from(arguments)?;
        let mut cli = Cli::from_arg_matches(&matches)?;
        let without_effect = given(&matches);
        if cli.reads_a_file() && !without_effect.is_empty() {
            let why = "not with --snapshot, whose file brings the settings of its plan";
            let accepted = "accepted: a file with other ones below \"settings\"";
            let message = format!("{}: {why}; {accepted}", without_effect.join(", "));
            return Err(Cli::command().error(ErrorKind::ArgumentConflict, message));
        }
        // Only an interval that somebody chose contradicts a schedule, and only such a share of the
        // traces wins over OTEL_TRACES_SAMPLER.
        let is_chosen = |id| matches.value_source(id) != Some(ValueSource::DefaultValue);
        if !is_chosen("reconcile_interval") {
            cli.settings.reconcile_interval = None;
        }
        if !is_chosen("opentelemetry_sample_rate") {
            cli.settings.opentelemetry_sample_rate = None;
        }
        cli.settings.otel = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with("OTEL_"))
            .collect();
        Ok(cli)
    }

    /// The chosen subcommand, `run` when there is none.
    pub fn chosen(&self) -> Command {
        self.command.clone().unwrap_or(Command::Run)
    }

    fn reads_a_file(&self) -> bool {
        match &self.command {
            Some(Command::Plan(args)) => args.snapshot.is_some(),
            Some(Command::Explain(args)) => args.snapshot.is_some(),
            Some(Command::Snapshot(args)) => args.snapshot.is_some(),
            _ => false,
        }
    }
}

/// The flags of settings that are on the command line.
fn given(matches: &ArgMatches) -> Vec<String> {
    let settings = Raw::augment_args(clap::Command::new("settings"));
    let is_given = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
    settings
        .get_arguments()
        .filter(|one| is_given(one.get_id().as_str()))
        .map(|one| format!("--{}", one.get_long().unwrap_or_default()))
        .collect()
}

/// Whether kubectl runs this program, as its plugin: it is installed as `kubectl-eip`.
fn is_plugin(program: &OsString) -> bool {
    Path::new(program).file_name().is_some_and(|name| name == "kubectl-eip")
}

/// The exit code for what clap reports: 0 for help and version, 1 for a mistake, as for every other
/// mistake in the settings; clap's own code for one is 2.
pub fn exit_code(error: &clap::Error) -> u8 {
    u8::from(error.use_stderr())
}

/// When the world is looked at without an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Rhythm {
    /// Every so often, counted from the start of the last look.
    Every(Duration),
    /// By a cron expression.
    At(Schedule),
}

impl Rhythm {
    /// The longest time in which a look is to be expected; the watchdog and `/healthz` count in it.
    /// For the doubts about a schedule see [`Schedule::longest_gap`].
    pub fn expected_gap(&self) -> Duration {
        match self {
            Rhythm::Every(interval) => *interval,
            Rhythm::At(schedule) => schedule.longest_gap(),
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Lines for people.
    Text,
}

/// The checked settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The cluster's name: safe in an EC2 filter, where `*` and `?` are wildcards.
    pub cluster_name: String,
    /// The only namespace served; `None` is all.
    pub namespace: Option<String>,
    /// Further tags of every address; none of them is one of ours.
    pub default_tags: BTreeMap<String, String>,
    /// Whether to change nothing.
    pub dry_run: bool,
    /// When to look without an event.
    pub rhythm: Rhythm,
    /// The shortest time between two looks.
    pub min_event_interval: Duration,
    /// How long EC2 may hide what was done.
    pub ec2_settle: Duration,
    /// Changing EC2 calls a second.
    pub ec2_rate: f64,
    /// Changing EC2 calls at once.
    pub ec2_burst: u32,
    /// Whether no address is released at all.
    pub protect: bool,
    /// Whether addresses whose Eip does not exist are released.
    pub release_orphans: bool,
    /// How long they must have been without one.
    pub orphan_grace: Duration,
    /// The most of them to release in an hour; `None` is a tenth of all addresses.
    pub max_releases: Option<u64>,
    /// For how many Eips a namespace may hold addresses; `None` is any number.
    pub namespace_limit: Option<u64>,
    /// Whether to install the CRD at start; see [`Config::installs_crd`].
    pub install_crd: bool,
    /// Whether pods on the host network are served.
    pub allow_host_network: bool,
    /// The pods' VPC; `None` is the VPC of the nodes' instances.
    pub vpc_id: Option<String>,
    /// Whether to act only while holding the Lease; `None` depends on where it runs.
    pub leader_elect: Option<bool>,
    /// The Lease's name.
    pub lease_name: String,
    /// The Lease's namespace; `None` is the Pod's own.
    pub pod_namespace: Option<String>,
    /// Where the health endpoints listen.
    pub listen_address: SocketAddr,
    /// Where the plan is served.
    pub plan_address: SocketAddr,
    /// The format of the log; `None` depends on the terminal.
    pub log_format: Option<LogFormat>,
    /// The log's filter, in EnvFilter's syntax.
    pub log_level: String,
    /// Where traces and metrics go; `None` is nowhere.
    pub collector: Option<Collector>,
}

/// Every wrong setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} wrong:\n  {}", plural(.problems.len()), .problems.join("\n  "))]
pub struct ConfigError {
    /// One sentence for each wrong setting: variable, value, what is accepted.
    pub problems: Vec<String>,
}

fn plural(count: usize) -> String {
    if count == 1 { "1 setting is".to_owned() } else { format!("{count} settings are") }
}

impl Config {
    /// Reads the texts; beyond them nothing is looked at, but for the date when there is a
    /// schedule.
    pub fn check(raw: &Raw) -> Result<Config, ConfigError> {
        use values::*;
        let mut r = Reader::default();
        let config = Config {
            cluster_name: r.required("CLUSTER_NAME", &raw.cluster_name, cluster_name),
            namespace: r.optional("NAMESPACE", &raw.namespace, namespace),
            default_tags: r.or("DEFAULT_TAGS", &raw.default_tags, default::TAGS, tags),
            dry_run: r.or("DRY_RUN", &raw.dry_run, default::DRY_RUN, yes_or_no),
            rhythm: rhythm(&mut r, raw),
            min_event_interval: r.or(
                "MIN_EVENT_INTERVAL",
                &raw.min_event_interval,
                default::MIN_EVENT_INTERVAL,
                duration_from_0s,
            ),
            ec2_settle: r.or("EC2_SETTLE", &raw.ec2_settle, default::EC2_SETTLE, duration_from_1s),
            ec2_rate: r.or("EC2_RATE", &raw.ec2_rate, default::EC2_RATE, rate),
            ec2_burst: r.or("EC2_BURST", &raw.ec2_burst, default::EC2_BURST, burst),
            protect: r.or("PROTECT", &raw.protect, default::PROTECT, yes_or_no),
            release_orphans: r.or(
                "RELEASE_ORPHANS",
                &raw.release_orphans,
                default::RELEASE_ORPHANS,
                yes_or_no,
            ),
            orphan_grace: r.or(
                "ORPHAN_GRACE",
                &raw.orphan_grace,
                default::ORPHAN_GRACE,
                duration_from_1s,
            ),
            max_releases: r.optional("MAX_RELEASES", &raw.max_releases, count_from_1),
            namespace_limit: r.optional("NAMESPACE_LIMIT", &raw.namespace_limit, count_from_1),
            install_crd: r.or("INSTALL_CRD", &raw.install_crd, default::INSTALL_CRD, yes_or_no),
            allow_host_network: r.or(
                "ALLOW_HOST_NETWORK",
                &raw.allow_host_network,
                default::ALLOW_HOST_NETWORK,
                yes_or_no,
            ),
            vpc_id: r.optional("VPC_ID", &raw.vpc_id, vpc_id),
            leader_elect: r.optional("LEADER_ELECT", &raw.leader_elect, yes_or_no),
            lease_name: usual_lease(&mut r, raw),
            pod_namespace: r.optional("POD_NAMESPACE", &raw.pod_namespace, namespace),
            listen_address: listener(r.or(
                "LISTEN_ADDRESS",
                &raw.listen_address,
                default::LISTEN,
                address,
            )),
            plan_address: listener(r.or("PLAN_ADDRESS", &raw.plan_address, default::PLAN, address)),
            log_format: r.optional("LOG_FORMAT", &raw.log_format, log_format),
            log_level: r.or("RUST_LOG", &raw.log_level, default::LOG_LEVEL, filter),
            collector: collector::collector(&mut r, raw),
        };
        match r.problems.is_empty() {
            true => Ok(config),
            false => Err(ConfigError { problems: r.problems }),
        }
    }

    /// How the log looks: as it was asked for, else text on a terminal and JSON elsewhere.
    pub fn log_format(&self) -> LogFormat {
        self.log_format.unwrap_or_else(|| {
            if std::io::stdout().is_terminal() { LogFormat::Text } else { LogFormat::Json }
        })
    }

    /// What plans depend on.
    pub fn for_plans(&self) -> Settings {
        Settings {
            namespace: self.namespace.clone(),
            allow_host_network: self.allow_host_network,
            namespace_limit: self.namespace_limit,
            protect: self.protect,
            release_orphans: self.release_orphans,
            orphan_grace: self.orphan_grace.as_secs(),
            max_releases: self.max_releases,
            settle: self.ec2_settle.as_secs(),
        }
    }

    /// Whether the CRD is to be installed at start: asked for, and not in a dry run.
    pub fn installs_crd(&self) -> bool {
        self.install_crd && !self.dry_run
    }
}

/// That of the namespace, so that operators of disjoint namespaces do not wait for each other.
fn usual_lease(r: &mut values::Reader, raw: &Raw) -> String {
    let usual = match values::given(&raw.namespace) {
        Some(namespace) => format!("eip-operator-{namespace}"),
        None => "eip-operator".to_owned(),
    };
    r.optional("LEASE_NAME", &raw.lease_name, values::lease_name).unwrap_or(usual)
}

/// A wrong address is `None` here and a problem already, so this port 0 is never served.
fn listener(address: Option<SocketAddr>) -> SocketAddr {
    address.unwrap_or(SocketAddr::from(([0; 16], 0)))
}

fn rhythm(r: &mut values::Reader, raw: &Raw) -> Rhythm {
    let (interval, schedule) = ("RECONCILE_INTERVAL", "RECONCILE_SCHEDULE");
    if let (Some(every), Some(at)) =
        (values::given(&raw.reconcile_interval), values::given(&raw.reconcile_schedule))
    {
        let both =
            format!("{interval} is {every:?} and {schedule} is {at:?}: set only one of them");
        r.problems.push(both);
    }
    match r.optional(schedule, &raw.reconcile_schedule, values::schedule) {
        Some(at) => Rhythm::At(at),
        None => Rhythm::Every(r.or(
            interval,
            &raw.reconcile_interval,
            default::INTERVAL,
            values::duration_from_1s,
        )),
    }
}

/// The table of all settings in Markdown, made from the command line itself, for the README.
pub fn table() -> String {
    let mut table = String::from("| Variable | Flag | Default | Meaning |\n|---|---|---|---|\n");
    for argument in Cli::command().get_arguments() {
        let (Some(variable), Some(flag)) = (argument.get_env(), argument.get_long()) else {
            continue;
        };
        let default = match argument.get_default_values() {
            [] => "–".to_owned(),
            [value, ..] => format!("`{}`", value.to_string_lossy()),
        };
        let meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let meaning = meaning.replace('|', "\\|");
        let variable = variable.to_string_lossy();
        table.push_str(&format!("| `{variable}` | `--{flag}` | {default} | {meaning} |\n"));
    }
    table
}

#[cfg(test)]
mod tests;

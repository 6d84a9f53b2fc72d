//! The settings as text, and their defaults: what clap collects from flags and environment.

use std::collections::BTreeMap;

/// The defaults, named once: clap shows them, and the check falls back to them for an empty value.
pub mod default {
    pub const TAGS: &str = "{}";
    pub const DRY_RUN: &str = "false";
    pub const INTERVAL: &str = "30s";
    pub const MIN_EVENT_INTERVAL: &str = "1s";
    pub const EC2_SETTLE: &str = "300s";
    pub const ORPHAN_GRACE: &str = "600s";
    pub const PROTECT: &str = "false";
    pub const RELEASE_ORPHANS: &str = "false";
    pub const EC2_RATE: &str = "4";
    pub const EC2_BURST: &str = "20";
    pub const INSTALL_CRD: &str = "true";
    pub const ALLOW_HOST_NETWORK: &str = "false";
    pub const LISTEN: &str = "[::]:8080";
    pub const PLAN: &str = "127.0.0.1:8081";
    pub const LOG_LEVEL: &str = "info";
    pub const OTEL_MAP: &str = "{}";
    pub const OTEL_LEVEL: &str = "DEBUG";
    pub const OTEL_RATE: &str = "0.05";
}

/// The settings as text, exactly as given; nothing is judged yet.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Settings")]
pub struct Raw {
    /// Name of this cluster (required), written into the tags of every address: 1 to 100 letters,
    /// digits, dots, underscores and hyphens, a letter or digit first
    #[arg(long, env = "CLUSTER_NAME", global = true, hide_env_values = true)]
    pub cluster_name: Option<String>,
    /// The only namespace to serve; unset or empty means all
    #[arg(long, env = "NAMESPACE", global = true, hide_env_values = true)]
    pub namespace: Option<String>,
    /// Further tags for every address, a JSON map of texts
    #[arg(long, env = "DEFAULT_TAGS", global = true, hide_env_values = true,
          default_value = default::TAGS)]
    pub default_tags: Option<String>,
    /// Say what would be done and change nothing
    #[arg(long, env = "DRY_RUN", global = true, hide_env_values = true,
          default_value = default::DRY_RUN, num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub dry_run: Option<String>,
    /// Time between two looks at the world; not together with a schedule
    #[arg(long = "interval", env = "RECONCILE_INTERVAL", global = true, hide_env_values = true,
          default_value = default::INTERVAL)]
    pub reconcile_interval: Option<String>,
    /// Times of the looks at the world as cron, 6 fields, seconds first, UTC; replaces the interval
    #[arg(long = "schedule", env = "RECONCILE_SCHEDULE", global = true, hide_env_values = true)]
    pub reconcile_schedule: Option<String>,
    /// Shortest time between two looks when events arrive
    #[arg(long, env = "MIN_EVENT_INTERVAL", global = true, hide_env_values = true,
          default_value = default::MIN_EVENT_INTERVAL)]
    pub min_event_interval: Option<String>,
    /// How long EC2 may take to show what was done
    #[arg(long, env = "EC2_SETTLE", global = true, hide_env_values = true,
          default_value = default::EC2_SETTLE)]
    pub ec2_settle: Option<String>,
    /// Changing EC2 calls a second, for each kind of call
    #[arg(long, env = "EC2_RATE", global = true, hide_env_values = true,
          default_value = default::EC2_RATE)]
    pub ec2_rate: Option<String>,
    /// Changing EC2 calls that may go at once, for each kind of call
    #[arg(long, env = "EC2_BURST", global = true, hide_env_values = true,
          default_value = default::EC2_BURST)]
    pub ec2_burst: Option<String>,
    /// Release no address, whatever is deleted: what would go is held until a person changes this
    #[arg(long, env = "PROTECT", global = true, hide_env_values = true,
          default_value = default::PROTECT, num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub protect: Option<String>,
    /// Release addresses whose Eip does not exist, instead of only reporting them
    #[arg(long, env = "RELEASE_ORPHANS", global = true, hide_env_values = true,
          default_value = default::RELEASE_ORPHANS, num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub release_orphans: Option<String>,
    /// How long such an address must have been without an Eip, without interruption
    #[arg(long, env = "ORPHAN_GRACE", global = true, hide_env_values = true,
          default_value = default::ORPHAN_GRACE)]
    pub orphan_grace: Option<String>,
    /// The most such addresses to release in an hour; when more are due, none is. Unset means a
    /// tenth of the addresses there are, rounded up
    #[arg(long, env = "MAX_RELEASES", global = true, hide_env_values = true)]
    pub max_releases: Option<String>,
    /// For how many Eips a namespace may hold addresses; unset means any number
    #[arg(long, env = "NAMESPACE_LIMIT", global = true, hide_env_values = true)]
    pub namespace_limit: Option<String>,
    /// Install the custom resource definition at start; a dry run never does
    #[arg(long, env = "INSTALL_CRD", global = true, hide_env_values = true,
          default_value = default::INSTALL_CRD, num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub install_crd: Option<String>,
    /// Serve pods on the host network too, which publishes their whole node
    #[arg(long, env = "ALLOW_HOST_NETWORK", global = true, hide_env_values = true,
          default_value = default::ALLOW_HOST_NETWORK, num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub allow_host_network: Option<String>,
    /// The VPC of the pods; unset means the VPC of the nodes' instances
    #[arg(long, env = "VPC_ID", global = true, hide_env_values = true)]
    pub vpc_id: Option<String>,
    /// Act only while holding the Lease, so that two operators do not act at once; unset means in a
    /// cluster, not outside one. A dry run takes none
    #[arg(long, env = "LEADER_ELECT", global = true, hide_env_values = true, num_args = 0..=1,
          require_equals = true, default_missing_value = "true")]
    pub leader_elect: Option<String>,
    /// Name of the Lease; unset means eip-operator, or eip-operator-NAMESPACE
    #[arg(long, env = "LEASE_NAME", global = true, hide_env_values = true)]
    pub lease_name: Option<String>,
    /// Namespace of the Lease; unset means the Pod's own, and outside a cluster eip-operator
    #[arg(long = "lease-namespace", env = "POD_NAMESPACE", global = true, hide_env_values = true)]
    pub pod_namespace: Option<String>,
    /// Address and port of the health endpoints
    #[arg(long = "listen", env = "LISTEN_ADDRESS", global = true, hide_env_values = true,
          default_value = default::LISTEN)]
    pub listen_address: Option<String>,
    /// Address and port of the plan endpoint; it shows all namespaces, so it belongs on the
    /// loopback
    #[arg(long, env = "PLAN_ADDRESS", global = true, hide_env_values = true,
          default_value = default::PLAN)]
    pub plan_address: Option<String>,
    /// json or text; unset means text on a terminal, json elsewhere
    #[arg(long, env = "LOG_FORMAT", global = true, hide_env_values = true)]
    pub log_format: Option<String>,
    /// What to log: a level, or a list of TARGET=LEVEL
    #[arg(long, env = "RUST_LOG", global = true, hide_env_values = true,
          default_value = default::LOG_LEVEL)]
    pub log_level: Option<String>,
    /// gRPC address of an OpenTelemetry collector, for traces and metrics; unset means none, or
    /// what OTEL_EXPORTER_OTLP_ENDPOINT says
    #[arg(long, env = "OPENTELEMETRY_ENDPOINT", global = true, hide_env_values = true)]
    pub opentelemetry_endpoint: Option<String>,
    /// Headers for the collector, a JSON map of texts
    #[arg(long, env = "OPENTELEMETRY_HEADERS", global = true, hide_env_values = true,
          default_value = default::OTEL_MAP)]
    pub opentelemetry_headers: Option<String>,
    /// Fields of every span, a JSON map of texts
    #[arg(long, env = "OPENTELEMETRY_TOPLEVEL_FIELDS", global = true, hide_env_values = true,
          default_value = default::OTEL_MAP)]
    pub opentelemetry_toplevel_fields: Option<String>,
    /// What to trace: a level, or a list of TARGET=LEVEL
    #[arg(long, env = "OPENTELEMETRY_LEVEL_TARGETS", global = true, hide_env_values = true,
          default_value = default::OTEL_LEVEL)]
    pub opentelemetry_level_targets: Option<String>,
    /// Share of the traces to keep, from 0 to 1
    #[arg(long, env = "OPENTELEMETRY_SAMPLE_RATE", global = true, hide_env_values = true,
          default_value = default::OTEL_RATE)]
    pub opentelemetry_sample_rate: Option<String>,
    /// OpenTelemetry's own variables, as they are in the environment.
    #[arg(skip)]
    pub otel: BTreeMap<String, String>,
}

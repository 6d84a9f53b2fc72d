//! What is counted and measured, served at `/metrics` for Prometheus.
//!
//! One list ([`LIST`]) makes the metrics and their table in the README. Where controller-runtime
//! and the AWS controllers have a name for a thing it is that one, so that dashboards made for them
//! work. No label grows with the number of Eips or pods.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::plan::action::{Action, Plan};
use crate::plan::claims::is_owned;
use crate::plan::execution::End;
use crate::plan::rounds::Performed;
use crate::plan::snapshot::{AllocationId, Quota, Snapshot, Uid};

/// Names and values of labels.
type Labels = Vec<(&'static str, String)>;
type Number = Gauge<f64, AtomicU64>;

/// Seconds; a look takes some tenths of one, a call to AWS some hundredths to ten.
const BUCKETS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// The value of the label `controller`.
const CONTROLLER: &str = "eip";

/// A metric, as it is served.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    pub name: &'static str,
    pub kind: &'static str,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

fn timer() -> Histogram {
    Histogram::new(BUCKETS)
}

/// Declares the families and the list from one table.
macro_rules! metrics {
    (@type counter) => { Family<Labels, Counter> };
    (@type gauge) => { Family<Labels, Number> };
    (@type histogram) => { Family<Labels, Histogram, fn() -> Histogram> };
    (@new histogram) => { Family::new_with_constructor(timer as fn() -> Histogram) };
    (@new $kind:ident) => { Family::default() };
    ($($field:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        #[derive(Debug)]
        struct Families { $($field: metrics!(@type $kind)),* }

        impl Families {
            fn new(registry: &mut Registry) -> Self {
                $(let $field: metrics!(@type $kind) = metrics!(@new $kind);)*
                $(registry.register(registered($name), $help, $field.clone());)*
                Self { $($field),* }
            }
        }

        /// Every metric there is.
        pub const LIST: &[Described] = &[$(Described {
            name: $name,
            kind: stringify!($kind),
            labels: &[$($label),*],
            help: $help,
        }),*];
    };
}

/// The library adds this suffix to counters by itself.
fn registered(name: &str) -> &str {
    name.strip_suffix("_total").unwrap_or(name)
}

metrics! {
    cycles: counter "controller_runtime_reconcile_total" ["controller", "result"]
        "Cycles, by how they ended: success, requeue (something is left for the next one), error \
         (not everything could be read)";
    cycle_errors: counter "controller_runtime_reconcile_errors_total" ["controller"]
        "Cycles that could not read everything";
    cycle_seconds: histogram "controller_runtime_reconcile_time_seconds" ["controller"]
        "How long cycles took";
    leader: gauge "leader_election_master_status" ["name"]
        "1 while this process may act, 0 while it stands by";
    aws_calls: counter "aws_api_calls_total" ["service", "operation", "status_code", "error_code"]
        "Answered and unanswered attempts of calls to AWS";
    aws_seconds: histogram "aws_api_call_duration_seconds" ["service", "operation"]
        "How long attempts of calls to AWS took";
    aws_throttled: counter "aws_api_call_throttled_errors_total" ["service", "operation"]
        "Attempts that AWS refused for there were too many";
    build: gauge "eip_operator_build_info" ["version"]
        "Always 1";
    dry_run: gauge "eip_operator_dry_run" []
        "1 when nothing is ever changed";
    triggers: counter "eip_operator_triggers_total" ["trigger"]
        "What cycles were started by";
    last_cycle: gauge "eip_operator_last_cycle_timestamp_seconds" []
        "When the last cycle ended, in seconds since 1970";
    last_success: gauge "eip_operator_last_success_timestamp_seconds" []
        "When the last cycle ended that could read everything, in seconds since 1970";
    planned: gauge "eip_operator_plan_actions" ["op"]
        "Steps of the last plan";
    actions: counter "eip_operator_actions_total" ["op", "result"]
        "Steps that were tried, by how they ended: done, changed (the world was not as it was \
         seen), failed";
    blocked: gauge "eip_operator_blocked" ["reason"]
        "What waits in the last plan, by the reason";
    addresses: gauge "eip_operator_addresses" ["state"]
        "Addresses of this cluster: associated, idle, orphan (its Eip does not exist), duplicate \
         (its Eip has another)";
    eips: gauge "eip_operator_eips" ["ready"]
        "Eips, by their condition Ready";
    exposure: gauge "eip_operator_exposure_seconds" []
        "The longest time for which an address has been where it does not belong, as far as this \
         process has seen; 0 when none is";
    quota_limit: gauge "eip_operator_quota_limit" []
        "Elastic IPs that the account may have in this Region; absent while unknown";
    quota_used: gauge "eip_operator_quota_used" []
        "Elastic IPs that count towards it; absent while unknown";
}

/// The metrics of this process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    families: Arc<Families>,
    /// By metric: the labels that were set before, which go to 0 when they are not set again.
    set: Arc<Mutex<BTreeMap<&'static str, BTreeSet<String>>>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let families = Arc::new(Families::new(&mut registry));
        families
            .build
            .get_or_create(&vec![("version", env!("CARGO_PKG_VERSION").to_owned())])
            .set(1.0);
        Self { registry: Arc::new(registry), families, set: Arc::default() }
    }
}

/// What a cycle has come to.
#[derive(Debug)]
pub struct CycleTold<'a> {
    pub took: Duration,
    pub complete: bool,
    pub left: bool,
    /// The world that it saw.
    pub seen: &'a Snapshot,
    /// Where it leads.
    pub plan: &'a Plan,
    pub performed: &'a [Performed],
    /// The longest exposure, see [`Exposures`].
    pub exposed: Duration,
}

impl Metrics {
    /// The text of `/metrics` (OpenMetrics 1.0).
    pub fn text(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(error) => format!("# {error}\n"),
        }
    }

    /// The same in the text format 0.0.4, for whoever does not ask for OpenMetrics: there the
    /// suffix of a counter is part of its name.
    pub fn plain_text(&self) -> String {
        let counters = LIST.iter().filter(|one| one.kind == "counter");
        let counters: BTreeSet<&str> = counters.map(|one| registered(one.name)).collect();
        let mut text = String::new();
        for line in self.text().lines().filter(|line| *line != "# EOF") {
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            match words.as_slice() {
                ["#", what, name, rest] if counters.contains(name) => {
                    text.push_str(&format!("# {what} {name}_total {rest}\n"));
                }
                _ => text.extend([line, "\n"]),
            }
        }
        text
    }

    pub fn dry_run(&self, dry_run: bool) {
        set(&self.families.dry_run, &Labels::new(), f64::from(u8::from(dry_run)));
    }

    pub fn leads(&self, lease: &str, leads: bool) {
        let labels = vec![("name", lease.to_owned())];
        set(&self.families.leader, &labels, f64::from(u8::from(leads)));
    }

    pub fn triggered(&self, trigger: &str) {
        self.families.triggers.get_or_create(&vec![("trigger", trigger.to_owned())]).inc();
    }

    /// An attempt of a call to AWS. `status`: of its answer, if there was one; `error`: its code.
    pub fn aws_call(&self, call: &AwsCall<'_>) {
        let of =
            vec![("service", call.service.to_owned()), ("operation", call.operation.to_owned())];
        let mut labels = of.clone();
        labels.push(("status_code", call.status.map_or_else(String::new, |code| code.to_string())));
        labels.push(("error_code", call.error.unwrap_or_default().to_owned()));
        self.families.aws_calls.get_or_create(&labels).inc();
        self.families.aws_seconds.get_or_create(&of).observe(call.took.as_secs_f64());
        if call.error.is_some_and(crate::plan::meaning::is_throttling) {
            self.families.aws_throttled.get_or_create(&of).inc();
        }
    }

    pub fn quota(&self, quota: Option<&Quota>) {
        let none = Labels::new();
        match quota {
            Some(quota) => {
                set(&self.families.quota_limit, &none, quota.limit as f64);
                set(&self.families.quota_used, &none, quota.used as f64);
            }
            None => {
                self.families.quota_limit.remove(&none);
                self.families.quota_used.remove(&none);
            }
        }
    }

    /// The end of a cycle.
    pub fn cycle(&self, told: &CycleTold<'_>) {
        let families = &self.families;
        let controller = vec![("controller", CONTROLLER.to_owned())];
        let result = match (told.complete, told.left) {
            (false, _) => "error",
            (true, true) => "requeue",
            (true, false) => "success",
        };
        let mut labels = controller.clone();
        labels.push(("result", result.to_owned()));
        families.cycles.get_or_create(&labels).inc();
        families.cycle_seconds.get_or_create(&controller).observe(told.took.as_secs_f64());
        let (now, none) = (seconds_since_1970(), Labels::new());
        set(&families.last_cycle, &none, now);
        if told.complete {
            set(&families.last_success, &none, now);
        } else {
            families.cycle_errors.get_or_create(&controller).inc();
        }
        set(&families.exposure, &none, told.exposed.as_secs_f64());
        for one in told.performed {
            let result = match one.end {
                End::Done => "done",
                End::Changed(_) => "changed",
                End::Failed(_) => "failed",
                End::Late => continue,
            };
            let op = one.step.action.verb().to_owned();
            families.actions.get_or_create(&vec![("op", op), ("result", result.to_owned())]).inc();
        }
        let ops = told.plan.steps.iter().map(|step| step.action.verb().to_owned());
        self.replace("planned", &families.planned, "op", counted(ops));
        let reasons = told.plan.notes.iter().map(|note| note.wait.code());
        self.replace("blocked", &families.blocked, "reason", counted(reasons));
        self.replace("addresses", &families.addresses, "state", addresses(told.seen));
        let ready = told
            .seen
            .eips
            .known()
            .into_iter()
            .flatten()
            .map(|(_, eip)| if eip.status.ready { "true" } else { "false" }.to_owned());
        self.replace("eips", &families.eips, "ready", counted(ready));
    }

    /// Sets each value, and to 0 what was set before and is not now.
    fn replace(
        &self,
        of: &'static str,
        family: &Family<Labels, Number>,
        label: &'static str,
        values: BTreeMap<String, u64>,
    ) {
        let mut all = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.entry(of).or_default();
        before.extend(values.keys().cloned());
        for name in before.iter() {
            let value = values.get(name).copied().unwrap_or(0);
            set(family, &vec![(label, name.clone())], value as f64);
        }
    }
}

/// An attempt of a call to AWS.
#[derive(Debug)]
pub struct AwsCall<'a> {
    pub service: &'static str,
    pub operation: &'a str,
    pub status: Option<u16>,
    pub error: Option<&'a str>,
    pub took: Duration,
}

/// Since when which addresses are known to be where they do not belong.
#[derive(Debug, Default)]
pub struct Exposures(BTreeMap<AllocationId, tokio::time::Instant>);

impl Exposures {
    /// Takes in what a plan is to end and what a cycle has ended; the longest that is left.
    pub fn see(&mut self, plan: &Plan, performed: &[Performed]) -> Duration {
        let ends = |action: &Action| match action {
            Action::Disassociate { address, .. } => Some(address.clone()),
            _ => None,
        };
        let due: BTreeSet<_> = plan.steps.iter().filter_map(|step| ends(&step.action)).collect();
        let ended = performed.iter().filter(|one| one.end == End::Done);
        let ended: BTreeSet<_> = ended.filter_map(|one| ends(&one.step.action)).collect();
        self.0.retain(|id, _| due.contains(id));
        for id in due {
            self.0.entry(id).or_insert_with(tokio::time::Instant::now);
        }
        self.0.retain(|id, _| !ended.contains(id));
        self.0.values().map(tokio::time::Instant::elapsed).max().unwrap_or_default()
    }
}

fn set(family: &Family<Labels, Number>, labels: &Labels, value: f64) {
    family.get_or_create(labels).set(value);
}

fn counted(words: impl Iterator<Item = String>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    counts
}

/// By state: how many addresses are ours.
fn addresses(seen: &Snapshot) -> BTreeMap<String, u64> {
    let living: Option<BTreeSet<&Uid>> =
        seen.eips.known().map(|eips| eips.values().map(|eip| &eip.uid).collect());
    let mut served = BTreeSet::new();
    let all = seen.addresses.known().into_iter().flat_map(BTreeMap::values);
    counted(all.filter(|address| is_owned(seen, address)).map(|address| {
        let is_orphan = living.as_ref().is_some_and(|living| !living.contains(&address.eip));
        let state = match (is_orphan, served.insert(&address.eip), &address.association) {
            (true, ..) => "orphan",
            (_, false, _) => "duplicate",
            (_, _, Some(_)) => "associated",
            (_, _, None) => "idle",
        };
        state.to_owned()
    }))
}

fn seconds_since_1970() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map(|since| since.as_secs_f64()).unwrap_or_default()
}

/// The table of all metrics in Markdown, for the README.
pub fn table() -> String {
    let mut table = String::from("| Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n");
    for Described { name, kind, labels, help } in LIST {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        table.push_str(&format!("| `{name}` | {kind} | {labels} | {help} |\n"));
    }
    table
}

#[cfg(test)]
mod tests;

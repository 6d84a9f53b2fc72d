//! What is counted and measured, served at `/metrics` for Prometheus, and sent over OTLP where
//! there is a collector.
//!
//! One list ([`LIST`]) makes the metrics of both and their table in the README. Where
//! controller-runtime and the AWS controllers have a name for a thing it is that one, so that
//! dashboards made for them work. No label grows with the number of Eips or pods.

mod instruments;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::metrics::{Meter, MeterProvider, NoopMeterProvider};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use self::instruments::{Counts, Labels, Levels, Place, Times, registered};
use crate::plan::action::{Action, Plan};
use crate::plan::claims::owned;
use crate::plan::execution::End;
use crate::plan::rounds::Performed;
use crate::plan::snapshot::{AllocationId, Quota, Snapshot, Uid};

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

/// Declares the families and the list from one table.
macro_rules! metrics {
    (@type counter) => { Counts };
    (@type gauge) => { Levels };
    (@type histogram) => { Times };
    ($($field:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        #[derive(Debug)]
        struct Families { $($field: metrics!(@type $kind)),* }

        impl Families {
            fn new(registry: &mut Registry, meter: &Meter) -> Self {
                $(let $field = <metrics!(@type $kind)>::new(Place {
                    registry: &mut *registry,
                    meter,
                    name: $name,
                    help: $help,
                });)*
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

metrics! {
    cycles: counter "controller_runtime_reconcile_total" ["controller", "result"]
        "Cycles, by how they ended: success, requeue (something is left for the next one), error \
         (not everything could be read)";
    cycle_errors: counter "controller_runtime_reconcile_errors_total" ["controller"]
        "Cycles that could not read everything";
    cycle_seconds: histogram "controller_runtime_reconcile_time_seconds" ["controller"]
        "How long cycles took";
    part_seconds: histogram "eip_operator_cycle_part_seconds" ["part"]
        "How long the parts of cycles took: observe, plan, act";
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
}

impl Default for Metrics {
    /// Metrics that are sent nowhere.
    fn default() -> Self {
        Self::new(&NoopMeterProvider::new().meter(""))
    }
}

/// What a cycle has come to.
#[derive(Debug)]
pub struct CycleTold<'a> {
    pub took: Duration,
    /// What of that was which part, by its name.
    pub parts: [(&'static str, Duration); 3],
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
    /// Metrics that this meter sends, too.
    pub fn new(meter: &Meter) -> Self {
        let mut registry = Registry::default();
        let families = Arc::new(Families::new(&mut registry, meter));
        families.build.set(&vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1.0);
        Self { registry: Arc::new(registry), families }
    }

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
        self.families.dry_run.set(&Labels::new(), f64::from(u8::from(dry_run)));
    }

    pub fn leads(&self, lease: &str, leads: bool) {
        let labels = vec![("name", lease.to_owned())];
        self.families.leader.set(&labels, f64::from(u8::from(leads)));
    }

    pub fn triggered(&self, trigger: &str) {
        self.families.triggers.inc(&vec![("trigger", trigger.to_owned())]);
    }

    /// An attempt of a call to AWS. `status`: of its answer, if there was one; `error`: its code.
    pub fn aws_call(&self, call: &AwsCall<'_>) {
        let of =
            vec![("service", call.service.to_owned()), ("operation", call.operation.to_owned())];
        let mut labels = of.clone();
        labels.push(("status_code", call.status.map_or_else(String::new, |code| code.to_string())));
        labels.push(("error_code", call.error.unwrap_or_default().to_owned()));
        self.families.aws_calls.inc(&labels);
        self.families.aws_seconds.observe(&of, call.took);
        if call.error.is_some_and(crate::plan::meaning::is_throttling) {
            self.families.aws_throttled.inc(&of);
        }
    }

    pub fn quota(&self, quota: Option<&Quota>) {
        let none = Labels::new();
        match quota {
            Some(quota) => {
                self.families.quota_limit.set(&none, quota.limit as f64);
                self.families.quota_used.set(&none, quota.used as f64);
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
        families.cycles.inc(&labels);
        families.cycle_seconds.observe(&controller, told.took);
        for (part, took) in told.parts {
            families.part_seconds.observe(&vec![("part", part.to_owned())], took);
        }
        let (now, none) = (seconds_since_1970(), Labels::new());
        families.last_cycle.set(&none, now);
        if told.complete {
            families.last_success.set(&none, now);
        } else {
            families.cycle_errors.inc(&controller);
        }
        families.exposure.set(&none, told.exposed.as_secs_f64());
        for one in told.performed.iter().filter(|one| one.end != End::Late) {
            let op = one.step.action.verb().to_owned();
            let result = one.end.word().to_owned();
            families.actions.inc(&vec![("op", op), ("result", result)]);
        }
        let ops = told.plan.steps.iter().map(|step| step.action.verb().to_owned());
        families.planned.replace("op", counted(ops));
        let reasons = told.plan.notes.iter().map(|note| note.wait.code());
        families.blocked.replace("reason", counted(reasons));
        families.addresses.replace("state", addresses(told.seen));
        let ready = told
            .seen
            .eips
            .known()
            .into_iter()
            .flatten()
            .map(|(_, eip)| if eip.status.ready { "true" } else { "false" }.to_owned());
        families.eips.replace("ready", counted(ready));
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
    counted(owned(seen).map(|(_, address)| {
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

use std::sync::Mutex;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{SdkMeterProvider, Temporality};

use super::*;
use crate::plan::action::{Reason, Step};
use crate::plan::forecast::forecast;
use crate::plan::snapshot::Key;
use crate::plan::text::forecast_plan;

const WORLD: &str = "\
cluster: {name: demo, uid: c1}
addresses:
  eipalloc-1: {ip: 203.0.113.1, cluster: c1, eip: e1, namespace: shop, name: web,
    association: eipassoc-1, interface: eni-1, private_ip: 10.0.1.9}
  eipalloc-2: {ip: 203.0.113.2, cluster: c1, eip: e1, namespace: shop, name: web}
  eipalloc-3: {ip: 203.0.113.3, cluster: c1, eip: e2, namespace: shop, name: db}
  eipalloc-4: {ip: 203.0.113.4, cluster: c1, eip: e9, namespace: shop, name: gone}
  eipalloc-5: {ip: 203.0.113.5, cluster: c9, eip: e5, namespace: shop, name: anothers}
eips:
  shop/web: {uid: e1, pod: web-0, held: true, status: {ready: true}}
  shop/db: {uid: e2, pod: db-0, held: true}
pods:
  shop/web-0: {uid: p1, node: n1, ip: 10.0.1.23}
";

fn told(metrics: &Metrics, complete: bool, performed: &[Performed]) {
    let seen = Snapshot::from_yaml(WORLD).unwrap();
    let plan = forecast_plan(&forecast(&seen).rounds);
    metrics.cycle(&CycleTold {
        took: Duration::from_millis(300),
        parts: ["observe", "plan", "act"].map(|part| (part, Duration::from_millis(100))),
        complete,
        left: false,
        seen: &seen,
        plan: &plan,
        performed,
        exposed: Duration::from_secs(7),
    });
}

fn performed(end: End) -> Performed {
    let action = Action::Disassociate {
        address: "eipalloc-1".into(),
        ip: "203.0.113.1".into(),
        association: "eipassoc-1".into(),
        private_ip: "10.0.1.9".into(),
    };
    let step = Step {
        claim: Key::new("shop", "web"),
        uid: "e1".into(),
        action: action.clone(),
        reason: Reason::EipDeleted,
    };
    Performed { step, tried: action, effects: Vec::new(), end, sent_at: None }
}

#[track_caller]
fn shows(text: &str, line: &str) {
    assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
}

#[test]
fn a_cycle_is_told_in_numbers() {
    let metrics = Metrics::default();
    told(&metrics, true, &[performed(End::Done), performed(End::Changed("no".into()))]);
    told(&metrics, false, &[performed(End::Late)]);
    let text = metrics.text();
    for line in [
        r#"controller_runtime_reconcile_total{controller="eip",result="success"} 1"#,
        r#"controller_runtime_reconcile_total{controller="eip",result="error"} 1"#,
        r#"controller_runtime_reconcile_errors_total{controller="eip"} 1"#,
        r#"controller_runtime_reconcile_time_seconds_count{controller="eip"} 2"#,
        r#"controller_runtime_reconcile_time_seconds_bucket{le="0.5",controller="eip"} 2"#,
        r#"eip_operator_cycle_part_seconds_count{part="observe"} 2"#,
        r#"eip_operator_cycle_part_seconds_count{part="act"} 2"#,
        r#"eip_operator_actions_total{op="disassociate",result="done"} 1"#,
        r#"eip_operator_actions_total{op="disassociate",result="changed"} 1"#,
        r#"eip_operator_addresses{state="associated"} 1.0"#,
        r#"eip_operator_addresses{state="duplicate"} 1.0"#,
        r#"eip_operator_addresses{state="idle"} 1.0"#,
        r#"eip_operator_addresses{state="orphan"} 1.0"#,
        r#"eip_operator_eips{ready="true"} 1.0"#,
        r#"eip_operator_eips{ready="false"} 1.0"#,
        r#"eip_operator_plan_actions{op="disassociate"} 1.0"#,
        r#"eip_operator_blocked{reason="Orphan"} 1.0"#,
        "eip_operator_exposure_seconds{} 7.0",
    ] {
        shows(&text, line);
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn the_older_format_differs_in_the_names_of_counters_alone() {
    let metrics = Metrics::default();
    told(&metrics, true, &[performed(End::Done)]);
    let (open, plain) = (metrics.text(), metrics.plain_text());
    shows(&open, "# TYPE eip_operator_actions counter");
    shows(&plain, "# TYPE eip_operator_actions_total counter");
    shows(&plain, "# TYPE eip_operator_eips gauge");
    let samples = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    assert_eq!(samples(&open), samples(&plain));
    let helps = |text: &str| text.lines().filter(|line| line.starts_with("# HELP ")).count();
    assert_eq!(helps(&open), helps(&plain), "{plain}");
    assert!(open.contains("# EOF") && !plain.contains("# EOF"), "{plain}");
}

#[test]
fn what_is_no_longer_there_goes_to_zero() {
    let metrics = Metrics::default();
    told(&metrics, true, &[]);
    metrics.families.blocked.replace("reason", BTreeMap::new());
    shows(&metrics.text(), r#"eip_operator_blocked{reason="Orphan"} 0.0"#);
}

#[test]
fn a_quota_that_is_not_known_is_absent_and_not_zero() {
    let metrics = Metrics::default();
    assert!(!metrics.text().contains("\neip_operator_quota_limit"));
    metrics.quota(Some(&Quota { limit: 5, used: 2 }));
    shows(&metrics.text(), "eip_operator_quota_limit{} 5.0");
    shows(&metrics.text(), "eip_operator_quota_used{} 2.0");
    metrics.quota(None);
    assert!(!metrics.text().contains("\neip_operator_quota_limit"));
}

/// Gives each metric a value.
fn everything(metrics: &Metrics) {
    told(metrics, true, &[performed(End::Done)]);
    told(metrics, false, &[]);
    metrics.dry_run(true);
    metrics.leads("eip-operator", true);
    metrics.triggered("start");
    metrics.quota(Some(&Quota { limit: 5, used: 2 }));
    metrics.aws_call(&AwsCall {
        service: "EC2",
        operation: "DescribeAddresses",
        status: Some(503),
        error: Some("RequestLimitExceeded"),
        took: Duration::from_millis(20),
    });
}

#[test]
fn every_metric_of_the_list_is_served_under_its_name_and_kind() {
    let metrics = Metrics::default();
    everything(&metrics);
    let text = metrics.text();
    for Described { name, kind, labels, .. } in LIST {
        shows(&text, &format!("# TYPE {} {kind}", registered(name)));
        let sample =
            if *kind == "histogram" { format!("{name}_count") } else { (*name).to_owned() };
        let is_sample = |line: &&str| line.split(['{', ' ']).next() == Some(&sample);
        let line = text.lines().find(is_sample).unwrap_or_else(|| panic!("{name} in\n{text}"));
        for label in *labels {
            assert!(line.contains(&format!("{label}=\"")), "{label} in {line}");
        }
    }
    let served = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
    assert_eq!(served, LIST.len());
}

/// Keeps the last of what a meter sends: `NAME{LABEL="VALUE"} VALUE`, of a histogram how many.
#[derive(Debug, Clone, Default)]
struct Sent(Arc<Mutex<BTreeMap<String, f64>>>);

impl Sent {
    fn put<'a>(
        &self,
        name: &str,
        labels: impl Iterator<Item = &'a opentelemetry::KeyValue>,
        value: f64,
    ) {
        let mut labels: Vec<_> =
            labels.map(|of| format!("{}=\"{}\"", of.key, of.value.as_str())).collect();
        labels.sort();
        self.0.lock().unwrap().insert(format!("{name}{{{}}}", labels.join(",")), value);
    }
}

impl PushMetricExporter for Sent {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.0.lock().unwrap().clear();
        for metric in metrics.scope_metrics().flat_map(|scope| scope.metrics()) {
            let name = metric.name();
            match metric.data() {
                AggregatedMetrics::U64(MetricData::Sum(sum)) => sum
                    .data_points()
                    .for_each(|point| self.put(name, point.attributes(), point.value() as f64)),
                AggregatedMetrics::F64(MetricData::Gauge(gauge)) => gauge
                    .data_points()
                    .for_each(|point| self.put(name, point.attributes(), point.value())),
                AggregatedMetrics::F64(MetricData::Histogram(histogram)) => histogram
                    .data_points()
                    .for_each(|point| self.put(name, point.attributes(), point.count() as f64)),
                other => panic!("{name}: {other:?}"),
            }
        }
        Ok(())
    }
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }
    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

/// What is served, in the same form.
fn served(text: &str) -> BTreeMap<String, f64> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.filter(|line| !(line.contains("_bucket{") || line.contains("_sum{")));
    samples
        .map(|line| {
            let (of, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = of.trim_end_matches('}').split_once('{').unwrap();
            let mut labels: Vec<&str> = labels.split(',').collect();
            labels.sort();
            let name = name.strip_suffix("_count").unwrap_or(name);
            (format!("{name}{{{}}}", labels.join(",")), value.parse().unwrap())
        })
        .collect()
}

#[test]
fn what_is_sent_is_what_is_served() {
    let sent = Sent::default();
    let provider = SdkMeterProvider::builder().with_periodic_exporter(sent.clone()).build();
    let metrics = Metrics::new(&provider.meter("test"));
    everything(&metrics);
    provider.force_flush().unwrap();
    let first = sent.0.lock().unwrap().clone();
    assert_eq!(first, served(&metrics.text()));
    let names: BTreeSet<&str> = first.keys().map(|key| key.split('{').next().unwrap()).collect();
    assert_eq!(names, LIST.iter().map(|described| described.name).collect());

    metrics.quota(None);
    told(&metrics, true, &[]);
    provider.force_flush().unwrap();
    let second = sent.0.lock().unwrap().clone();
    assert_eq!(second, served(&metrics.text()));
    assert!(!second.contains_key("eip_operator_quota_limit{}"), "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn an_exposure_lasts_from_when_it_is_planned_to_end_until_it_has_ended() {
    let seen = Snapshot::from_yaml(WORLD).unwrap();
    let plan = forecast(&seen).rounds.first().cloned().unwrap();
    let mut exposures = Exposures::default();
    assert_eq!(exposures.see(&plan, &[]), Duration::ZERO);
    tokio::time::advance(Duration::from_secs(9)).await;
    assert_eq!(exposures.see(&plan, &[performed(End::Changed("no".into()))]).as_secs(), 9);
    assert_eq!(exposures.see(&plan, &[performed(End::Done)]), Duration::ZERO);
    assert_eq!(exposures.see(&plan, &[]), Duration::ZERO, "it begins anew");
}

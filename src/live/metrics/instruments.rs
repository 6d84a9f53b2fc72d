//! The kinds of metrics. Each is served to Prometheus and sent over OTLP, from the same values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Names and values of labels.
pub type Labels = Vec<(&'static str, String)>;

/// Seconds; a look takes some tenths of one, a call to AWS some hundredths to ten.
const BUCKETS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Where metrics go, and under which name.
pub struct Place<'a> {
    pub registry: &'a mut Registry,
    pub meter: &'a Meter,
    pub name: &'static str,
    pub help: &'static str,
}

/// A family that knows its labels: its own cannot be asked which they are.
#[derive(Debug)]
struct Known<M> {
    family: Family<Labels, M>,
    labels: Mutex<BTreeSet<Labels>>,
}

impl<M: Default> Default for Known<M> {
    fn default() -> Self {
        Self { family: Family::default(), labels: Mutex::default() }
    }
}

impl<M> Known<M> {
    /// A panic elsewhere leaves the set whole.
    fn labels(&self) -> MutexGuard<'_, BTreeSet<Labels>> {
        self.labels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each value that is there, with its labels as attributes.
    fn values(&self, tell: impl Fn(&M, &[KeyValue])) {
        let all = self.labels().clone();
        for labels in &all {
            if let Some(metric) = self.family.get(labels) {
                tell(&metric, &attributes(labels));
            }
        }
    }
}

/// Counts things, by labels.
#[derive(Debug, Clone)]
pub struct Counts(Arc<Known<Counter>>);

impl Counts {
    pub fn new(place: Place<'_>) -> Self {
        let known = Arc::new(Known::<Counter>::default());
        place.registry.register(registered(place.name), place.help, known.family.clone());
        let counter = place.meter.u64_observable_counter(place.name);
        let read = known.clone();
        let _ = counter
            .with_description(place.help)
            .with_callback(move |to| read.values(|value, of| to.observe(value.get(), of)))
            .build();
        Self(known)
    }

    pub fn inc(&self, labels: &Labels) {
        self.0.labels().insert(labels.clone());
        self.0.family.get_or_create(labels).inc();
    }
}

/// Values that go up and down, by labels.
#[derive(Debug, Clone)]
pub struct Levels(Arc<Known<Gauge<f64, AtomicU64>>>);

impl Levels {
    pub fn new(place: Place<'_>) -> Self {
        let known = Arc::new(Known::<Gauge<f64, AtomicU64>>::default());
        place.registry.register(registered(place.name), place.help, known.family.clone());
        let gauge = place.meter.f64_observable_gauge(place.name);
        let read = known.clone();
        let _ = gauge
            .with_description(place.help)
            .with_callback(move |to| read.values(|value, of| to.observe(value.get(), of)))
            .build();
        Self(known)
    }

    pub fn set(&self, labels: &Labels, value: f64) {
        self.0.labels().insert(labels.clone());
        self.0.family.get_or_create(labels).set(value);
    }

    /// It is not known any more.
    pub fn remove(&self, labels: &Labels) {
        self.0.labels().remove(labels);
        self.0.family.remove(labels);
    }

    /// Sets each value of its only label, and to 0 what was set before and is not now.
    pub fn replace(&self, label: &'static str, values: BTreeMap<String, u64>) {
        let before = self.0.labels().clone();
        for labels in before {
            if labels.iter().all(|(_, name)| !values.contains_key(name)) {
                self.set(&labels, 0.0);
            }
        }
        for (name, value) in values {
            self.set(&vec![(label, name)], value as f64);
        }
    }
}

/// How long things take, by labels.
#[derive(Debug, Clone)]
pub struct Times {
    served: Family<Labels, Histogram, fn() -> Histogram>,
    /// A histogram cannot be read by OpenTelemetry as a counter can, so each time goes to both.
    sent: opentelemetry::metrics::Histogram<f64>,
}

impl Times {
    pub fn new(place: Place<'_>) -> Self {
        let served = Family::new_with_constructor(timer as fn() -> Histogram);
        place.registry.register(registered(place.name), place.help, served.clone());
        let histogram = place.meter.f64_histogram(place.name).with_description(place.help);
        Self { served, sent: histogram.with_boundaries(BUCKETS.to_vec()).build() }
    }

    pub fn observe(&self, labels: &Labels, took: Duration) {
        self.served.get_or_create(labels).observe(took.as_secs_f64());
        self.sent.record(took.as_secs_f64(), &attributes(labels));
    }
}

fn timer() -> Histogram {
    Histogram::new(BUCKETS)
}

fn attributes(labels: &Labels) -> Vec<KeyValue> {
    labels.iter().map(|(name, value)| KeyValue::new(*name, value.clone())).collect()
}

/// The library for Prometheus adds this suffix to counters by itself.
pub fn registered(name: &str) -> &str {
    name.strip_suffix("_total").unwrap_or(name)
}

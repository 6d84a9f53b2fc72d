//! Where traces and metrics go: the five settings of our own, and OpenTelemetry's own variables, as
//! far as they decide what is sent and where. Its library reads the others.

use std::collections::BTreeMap;

use super::raw::{Raw, default};
use super::values::{self, Reader};

/// A collector, and what is sent there.
#[derive(Debug, Clone, PartialEq)]
pub struct Collector {
    /// The gRPC address for traces; `None` is no traces.
    pub traces: Option<String>,
    /// The gRPC address for metrics; `None` is no metrics.
    pub metrics: Option<String>,
    /// gRPC metadata sent along, often a secret.
    pub headers: BTreeMap<String, String>,
    /// Attributes of every span.
    pub toplevel_fields: BTreeMap<String, String>,
    /// The filter of the spans, in EnvFilter's syntax.
    pub level_targets: String,
    /// The share of traces to keep; `None` is what `OTEL_TRACES_SAMPLER` says.
    pub sample_rate: Option<f64>,
}

/// All five variables are judged, even when the endpoint is unset, so that a mistake shows early;
/// OpenTelemetry's own, which may be there for other programs, only as far as they count.
pub fn collector(r: &mut Reader, raw: &Raw) -> Option<Collector> {
    let endpoint =
        r.optional("OPENTELEMETRY_ENDPOINT", &raw.opentelemetry_endpoint, values::endpoint);
    let mut collector = Collector {
        traces: None,
        metrics: None,
        headers: r.secret_or(
            "OPENTELEMETRY_HEADERS",
            &raw.opentelemetry_headers,
            default::OTEL_MAP,
            values::headers,
        ),
        toplevel_fields: r.or(
            "OPENTELEMETRY_TOPLEVEL_FIELDS",
            &raw.opentelemetry_toplevel_fields,
            default::OTEL_MAP,
            values::text_map,
        ),
        level_targets: r.or(
            "OPENTELEMETRY_LEVEL_TARGETS",
            &raw.opentelemetry_level_targets,
            default::OTEL_LEVEL,
            values::filter,
        ),
        sample_rate: Some(r.or(
            "OPENTELEMETRY_SAMPLE_RATE",
            &raw.opentelemetry_sample_rate,
            default::OTEL_RATE,
            values::share,
        )),
    };
    let mut standard = Standard { r, raw };
    if standard.flag("OTEL_SDK_DISABLED") {
        return None;
    }
    collector.traces = standard.goes_to("TRACES", &endpoint);
    collector.metrics = standard.goes_to("METRICS", &endpoint);
    if collector.traces.is_some()
        && values::given(&raw.opentelemetry_sample_rate).is_none()
        && standard.samples()
    {
        collector.sample_rate = None;
    }
    (collector.traces.is_some() || collector.metrics.is_some()).then_some(collector)
}

/// OpenTelemetry's own variables. An empty one counts as unset, as it does for all settings.
struct Standard<'a> {
    r: &'a mut Reader,
    raw: &'a Raw,
}

impl Standard<'_> {
    fn read<T>(&mut self, name: &str, read: fn(&str) -> Result<T, String>) -> Option<T> {
        let told = self.r.problems.len();
        let value = self.r.optional(name, &self.raw.otel.get(name).cloned(), read);
        // A variable of all signals is read for each of them.
        if let Some((last, before)) = self.r.problems.split_last()
            && before.len() == told
            && before.contains(last)
        {
            self.r.problems.pop();
        }
        value
    }

    fn flag(&mut self, name: &str) -> bool {
        self.read(name, values::yes_or_no).unwrap_or(false)
    }

    /// Where a signal goes: to our endpoint, else to its own, else to the one of all signals.
    fn goes_to(&mut self, signal: &str, ours: &Option<String>) -> Option<String> {
        let own = |what| format!("OTEL_EXPORTER_OTLP_{signal}_{what}");
        // Without an endpoint it may name what another program sends with.
        let named = [own("ENDPOINT"), "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned()]
            .iter()
            .any(|name| values::given(&self.raw.otel.get(name).cloned()).is_some());
        if ours.is_none() && !named {
            return None;
        }
        if !self.read(&format!("OTEL_{signal}_EXPORTER"), values::exporter).unwrap_or(true) {
            return None;
        }
        if ours.is_some() {
            self.judge(&own);
            return ours.clone();
        }
        let endpoint = self.either(&own("ENDPOINT"), "ENDPOINT", values::standard_endpoint)?;
        self.either(&own("PROTOCOL"), "PROTOCOL", values::protocol);
        self.judge(&own);
        if endpoint.contains("://") {
            return Some(endpoint);
        }
        let plain = self.either(&own("INSECURE"), "INSECURE", values::yes_or_no).unwrap_or(false);
        Some(format!("{}://{endpoint}", if plain { "http" } else { "https" }))
    }

    /// What the library reads for a signal that is sent, and would not complain about.
    fn judge(&mut self, own: &impl Fn(&'static str) -> String) {
        self.either(&own("COMPRESSION"), "COMPRESSION", values::compression);
        self.either(&own("TIMEOUT"), "TIMEOUT", values::whole_number);
        for name in [
            "OTEL_METRIC_EXPORT_INTERVAL",
            "OTEL_BSP_SCHEDULE_DELAY",
            "OTEL_BSP_MAX_QUEUE_SIZE",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            "OTEL_BSP_EXPORT_TIMEOUT",
        ] {
            self.read(name, values::whole_number);
        }
    }

    /// The variable of one signal, else that of all.
    fn either<T>(
        &mut self,
        own: &str,
        of_all: &str,
        read: fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match values::given(&self.raw.otel.get(own).cloned()) {
            Some(_) => self.read(own, read),
            None => self.read(&format!("OTEL_EXPORTER_OTLP_{of_all}"), read),
        }
    }

    /// Whether they name a sampler.
    fn samples(&mut self) -> bool {
        let named = self.read("OTEL_TRACES_SAMPLER", values::sampler).is_some();
        if named {
            self.read("OTEL_TRACES_SAMPLER_ARG", values::share);
        }
        named
    }
}

#[cfg(test)]
mod tests;

//! Logs to stdout, and traces to an OpenTelemetry collector when there is one.
//!
//! The collector never holds the operator up: spans leave in batches on a thread of their own, and
//! what cannot be sent is dropped and told once.

mod export;
mod lines;

use std::collections::BTreeMap;
use std::io::{IsTerminal, stdout};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::TracerProvider;
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::tonic_types::{metadata::MetadataMap, transport::ClientTlsConfig};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor};
use tracing_subscriber::filter::{EnvFilter, LevelFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt};

use self::lines::Lines;
use super::config::{Config, LogFormat, Tracing};

/// How long the last spans may take.
const FLUSH: Duration = Duration::from_secs(2);

/// The scheduler tells each tick at INFO, a watcher each failed attempt at WARN, the client each
/// failed request at ERROR, with the whole answer if that cannot be read. We say it once.
const NOISY: [&str; 3] =
    ["tokio_cron_scheduler=warn", "kube_runtime::watcher=error", "kube_client=off"];
/// What the exporter itself runs on: its spans would beget spans for ever.
const EXPORTING: [&str; 7] = [
    "h2=off",
    "hyper=off",
    "hyper_util=off",
    "tonic=off",
    "tower=off",
    "opentelemetry=off",
    "tokio_cron_scheduler=warn",
];

/// Logging or tracing cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A filter is wrong.
    #[error("the filter {0:?} cannot be read: {1}")]
    Filter(String, #[source] ParseError),
    /// The collector's address or headers are wrong.
    #[error("traces cannot be sent to {0:?}: {1}")]
    Exporter(String, String),
    /// Logging has begun before.
    #[error("logging has been set up before: {0}")]
    Again(#[from] TryInitError),
}

/// Keeps the traces flowing; to be shut down at the end.
#[derive(Debug)]
#[must_use = "without a shutdown the last spans are lost"]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

/// Begins logging, and tracing when there is a collector. Must be called on the tokio runtime,
/// which carries the connection; nothing is connected yet, so an unreachable collector is no error.
pub fn init(config: &Config) -> Result<Telemetry, TelemetryError> {
    let provider = config.tracing.as_ref().map(|t| provider(config, t)).transpose()?;
    let traces = match (&config.tracing, &provider) {
        (Some(tracing), Some(provider)) => {
            let tracer = provider.tracer("eip-operator");
            let layer = tracing_opentelemetry::layer().with_tracer(tracer);
            Some(layer.with_filter(filter(&tracing.level_targets, &EXPORTING)?))
        }
        _ => None,
    };
    let logs = logs(config.log_format, stdout().is_terminal(), stdout)
        .with_filter(filter(&config.log_level, &NOISY)?);
    tracing_subscriber::registry().with(logs).with(traces).try_init()?;
    Ok(Telemetry { provider })
}

impl Telemetry {
    /// Sends what is left, for 2 s at most; then it is lost.
    pub async fn shutdown(self) {
        let Some(provider) = self.provider else { return };
        let flush = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH));
        if let Ok(Err(error)) = flush.await {
            tracing::warn!(%error, "the last spans are lost");
        }
    }
}

/// The layer that writes log lines.
fn logs<W>(
    format: Option<LogFormat>,
    terminal: bool,
    to: W,
) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let unset = if terminal { LogFormat::Text } else { LogFormat::Json };
    match format.unwrap_or(unset) {
        LogFormat::Text => {
            fmt::layer().with_ansi(terminal).event_format(Lines).with_writer(to).boxed()
        }
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_writer(to)
            .boxed(),
    }
}

/// The person's filter, and for each crate that it does not name, ours. Ours never says more than
/// theirs.
fn filter(text: &str, ours: &[&str]) -> Result<EnvFilter, TelemetryError> {
    let read = |text: &str| {
        let read = EnvFilter::builder().parse(text);
        read.map_err(|error| TelemetryError::Filter(text.to_owned(), error))
    };
    let theirs = read(text)?;
    let most = theirs.max_level_hint().unwrap_or(LevelFilter::TRACE);
    let named = |target: &str| {
        text.split(',').any(|directive| {
            let theirs = directive.split(['=', '[', ':']).next().unwrap_or_default();
            target.split("::").next() == Some(theirs)
        })
    };
    let added = ours.iter().filter(|ours| {
        let (target, level) = ours.split_once('=').unwrap_or((ours, ""));
        let louder = level.parse::<LevelFilter>().is_ok_and(|level| level > most);
        !(louder || named(target))
    });
    let all: Vec<&str> = std::iter::once(text).chain(added.copied()).collect();
    read(&all.join(","))
}

fn provider(config: &Config, tracing: &Tracing) -> Result<SdkTracerProvider, TelemetryError> {
    let fault = |fault: String| TelemetryError::Exporter(tracing.endpoint.clone(), fault);
    let mut exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&tracing.endpoint)
        .with_metadata(metadata(&tracing.headers).map_err(fault)?);
    if tracing.endpoint.starts_with("https:") {
        exporter = exporter.with_tls_config(ClientTlsConfig::new().with_enabled_roots());
    }
    let exporter = exporter.build().map_err(|error| fault(error.to_string()))?;
    let share = Sampler::TraceIdRatioBased(tracing.sample_rate);
    Ok(SdkTracerProvider::builder()
        .with_resource(resource(&config.cluster_name))
        .with_sampler(Sampler::ParentBased(Box::new(share)))
        .with_span_processor(Fields::new(&tracing.toplevel_fields))
        .with_batch_exporter(export::Told::new(exporter))
        .build())
}

fn resource(cluster_name: &str) -> Resource {
    Resource::builder()
        .with_service_name("eip-operator")
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("k8s.cluster.name", cluster_name.to_owned()))
        .build()
}

fn metadata(headers: &BTreeMap<String, String>) -> Result<MetadataMap, String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let legal_name = HeaderName::from_bytes(name.as_bytes());
        let legal_name = legal_name.map_err(|error| format!("header {name:?}: {error}"))?;
        let mut value =
            HeaderValue::from_str(value).map_err(|error| format!("header {name:?}: {error}"))?;
        value.set_sensitive(true);
        map.insert(legal_name, value);
    }
    Ok(MetadataMap::from_headers(map))
}

/// Puts the same fields on every span.
#[derive(Debug)]
struct Fields(Vec<KeyValue>);

impl Fields {
    fn new(fields: &BTreeMap<String, String>) -> Fields {
        Fields(fields.iter().map(|(k, v)| KeyValue::new(k.clone(), v.clone())).collect())
    }
}

impl SpanProcessor for Fields {
    fn on_start(&self, span: &mut Span, _context: &Context) {
        use opentelemetry::trace::Span as _;
        span.set_attributes(self.0.iter().cloned());
    }
    fn on_end(&self, _span: SpanData) {}
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }
    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[cfg(test)]
mod tests;

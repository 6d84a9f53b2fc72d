//! Logs to stdout, and traces and metrics to an OpenTelemetry collector when there is one.
//!
//! The collector never holds the operator up: spans leave in batches on a thread of their own, so
//! do metrics, and what cannot be sent is dropped and told once.

mod collector;
mod export;
mod lines;

use std::io::{IsTerminal, stdout};
use std::time::Duration;

use opentelemetry::metrics::{Meter, MeterProvider, NoopMeterProvider};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::sync::oneshot;
use tracing_subscriber::filter::{EnvFilter, LevelFilter, ParseError};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt};

use self::lines::Lines;
use super::config::{Config, LogFormat};

/// The name of what makes the spans and the metrics.
const SCOPE: &str = "eip-operator";
/// How long the last spans and metrics may take.
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
    #[error("nothing can be sent to {0:?}: {1}")]
    Exporter(String, String),
    /// Logging has begun before.
    #[error("logging has been set up before: {0}")]
    Again(#[from] TryInitError),
}

/// Keeps traces and metrics flowing; to be shut down at the end.
#[derive(Debug)]
#[must_use = "without a shutdown the last spans are lost"]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
}

/// Begins logging, and sending when there is a collector. Must be called on the tokio runtime,
/// which carries the connection; nothing is connected yet, so an unreachable collector is no error.
pub async fn init(config: &Config) -> Result<Telemetry, TelemetryError> {
    let mut telemetry = Telemetry { traces: None, metrics: None };
    let mut layer = None;
    if let Some(collector) = &config.collector {
        let resource = collector::resource(config, collector::region().await, &|name| {
            std::env::var(name).ok().filter(|value| !value.is_empty())
        });
        telemetry.metrics = collector::metrics(collector, resource.clone())?;
        if let Some(provider) = collector::traces(collector, resource)? {
            let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer(SCOPE));
            layer = Some(spans.with_filter(filter(&collector.level_targets, &EXPORTING)?));
            telemetry.traces = Some(provider);
        }
    }
    let logs = logs(config.log_format, stdout().is_terminal(), stdout)
        .with_filter(filter(&config.log_level, &NOISY)?);
    tracing_subscriber::registry().with(logs).with(layer).try_init()?;
    Ok(telemetry)
}

impl Telemetry {
    /// Where metrics go.
    pub fn meter(&self) -> Meter {
        match &self.metrics {
            Some(provider) => provider.meter(SCOPE),
            None => NoopMeterProvider::new().meter(SCOPE),
        }
    }

    /// Sends what is left, for 2 s at most; then it is lost.
    pub async fn shutdown(self) {
        let traces = async {
            if let Some(provider) = self.traces {
                let end = move || provider.shutdown_with_timeout(FLUSH);
                in_time("spans", end).await;
            }
        };
        let metrics = async {
            if let Some(provider) = self.metrics {
                // This library knows no other time than its own.
                in_time("metrics", move || provider.shutdown_with_timeout(FLUSH)).await;
            }
        };
        tokio::join!(traces, metrics);
    }
}

/// Waits for the last of something to be sent, but not for long. It is on a thread of its own, for
/// the end of the runtime would wait for one of the runtime's.
async fn in_time(what: &str, send: impl FnOnce() -> OTelSdkResult + Send + 'static) {
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        // Nobody waits for it any more.
        let _ = ended.send(send());
    });
    let late = Err(OTelSdkError::Timeout(FLUSH));
    let sent = tokio::time::timeout(FLUSH, end).await.map_or(Ok(late), |sent| sent);
    if let Ok(Err(error)) = sent {
        tracing::warn!(%error, "the last {what} are lost");
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

#[cfg(test)]
mod tests;

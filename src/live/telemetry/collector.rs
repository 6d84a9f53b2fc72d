//! What is sent to a collector, how, and as whom.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::meta::region::RegionProviderChain;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor};
use tonic::metadata::{KeyAndValueRef, MetadataMap};
use tonic::{Request, Status};

use super::TelemetryError;
use super::export::Told;
use crate::live::config::{Collector, Config};

/// How long an attribute may be looked for.
const REGION_WITHIN: Duration = Duration::from_secs(1);

/// Traces, if they are sent.
pub fn traces(
    collector: &Collector,
    resource: Resource,
) -> Result<Option<SdkTracerProvider>, TelemetryError> {
    let Some(endpoint) = &collector.traces else { return Ok(None) };
    let builder = reach(SpanExporter::builder().with_tonic(), endpoint, &collector.headers)?;
    let exporter = builder.build().map_err(|error| fault(endpoint, &error))?;
    let mut provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_span_processor(Fields::new(&collector.toplevel_fields))
        .with_batch_exporter(Told::new("spans", exporter));
    if let Some(share) = collector.sample_rate {
        let share = Sampler::TraceIdRatioBased(share);
        provider = provider.with_sampler(Sampler::ParentBased(Box::new(share)));
    }
    Ok(Some(provider.build()))
}

/// Metrics, if they are sent.
pub fn metrics(
    collector: &Collector,
    resource: Resource,
) -> Result<Option<SdkMeterProvider>, TelemetryError> {
    let Some(endpoint) = &collector.metrics else { return Ok(None) };
    let builder = reach(MetricExporter::builder().with_tonic(), endpoint, &collector.headers)?;
    let exporter = builder.build().map_err(|error| fault(endpoint, &error))?;
    let provider = SdkMeterProvider::builder()
        .with_resource(resource)
        .with_periodic_exporter(Told::new("metrics", exporter));
    Ok(Some(provider.build()))
}

fn fault(endpoint: &str, fault: &dyn std::fmt::Display) -> TelemetryError {
    TelemetryError::Exporter(endpoint.to_owned(), fault.to_string())
}

/// The way to the collector. The library adds headers of its own variables to the metadata; ours
/// are put in their place after that, for they win.
fn reach<B: WithExportConfig + WithTonicConfig>(
    builder: B,
    endpoint: &str,
    headers: &BTreeMap<String, String>,
) -> Result<B, TelemetryError> {
    let ours = metadata(headers).map_err(|error| fault(endpoint, &error))?;
    let builder = builder.with_endpoint(endpoint).with_interceptor(
        move |mut request: Request<()>| -> Result<Request<()>, Status> {
            for header in ours.iter() {
                if let KeyAndValueRef::Ascii(name, value) = header {
                    request.metadata_mut().insert(name.clone(), value.clone());
                }
            }
            Ok(request)
        },
    );
    if endpoint.starts_with("https:") {
        return Ok(builder.with_tls_config(ClientTlsConfig::new().with_enabled_roots()));
    }
    Ok(builder)
}

pub fn metadata(headers: &BTreeMap<String, String>) -> Result<MetadataMap, String> {
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

/// The Region, from where the SDK takes it, too; none where that takes long, for nothing is logged
/// before.
pub async fn region() -> Option<String> {
    let chain = RegionProviderChain::default_provider();
    let region = tokio::time::timeout(REGION_WITHIN, chain.region()).await;
    region.ok().flatten().map(|region| region.to_string())
}

/// Who sends. What a person says in `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` wins.
pub fn resource(
    config: &Config,
    region: Option<String>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Resource {
    let pod = variable("POD_NAME");
    let namespace = pod.as_ref().and(config.pod_namespace.clone());
    let some = [
        ("k8s.pod.name", pod),
        ("k8s.namespace.name", namespace),
        ("k8s.node.name", variable("NODE_NAME")),
        ("cloud.region", region),
    ];
    let some = some.into_iter().filter_map(|(name, value)| Some(KeyValue::new(name, value?)));
    let builder = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", "eip-operator"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance()),
            KeyValue::new("k8s.cluster.name", config.cluster_name.clone()),
            KeyValue::new("cloud.provider", "aws"),
        ])
        .with_attributes(some)
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match variable("OTEL_SERVICE_NAME") {
        Some(name) => builder.with_service_name(name).build(),
        None => builder.build(),
    }
}

/// A name that no other process has, of the form that is asked for: a random UUID (version 4).
fn instance() -> String {
    let pid = u64::from(std::process::id());
    let [high, low] = [(); 2].map(|()| getrandom::u64().unwrap_or(pid));
    let high = high & !0xf000 | 0x4000;
    let low = low & !(0b11 << 62) | 0b10 << 62;
    let digits = format!("{high:016x}{low:016x}");
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

/// Puts the same fields on every span.
#[derive(Debug)]
pub struct Fields(Vec<KeyValue>);

impl Fields {
    pub fn new(fields: &BTreeMap<String, String>) -> Fields {
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

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use opentelemetry::KeyValue;
use opentelemetry::trace::Tracer;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::SpanData;
use serde_json::Value;

use super::collector::{Fields, metadata, resource};
use super::*;

/// A place for log lines, in place of stdout.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is written when two targets speak inside a span.
fn written(format: Option<LogFormat>, terminal: bool, level: &str) -> String {
    let page = Page::default();
    let to = page.clone();
    let logs =
        logs(format, terminal, move || to.clone()).with_filter(filter(level, &NOISY).unwrap());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(logs), || {
        let _span = tracing::info_span!("cycle", number = 7).entered();
        tracing::info!(target: "plan", allocate = 1, eip = "team/web", "step");
        tracing::info!(target: "tokio_cron_scheduler::job_scheduler", "tick");
        tracing::warn!(target: "tokio_cron_scheduler::job_scheduler", "trouble");
        tracing::warn!(target: "kube_runtime::watcher", "attempt");
    });
    let bytes = page.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_json_line_is_one_object_with_its_fields_at_the_top() {
    let text = written(None, false, "info");
    let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["allocate", "eip", "level", "message", "target", "timestamp"]);
    assert_eq!((&line["level"], &line["target"]), (&"INFO".into(), &"plan".into()));
    assert_eq!((&line["message"], &line["allocate"]), (&"step".into(), &1.into()));
    assert_eq!(line["eip"], "team/web");
}

#[test]
fn the_format_follows_the_terminal_unless_it_is_chosen() {
    let colour = "\u{1b}[";
    assert!(written(None, true, "info").contains(colour));
    assert!(written(Some(LogFormat::Json), true, "info").starts_with('{'));
    let piped = written(Some(LogFormat::Text), false, "info");
    assert!(
        piped.contains("step") && !piped.contains(colour) && !piped.starts_with('{'),
        "{piped}"
    );
}

#[test]
fn the_libraries_speak_only_of_trouble_unless_they_are_named() {
    let messages = |level: &str| -> Vec<String> {
        let text = written(None, false, level);
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(messages("info"), ["step", "trouble"]);
    assert_eq!(messages("info,tokio_cron_scheduler=info"), ["step", "tick", "trouble"]);
    assert_eq!(messages("info,tokio_cron_scheduler::job_scheduler=error"), ["step"]);
    assert_eq!(messages("info,kube_runtime=warn"), ["step", "trouble", "attempt"]);
    assert_eq!(messages("error"), [""; 0], "ours never says more than theirs");
}

fn config(endpoint: &str, rate: f64) -> Config {
    use super::super::config::Raw;
    let given = |text: &str| Some(text.to_owned());
    let raw = Raw {
        cluster_name: given("demo"),
        opentelemetry_endpoint: given(endpoint),
        opentelemetry_headers: given("{\"Token\":\"secret\"}"),
        opentelemetry_toplevel_fields: given("{\"team\":\"web\"}"),
        opentelemetry_sample_rate: Some(rate.to_string()),
        ..Raw::default()
    };
    Config::check(&raw).unwrap()
}

/// Keeps what is exported, or refuses it.
#[derive(Debug, Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<SpanData>>>,
    refuses: Arc<Mutex<bool>>,
}

impl opentelemetry_sdk::trace::SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        if *self.refuses.lock().unwrap() {
            return Err(OTelSdkError::InternalFailure("refused".to_owned()));
        }
        self.spans.lock().unwrap().extend(batch);
        Ok(())
    }
}

#[test]
fn every_span_bears_the_toplevel_fields() {
    let collector = Collector::default();
    let fields = BTreeMap::from([("team".to_owned(), "web".to_owned())]);
    let provider = SdkTracerProvider::builder()
        .with_span_processor(Fields::new(&fields))
        .with_simple_exporter(collector.clone())
        .build();
    provider.tracer("test").in_span("cycle", |_| ());
    let spans = collector.spans.lock().unwrap();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].attributes, [KeyValue::new("team", "web")]);
}

#[test]
fn a_collector_that_fails_is_told_once_and_so_is_its_return() {
    let (collector, page) = (Collector::default(), Page::default());
    let to = page.clone();
    let logs = logs(Some(LogFormat::Text), false, move || to.clone());
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(export::Told::new("spans", collector.clone()))
        .build();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(logs), || {
        for refuses in [false, true, true, false, false] {
            *collector.refuses.lock().unwrap() = refuses;
            provider.tracer("test").in_span("cycle", |_| ());
        }
    });
    let text = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches("cannot be sent to the collector").count(), 1, "{text}");
    assert_eq!(text.matches("sent to the collector again").count(), 1, "{text}");
    assert_eq!(collector.spans.lock().unwrap().len(), 3);
}

#[test]
fn the_resource_names_the_operator_and_where_it_runs() {
    let mut config = config("http://collector:4317", 1.0);
    config.pod_namespace = Some("eip-operator".to_owned());
    let pod = |name: &str| match name {
        "POD_NAME" => Some("eip-operator-0".to_owned()),
        "NODE_NAME" => Some("node-1".to_owned()),
        _ => None,
    };
    let made = resource(&config, Some("eu-central-1".to_owned()), &pod);
    for (key, value) in [
        ("service.name", "eip-operator"),
        ("service.version", "0.1.0"),
        ("k8s.cluster.name", "demo"),
        ("k8s.pod.name", "eip-operator-0"),
        ("k8s.namespace.name", "eip-operator"),
        ("k8s.node.name", "node-1"),
        ("cloud.provider", "aws"),
        ("cloud.region", "eu-central-1"),
        ("telemetry.sdk.language", "rust"),
    ] {
        let is = made.get(&key.into()).map(|value| value.to_string());
        assert_eq!(is.as_deref(), Some(value), "{key}");
    }
    let id = |resource: &opentelemetry_sdk::Resource| {
        resource.get(&"service.instance.id".into()).unwrap().to_string()
    };
    let other = resource(&config, None, &|_| None);
    assert!(id(&made) != id(&other) && id(&made).len() == 36, "{}", id(&made));
    assert_eq!(id(&made).as_bytes()[14], b'4', "{}", id(&made));
    for absent in ["k8s.pod.name", "k8s.namespace.name", "k8s.node.name", "cloud.region"] {
        assert_eq!(other.get(&absent.into()), None, "{absent}");
    }
    let named = |name: &str| (name == "OTEL_SERVICE_NAME").then(|| "eips".to_owned());
    let named = resource(&config, None, &named).get(&"service.name".into());
    assert_eq!(named.unwrap().to_string(), "eips");
}

#[test]
fn headers_become_metadata_and_stay_out_of_debug_output() {
    let headers = BTreeMap::from([("Token".to_owned(), "secret".to_owned())]);
    let metadata = metadata(&headers).unwrap();
    assert_eq!(metadata.get("token").unwrap().to_str().unwrap(), "secret");
    assert!(!format!("{metadata:?}").contains("secret"), "{metadata:?}");
}

/// Nobody listens on the port of a listener that has been dropped.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Sends to this address, and has something to send.
fn sending(endpoint: &str) -> Telemetry {
    let config = config(endpoint, 1.0);
    let collector = config.collector.as_ref().unwrap();
    let resource = resource(&config, None, &|_| None);
    let telemetry = Telemetry {
        traces: collector::traces(collector, resource.clone()).unwrap(),
        metrics: collector::metrics(collector, resource).unwrap(),
    };
    telemetry.traces.as_ref().unwrap().tracer("test").in_span("cycle", |_| ());
    telemetry.meter().u64_counter("cycles").build().add(1, &[]);
    telemetry
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_collector_neither_fails_the_start_nor_holds_up_the_end() {
    let end = sending(&nobody().await).shutdown();
    tokio::time::timeout(10 * FLUSH, end).await.expect("the end is held up");
}

#[test]
fn what_is_never_answered_holds_up_neither_the_end_nor_that_of_the_runtime() {
    let (answer, unanswered) = std::sync::mpsc::channel::<()>();
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(in_time("spans", move || {
            let _ = unanswered.recv();
            Ok(())
        }));
        drop(runtime);
        ended.send(()).unwrap();
    });
    end.recv_timeout(10 * FLUSH).expect("the end is held up");
    drop(answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_collector_can_be_named() {
    let telemetry = sending("https://collector.invalid:4317");
    tokio::time::timeout(10 * FLUSH, telemetry.shutdown()).await.expect("the end is held up");
}

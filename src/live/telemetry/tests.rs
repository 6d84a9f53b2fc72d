use std::io::Write;
use std::sync::{Arc, Mutex};

use opentelemetry::trace::Tracer;
use opentelemetry_sdk::error::OTelSdkError;
use serde_json::Value;

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
        .with_simple_exporter(export::Told::new(collector.clone()))
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
fn the_resource_names_the_operator_and_the_cluster() {
    let resource = resource("demo");
    let value = |key: &'static str| resource.get(&key.into()).map(|value| value.to_string());
    assert_eq!(value("service.name").as_deref(), Some("eip-operator"));
    assert_eq!(value("service.version").as_deref(), Some("0.1.0"));
    assert_eq!(value("k8s.cluster.name").as_deref(), Some("demo"));
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

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_collector_neither_fails_the_start_nor_holds_up_the_end() {
    let config = config(&nobody().await, 1.0);
    let provider = provider(&config, config.tracing.as_ref().unwrap()).unwrap();
    provider.tracer("test").in_span("cycle", |_| ());
    let end = Telemetry { provider: Some(provider) }.shutdown();
    tokio::time::timeout(10 * FLUSH, end).await.expect("the end is held up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_collector_holds_the_end_up_for_no_longer_than_the_flush() {
    // It accepts connections and never answers.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = config(&format!("http://{}", listener.local_addr().unwrap()), 1.0);
    let provider = provider(&config, config.tracing.as_ref().unwrap()).unwrap();
    provider.tracer("test").in_span("cycle", |_| ());
    let late = provider.shutdown_with_timeout(Duration::from_millis(100)).unwrap_err();
    assert!(late.to_string().contains("Timeout"), "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_collector_can_be_named() {
    let config = config("https://collector.invalid:4317", 0.5);
    let provider = provider(&config, config.tracing.as_ref().unwrap()).unwrap();
    assert!(provider.shutdown_with_timeout(FLUSH).is_ok());
}

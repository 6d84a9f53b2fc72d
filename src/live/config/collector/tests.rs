use super::*;
use crate::live::config::{Cli, Config, ConfigError};

fn given(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// The settings with these variables of OpenTelemetry's own.
fn raw(otel: &[(&str, &str)]) -> Raw {
    let otel = otel.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Raw { cluster_name: given("demo"), otel: otel.collect(), ..Raw::default() }
}

fn checked(otel: &[(&str, &str)]) -> Option<Collector> {
    Config::check(&raw(otel)).unwrap_or_else(|error| panic!("{error}")).collector
}

fn problems(raw: &Raw) -> Vec<String> {
    let ConfigError { problems } = Config::check(raw).unwrap_err();
    problems
}

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");

/// Where traces and metrics go.
fn ways(otel: &[(&str, &str)]) -> (Option<String>, Option<String>) {
    checked(otel).map(|collector| (collector.traces, collector.metrics)).unwrap_or_default()
}

#[test]
fn nothing_is_sent_without_an_endpoint() {
    let headers = given("{\"token\":\"x\"}");
    let raw = Raw { opentelemetry_headers: headers, ..raw(&[("OTEL_TRACES_EXPORTER", "otlp")]) };
    assert_eq!(Config::check(&raw).unwrap().collector, None);
}

#[test]
fn our_endpoint_is_for_both_and_wins_over_the_others() {
    let raw = Raw {
        opentelemetry_endpoint: given("https://ours:4317"),
        opentelemetry_headers: given("{\"Token\":\"x\"}"),
        opentelemetry_toplevel_fields: given("{\"team\":\"web\"}"),
        ..raw(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://metrics:4317")])
    };
    let expected = Collector {
        traces: given("https://ours:4317"),
        metrics: given("https://ours:4317"),
        headers: [("Token".into(), "x".into())].into(),
        toplevel_fields: [("team".into(), "web".into())].into(),
        level_targets: "DEBUG".into(),
        sample_rate: Some(0.05),
    };
    assert_eq!(Config::check(&raw).unwrap().collector, Some(expected));
}

#[test]
fn the_standard_endpoint_is_as_good_and_each_signal_may_have_its_own() {
    let one = given("http://collector:4317");
    assert_eq!(ways(&[ENDPOINT]), (one.clone(), one.clone()));
    let other = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://metrics:4317");
    assert_eq!(ways(&[ENDPOINT, other]), (one.clone(), given("https://metrics:4317")));
    assert_eq!(ways(&[other]), (None, given("https://metrics:4317")));
    assert_eq!(ways(&[ENDPOINT, ("OTEL_METRICS_EXPORTER", "none")]), (one.clone(), None));
    assert_eq!(ways(&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")]), (None, one.clone()));
    assert_eq!(ways(&[ENDPOINT, ("OTEL_SDK_DISABLED", "false")]), (one.clone(), one));
}

#[test]
fn an_endpoint_without_a_scheme_is_encrypted_unless_it_is_said_to_be_insecure() {
    let bare = ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317");
    assert_eq!(ways(&[bare]).0, given("https://collector:4317"));
    let (traces, metrics) = ways(&[bare, ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "true")]);
    assert_eq!(
        (traces, metrics),
        (given("http://collector:4317"), given("https://collector:4317"))
    );
    let insecure = ("OTEL_EXPORTER_OTLP_INSECURE", "true");
    assert_eq!(ways(&[bare, insecure]).1, given("http://collector:4317"));
    assert_eq!(
        ways(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:1"), insecure]).0,
        given("https://c:1")
    );
}

#[test]
fn one_word_turns_everything_off_whatever_else_is_set() {
    let off =
        [ENDPOINT, ("OTEL_SDK_DISABLED", "true"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "nonsense")];
    let raw = Raw { opentelemetry_endpoint: given("http://ours:4317"), ..raw(&off) };
    assert_eq!(Config::check(&raw).unwrap().collector, None);
}

#[test]
fn a_share_that_somebody_chose_wins_over_a_sampler_and_a_sampler_over_the_default() {
    let sampler = [ENDPOINT, ("OTEL_TRACES_SAMPLER", "always_on")];
    assert_eq!(checked(&sampler).unwrap().sample_rate, None);
    assert_eq!(checked(&[ENDPOINT]).unwrap().sample_rate, Some(0.05));
    let chosen = Raw { opentelemetry_sample_rate: given("0.5"), ..raw(&sampler) };
    let chosen = Config::check(&chosen).unwrap().collector.unwrap();
    assert_eq!(chosen.sample_rate, Some(0.5));
    let args = ["eip-operator", "--cluster-name=demo"];
    assert_eq!(Cli::read(args).unwrap().settings.opentelemetry_sample_rate, None);
    let cli = Cli::read(args.into_iter().chain(["--opentelemetry-sample-rate=0.05"])).unwrap();
    assert_eq!(cli.settings.opentelemetry_sample_rate.as_deref(), Some("0.05"));
}

#[test]
fn what_counts_is_judged_and_told_once() {
    let endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
    for (name, bad, accepted) in [
        (endpoint, "ftp://collector", "give http://HOST:PORT"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "give grpc, or"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "give grpc, or"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "give otlp or none"),
        ("OTEL_METRICS_EXPORTER", "prometheus", "give otlp or none"),
        ("OTEL_TRACES_SAMPLER", "xray", "give always_on, always_off or traceidratio"),
        ("OTEL_SDK_DISABLED", "maybe", "give true, false"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "give gzip or none"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "10s", "give a whole number from 1"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0", "give a whole number from 1"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many", "give a whole number from 1"),
    ] {
        let set: Vec<_> = [ENDPOINT].into_iter().filter(|(set, _)| *set != name).collect();
        let told = problems(&raw(&[&set[..], &[(name, bad)]].concat()));
        assert_eq!(told.len(), 1, "{told:?}");
        let begins = format!("{name} is {bad:?}: {accepted}");
        assert!(told[0].starts_with(&begins), "{told:?}");
    }
    let ratio =
        [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2"), ENDPOINT];
    assert!(problems(&raw(&ratio))[0].starts_with("OTEL_TRACES_SAMPLER_ARG is \"2\": "));
}

#[test]
fn what_is_there_for_other_programs_is_not_judged() {
    let others = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_TRACES_SAMPLER", "xray"),
        ("OTEL_TRACES_EXPORTER", "console"),
        ("OTEL_METRICS_EXPORTER", "prometheus"),
    ];
    assert_eq!(checked(&others), None);
    let ours = Raw { opentelemetry_endpoint: given("http://ours:4317"), ..raw(&others[..1]) };
    assert!(Config::check(&ours).unwrap().collector.is_some());
}

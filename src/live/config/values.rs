//! How each kind of setting is read. A reader answers with the value, or with what is accepted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Uri};
use k8s_openapi::jiff::SignedDuration;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use tracing_subscriber::EnvFilter;

use super::LogFormat;
use crate::live::wake::Schedule;

type Reading<T> = Result<T, String>;

/// A resource bears at most 50 tags on EC2, and 8 are ours.
const MOST_TAGS: usize = 42;
/// Longer texts are cut in a message: it is to be read by a person.
const MOST_SHOWN: usize = 200;
/// No duration here makes sense beyond a day, and sums of such durations never overflow.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The text of a setting, unless it is unset or empty.
pub fn given(raw: &Option<String>) -> Option<&str> {
    raw.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

/// Reads settings and keeps every problem instead of stopping at the first.
#[derive(Default)]
pub struct Reader {
    pub problems: Vec<String>,
}

impl Reader {
    /// A setting without which nothing works.
    pub fn required(
        &mut self,
        variable: &str,
        raw: &Option<String>,
        read: fn(&str) -> Reading<String>,
    ) -> String {
        match given(raw) {
            Some(text) => self.keep(variable, &shown(text), read(text)).unwrap_or_default(),
            None => {
                let accepted = read("").err().unwrap_or_default();
                self.problems.push(format!("{variable} is unset: {accepted}"));
                String::new()
            }
        }
    }

    /// A setting that may be unset.
    pub fn optional<T>(
        &mut self,
        variable: &str,
        raw: &Option<String>,
        read: fn(&str) -> Reading<T>,
    ) -> Option<T> {
        given(raw).and_then(|text| self.keep(variable, &shown(text), read(text)))
    }

    /// A setting with a default. A wrong one yields an empty value that is never used.
    pub fn or<T: Default>(
        &mut self,
        variable: &str,
        raw: &Option<String>,
        default: &str,
        read: fn(&str) -> Reading<T>,
    ) -> T {
        let text = given(raw).unwrap_or(default);
        self.keep(variable, &shown(text), read(text)).unwrap_or_default()
    }

    /// As [`Reader::or`], but the value may be a secret and is not told.
    pub fn secret_or<T: Default>(
        &mut self,
        variable: &str,
        raw: &Option<String>,
        default: &str,
        read: fn(&str) -> Reading<T>,
    ) -> T {
        let text = given(raw).unwrap_or(default);
        let hidden = format!("set ({} characters, not shown)", text.chars().count());
        self.keep(variable, &hidden, read(text)).unwrap_or_default()
    }

    fn keep<T>(&mut self, variable: &str, shown: &str, reading: Reading<T>) -> Option<T> {
        reading.map_err(|fault| self.problems.push(format!("{variable} is {shown}: {fault}"))).ok()
    }
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{:?}… (cut)", &text[..end]),
        None => format!("{text:?}"),
    }
}

fn must(holds: bool, accepted: &str) -> Reading<()> {
    if holds { Ok(()) } else { Err(accepted.to_owned()) }
}

/// The name ends up in an EC2 filter, where `*` and `?` are wildcards, and in tags.
pub fn cluster_name(text: &str) -> Reading<String> {
    let fits = (1..=100).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    must(
        fits,
        "give 1 to 100 letters, digits, dots, underscores and hyphens, a letter or digit first",
    )?;
    Ok(text.to_owned())
}

pub fn namespace(text: &str) -> Reading<String> {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = text.len() <= 63
        && text.starts_with(edge)
        && text.ends_with(edge)
        && text.chars().all(|c| edge(c) || c == '-');
    must(
        fits,
        "give 1 to 63 lowercase letters, digits and hyphens, no hyphen first or last, \
         or nothing for all namespaces",
    )?;
    Ok(text.to_owned())
}

pub fn lease_name(text: &str) -> Reading<String> {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let label = |label: &str| label.starts_with(edge) && label.ends_with(edge);
    let fits = text.len() <= 253
        && text.split('.').all(label)
        && text.chars().all(|c| edge(c) || "-.".contains(c));
    must(
        fits,
        "give 1 to 253 lowercase letters, digits, hyphens and dots, as Kubernetes names a Lease",
    )?;
    Ok(text.to_owned())
}

pub fn yes_or_no(text: &str) -> Reading<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err("give true, false, 1, 0, yes or no".to_owned()),
    }
}

pub fn duration_from_0s(text: &str) -> Reading<Duration> {
    duration(text, Duration::ZERO)
}

pub fn duration_from_1s(text: &str) -> Reading<Duration> {
    duration(text, Duration::from_secs(1))
}

fn duration(text: &str, least: Duration) -> Reading<Duration> {
    let accepted = format!(
        "give a duration with its unit, from {}s to 24h, such as \"30s\" or \"1m30s\"",
        least.as_secs()
    );
    let read = text.parse::<SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok());
    read.filter(|d| (least..=LONGEST).contains(d)).ok_or(accepted)
}

pub fn schedule(text: &str) -> Reading<Schedule> {
    Schedule::read(text).map_err(|fault| fault.to_string())
}

pub fn rate(text: &str) -> Reading<f64> {
    let read = text.parse::<f64>().ok().filter(|rate| *rate > 0.0 && *rate <= 100.0);
    read.ok_or_else(|| "give a number above 0 and up to 100, such as \"4\" or \"0.5\"".to_owned())
}

/// As many as fit a Region; no account has so many Elastic IPs.
pub fn count_from_1(text: &str) -> Reading<u64> {
    let read = text.parse::<u64>().ok().filter(|count| (1..=100_000).contains(count));
    read.ok_or_else(|| "give a whole number from 1 to 100000".to_owned())
}

pub fn burst(text: &str) -> Reading<u32> {
    let read = text.parse::<u32>().ok().filter(|burst| (1..=1000).contains(burst));
    read.ok_or_else(|| "give a whole number from 1 to 1000".to_owned())
}

pub fn share(text: &str) -> Reading<f64> {
    let read = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    read.ok_or_else(|| "give a number from 0 to 1, such as \"0.05\"".to_owned())
}

pub fn vpc_id(text: &str) -> Reading<String> {
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let id = text.strip_prefix("vpc-").filter(|id| !id.is_empty() && id.chars().all(hex));
    must(id.is_some(), "give a VPC id, such as \"vpc-0a1b2c3d\"")?;
    Ok(text.to_owned())
}

pub fn address(text: &str) -> Reading<Option<SocketAddr>> {
    let read = text.parse::<SocketAddr>().map(Some);
    read.map_err(|_| "give ADDRESS:PORT, such as \"[::]:8080\" or \"0.0.0.0:8080\"".to_owned())
}

pub fn log_format(text: &str) -> Reading<LogFormat> {
    match text {
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err("give json or text".to_owned()),
    }
}

/// The text is kept, for a filter cannot be cloned; it is known to be readable from here on.
pub fn filter(text: &str) -> Reading<String> {
    EnvFilter::builder().parse(text).map(|_| text.to_owned()).map_err(|fault| {
        format!("give a level or a list of TARGET=LEVEL, such as \"info,kube=debug\" ({fault})")
    })
}

pub fn endpoint(text: &str) -> Reading<String> {
    let uri = text.parse::<Uri>().ok();
    let fits = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some()
    });
    must(fits, "give http://HOST:PORT or https://HOST:PORT, such as \"http://collector:4317\"")?;
    Ok(text.to_owned())
}

/// What OpenTelemetry calls an endpoint may lack its scheme.
pub fn standard_endpoint(text: &str) -> Reading<String> {
    if text.contains("://") {
        return endpoint(text);
    }
    endpoint(&format!("https://{text}"))?;
    Ok(text.to_owned())
}

/// Where a signal goes by OTEL_TRACES_EXPORTER or OTEL_METRICS_EXPORTER: whether it is sent.
pub fn exporter(text: &str) -> Reading<bool> {
    match text {
        "otlp" => Ok(true),
        "none" => Ok(false),
        _ => Err("give otlp or none".to_owned()),
    }
}

pub fn protocol(text: &str) -> Reading<()> {
    must(
        text == "grpc",
        "give grpc, or the collector's gRPC address as OPENTELEMETRY_ENDPOINT, or \
         OTEL_SDK_DISABLED=true",
    )
}

/// The library would take another word for none.
pub fn compression(text: &str) -> Reading<()> {
    must(matches!(text, "gzip" | "none"), "give gzip or none")
}

/// Milliseconds, or how many; the library would take anything else for its default.
pub fn whole_number(text: &str) -> Reading<()> {
    let is_one = text.parse::<u32>().is_ok_and(|number| number > 0);
    must(is_one, &format!("give a whole number from 1 to {}", u32::MAX))
}

/// What the library takes for a sampler; it would take another word for `parentbased_always_on`.
pub fn sampler(text: &str) -> Reading<()> {
    let base = text.strip_prefix("parentbased_").unwrap_or(text);
    must(
        matches!(base, "always_on" | "always_off" | "traceidratio"),
        "give always_on, always_off or traceidratio, also with parentbased_ before it",
    )
}

/// gRPC allows fewer names than HTTP; names ending in `-bin` would carry binary values.
pub fn headers(text: &str) -> Reading<BTreeMap<String, String>> {
    let headers = text_map(text)?;
    for (name, value) in &headers {
        let legal = HeaderName::from_lowercase(name.to_ascii_lowercase().as_bytes()).is_ok();
        must(
            legal && !name.to_ascii_lowercase().ends_with("-bin"),
            &format!(
                "{name:?} is no header name of gRPC: letters, digits, \"-\", \"_\", \".\", no -bin"
            ),
        )?;
        let legal = HeaderValue::from_str(value).is_ok() && value.is_ascii();
        must(legal, &format!("the value of {name:?} has characters other than printable ASCII"))?;
    }
    Ok(headers)
}

/// Tags that may stand beside ours on every address.
pub fn tags(text: &str) -> Reading<BTreeMap<String, String>> {
    let tags = text_map(text)?;
    let mut faults: Vec<String> = tags.iter().filter_map(|(k, v)| tag_fault(k, v)).collect();
    if tags.len() > MOST_TAGS {
        faults.push(format!(
            "{} tags, at most {MOST_TAGS} fit beside the operator's own",
            tags.len()
        ));
    }
    if faults.is_empty() { Ok(tags) } else { Err(faults.join(", ")) }
}

fn tag_fault(key: &str, value: &str) -> Option<String> {
    if key.is_empty() {
        Some("a key is empty".to_owned())
    } else if key.to_lowercase().starts_with("aws:") {
        Some(format!("key {key:?} begins with \"aws:\", which AWS keeps for itself"))
    } else if key.starts_with("eip.materialize.cloud/") || key == "Name" {
        Some(format!("key {key:?} is the operator's own, choose another"))
    } else if key.chars().count() > 127 {
        Some(format!("key {} has more than 127 characters", shown(key)))
    } else if value.chars().count() > 256 {
        Some(format!("the value of key {key:?} has more than 256 characters"))
    } else {
        None
    }
}

/// A JSON map of texts in which every key stands once.
pub fn text_map(text: &str) -> Reading<BTreeMap<String, String>> {
    let accepted = "give a JSON map of texts, such as {\"team\":\"web\"}";
    // serde_json's own words may quote the text, which may be a secret.
    let pairs: Pairs = serde_json::from_str(text).map_err(|fault| {
        format!("{accepted}; this is none at line {}, column {}", fault.line(), fault.column())
    })?;
    let mut map = BTreeMap::new();
    for (key, value) in pairs.0 {
        let Value::String(value) = value else {
            return Err(format!("the value of key {key:?} is no text; {accepted}"));
        };
        if map.insert(key.clone(), value).is_some() {
            return Err(format!("key {key:?} stands there twice"));
        }
    }
    Ok(map)
}

/// The entries of a JSON map as written: serde_json's own map would hide a key given twice.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

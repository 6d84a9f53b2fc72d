//! What is generated is what is committed.
#![cfg(feature = "live")]

use std::fs;
use std::path::Path;

use eip_operator::live::{config, crd, metrics};

fn committed(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

#[test]
fn the_crd_in_the_manifests_is_the_one_the_operator_installs() {
    let hint = "run: cargo run -- crd > manifests/crd.yaml";
    assert_eq!(committed("manifests/crd.yaml"), crd::crd_yaml().unwrap(), "{hint}");
}

#[test]
fn the_readme_has_the_table_of_all_metrics() {
    let table = metrics::table();
    let alone = format!("\n\n{table}\n");
    assert!(committed("README.md").contains(&alone), "README.md should contain:\n{table}");
}

#[test]
fn the_readme_has_the_table_of_all_settings() {
    let table = config::table();
    let alone = format!("\n\n{table}\n");
    assert!(committed("README.md").contains(&alone), "README.md should contain:\n{table}");
}

/// The parts of PromQL that name something: metrics with the labels they are matched by, and the
/// labels that are grouped by or matched on.
#[derive(Debug, Default)]
struct Named {
    metrics: Vec<(String, Vec<String>)>,
    labels: Vec<String>,
}

/// Reads an expression. Words in quotes, numbers, and what begins with `$` name nothing here.
fn named(expression: &str) -> Named {
    const WORDS: [&str; 9] =
        ["by", "without", "on", "ignoring", "and", "or", "unless", "bool", "offset"];
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || "_:$".contains(letter);
    let (mut found, mut rest) = (Named::default(), expression);
    // What a list in brackets belongs to: the metric before it, or a word such as `by`.
    let (mut in_matchers, mut in_labels, mut before) = (false, false, "");
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => rest[1..].find('"').unwrap() + 2,
            letter if is_word(letter) => rest.find(|one| !is_word(one)).unwrap_or(rest.len()),
            letter => letter.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        match token {
            "{" => in_matchers = true,
            "}" => in_matchers = false,
            "(" => in_labels = WORDS[..4].contains(&before),
            ")" => in_labels = false,
            _ if !first.is_ascii_alphabetic() || WORDS.contains(&token) => {}
            _ if in_matchers => found.metrics.last_mut().unwrap().1.push(token.to_owned()),
            _ if in_labels => found.labels.push(token.to_owned()),
            _ if after.trim_start().starts_with('(') || after.starts_with(" by (") => {}
            _ => found.metrics.push((token.to_owned(), Vec::new())),
        }
        if !token.trim().is_empty() {
            before = token;
        }
    }
    found
}

/// The metric of the list that this series is of.
fn of_the_list(series: &str) -> &'static metrics::Described {
    let is_of = |one: &&metrics::Described| match one.kind {
        "histogram" => ["_bucket", "_count", "_sum"]
            .iter()
            .any(|suffix| series.strip_suffix(suffix) == Some(one.name)),
        _ => series == one.name,
    };
    metrics::LIST.iter().find(is_of).unwrap_or_else(|| panic!("{series} is in no list of metrics"))
}

/// What is asked for in vain is never found to be wrong, so each name has to be one that is served.
fn names_what_is_served(expression: &str) -> Vec<&'static str> {
    const OF_PROMETHEUS: [&str; 4] = ["namespace", "job", "instance", "le"];
    let named = named(expression);
    assert!(!named.metrics.is_empty(), "{expression}");
    let mut labels = OF_PROMETHEUS.to_vec();
    let mut used = Vec::new();
    for (series, matched) in &named.metrics {
        let metric = of_the_list(series);
        for label in matched {
            let is_there =
                OF_PROMETHEUS.contains(&label.as_str()) || metric.labels.contains(&label.as_str());
            assert!(is_there, "{series} has no label {label}: {expression}");
        }
        labels.extend(metric.labels);
        used.push(metric.name);
    }
    for label in &named.labels {
        assert!(labels.contains(&label.as_str()), "nothing has a label {label}: {expression}");
    }
    used
}

const ALERTS: &str = "manifests/components/monitoring/alerts.yaml";
const DASHBOARD: &str = "manifests/components/monitoring/dashboard.json";

/// Every rule of the alerts.
fn alerts() -> Vec<serde_json::Value> {
    let file: serde_json::Value = serde_saphyr::from_str(&committed(ALERTS)).unwrap();
    let groups = file["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// Every query of the dashboard, those behind its variables included.
fn queries() -> Vec<String> {
    let dashboard: serde_json::Value = serde_json::from_str(&committed(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let shown = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let asked = variables.filter_map(|one| one["definition"].as_str());
    let asked = asked.map(|asked| {
        let asked = asked.strip_prefix("label_values(").and_then(|one| one.strip_suffix(')'));
        let (metric, label) = asked.and_then(|asked| asked.split_once(", ")).unwrap();
        format!("group by ({label}) ({metric})")
    });
    shown.chain(asked).collect()
}

#[test]
fn the_scanner_finds_what_an_expression_names() {
    let expression = "sum by (le, op) (increase(x_bucket{op=~\"a|b\", n=\"$n\"}[10m]) and on (job) \
                      max by (job) (y)) > 2 or vector(0)";
    let found = named(expression);
    let x = ("x_bucket".to_owned(), vec!["op".to_owned(), "n".to_owned()]);
    assert_eq!(found.metrics, [x, ("y".to_owned(), vec![])]);
    assert_eq!(found.labels, ["le", "op", "job", "job"]);
}

#[test]
fn the_alerts_ask_for_metrics_and_labels_that_are_served() {
    assert!(!alerts().is_empty());
    for rule in alerts() {
        names_what_is_served(rule["expr"].as_str().unwrap());
    }
}

#[test]
fn the_dashboard_asks_for_metrics_and_labels_that_are_served_and_shows_every_metric() {
    let shown: Vec<&str> = queries().iter().flat_map(|query| names_what_is_served(query)).collect();
    for metrics::Described { name, .. } in metrics::LIST {
        assert!(shown.contains(name), "{DASHBOARD} does not show {name}");
    }
}

/// A rule that waits for a word that is never said would be silent for good.
#[test]
fn the_alerts_and_the_dashboard_ask_for_values_that_there_are() {
    let told: String = [
        "src/plan/conditions.rs",
        "src/plan/execution.rs",
        "src/plan/meaning.rs",
        "src/live/metrics.rs",
    ]
    .map(committed)
    .concat();
    let rules = alerts().into_iter().map(|rule| rule["expr"].as_str().unwrap().to_owned());
    let mut values = 0;
    for expression in rules.chain(queries()) {
        for label in ["reason", "state", "result", "ready", "controller"] {
            for matcher in expression.split(&format!("{label}=")).skip(1) {
                let value = matcher.trim_start_matches('~').split('"').nth(1).unwrap();
                for word in value.split('|') {
                    assert!(told.contains(&format!("\"{word}\"")), "{label} {word}: {expression}");
                    values += 1;
                }
            }
        }
    }
    assert!(values > 10, "{values} values");
}

#[test]
fn the_manifests_have_the_table_of_all_alerts() {
    let mut table =
        String::from("| Alert | Severity | It says that | What to do |\n|---|---|---|---|\n");
    for rule in alerts() {
        let text = |value: &serde_json::Value| -> String {
            value.as_str().unwrap_or_else(|| panic!("{rule} lacks a text")).to_owned()
        };
        let told = &rule["annotations"];
        let severity = text(&rule["labels"]["severity"]);
        assert!(["critical", "warning", "info"].contains(&severity.as_str()), "{rule}");
        assert!(!text(&told["description"]).is_empty(), "{rule}");
        let (name, summary, action) =
            (text(&rule["alert"]), text(&told["summary"]), text(&told["action"]));
        table.push_str(&format!("| `{name}` | {severity} | {summary} | {action} |\n"));
    }
    let alone = format!("\n\n{table}\n");
    let readme = committed("manifests/README.md");
    assert!(readme.contains(&alone), "manifests/README.md should contain:\n{table}");
}

#[test]
fn the_rules_for_the_prometheus_operator_are_the_alerts() {
    const RULES: &str = "manifests/components/prometheus-operator/rules.yaml";
    let (alerts, rules) = (committed(ALERTS), committed(RULES));
    let (head, _) = rules.split_once("\nspec:\n").unwrap();
    let groups = &alerts[alerts.find("groups:\n").unwrap()..];
    let indented: String = groups.lines().map(|line| format!("  {line}\n")).collect();
    let hint = format!(
        "run: f={RULES}; {{ sed '/^spec:/q' $f; sed -n '/^groups:/,$s/^/  /p' {ALERTS}; }} > new \
         && mv new $f"
    );
    assert_eq!(rules, format!("{head}\nspec:\n{indented}"), "{hint}");
}

/// promtool runs them; that there are some for each alert, of both kinds, it does not ask.
#[test]
fn every_alert_is_tested_to_fire_and_not_to_fire() {
    let file: serde_json::Value = serde_saphyr::from_str(&committed("tests/alerts.yaml")).unwrap();
    let tests = file["tests"].as_array().unwrap().iter();
    let asked: Vec<_> = tests.flat_map(|one| one["alert_rule_test"].as_array().unwrap()).collect();
    for rule in alerts() {
        for fires in [true, false] {
            let is_asked = asked.iter().any(|one| {
                let expected = one["exp_alerts"].as_array().is_some_and(|all| !all.is_empty());
                one["alertname"] == rule["alert"] && expected == fires
            });
            assert!(is_asked, "tests/alerts.yaml lacks a test of {}: {fires}", rule["alert"]);
        }
    }
}

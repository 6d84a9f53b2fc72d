use clap::CommandFactory;

use super::*;

fn given(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn minimal() -> Raw {
    Raw { cluster_name: given("demo"), ..Raw::default() }
}

fn problems(raw: &Raw) -> Vec<String> {
    Config::check(raw).map(|config| panic!("accepted: {config:?}")).unwrap_err().problems
}

/// The one problem of a setting with this value.
fn problem(set: impl Fn(&mut Raw, Option<String>), value: &str) -> String {
    let mut raw = minimal();
    set(&mut raw, given(value));
    let mut problems = problems(&raw);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

fn accepts(set: impl Fn(&mut Raw, Option<String>), value: &str) -> Config {
    let mut raw = minimal();
    set(&mut raw, given(value));
    Config::check(&raw).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_cluster_name_alone_is_enough_and_the_rest_are_the_documented_defaults() {
    let config = Config::check(&minimal()).unwrap();
    let expected = Config {
        cluster_name: "demo".into(),
        namespace: None,
        default_tags: BTreeMap::new(),
        dry_run: false,
        rhythm: Rhythm::Every(Duration::from_secs(30)),
        min_event_interval: Duration::from_secs(1),
        ec2_settle: Duration::from_secs(300),
        ec2_rate: 4.0,
        ec2_burst: 20,
        protect: false,
        release_orphans: false,
        orphan_grace: Duration::from_secs(600),
        max_releases: None,
        namespace_limit: None,
        install_crd: true,
        allow_host_network: false,
        vpc_id: None,
        leader_elect: None,
        lease_name: "eip-operator".into(),
        pod_namespace: None,
        listen_address: "[::]:8080".parse().unwrap(),
        plan_address: "127.0.0.1:8081".parse().unwrap(),
        log_format: None,
        log_level: "info".into(),
        collector: None,
    };
    assert_eq!(config, expected);
}

#[test]
fn the_command_line_gives_the_same_defaults_as_the_check() {
    let mut cli = Cli::read(["eip-operator", "--cluster-name=demo"]).unwrap();
    cli.settings.namespace = None;
    assert_eq!(Config::check(&cli.settings), Config::check(&minimal()));
}

#[test]
fn an_empty_value_counts_as_unset() {
    let empty = Raw {
        cluster_name: given("demo"),
        namespace: given(""),
        default_tags: given(" "),
        dry_run: given(""),
        reconcile_interval: given(""),
        reconcile_schedule: given(""),
        ec2_rate: given(""),
        listen_address: given(""),
        opentelemetry_endpoint: given(""),
        opentelemetry_sample_rate: given(""),
        ..Raw::default()
    };
    assert_eq!(Config::check(&empty), Config::check(&minimal()));
    let raw = Raw { cluster_name: given(""), ..Raw::default() };
    assert!(problems(&raw)[0].starts_with("CLUSTER_NAME is unset: give 1 to 100 letters"));
}

#[test]
fn every_problem_is_named_in_one_message_with_variable_value_and_what_is_accepted() {
    let raw = Raw {
        namespace: given("Not_A_Label"),
        reconcile_interval: given("30"),
        ec2_burst: given("0"),
        vpc_id: given("vpc-XYZ"),
        opentelemetry_sample_rate: given("2"),
        ..Raw::default()
    };
    let message = Config::check(&raw).unwrap_err().to_string();
    let expected = [
        "6 settings are wrong:",
        "CLUSTER_NAME is unset: give 1 to 100 letters, digits,",
        "NAMESPACE is \"Not_A_Label\": give 1 to 63 lowercase",
        "RECONCILE_INTERVAL is \"30\": give a duration with its unit, from 1s to 24h,",
        "EC2_BURST is \"0\": give a whole number from 1 to 1000",
        "VPC_ID is \"vpc-XYZ\": give a VPC id",
        "OPENTELEMETRY_SAMPLE_RATE is \"2\": give a number from 0 to 1",
    ];
    let lines: Vec<&str> = message.lines().map(str::trim).collect();
    assert_eq!(lines.len(), expected.len(), "{message}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}\n  does not begin with\n{expected}");
    }
}

#[test]
fn a_cluster_name_is_safe_in_a_filter() {
    let set = |raw: &mut Raw, value| raw.cluster_name = value;
    for bad in ["a*", "a?", "-a", ".a", "a b", "ä", &"a".repeat(101)] {
        assert!(problem(set, bad).starts_with("CLUSTER_NAME is "), "{bad}");
    }
    for good in ["a", "Prod_1.eu-west", &"a".repeat(100)] {
        assert_eq!(accepts(set, good).cluster_name, good);
    }
}

#[test]
fn a_namespace_is_a_label() {
    let set = |raw: &mut Raw, value| raw.namespace = value;
    for bad in ["a.b", "-a", "a-", "A", &"a".repeat(64)] {
        assert!(problem(set, bad).starts_with("NAMESPACE is "), "{bad}");
    }
    assert_eq!(accepts(set, "team-1").namespace.as_deref(), Some("team-1"));
}

#[test]
fn tags_are_refused_for_the_fault_that_they_have() {
    let set = |raw: &mut Raw, value| raw.default_tags = value;
    let many: Vec<String> = (0..43).map(|n| format!("\"k{n}\":\"\"")).collect();
    for (bad, fault) in [
        ("team=web", "give a JSON map of texts"),
        ("[]", "give a JSON map of texts"),
        ("{\"a\":1}", "the value of key \"a\" is no text"),
        ("{\"a\":null}", "the value of key \"a\" is no text"),
        ("{\"a\":\"1\",\"a\":\"1\"}", "key \"a\" stands there twice"),
        ("{\"AWS:x\":\"1\"}", "key \"AWS:x\" begins with \"aws:\""),
        (
            "{\"eip.materialize.cloud/x\":\"1\"}",
            "\"eip.materialize.cloud/x\" is the operator's own",
        ),
        ("{\"Name\":\"1\"}", "key \"Name\" is the operator's own"),
        ("{\"\":\"1\"}", "a key is empty"),
        (&format!("{{\"{}\":\"1\"}}", "k".repeat(128)), "has more than 127 characters"),
        (&format!("{{\"a\":\"{}\"}}", "v".repeat(257)), "has more than 256 characters"),
        (&format!("{{{}}}", many.join(",")), "43 tags, at most 42 fit"),
    ] {
        let told = problem(set, bad);
        assert!(told.starts_with("DEFAULT_TAGS is ") && told.contains(fault), "{bad}: {told}");
    }
    let both = problem(set, "{\"Name\":\"1\",\"\":\"2\"}");
    assert!(both.contains("a key is empty") && both.contains("key \"Name\""), "{both}");

    let longest = format!("{{\"{}\":\"{}\",\"name\":\"\"}}", "ü".repeat(127), "v".repeat(256));
    assert_eq!(accepts(set, &longest).default_tags.len(), 2);
    assert_eq!(accepts(set, &format!("{{{}}}", many[..42].join(","))).default_tags.len(), 42);
}

#[test]
fn yes_and_no_have_six_spellings() {
    let set = |raw: &mut Raw, value| raw.dry_run = value;
    for (text, value) in
        [("true", true), ("1", true), ("yes", true), ("false", false), ("0", false), ("no", false)]
    {
        assert_eq!(accepts(set, text).dry_run, value, "{text}");
    }
    for bad in ["on", "2", "y"] {
        assert!(problem(set, bad).ends_with("give true, false, 1, 0, yes or no"), "{bad}");
    }
}

#[test]
fn a_dry_run_installs_nothing() {
    let set = |raw: &mut Raw, value| raw.dry_run = value;
    assert!(accepts(set, "no").installs_crd());
    assert!(!accepts(set, "yes").installs_crd());
}

#[test]
fn durations_bear_a_unit_and_keep_their_bounds() {
    let set = |raw: &mut Raw, value| raw.min_event_interval = value;
    assert_eq!(accepts(set, "1m30s").min_event_interval, Duration::from_secs(90));
    assert_eq!(accepts(set, "0s").min_event_interval, Duration::ZERO);
    for bad in ["30", "-1s", "25h", "soon"] {
        assert!(problem(set, bad).contains("from 0s to 24h, such as \"30s\""), "{bad}");
    }
    let set = |raw: &mut Raw, value| raw.ec2_settle = value;
    assert!(problem(set, "999ms").starts_with("EC2_SETTLE is \"999ms\": "));
    assert_eq!(accepts(set, "1s").ec2_settle, Duration::from_secs(1));
}

#[test]
fn numbers_keep_their_bounds() {
    for bad in ["0", "-1", "100.1", "NaN", "inf", "x"] {
        assert!(problem(|raw, v| raw.ec2_rate = v, bad).starts_with("EC2_RATE is "), "{bad}");
    }
    assert_eq!(accepts(|raw, v| raw.ec2_rate = v, "100").ec2_rate, 100.0);
    for bad in ["0", "1001", "1.5"] {
        assert!(problem(|raw, v| raw.ec2_burst = v, bad).starts_with("EC2_BURST is "), "{bad}");
    }
    assert_eq!(accepts(|raw, v| raw.ec2_burst = v, "1000").ec2_burst, 1000);
    for bad in ["0", "-1", "100001", "all"] {
        let limit = problem(|raw, v| raw.namespace_limit = v, bad);
        assert!(limit.starts_with("NAMESPACE_LIMIT is "), "{limit}");
        let most = problem(|raw, v| raw.max_releases = v, bad);
        assert!(most.starts_with("MAX_RELEASES is "), "{most}");
    }
    assert_eq!(accepts(|raw, v| raw.namespace_limit = v, "5").namespace_limit, Some(5));
    assert_eq!(accepts(|raw, v| raw.max_releases = v, "100000").max_releases, Some(100_000));
    assert!(problem(|raw, v| raw.orphan_grace = v, "600").starts_with("ORPHAN_GRACE is \"600\""));
}

#[test]
fn an_interval_and_a_schedule_contradict_each_other() {
    let mut raw = minimal();
    raw.reconcile_schedule = given("0 */5 * * * *");
    let Rhythm::At(schedule) = Config::check(&raw).unwrap().rhythm else { panic!("no schedule") };
    assert_eq!(schedule.as_str(), "0 */5 * * * *");
    raw.reconcile_interval = given("30s");
    let told = "RECONCILE_INTERVAL is \"30s\" and RECONCILE_SCHEDULE is \"0 */5 * * * *\": \
                set only one of them";
    assert_eq!(problems(&raw), [told]);
}

#[test]
fn a_schedule_beside_the_default_interval_is_no_contradiction() {
    for run in [&["eip-operator"][..], &["eip-operator", "run"]] {
        let schedule = "--schedule=0 0 3 * * *";
        let args = run.iter().copied().chain(["--cluster-name=demo", schedule]);
        let cli = Cli::read(args).unwrap();
        assert!(matches!(Config::check(&cli.settings).unwrap().rhythm, Rhythm::At(_)));
    }
    let args = ["eip-operator", "--cluster-name=demo", "--schedule=0 0 3 * * *", "--interval=30s"];
    assert_eq!(problems(&Cli::read(args).unwrap().settings).len(), 1);
}

#[test]
fn the_other_settings_are_judged_too() {
    type Set = fn(&mut Raw, Option<String>);
    let cases: [(&str, Set, &str); 8] = [
        ("RECONCILE_SCHEDULE", |raw, v| raw.reconcile_schedule = v, "*/5 * * * *"),
        ("LISTEN_ADDRESS", |raw, v| raw.listen_address = v, ":8080"),
        ("LOG_FORMAT", |raw, v| raw.log_format = v, "xml"),
        ("RUST_LOG", |raw, v| raw.log_level = v, "a=b=c"),
        ("OPENTELEMETRY_ENDPOINT", |raw, v| raw.opentelemetry_endpoint = v, "collector:4317"),
        ("OPENTELEMETRY_TOPLEVEL_FIELDS", |raw, v| raw.opentelemetry_toplevel_fields = v, "x"),
        ("OPENTELEMETRY_LEVEL_TARGETS", |raw, v| raw.opentelemetry_level_targets = v, "a=loud"),
        ("VPC_ID", |raw, v| raw.vpc_id = v, "vpc-"),
    ];
    for (variable, set, bad) in cases {
        let told = problem(set, bad);
        assert!(told.starts_with(&format!("{variable} is {bad:?}: ")), "{told}");
    }
}

#[test]
fn headers_are_never_told() {
    let set = |raw: &mut Raw, value| raw.opentelemetry_headers = value;
    for bad in
        ["secret", "\"secret\"", "{\"a\":[\"secret\"]}", "{\"a\":\"secret\\n\"}", "[\"secret\"]"]
    {
        let told = problem(set, bad);
        assert!(told.starts_with("OPENTELEMETRY_HEADERS is set ("), "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
    assert!(problem(set, "{\"a b\":\"x\"}").contains("\"a b\" is no header name of gRPC"));
    assert!(problem(set, "{\"a-bin\":\"x\"}").contains("\"a-bin\" is no header name of gRPC"));
    let help = Cli::command().render_long_help().to_string();
    assert!(!help.contains("[env: OPENTELEMETRY_HEADERS="), "{help}");
}

#[test]
fn options_stand_before_and_after_run_and_without_it() {
    for args in [&["x", "--dry-run"][..], &["x", "--dry-run", "run"], &["x", "run", "--dry-run"]] {
        let cli = Cli::read(args).unwrap();
        assert_eq!(cli.chosen(), Command::Run, "{args:?}");
        assert_eq!(cli.settings.dry_run.as_deref(), Some("true"), "{args:?}");
    }
    assert_eq!(Cli::read(["x", "crd"]).unwrap().chosen(), Command::Crd);
    let off = Cli::read(["x", "--install-crd=no"]).unwrap();
    assert_eq!(off.settings.install_crd.as_deref(), Some("no"));
}

#[test]
fn a_mistake_ends_with_1_and_help_with_0() {
    Cli::command().debug_assert();
    assert_eq!(exit_code(&Cli::read(["x", "--nonsense"]).unwrap_err()), 1);
    assert_eq!(exit_code(&Cli::read(["x", "nonsense"]).unwrap_err()), 1);
    assert_eq!(exit_code(&Cli::read(["x", "--help"]).unwrap_err()), 0);
    let version = Cli::read(["x", "--version"]).unwrap_err();
    assert_eq!((exit_code(&version), version.to_string().as_str()), (0, "eip-operator 0.1.0\n"));
}

#[test]
fn the_table_has_a_row_for_each_setting() {
    let table = table();
    let arguments = Cli::command();
    let settings = arguments.get_arguments().filter(|argument| argument.get_env().is_some());
    assert_eq!(table.lines().count(), 2 + settings.count());
    let row =
        "| `RECONCILE_INTERVAL` | `--interval` | `30s` | Time between two looks at the world;";
    assert!(table.lines().any(|line| line.starts_with(row)), "{table}");
    let row = "| `CLUSTER_NAME` | `--cluster-name` | – | Name of this cluster (required)";
    assert!(table.lines().any(|line| line.starts_with(row)), "{table}");
}

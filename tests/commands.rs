//! The commands that need no cluster, as a person or a script runs them.
#![cfg(feature = "live")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const STORY: &str = "plans/a_new_claim.md";

/// Runs the operator in the root of the project, without any environment.
fn operator(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eip-operator"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env_clear().args(arguments);
    command.output().unwrap()
}

fn told(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The blocks of README.md that show a command and what it says, without their indentation.
fn shown() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let mut blocks = Vec::new();
    let mut lines = readme.lines();
    while let Some(fence) = lines.next() {
        let Some(info) = fence.trim_start().strip_prefix("```") else { continue };
        let indent = fence.len() - fence.trim_start().len();
        let body: Vec<&str> = lines
            .by_ref()
            .take_while(|line| line.trim() != "```")
            .map(|line| line.get(indent..).unwrap_or_default())
            .collect();
        if let Some(command) = body.first().and_then(|line| line.strip_prefix("$ ")) {
            assert_eq!(info, "text", "{command}");
            blocks.push((command.to_owned(), body[1..].join("\n") + "\n"));
        }
    }
    blocks
}

#[test]
fn every_command_that_the_readme_shows_is_run_and_says_that() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let on_a_cluster = fs::read_to_string(root.join("tests/cluster/commands")).unwrap();
    let shown = shown();
    assert!(shown.len() > 2, "{shown:?}");
    for (command, says) in shown {
        let arguments: Vec<&str> = command.split(' ').collect();
        if arguments.contains(&"--snapshot") {
            let said = operator(&arguments[1..]);
            assert_eq!(told(&said.stdout), says, "README.md shows: $ {command}");
        } else {
            let run = format!("as_in_the_readme(\"{command}\"");
            assert!(on_a_cluster.contains(&run), "nobody runs what README.md shows: $ {command}");
        }
    }
}

#[test]
fn the_exit_code_says_whether_anything_would_be_changed() {
    let code = |file: &str, more: &[&str]| {
        operator(&[&["plan", "--snapshot", file][..], more].concat()).status.code()
    };
    assert_eq!(code(STORY, &["--detailed-exitcode"]), Some(2));
    assert_eq!(code("plans/nothing_to_do.md", &["--detailed-exitcode"]), Some(0));
    assert_eq!(code("plans/none.md", &["--detailed-exitcode"]), Some(1));
    // What a file does not know is not "nothing to do".
    assert_eq!(code("plans/an_unknown_part.md", &["--detailed-exitcode"]), Some(1));
    assert_eq!(code("plans/an_unknown_part.md", &[]), Some(0));
}

#[test]
fn a_plan_is_printed_for_programs_too_and_coloured_when_asked() {
    let json = operator(&["plan", "--snapshot", STORY, "-o", "json"]);
    let plan: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let steps = plan["steps"].as_array().unwrap();
    let ops: Vec<&str> = steps.iter().map(|step| step["op"].as_str().unwrap()).collect();
    assert_eq!(ops, ["hold", "allocate", "associate", "record", "annotate"]);
    let yaml = operator(&["plan", "--snapshot", STORY, "-o", "yaml"]);
    let same: serde_json::Value = serde_saphyr::from_str(&told(&yaml.stdout)).unwrap();
    assert_eq!(same, plan);
    let coloured = |color| told(&operator(&["plan", "--snapshot", STORY, "--color", color]).stdout);
    assert!(coloured("always").contains("\u{1b}[32m  + allocate"));
    assert!(!coloured("auto").contains('\u{1b}') && !coloured("never").contains('\u{1b}'));
}

#[test]
fn of_one_eip_only_what_concerns_it_is_told() {
    let story = "plans/a_namespace_that_asks_for_much.md";
    let all = told(&operator(&["plan", "--snapshot", story]).stdout);
    let eips: Vec<&str> = all.lines().filter_map(|line| line.strip_prefix("eip ")).collect();
    assert!(eips.len() > 1, "{all}");
    let one = told(&operator(&["plan", "--snapshot", story, "--eip", eips[0]]).stdout);
    assert!(one.contains(&format!("eip {}", eips[0])), "{one}");
    assert!(eips[1..].iter().all(|other| !one.contains(&format!("eip {other}"))), "{one}");
    // It is the plan of the whole world, as in the log.
    let digest = |text: &str| text.lines().last().unwrap()[..12].to_owned();
    assert_eq!(digest(&one), digest(&all));
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_eip-operator"))
        .args(["plan", "--snapshot", "-"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = b"cluster: {name: a, uid: b}\npodz: {}\n";
    child.stdin.take().unwrap().write_all(text).unwrap();
    let said = child.wait_with_output().unwrap();
    assert_eq!(said.status.code(), Some(1));
    let error = told(&said.stderr);
    assert!(error.contains("podz") && error.contains("line 2"), "{error}");
    for (arguments, words) in [
        (&["plan", "--snapshot", STORY, "--eip", "shop/none"][..], "no eip shop/none"),
        (&["plan", "--snapshot", STORY, "--eip", "web"][..], "NAMESPACE/NAME"),
        (
            &["plan", "--protect", "--snapshot", STORY, "--ec2-rate=1"][..],
            "--ec2-rate, --protect: ",
        ),
        (&["--protect", "explain", "shop/web", "--snapshot", STORY][..], "--protect: not with"),
        (&["snapshot", "--snapshot", STORY, "--protect"][..], "below \"settings\""),
        (&["plan"][..], "CLUSTER_NAME"),
        (&["snapshot"][..], "CLUSTER_NAME"),
        (&["doctor"][..], "CLUSTER_NAME"),
    ] {
        let said = operator(arguments);
        assert_eq!(said.status.code(), Some(1), "{arguments:?}");
        assert!(told(&said.stderr).contains(words), "{arguments:?}: {}", told(&said.stderr));
    }
}

#[test]
fn a_name_is_explained_in_fewer_than_twenty_lines() {
    let explain = |story: &str, name: &str| operator(&["explain", name, "--snapshot", story]);
    let said = explain("plans/quota_reached.md", "shop/web");
    assert_eq!(said.status.code(), Some(1), "there is none of that name");
    assert!(told(&said.stderr).contains("neither an eip nor a pod shop/web"));
    let said = told(&explain(STORY, "shop/web-0").stdout);
    assert!(said.starts_with("eip shop/web has no address: next comes ~ hold eip shop/web"));
    assert!(said.lines().count() < 20, "{said}");
}

#[test]
fn a_snapshot_is_redacted_from_a_file_too_and_leads_to_the_same_steps() {
    let redacted = operator(&["snapshot", "--redact", "--snapshot", STORY]);
    let text = told(&redacted.stdout);
    assert!(!text.contains("shop") && text.contains("namespace-00000"), "{text}");
    let mut child = Command::new(env!("CARGO_BIN_EXE_eip-operator"))
        .args(["plan", "--snapshot", "-"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let plan = told(&child.wait_with_output().unwrap().stdout);
    let summary = "1 to allocate (4 of 5 left), 1 to associate, 3 to write. Nothing";
    assert!(plan.contains(summary), "{plan}");
}

#[test]
fn what_apply_may_not_do_it_refuses_before_it_speaks_to_anybody() {
    let folder = std::env::temp_dir().join(format!("apply-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let plan = |name: &str, arguments: &[&str]| {
        let said = operator(&[&["plan", "--snapshot", STORY, "-o", "yaml"], arguments].concat());
        let file = folder.join(name);
        fs::write(&file, said.stdout).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let narrow = plan("narrow.yaml", &["--eip", "shop/web"]);
    let odd = folder.join("odd.yaml").to_str().unwrap().to_owned();
    fs::write(&odd, "cluster: {name: demo, uid: c1}\nplan: f04ef8a\nstep: []\n").unwrap();
    for (arguments, words) in [
        (&["--plan", &narrow, "--yes"][..], "the plan of eip shop/web alone"),
        (&["--plan", &odd, "--yes"], "unknown field"),
        (&["--plan", "none.yaml", "--yes"], "none.yaml is unreadable"),
        (&["--dry-run", "--yes"], "DRY_RUN is \"true\""),
        (&[], "no terminal"),
    ] {
        let said = operator(&[&["apply", "--cluster-name", "demo"], arguments].concat());
        assert_eq!(said.status.code(), Some(1), "{arguments:?}");
        assert!(told(&said.stderr).contains(words), "{arguments:?}: {}", told(&said.stderr));
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn as_a_plugin_of_kubectl_it_wants_a_command_and_never_runs_the_loop() {
    let folder = std::env::temp_dir().join(format!("plugin-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let plugin = folder.join("kubectl-eip");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_eip-operator"), &plugin).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&plugin);
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env_clear().args(arguments);
        command.output().unwrap()
    };
    let said = run(&["--cluster-name", "demo"]);
    assert_eq!(said.status.code(), Some(1));
    assert!(told(&said.stderr).contains("kubectl eip "), "{}", told(&said.stderr));
    assert!(told(&run(&["--help"]).stdout).contains("Usage: kubectl eip "));
    let plan = ["plan", "--snapshot", STORY];
    assert_eq!(run(&plan).stdout, operator(&plan).stdout);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    let commands =
        ["run", "plan", "apply", "explain", "snapshot", "doctor", "crd", "completions", "man"];
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = told(&operator(&["completions", shell]).stdout);
        assert!(commands.iter().all(|command| script.contains(command)), "{shell}");
    }
    let main = told(&operator(&["man"]).stdout);
    assert!(main.starts_with(".ie") && main.contains(".TH eip-operator 1"), "{main}");
    for command in commands {
        assert!(main.contains(&format!("eip\\-operator\\-{command}")), "{command}");
        let page = told(&operator(&["man", command]).stdout);
        assert!(page.contains(&format!(".TH eip-operator-{command} 1")), "{command}");
    }
    let wrong = operator(&["man", "none"]);
    assert!(told(&wrong.stderr).contains("accepted: run, plan"), "{}", told(&wrong.stderr));
}

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

#[test]
fn the_readme_shows_what_a_plan_from_a_story_says() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    let said = operator(&["plan", "--snapshot", STORY]);
    assert_eq!(said.status.code(), Some(0), "{}", told(&said.stderr));
    let block = format!("$ eip-operator plan --snapshot {STORY}\n{}```", told(&said.stdout));
    assert!(readme.unwrap().contains(&block), "README.md should contain:\n{block}");
}

#[test]
fn the_exit_code_says_whether_anything_would_be_changed() {
    let code = |file: &str, more: &[&str]| {
        operator(&[&["plan", "--snapshot", file][..], more].concat()).status.code()
    };
    assert_eq!(code(STORY, &["--detailed-exitcode"]), Some(2));
    assert_eq!(code("plans/nothing_to_do.md", &["--detailed-exitcode"]), Some(0));
    assert_eq!(code("plans/none.md", &["--detailed-exitcode"]), Some(1));
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
        (&["plan"][..], "CLUSTER_NAME"),
        (&["snapshot"][..], "CLUSTER_NAME"),
    ] {
        let said = operator(arguments);
        assert_eq!(said.status.code(), Some(1), "{arguments:?}");
        assert!(told(&said.stderr).contains(words), "{arguments:?}: {}", told(&said.stderr));
    }
}

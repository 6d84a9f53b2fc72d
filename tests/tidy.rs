//! What the tree promises about itself: the pure half stays pure, files stay short, laws come
//! first, and nothing is left undone.

use std::fs;
use std::path::{Path, PathBuf};

/// The hard limits; about 400 lines and 100 columns are what we aim for.
const LINES: usize = 450;
const COLUMNS: usize = 100;

fn files(folder: &str, ending: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, ending: &str, found: &mut Vec<(PathBuf, String)>) {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                walk(&path, ending, found);
            } else if path.to_str().is_some_and(|path| path.ends_with(ending)) {
                found.push((path.clone(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), ending, &mut found);
    assert!(!found.is_empty(), "no {ending} below {folder}");
    found
}

#[test]
fn the_pure_half_knows_no_world() {
    let words = [
        "async ",
        "tokio",
        "std::env",
        "std::fs",
        "std::time",
        "Instant",
        "SystemTime",
        "HashMap",
        "HashSet",
        "tracing::",
        "println!",
        "rand::",
        "std::thread",
        "kube::",
        "aws_",
    ];
    for (path, text) in files("src/plan", ".rs") {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in words {
                let at = format!("{}:{}", path.display(), number + 1);
                assert!(!code.contains(word), "{at} knows of {word:?}");
            }
        }
    }
}

#[test]
fn each_rule_opens_with_its_law() {
    for (path, text) in files("src/plan/rules", ".rs") {
        let first = text.lines().next().unwrap_or_default();
        let is_index = path.ends_with("mod.rs");
        assert!(is_index || first.starts_with("//! Law: "), "{}: {first}", path.display());
    }
}

#[test]
fn files_and_lines_stay_short_and_nothing_is_left_undone() {
    let undone = ["todo!", "unimplemented!", "FIXME", "TODO", "#[ignore", "allow(dead_code"];
    let mut wrong = Vec::new();
    for (path, text) in files("src", ".rs") {
        let lines = text.lines().count();
        if lines > LINES {
            wrong.push(format!("{} has {lines} lines", path.display()));
        }
        for (number, line) in text.lines().enumerate() {
            let at = format!("{}:{}", path.display(), number + 1);
            if line.chars().count() > COLUMNS {
                wrong.push(format!("{at} is longer than {COLUMNS} columns"));
            }
            if undone.iter().any(|word| line.contains(word)) {
                wrong.push(format!("{at}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

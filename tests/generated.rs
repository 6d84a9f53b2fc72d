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

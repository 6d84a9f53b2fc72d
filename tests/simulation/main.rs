//! The planner, the rounds, the execution and the memory in a world that goes wrong.

mod chance;
mod cluster;
mod ec2;
mod invariants;
mod process;
mod scenario;
mod search;
mod world;

use search::search;

/// Seeds that every test run goes through.
const FIXED: u64 = 2_000;

#[test]
fn no_invariant_breaks_in_two_thousand_worlds() {
    let found = search(1..=FIXED);
    println!("{found}");
    assert!(found.violations.is_empty(), "{found}");
}

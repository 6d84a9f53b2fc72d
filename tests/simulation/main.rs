//! The planner, the rounds, the execution and the memory in worlds that go wrong.
//!
//! `cargo test` goes through a fixed number of worlds. `bin/simulate` asks for more of them, or for
//! a single one, by the variables SIMULATE_FIRST, SIMULATE_SEEDS and SIMULATE_SECONDS; SIMULATE_VIOLATIONS says
//! after how many broken promises it ends.

mod chance;
mod cluster;
mod directed;
mod ec2;
mod invariants;
mod process;
mod scenario;
mod search;
mod shared;
mod world;

use std::time::Duration;

use search::{Order, search, sweep};
use world::{explore, smalls};

/// Seeds that every test run goes through.
const FIXED: u64 = 2_000;
/// Scenarios in which the operator is killed after each of its effects.
const SWEPT: u64 = 40;

fn asked(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}; accepted: a number")))
}

#[test]
fn no_promise_breaks_in_any_world() {
    let order = Order {
        first: asked("SIMULATE_FIRST").unwrap_or(1),
        seeds: asked("SIMULATE_SEEDS").unwrap_or(FIXED),
        limit: asked("SIMULATE_SECONDS").map(Duration::from_secs),
        violations: asked("SIMULATE_VIOLATIONS")
            .map_or(5, |most| usize::try_from(most).unwrap_or(5)),
    };
    let found = search(&order, |found, after| {
        let (seeds, rate) = (found.seeds, found.seeds as f64 / after.as_secs_f64());
        println!("{seeds} seeds after {} s, {rate:.0} a second", after.as_secs());
    });
    println!("{found}");
    assert!(found.violations.is_empty(), "a promise is broken");
}

#[test]
fn a_kill_after_any_effect_ends_like_the_undisturbed_run() {
    let sweep = sweep(1..=SWEPT);
    let (scenarios, kills) = (sweep.scenarios, sweep.kills);
    println!("{scenarios} scenarios, {kills} kills, after {:?}", sweep.after);
    assert!(sweep.differences.is_empty(), "{}", sweep.differences.join("\n\n"));
    let verbs = ["hold", "create", "allocate", "associate", "annotate", "record", "disassociate"];
    let more = ["clear", "delete", "release", "let go"];
    for verb in verbs.iter().chain(&more) {
        assert!(sweep.after.contains_key(verb), "no scenario kills after {verb}");
    }
}

/// States of each small world that every test run goes through.
const STATES: usize = 1_000;

#[test]
fn no_promise_breaks_in_any_order() {
    let most = asked("SMALL_STATES").map_or(STATES, |most| usize::try_from(most).unwrap_or(STATES));
    let limit = Duration::from_secs(asked("SMALL_SECONDS").unwrap_or(600));
    let mut broken = Vec::new();
    for (number, small) in smalls().into_iter().enumerate() {
        if asked("SMALL_WORLD").is_some_and(|wanted| wanted != number as u64) {
            continue;
        }
        let found = explore(&small, most, limit);
        let end = if found.complete { "to the end" } else { "not to the end" };
        println!("{} states, {end}, {} violations: {small:?}", found.states, found.broken.len());
        broken.extend(found.broken);
    }
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
}

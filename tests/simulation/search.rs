//! Runs many worlds, and reports the first that breaks a promise.

use std::fmt;

use super::invariants::{SETTLE, lag, liveness};
use super::scenario::{SECOND, Scenario, TROUBLED};
use super::world::{INTERVAL, Run, Violation, World};

/// Once faults have stopped everything settles within five cycles, the settle time, and the
/// longest pause after a failure (with its spread).
const SETTLES: u64 = 5 * INTERVAL + SETTLE + 360 * SECOND + 30 * SECOND;

/// What a search came to.
#[derive(Debug, Default)]
pub struct Found {
    pub seeds: u64,
    pub steps: u64,
    pub violations: Vec<String>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for violation in &self.violations {
            writeln!(f, "{violation}\n")?;
        }
        let (seeds, steps) = (self.seeds, self.steps);
        write!(f, "{seeds} seeds, {steps} steps, {} violations", self.violations.len())
    }
}

/// The most that are told in full.
const MOST_TOLD: usize = 5;

pub fn search(seeds: impl IntoIterator<Item = u64>) -> Found {
    let mut found = Found::default();
    for seed in seeds {
        let (run, violation) = run(Scenario::of(seed), false);
        found.seeds += 1;
        found.steps += run.steps;
        if violation.is_some() && found.violations.len() < MOST_TOLD {
            let scenario = Scenario::of(seed);
            let (_, told) = self::run(scenario.clone(), true);
            let told = told.map(|told| told.to_string()).unwrap_or_default();
            found.violations.push(format!("{scenario}{told}"));
        }
    }
    found
}

/// One world: trouble, then rest, then what must have come about, then silence.
pub fn run(scenario: Scenario, speaks: bool) -> (Run, Option<Box<Violation>>) {
    let mut world = World::new(scenario, speaks);
    let violation = live(&mut world).err();
    (world.run, violation)
}

fn live(world: &mut World) -> Result<(), Box<Violation>> {
    let settled = TROUBLED + SETTLES + 2 * lag(&world.scenario);
    world.run_until(settled)?;
    let complaint = |world: &World, what: String| {
        Box::new(Violation {
            seed: world.scenario.seed,
            at: world.now,
            what,
            lines: world.lines(),
            snapshot: None,
        })
    };
    if let Some(first) = liveness(world).into_iter().next() {
        return Err(complaint(world, first));
    }
    let before = world.run.effects.clone();
    world.run_until(settled + 3 * INTERVAL)?;
    if world.run.effects != before {
        return Err(complaint(world, "L7: a converged world is changed".to_owned()));
    }
    Ok(())
}

//! Laws that hold in every world, not only in those that somebody thought of.
//!
//! A snapshot and the texts in it come from users, from AWS and from other tools. Here they are
//! made up: few names, uids and IPs, so that they collide, and odd texts in between. The same
//! cases run each time, so that a red test is the fault of a change. `PROPTEST_CASES=20000 cargo
//! test --no-default-features --test properties` goes through as many others of each property, and
//! `PROPTEST_RNG_SEED` repeats such a run. A failure is shrunk, and its world shown as YAML.

mod coverage;
mod documents;
mod foreign;
mod planning;
mod promises;
mod snapshots;
mod texts;

use proptest::strategy::Strategy;
use proptest::test_runner::{
    Config, RngSeed, TestCaseError, TestError, TestRunner, contextualize_config,
};

/// What a case says: nothing, or in what it breaks the law.
type Verdict = Result<(), TestCaseError>;

/// Where the usual cases begin.
const SEED: u64 = 1;

/// Asks a law of so many cases, or of as many as `PROPTEST_CASES` says, and shows the least of
/// those that break it.
fn check<S: Strategy>(usual: u32, cases: S, law: impl Fn(S::Value) -> Verdict) {
    let more = std::env::var_os("PROPTEST_CASES").is_some();
    let rng_seed = if more { RngSeed::Random } else { RngSeed::Fixed(SEED) };
    // A failure is kept as a story or as a test of its own, not as a file of seeds.
    let usual = Config { cases: usual, rng_seed, failure_persistence: None, ..Config::default() };
    match TestRunner::new(contextualize_config(usual)).run(&cases, law) {
        Ok(()) => {}
        Err(TestError::Fail(why, least)) => panic!("{why}\nin the least case:\n{least:?}"),
        Err(TestError::Abort(why)) => panic!("no more cases: {why}"),
    }
}

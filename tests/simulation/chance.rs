//! Everything that is left to chance, from one seed.

/// A source of choices: the same seed, the same choices.
#[derive(Clone, Debug)]
pub struct Chance(fastrand::Rng);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0.u64(low..=high)
    }

    pub fn happens(&mut self, percent: u64) -> bool {
        self.0.u64(0..100) < percent
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.0.usize(0..of.len())]
    }

    /// One of them, if there are any.
    pub fn one_of<T>(&mut self, of: impl IntoIterator<Item = T>) -> Option<T> {
        let mut all: Vec<T> = of.into_iter().collect();
        if all.is_empty() { None } else { Some(all.swap_remove(self.0.usize(0..all.len()))) }
    }
}

//! Keeps our changing EC2 calls below the account's own limit, which we share with everything
//! else in it (50 at once and 5 a second per action, EC2 user guide, "Request throttling").

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often the rate is halved at most: then it is a sixteenth.
const HALVINGS: u32 = 4;
/// After so long without a refusal half of a slowdown is over.
const RECOVERS_IN: Duration = Duration::from_secs(30);

/// One token bucket per action, on the monotonic clock.
#[derive(Debug)]
pub struct Limiter {
    /// Time between two tokens.
    gap: Duration,
    /// How far the next free moment may lie in the past.
    burst: Duration,
    buckets: Mutex<BTreeMap<&'static str, Bucket>>,
}

/// The tokens of one action.
#[derive(Debug)]
struct Bucket {
    /// When the next one is due.
    due: Instant,
    /// How often the rate is halved, as of then.
    halved: u32,
    since: Instant,
}

impl Bucket {
    /// How often the rate is halved now.
    fn halved(&self, now: Instant) -> u32 {
        let recovered = now.duration_since(self.since).as_secs() / RECOVERS_IN.as_secs();
        self.halved.saturating_sub(u32::try_from(recovered).unwrap_or(u32::MAX))
    }
}

impl Limiter {
    /// `rate` tokens a second, at most `burst` of them at once.
    pub fn new(rate: f64, burst: u32) -> Self {
        let gap = Duration::from_secs_f64(1.0 / rate);
        Self { gap, burst: gap * burst.saturating_sub(1), buckets: Mutex::default() }
    }

    /// When the next token of this action is due; not in the future if there is one now.
    pub fn due(&self, action: &'static str) -> Instant {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        self.due_of(self.bucket(&mut buckets, action, now), now)
    }

    /// Takes a token of this action, if there is one now.
    pub fn take(&self, action: &'static str) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let bucket = self.bucket(&mut buckets, action, now);
        let due = self.due_of(bucket, now);
        if due > now {
            return false;
        }
        bucket.due = due + self.gap * 2_u32.pow(bucket.halved(now));
        true
    }

    fn due_of(&self, bucket: &Bucket, now: Instant) -> Instant {
        // What is slowed down has no burst either: the account's own is used up.
        let burst = if bucket.halved(now) == 0 { self.burst } else { Duration::ZERO };
        bucket.due.max(now.checked_sub(burst).unwrap_or(now))
    }

    /// EC2 has refused a call of this action that was sent then, for there are too many: half as
    /// many from now on, for a while. Of those that went out together the first refusal counts.
    pub fn slow_down(&self, action: &'static str, sent_at: Instant) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let bucket = self.bucket(&mut buckets, action, now);
        if bucket.halved > 0 && sent_at < bucket.since {
            return;
        }
        let halved = (bucket.halved(now) + 1).min(HALVINGS);
        let due = bucket.due.max(now + self.gap * 2_u32.pow(halved));
        *bucket = Bucket { due, halved, since: now };
    }

    fn bucket<'a>(
        &self,
        buckets: &'a mut BTreeMap<&'static str, Bucket>,
        action: &'static str,
        now: Instant,
    ) -> &'a mut Bucket {
        let due = now.checked_sub(self.burst).unwrap_or(now);
        buckets.entry(action).or_insert(Bucket { due, halved: 0, since: now })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time in which so many calls get their tokens.
    async fn takes(limiter: &Limiter, action: &'static str, calls: u32) -> Duration {
        let start = Instant::now();
        for _ in 0..calls {
            tokio::time::sleep_until(limiter.due(action)).await;
            assert!(limiter.take(action), "a token that is due can be taken");
        }
        Instant::now() - start
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_free_and_then_the_rate_holds() {
        tokio::time::advance(Duration::from_secs(60)).await;
        let limiter = Limiter::new(4.0, 20);
        assert_eq!(takes(&limiter, "AllocateAddress", 20).await, Duration::ZERO);
        assert!(!limiter.take("AllocateAddress"), "the burst is used up");
        assert_eq!(takes(&limiter, "AllocateAddress", 8).await, Duration::from_secs(2));
        let other = takes(&limiter, "ReleaseAddress", 1).await;
        assert_eq!(other, Duration::ZERO, "each action has a bucket of its own");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_halves_the_rate_of_its_action_until_it_has_recovered() {
        let limiter = Limiter::new(4.0, 20);
        let takes = async |calls: u32| takes(&limiter, "ReleaseAddress", calls).await;
        let slow_down = || limiter.slow_down("ReleaseAddress", Instant::now());
        slow_down();
        assert_eq!(takes(4).await, Duration::from_millis(4 * 500), "no burst, half of the rate");
        slow_down();
        assert_eq!(takes(4).await, Duration::from_secs(4));
        tokio::time::advance(RECOVERS_IN).await;
        assert_eq!(takes(4).await, Duration::from_millis(3 * 500), "a quarter has become a half");
        tokio::time::advance(RECOVERS_IN).await;
        assert_eq!(takes(20).await, Duration::ZERO, "recovered, and so is the burst");
        (0..10).for_each(|_| slow_down());
        assert_eq!(takes(1).await, Duration::from_secs(4), "a sixteenth is the least");
        assert!(limiter.take("AllocateAddress"), "others are not concerned");
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_of_calls_that_went_out_together_halve_the_rate_once() {
        let limiter = Limiter::new(4.0, 20);
        let sent_at = Instant::now();
        for _ in 0..16 {
            tokio::time::advance(Duration::from_millis(1)).await;
            limiter.slow_down("ReleaseAddress", sent_at);
        }
        tokio::time::advance(Duration::from_secs(10)).await;
        let took = takes(&limiter, "ReleaseAddress", 5).await;
        assert_eq!(took, Duration::from_millis(4 * 500), "half of the rate");
    }
}

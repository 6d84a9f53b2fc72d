//! Keeps our changing EC2 calls below the account's own limit, which we share with everything
//! else in it (50 at once and 5 a second per action, EC2 user guide, "Request throttling").

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

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

    /// Waits for a token of this action. False, and nothing taken, if none is due before the
    /// deadline.
    pub async fn take(&self, action: &'static str, deadline: Instant) -> bool {
        let at = {
            let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let bucket = self.bucket(&mut buckets, action, now);
            let halved = bucket.halved(now);
            // What is slowed down has no burst either: the account's own is used up.
            let burst = if halved == 0 { self.burst } else { Duration::ZERO };
            let due = bucket.due.max(now.checked_sub(burst).unwrap_or(now));
            if due > deadline {
                return false;
            }
            bucket.due = due + self.gap * 2_u32.pow(halved);
            due
        };
        sleep_until(at).await;
        true
    }

    /// EC2 asks for fewer calls of this action: half as many from now on, for a while.
    pub fn slow_down(&self, action: &'static str) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let bucket = self.bucket(&mut buckets, action, now);
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

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_free_and_then_the_rate_holds() {
        tokio::time::advance(Duration::from_secs(60)).await;
        let limiter = Limiter::new(4.0, 20);
        let start = Instant::now();
        let far = start + Duration::from_secs(60);
        for _ in 0..20 {
            assert!(limiter.take("AllocateAddress", far).await);
        }
        assert_eq!(Instant::now(), start);
        for _ in 0..8 {
            assert!(limiter.take("AllocateAddress", far).await);
        }
        assert_eq!(Instant::now() - start, Duration::from_secs(2));
        assert!(limiter.take("ReleaseAddress", far).await, "each action has a bucket of its own");
        assert_eq!(Instant::now() - start, Duration::from_secs(2));
        assert!(!limiter.take("AllocateAddress", Instant::now()).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_halves_the_rate_of_its_action_until_it_has_recovered() {
        let limiter = Limiter::new(4.0, 20);
        let far = Instant::now() + Duration::from_secs(3_600);
        // The time that `calls` calls take.
        let takes = async |calls: u32| {
            let start = Instant::now();
            for _ in 0..calls {
                assert!(limiter.take("ReleaseAddress", far).await);
            }
            Instant::now() - start
        };
        limiter.slow_down("ReleaseAddress");
        assert_eq!(takes(4).await, Duration::from_millis(4 * 500), "no burst, half of the rate");
        limiter.slow_down("ReleaseAddress");
        assert_eq!(takes(4).await, Duration::from_secs(4));
        tokio::time::advance(RECOVERS_IN).await;
        assert_eq!(takes(4).await, Duration::from_millis(3 * 500), "a quarter has become a half");
        tokio::time::advance(RECOVERS_IN).await;
        assert_eq!(takes(20).await, Duration::ZERO, "recovered, and so is the burst");
        for _ in 0..10 {
            limiter.slow_down("ReleaseAddress");
        }
        assert_eq!(takes(1).await, Duration::from_secs(4), "a sixteenth is the least");
        let now = Instant::now();
        assert!(limiter.take("AllocateAddress", far).await);
        assert_eq!(Instant::now(), now, "others are not concerned");
    }
}

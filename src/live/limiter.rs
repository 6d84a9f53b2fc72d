//! Keeps our changing EC2 calls below the account's own limit, which we share with everything
//! else in it (50 at once and 5 a second per action, EC2 user guide, "Request throttling").

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// One token bucket per action, on the monotonic clock.
#[derive(Debug)]
pub struct Limiter {
    /// Time between two tokens.
    gap: Duration,
    /// How far the next free moment may lie in the past.
    burst: Duration,
    /// By action: when its next token is due.
    next: Mutex<BTreeMap<&'static str, Instant>>,
}

impl Limiter {
    /// `rate` tokens a second, at most `burst` of them at once.
    pub fn new(rate: f64, burst: u32) -> Self {
        let gap = Duration::from_secs_f64(1.0 / rate);
        Self { gap, burst: gap * burst.saturating_sub(1), next: Mutex::default() }
    }

    /// Waits for a token of this action. False, and nothing taken, if none is due before the
    /// deadline.
    pub async fn take(&self, action: &'static str, deadline: Instant) -> bool {
        let at = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let oldest = now.checked_sub(self.burst).unwrap_or(now);
            let due = next.get(action).copied().unwrap_or(oldest).max(oldest);
            if due > deadline {
                return false;
            }
            next.insert(action, due + self.gap);
            due
        };
        sleep_until(at).await;
        true
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
}

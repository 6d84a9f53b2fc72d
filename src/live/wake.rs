//! What starts a cycle: a mailbox of reasons, and the bell that rings it by the clock.
//!
//! Whoever has a reason rings; the one worker takes all reasons at once. The first reason after a
//! quiet time is answered at once, the next no sooner than the shortest interval later. Should the
//! bell fail, the watchdog wakes the worker.

mod bell;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

pub use bell::{Bell, BellError, CronBell, Schedule, ScheduleError};

/// Why a cycle starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// The process has just begun.
    Start,
    /// The interval or the schedule.
    Interval,
    /// The facts of an Eip changed.
    Eip,
    /// The facts of a managed pod changed.
    Pod,
    /// A managed pod that had an IP is gone, or is not what it was: an address may be exposed.
    Exposure,
    /// The last cycle left work, or has told when waiting is over: [`look_again`].
    ///
    /// [`look_again`]: crate::plan::rounds::look_again
    Progress,
    /// Nothing rang for twice the expected gap: the bell or a watch has failed.
    Watchdog,
}

impl Wake {
    /// The reason's word in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Wake::Start => "start",
            Wake::Interval => "interval",
            Wake::Eip => "eip",
            Wake::Pod => "pod",
            Wake::Exposure => "exposure",
            Wake::Progress => "progress",
            Wake::Watchdog => "watchdog",
        }
    }
}

/// Rings a [`Mailbox`]; cheap to clone, never blocks.
#[derive(Debug, Clone)]
pub struct Ringer(Arc<watch::Sender<BTreeSet<Wake>>>);

impl Ringer {
    /// Adds a reason. Reasons coalesce: one that is already there is not added again, which is told
    /// by `false`, and all of them start one cycle.
    pub fn ring(&self, reason: Wake) -> bool {
        self.0.send_if_modified(|reasons| reasons.insert(reason))
    }

    /// Takes a reason back that no cycle has taken yet.
    pub fn take_back(&self, reason: Wake) {
        self.0.send_if_modified(|reasons| reasons.remove(&reason));
    }
}

/// The reasons for the next cycle, and when it may start. There is one, and one worker reads it.
#[derive(Debug)]
pub struct Mailbox {
    ringer: Ringer,
    reasons: watch::Receiver<BTreeSet<Wake>>,
    min_event_interval: Duration,
    watchdog: Duration,
    last: Option<Instant>,
    born: Instant,
}

impl Mailbox {
    /// A mailbox for a worker that is expected to be rung at least once in `expected_gap`.
    pub fn new(min_event_interval: Duration, expected_gap: Duration) -> Mailbox {
        let (sender, reasons) = watch::channel(BTreeSet::new());
        Mailbox {
            ringer: Ringer(Arc::new(sender)),
            reasons,
            min_event_interval,
            watchdog: 2 * expected_gap,
            last: None,
            born: Instant::now(),
        }
    }

    /// A handle for those who have reasons.
    pub fn ringer(&self) -> Ringer {
        self.ringer.clone()
    }

    /// Waits for the next cycle and takes its reasons; never empty. Dropped before it is ready, it
    /// has taken nothing.
    pub async fn next(&mut self) -> BTreeSet<Wake> {
        let watchdog = self.last.unwrap_or(self.born) + self.watchdog;
        let rung = timeout_at(watchdog, self.reasons.wait_for(|reasons| !reasons.is_empty()));
        if rung.await.is_err() {
            self.ringer.ring(Wake::Watchdog);
        }
        if let Some(last) = self.last {
            sleep_until(last + self.min_event_interval).await;
        }
        self.last = Some(Instant::now());
        self.ringer.0.send_replace(BTreeSet::new())
    }

    /// Waits until an address may be exposed, and takes nothing. What the act phase does then is
    /// told at `Operator::round`.
    pub async fn urgent(&self) {
        let mut reasons = self.reasons.clone();
        let pending = |reasons: &BTreeSet<Wake>| reasons.contains(&Wake::Exposure);
        // It fails only without a sender, and this mailbox holds one.
        let _ = reasons.wait_for(pending).await;
    }
}

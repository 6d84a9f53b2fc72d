//! The bell: rings [`Wake::Interval`] by the interval or by the schedule, through
//! tokio-cron-scheduler.
//!
//! The scheduler is a bell and nothing more, for it spawns each activation without regard to the
//! one before. Its repeated jobs stop for good once they fall behind, so the interval is a one-shot
//! job that the worker arms again after each cycle: no overlap, no burst of missed activations.

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use tokio_cron_scheduler::job::JobId;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use super::{Ringer, Wake};
use crate::live::config::Rhythm;

/// The scheduler answers at once, or something is wrong with it.
const PATIENCE: Duration = Duration::from_secs(5);
/// A schedule that rings more often than this may still pause, so a shorter gap proves no fault.
const SHORTEST_DOUBT: Duration = Duration::from_secs(2 * 3600);
/// How far a schedule is looked ahead for its longest gap.
const ACTIVATIONS: usize = 100;

/// Rings the mailbox by the clock. The simulator has none: it rings the mailbox itself.
pub trait Bell: Send {
    /// To be called after each cycle, with the time since its start. The answer is how many rings
    /// came to nothing meanwhile, because the cycle took so long.
    fn rearm(&mut self, elapsed: Duration) -> impl Future<Output = Result<u64, BellError>> + Send;
    /// No ring comes after this.
    fn shut(&mut self) -> impl Future<Output = Result<(), BellError>> + Send;
}

/// The bell does not work. The watchdog still wakes the worker.
#[derive(Debug, thiserror::Error)]
pub enum BellError {
    /// The scheduler refused.
    #[error("the bell cannot {0}: {1}")]
    Scheduler(&'static str, #[source] JobSchedulerError),
    /// The scheduler did not answer.
    #[error("the bell waited {PATIENCE:?} for the scheduler to {0}")]
    Stuck(&'static str),
}

/// A cron expression that rings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    expression: String,
    longest_gap: Duration,
}

/// What is wrong with a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The number of fields is wrong.
    #[error(
        "it has {0} fields, give 6: second minute hour day month weekday, such as \"0 */5 * * * *\""
    )]
    Fields(usize),
    /// A field is wrong.
    #[error("give a cron expression of 6 fields, seconds first, in UTC, such as \"0 */5 * * * *\"")]
    Syntax,
    /// The date does not exist.
    #[error("it never comes true, give one that does, such as \"0 */5 * * * *\"")]
    Never,
}

impl Schedule {
    /// Reads an expression as the scheduler will read it.
    pub fn read(text: &str) -> Result<Schedule, ScheduleError> {
        let fields = text.split_whitespace().count();
        if fields != 6 {
            return Err(ScheduleError::Fields(fields));
        }
        let mut job = Job::new(text, |_, _| {}).map_err(|_| ScheduleError::Syntax)?;
        let data = job.job_data().map_err(|_| ScheduleError::Syntax)?;
        let cron = data.schedule().ok_or(ScheduleError::Syntax)?;
        let first = data.next_tick_utc().ok_or(ScheduleError::Never)?;
        let coming: Vec<i64> =
            cron.iter_after(first).take(ACTIVATIONS).map(|time| time.timestamp()).collect();
        let before = std::iter::once(first.timestamp()).chain(coming.iter().copied());
        let gaps = before.zip(&coming).map(|(before, after)| after.saturating_sub(before));
        let longest = u64::try_from(gaps.max().unwrap_or(0)).unwrap_or(0);
        Ok(Schedule { expression: text.to_owned(), longest_gap: Duration::from_secs(longest) })
    }

    /// The expression.
    pub fn as_str(&self) -> &str {
        &self.expression
    }

    /// The longest gap among the next hundred activations, at least two hours: a schedule may rest
    /// at night or over a weekend, and neither the watchdog nor `/healthz` may take that for a
    /// fault.
    pub fn longest_gap(&self) -> Duration {
        self.longest_gap.max(SHORTEST_DOUBT)
    }
}

/// The bell of the running operator. It needs a runtime with several threads.
pub struct CronBell {
    scheduler: JobScheduler,
    rhythm: Rhythm,
    ringer: Ringer,
    armed: Option<JobId>,
    /// Rings of the schedule that found the one before them still waiting.
    in_vain: Arc<AtomicU64>,
}

impl CronBell {
    /// Starts the scheduler. A schedule rings from now on, an interval after the first `rearm`.
    pub async fn start(rhythm: Rhythm, ringer: Ringer) -> Result<CronBell, BellError> {
        let scheduler = bounded("start", JobScheduler::new()).await?;
        bounded("start", scheduler.start()).await?;
        let in_vain = Arc::default();
        if let Rhythm::At(schedule) = &rhythm {
            let job = Job::new_async(schedule.as_str(), ringing(&ringer, &in_vain))
                .map_err(|error| BellError::Scheduler("read the schedule", error))?;
            bounded("add the schedule", scheduler.add(job)).await?;
        }
        Ok(CronBell { scheduler, rhythm, ringer, armed: None, in_vain })
    }
}

impl Bell for CronBell {
    async fn rearm(&mut self, elapsed: Duration) -> Result<u64, BellError> {
        let Rhythm::Every(interval) = self.rhythm else {
            return Ok(self.in_vain.swap(0, Ordering::Relaxed));
        };
        // A cycle that something else started leaves the last job waiting, which would ring too
        // soon; or it rang during that cycle, which would be looked at twice in a row.
        if let Some(last) = self.armed.take() {
            bounded("take back the last ring", self.scheduler.remove(&last)).await?;
            self.ringer.take_back(Wake::Interval);
        }
        let delay = delay(interval, elapsed, RandomState::new().hash_one(()));
        let job = Job::new_one_shot_async(delay, ringing(&self.ringer, &self.in_vain))
            .map_err(|error| BellError::Scheduler("prepare the next ring", error))?;
        self.armed = Some(bounded("add the next ring", self.scheduler.add(job)).await?);
        Ok(passed(interval, elapsed))
    }

    async fn shut(&mut self) -> Result<(), BellError> {
        bounded("stop", self.scheduler.shutdown()).await
    }
}

type Body = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The whole body of every job.
fn ringing(
    ringer: &Ringer,
    in_vain: &Arc<AtomicU64>,
) -> impl FnMut(JobId, JobScheduler) -> Body + Send + Sync + use<> {
    let (ringer, in_vain) = (ringer.clone(), in_vain.clone());
    move |_, _| {
        let (ringer, in_vain) = (ringer.clone(), in_vain.clone());
        Box::pin(async move {
            if !ringer.ring(Wake::Interval) {
                in_vain.fetch_add(1, Ordering::Relaxed);
            }
        })
    }
}

/// How often the interval has passed in this time.
pub(super) fn passed(interval: Duration, elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis() / interval.as_millis().max(1)).unwrap_or(u64::MAX)
}

/// What is left of the interval, at least a second, a tenth more or less so that several operators
/// do not keep step. Whole seconds, rounded up, for the scheduler cuts fractions off.
pub(super) fn delay(interval: Duration, elapsed: Duration, random: u64) -> Duration {
    let left = interval.saturating_sub(elapsed).max(Duration::from_secs(1));
    let share = random as f64 / u64::MAX as f64;
    let jittered = left.mul_f64(0.9 + 0.2 * share);
    Duration::from_secs(jittered.as_secs_f64().ceil() as u64)
}

async fn bounded<T>(
    what: &'static str,
    call: impl Future<Output = Result<T, JobSchedulerError>>,
) -> Result<T, BellError> {
    match timeout(PATIENCE, call).await {
        Ok(answer) => answer.map_err(|error| BellError::Scheduler(what, error)),
        Err(_) => Err(BellError::Stuck(what)),
    }
}

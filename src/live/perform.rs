//! Carries out one step: makes the calls that [`Execution`] asks for, in its order.

use std::time::Duration;

use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, info, info_span, warn};

use super::ec2::Ec2;
use super::kubernetes::Kubernetes;
use super::limiter::Limiter;
use crate::plan::action::{Action, Step};
use crate::plan::execution::{Answer, Call, End, Execution, Next};
use crate::plan::forecast::Outcome;
use crate::plan::meaning::{Failure, is_throttling};
use crate::plan::rounds::Performed;
use crate::plan::snapshot::Snapshot;
use crate::plan::text::{escaped, step_head_line};

/// Both worlds, and the limit that holds for one of them.
pub struct Hands {
    pub ec2: Ec2Handle,
    pub kubernetes: Kubernetes,
    pub limiter: Limiter,
    pub clock: Clock,
    /// The digits of the plan that is carried out, for the log.
    pub plan: String,
}

/// Milliseconds since the process began, on a clock that never goes back.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// This time of the clock, for timers.
    pub fn at(self, millis: u64) -> Instant {
        self.0 + Duration::from_millis(millis)
    }

    pub fn now(self) -> u64 {
        self.millis(Instant::now())
    }

    /// The time of the clock at this moment.
    pub fn millis(self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.0).as_millis()).unwrap_or(u64::MAX)
    }
}

type Ec2Handle = std::sync::Arc<Ec2>;

impl Hands {
    /// Carries out a step, for which the limiter has given its token. None if its change would have
    /// been sent after the deadline, and was not. `written_at`: when we sent the write that put our
    /// finalizer on the claim's Eip. Both are times of the clock.
    pub async fn perform(
        &self,
        step: Step,
        snapshot: &Snapshot,
        written_at: Option<u64>,
        deadline: u64,
    ) -> Option<Performed> {
        let settings = snapshot.settings.clone();
        let cluster = snapshot.cluster.uid.clone();
        let action = step.action.clone();
        let execution = Execution::new(action, settings, cluster, written_at, deadline);
        let span = info_span!(
            "step",
            plan = self.plan,
            op = step.action.verb(),
            eip = %step.claim,
            reason = step.reason.code(),
            result = Empty,
            otel.status_code = Empty,
        );
        let until = self.clock.at(deadline);
        let performed = self.run(step, execution, until).instrument(span.clone()).await;
        span.record("result", performed.end.word());
        if matches!(performed.end, End::Failed(_)) {
            span.record("otel.status_code", "error");
        }
        Some(performed).filter(|performed| performed.end != End::Late)
    }

    async fn run(&self, step: Step, mut execution: Execution, until: Instant) -> Performed {
        let mut next = execution.start(self.clock.now());
        let end = loop {
            let call = match next {
                Next::Call(call) => call,
                Next::End(end) => break end,
            };
            let answer = self.call(&call, until).await;
            next = execution.answer(answer, self.clock.now());
        };
        let (effects, sent_at) = (execution.effects().to_vec(), execution.sent_at());
        let tried = execution.tried().clone();
        let performed = Performed { step, tried, effects, end, sent_at };
        self.say(&performed);
        performed
    }

    async fn call(&self, call: &Call, until: Instant) -> Answer {
        let answer = match call {
            Call::GetPod(key) => self.kubernetes.pod(key).await.map(Answer::Pod),
            Call::GetEip(key) => self.kubernetes.eip(key).await.map(Answer::Eip),
            Call::DescribeAddress(id) => self.ec2.address(id).await.map(Answer::Address),
            Call::Perform(action) => self.change(action, until).await.map(Answer::Done),
        };
        answer.unwrap_or_else(Answer::Failed)
    }

    /// The one place where the operator changes anything.
    async fn change(&self, action: &Action, until: Instant) -> Result<Outcome, Failure> {
        let Some(name) = action.ec2_action() else {
            return self.kubernetes.perform(action, until).await;
        };
        let sent_at = Instant::now();
        let done = self.ec2.perform(action).await;
        if done.as_ref().is_err_and(|failure| is_throttling(&failure.code)) {
            self.limiter.slow_down(name, sent_at);
        }
        done
    }

    fn say(&self, performed: &Performed) {
        let (step, plan) = (&performed.step, &self.plan);
        let (op, eip, reason) = (step.action.verb(), step.claim.to_string(), step.reason.code());
        let text = step_head_line(step);
        match &performed.end {
            End::Done => {
                let result = result(&performed.effects);
                let arrow = if result.is_empty() { "" } else { " → " };
                info!(plan, op, eip, reason, result, "done: {text}{arrow}{result}");
            }
            End::Late => {} // the next cycle plans it anew
            End::Changed(why) => info!(plan, op, eip, reason, "not done: {text}: {}", escaped(why)),
            End::Failed(failure) => warn!(
                plan,
                op,
                eip,
                reason,
                code = failure.code,
                error = escaped(&failure.message),
                "failed: {text}"
            ),
        }
    }
}

/// What became of a step, for a person, and whether it was done.
pub fn told(performed: &Performed) -> (bool, String) {
    let text = step_head_line(&performed.step);
    match &performed.end {
        End::Done => match result(&performed.effects).as_str() {
            "" => (true, format!("done: {text}")),
            result => (true, format!("done: {text} → {result}")),
        },
        End::Late => (false, format!("left: {text}")),
        End::Changed(why) => (false, format!("not done: {text}: {}", escaped(why))),
        End::Failed(failure) => {
            (false, format!("failed: {text}: {}", escaped(&failure.to_string())))
        }
    }
}

/// What AWS chose.
fn result(effects: &[(Action, Outcome)]) -> String {
    let outcome = effects.first().map(|(_, outcome)| outcome);
    match outcome {
        Some(Outcome::Allocated { address, ip }) => format!("{address} ({ip})"),
        Some(Outcome::Associated { association }) => association.clone(),
        _ => String::new(),
    }
}

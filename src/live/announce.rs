//! The plan in the log, before anything is touched: what will be done and why, what waits and for
//! what, and the diff from the observed to the forecast world.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info};

use super::config::LogFormat;
use super::wake::Wake;
use crate::plan::action::{Plan, Step};
use crate::plan::forecast::Forecast;
use crate::plan::snapshot::Snapshot;
use crate::plan::text::{
    escaped, forecast_plan, plan_digest, plan_lines, step_line, summary, world_diff,
};

/// A plan that does not change is said again so seldom.
const SAY_AGAIN: Duration = Duration::from_secs(600);
/// A longer plan is cut in the log, with the number of what is left out.
const STEPS_SHOWN: usize = 200;

/// Says each plan once.
pub struct Announcer {
    format: LogFormat,
    dry_run: bool,
    cycle: u64,
    last: Option<(String, Instant)>,
}

impl Announcer {
    pub fn new(format: LogFormat, dry_run: bool) -> Self {
        Self { format, dry_run, cycle: 0, last: None }
    }

    /// Logs where this cycle leads. Nothing to do, or nothing new: at debug.
    pub fn announce(&mut self, wakes: &BTreeSet<Wake>, snapshot: &Snapshot, forecast: &Forecast) {
        self.cycle += 1;
        let plan = forecast_plan(&forecast.rounds);
        let digest = plan_digest(&plan);
        let trigger = wakes.iter().map(|wake| wake.as_str()).collect::<Vec<_>>().join(",");
        if !self.is_news(&plan, &digest) {
            debug!(plan = digest, cycle = self.cycle, trigger, "plan: {}", summary(&plan));
            return;
        }
        let diff = world_diff(snapshot, &forecast.end);
        match self.format {
            LogFormat::Text => self.say_text(&plan, &digest, &trigger, &diff),
            LogFormat::Json => self.say_json(&plan, &digest, &trigger, &diff),
        }
    }

    fn is_news(&mut self, plan: &Plan, digest: &str) -> bool {
        let notes = plan.notes.iter().map(|n| format!("{}{}", n.subject, n.wait.lasting_text()));
        let said = format!("{digest}{}", notes.collect::<String>());
        let again = match &self.last {
            Some((last, at)) => *last != said || at.elapsed() >= SAY_AGAIN,
            None => true,
        };
        // A plan that was carried out is news each time, even if it reads like the last one.
        let acts = !self.dry_run && !plan.steps.is_empty();
        let empty = plan.steps.is_empty() && plan.notes.is_empty();
        if again {
            self.last = Some((said, Instant::now()));
        }
        (again && !empty) || acts
    }

    fn closing(&self) -> &'static str {
        if self.dry_run { " Dry run: nothing was changed." } else { "" }
    }

    fn say_text(&self, plan: &Plan, digest: &str, trigger: &str, diff: &str) {
        let shown = Plan {
            steps: plan.steps.iter().take(STEPS_SHOWN).cloned().collect(),
            notes: plan.notes.iter().take(STEPS_SHOWN).cloned().collect(),
        };
        let lines = plan_lines(&shown).join("\n  ");
        let left = plan.steps.len() - shown.steps.len();
        let more = if left > 0 { format!("\n  … and {left} steps more") } else { String::new() };
        let diff = match diff {
            "" => String::new(),
            diff => format!("\n--- observed\n+++ forecast\n{}", diff.trim_end_matches('\n')),
        };
        info!(
            trigger,
            "Plan {digest}: {}.{}\n  {lines}{more}{diff}",
            summary(plan),
            self.closing()
        );
    }

    fn say_json(&self, plan: &Plan, digest: &str, trigger: &str, diff: &str) {
        let count = |sign: char| plan.steps.iter().filter(|s| s.action.sign() == sign).count();
        info!(
            plan = digest,
            cycle = self.cycle,
            trigger,
            dry_run = self.dry_run,
            allocate = count('+'),
            associate = count('>'),
            disassociate = count('<'),
            release = count('-'),
            write = count('~'),
            waiting = plan.notes.len(),
            diff,
            "plan: {}.{}",
            summary(plan),
            self.closing()
        );
        for (n, step) in plan.steps.iter().take(STEPS_SHOWN).enumerate() {
            say_step(digest, n + 1, step);
        }
        if plan.steps.len() > STEPS_SHOWN {
            let left = plan.steps.len() - STEPS_SHOWN;
            info!(plan = digest, left, "{left} steps more");
        }
        for note in plan.notes.iter().take(STEPS_SHOWN) {
            let subject = note.subject.to_string();
            let text = escaped(&note.wait.to_string());
            info!(plan = digest, subject, reason = note.wait.code(), "waiting: {text}");
        }
    }
}

fn say_step(digest: &str, n: usize, step: &Step) {
    info!(
        plan = digest,
        n,
        op = step.action.verb(),
        eip = %step.claim,
        eip_uid = step.uid,
        reason = step.reason.code(),
        "step: {}",
        step_line(step)
    );
}

//! The plan in the log, before anything is touched: what will be done and why, what waits and for
//! what, and the diff from the observed to the forecast world.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info};

use super::config::LogFormat;
use super::wake::Wake;
use crate::plan::action::{Plan, Step};
use crate::plan::snapshot::{Quota, Snapshot};
use crate::plan::text::{escaped, plan_digest, plan_lines, step_line, summary, world_diff};

/// A plan that does not change is said again so seldom.
const SAY_AGAIN: Duration = Duration::from_secs(600);
/// A longer plan is cut in the log, with the number of what is left out: so many steps are told, so
/// many things that wait, and so many lines of the diff.
const SHOWN: usize = 200;

/// Says each plan once.
pub struct Announcer {
    format: LogFormat,
    dry_run: bool,
    /// Where a plan that is cut is whole.
    served_at: SocketAddr,
    last: Option<(String, Instant)>,
}

/// One plan, with what is said of it.
struct News<'a> {
    plan: &'a Plan,
    digest: &'a str,
    cycle: u64,
    trigger: String,
    quota: Option<&'a Quota>,
    diff: String,
}

impl Announcer {
    pub fn new(format: LogFormat, dry_run: bool, served_at: SocketAddr) -> Self {
        Self { format, dry_run, served_at, last: None }
    }

    /// Logs where this cycle leads: its plan, and the world in the end. Nothing to do, or nothing
    /// new: at debug. Returns the digits that stand for the plan.
    pub fn announce(
        &mut self,
        cycle: u64,
        wakes: &BTreeSet<Wake>,
        snapshot: &Snapshot,
        end: &Snapshot,
        plan: &Plan,
    ) -> String {
        let digest = plan_digest(plan);
        let quota = snapshot.quota.as_ref();
        let trigger = wakes.iter().map(|wake| wake.as_str()).collect::<Vec<_>>().join(",");
        if !self.is_news(plan, &digest) {
            debug!(plan = digest, cycle, trigger, "plan: {}", summary(plan, quota));
            return digest;
        }
        let diff = self.cut(&world_diff(snapshot, end));
        let news = News { plan, digest: &digest, cycle, trigger, quota, diff };
        match self.format {
            LogFormat::Text => self.say_text(&news),
            LogFormat::Json => self.say_json(&news),
        }
        digest
    }

    /// The first lines of a diff, and how many are left out.
    fn cut(&self, diff: &str) -> String {
        let lines: Vec<&str> = diff.split_terminator('\n').collect();
        let left = lines.len().saturating_sub(SHOWN);
        match left {
            0 => diff.trim_end_matches('\n').to_owned(),
            left => format!("{}\n… and {}", lines[..SHOWN].join("\n"), self.more(left, "lines")),
        }
    }

    fn more(&self, left: usize, what: &str) -> String {
        format!("{left} {what} more; the whole is at http://{}/plan", self.served_at)
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

    fn say_text(&self, news: &News<'_>) {
        let News { plan, digest, trigger, quota, diff, .. } = news;
        let shown = Plan {
            steps: plan.steps.iter().take(SHOWN).cloned().collect(),
            notes: plan.notes.iter().take(SHOWN).cloned().collect(),
        };
        let mut lines = plan_lines(&shown);
        for (left, what) in left(plan) {
            lines.push(format!("… and {}", self.more(left, what)));
        }
        let lines = lines.join("\n  ");
        let diff = match diff.as_str() {
            "" => String::new(),
            diff => format!("\n--- observed\n+++ forecast\n{diff}"),
        };
        let closing = self.closing();
        info!(trigger, "Plan {digest}: {}.{closing}\n  {lines}{diff}", summary(plan, *quota));
    }

    fn say_json(&self, news: &News<'_>) {
        let News { plan, digest, cycle, trigger, quota, diff } = news;
        let count = |sign: char| plan.steps.iter().filter(|s| s.action.sign() == sign).count();
        info!(
            plan = digest,
            cycle,
            trigger,
            dry_run = self.dry_run,
            allocate = count('+'),
            associate = count('>'),
            disassociate = count('<'),
            release = count('-'),
            write = count('~'),
            waiting = plan.notes.len(),
            quota_limit = quota.map(|quota| quota.limit),
            quota_used = quota.map(|quota| quota.used),
            diff,
            "plan: {}.{}",
            summary(plan, *quota),
            self.closing()
        );
        for (n, step) in plan.steps.iter().take(SHOWN).enumerate() {
            say_step(digest, n + 1, step);
        }
        for note in plan.notes.iter().take(SHOWN) {
            let subject = note.subject.to_string();
            let text = escaped(&note.wait.to_string());
            info!(plan = digest, subject, reason = note.wait.code(), "waiting: {text}");
        }
        for (left, what) in left(plan) {
            info!(plan = digest, left, "{}", self.more(left, what));
        }
    }
}

/// How many steps and notes are not told, where some are not.
fn left(plan: &Plan) -> impl Iterator<Item = (usize, &'static str)> {
    let left = [(plan.steps.len(), "steps"), (plan.notes.len(), "waiting")];
    left.into_iter().map(|(all, what)| (all.saturating_sub(SHOWN), what)).filter(|(n, _)| *n > 0)
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

#[cfg(test)]
mod tests;

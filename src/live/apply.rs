//! `eip-operator apply`: a turn as an operator, with the plan that a person has seen.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, ensure};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::command::ApplyArgs;
use super::config::{Config, Raw};
use super::lease::{ACT_WITHIN, Attempt, Election, Leadership, keep_trying};
use super::oneshot::{Sources, complete, plan_text, print, read};
use super::operator::{Acted, Operator};
use super::perform::told;
use super::serve::{cancel_on_signal, election, operator};
use super::wake::Mailbox;
use crate::plan::execution::End;
use crate::plan::forecast::forecast;
use crate::plan::report::{Agreed, Report};
use crate::plan::snapshot::{Cluster, Snapshot};
use crate::plan::text::{escaped, forecast_plan, step_identity, step_line};

/// Exit code when not all of the plan was carried out.
const NOT_ALL: u8 = 3;
const UNCHANGED: &str = "nothing was changed";

/// Carries out a plan.
pub fn apply(args: &ApplyArgs, raw: &Raw) -> anyhow::Result<ExitCode> {
    let config = Config::check(raw)?;
    ensure!(!config.dry_run, "DRY_RUN is \"true\": nothing would be changed; see \"plan\"");
    let terminal = io::stdin().is_terminal();
    let asks = "a plan is carried out when it is confirmed on a terminal, or with --yes";
    ensure!(args.yes || terminal, "the standard input is no terminal: {asks}");
    let reviewed = args.plan.as_deref().map(from_file).transpose()?;
    run(args, &config, reviewed)
}

fn from_file(file: &Path) -> anyhow::Result<Report> {
    let name = file.display();
    let plan = Report::from_text(&read(file)?).map_err(anyhow::Error::msg);
    let plan = plan.with_context(|| format!("{name} is no plan as \"plan -o yaml\" prints it"))?;
    if let Some(eip) = &plan.eip {
        let eip = escaped(&eip.to_string());
        anyhow::bail!("{name} shows the plan of eip {eip} alone; accepted: a plan without --eip");
    }
    Ok(plan)
}

#[tokio::main]
async fn run(
    args: &ApplyArgs,
    config: &Config,
    reviewed: Option<Report>,
) -> anyhow::Result<ExitCode> {
    let Sources { client, cluster, ec2, kubernetes, quota } = Sources::of(config).await?;
    if let Some(reviewed) = &reviewed {
        same_cluster(&reviewed.cluster, &cluster)?;
    }
    // Who asks for no Lease takes none; otherwise this is a turn like any operator's.
    let election = (config.leader_elect != Some(false)).then(|| election(config, client));
    let quota = Arc::new(watch::Sender::new(quota));
    let cancel = CancellationToken::new();
    let operator = operator(config, cluster, Arc::new(ec2), kubernetes, quota, cancel.clone());
    let mut turn = Turn { operator, election, renewing: None, cancel };
    let ended = turn.take(args, config, reviewed.as_ref()).await;
    if let Some((election, resign)) = turn.renewing.take() {
        resign.cancel();
        turn.election = election.await.ok();
    }
    if let Some(mut election) = turn.election
        && let Err(failure) = election.release().await
    {
        let failure = escaped(&failure.to_string());
        eprintln!("{election} is not given back, and runs out: {failure}");
    }
    ended
}

/// An operator for one turn.
struct Turn {
    operator: Operator,
    election: Option<Election>,
    /// What renews the Lease once it was taken, however long a look lasts, and what ends that.
    renewing: Option<(JoinHandle<Election>, CancellationToken)>,
    cancel: CancellationToken,
}

impl Turn {
    async fn take(
        &mut self,
        args: &ApplyArgs,
        config: &Config,
        reviewed: Option<&Report>,
    ) -> anyhow::Result<ExitCode> {
        if args.yes {
            self.lead().await.context(UNCHANGED)?;
        }
        let (mut seen, shown) = self.forecast().await?;
        if let Some(reviewed) = reviewed {
            agreed(reviewed, &shown, "written")?;
        }
        print(&format!("{}{}\n", plan_text(&shown, args.color), shown.headline()))?;
        if !shown.changes() {
            return Ok(ExitCode::SUCCESS);
        }
        if !args.yes {
            ensure!(is_confirmed()?, "not confirmed; {UNCHANGED}");
            self.lead().await.context(UNCHANGED)?;
            // Nobody knows how long that took, and a plan rests on a look of just now.
            let (again, now) = self.forecast().await?;
            agreed(&shown, &now, "shown")?;
            seen = again;
        }
        self.operator.only = Some(reviewed.unwrap_or(&shown).agreed());
        // From here on Ctrl-C lets the calls under way end.
        tokio::spawn(cancel_on_signal(self.cancel.clone())?);
        let mut all = self.carry_out(&mut seen, config).await;
        let left = left(&seen, self.operator.only.as_ref());
        if !left.is_empty() {
            all = false;
            let _ = print(&left); // the exit code says it too
        }
        Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(NOT_ALL) })
    }

    /// Acts, and looks again for as long as something is left and there is progress. Whether all
    /// was done that was tried, and a look when one was due.
    async fn carry_out(&mut self, seen: &mut Snapshot, config: &Config) -> bool {
        let mailbox = Mailbox::new(config.min_event_interval, config.rhythm.expected_gap());
        let mut all = true;
        loop {
            let acted = self.operator.act(seen, &mailbox).await;
            let (good, lines) = outcome(&acted);
            all &= good;
            // What was done is done, whether or not anybody can read it.
            all &= print(&lines).is_ok();
            let moves = acted.performed.iter().any(|one| one.end == End::Done);
            if !acted.left || !moves || self.cancel.is_cancelled() {
                return all;
            }
            // Changes are sent for some seconds after a look; what is left needs another one.
            // Without it the turn is over, but not in vain: what is left is told as ever.
            match self.look_again().await {
                Ok(now) => *seen = now,
                Err(error) => {
                    eprintln!("error: not carried on: {error:#}");
                    return false;
                }
            }
        }
    }

    async fn look_again(&mut self) -> anyhow::Result<Snapshot> {
        self.lead().await?;
        self.look().await
    }

    /// Takes the Lease for this turn, or sees that it is held still; an error names who holds it.
    async fn lead(&mut self) -> anyhow::Result<()> {
        if let Some(leadership) = &self.operator.leadership
            && let Leadership::Lost { why } = &*leadership.borrow()
        {
            anyhow::bail!("{why}");
        }
        let Some(election) = &mut self.election else { return Ok(()) };
        let until = Instant::now() + ACT_WITHIN;
        match election.attempt().await {
            Ok(Attempt::Leads) => {
                let (standing, leadership) = watch::channel(Leadership::Leading { until });
                self.operator.leadership = Some(leadership);
                self.renewing = self.election.take().map(|election| renew(election, standing));
                Ok(())
            }
            Ok(Attempt::Held(by)) => {
                anyhow::bail!("{election} is held by {}, which is at work", escaped(&by))
            }
            // Without that namespace there is no operator that could hold one.
            Err(failure) if failure.code == "NotFound" => Ok(()),
            Err(failure) => {
                anyhow::bail!("{election} cannot be had: {}", escaped(&failure.to_string()))
            }
        }
    }

    async fn look(&mut self) -> anyhow::Result<Snapshot> {
        let seen = self.operator.look().await;
        complete(&seen)?;
        Ok(seen)
    }

    /// A look, and where it leads.
    async fn forecast(&mut self) -> anyhow::Result<(Snapshot, Report)> {
        let seen = self.look().await?;
        let report = Report::of(&seen, None).map_err(anyhow::Error::msg)?;
        Ok((seen, report))
    }
}

fn renew(
    mut election: Election,
    standing: watch::Sender<Leadership>,
) -> (JoinHandle<Election>, CancellationToken) {
    let resign = CancellationToken::new();
    let until = resign.clone();
    let renewing = async move {
        keep_trying(&mut election, &standing, until).await;
        election
    };
    (tokio::spawn(renewing), resign)
}

/// Whether all was done that was tried, and a line for each.
fn outcome(acted: &Acted) -> (bool, String) {
    let told: Vec<(bool, String)> = acted.performed.iter().map(told).collect();
    let all = acted.faults.is_empty() && told.iter().all(|(done, _)| *done);
    let mut lines: Vec<String> = told.into_iter().map(|(_, line)| line).collect();
    let contradicts = "dropped, for the plan contradicts itself";
    lines.extend(acted.faults.iter().map(|fault| format!("{contradicts}: {}", escaped(fault))));
    (all, lines.iter().map(|line| format!("{line}\n")).collect())
}

/// A line for each step that was agreed to and is still to be done.
fn left(seen: &Snapshot, agreed: Option<&Agreed>) -> String {
    let steps = forecast_plan(&forecast(seen).rounds).steps.into_iter();
    let left = steps.filter(|step| agreed.is_none_or(|it| it.has(&step_identity(step))));
    left.map(|step| format!("left: {}\n", step_line(&step))).collect()
}

fn same_cluster(reviewed: &Cluster, here: &Cluster) -> anyhow::Result<()> {
    ensure!(
        reviewed == here,
        "the plan is of cluster {} with uid {}; accepted: a plan of this one, {} with uid {}",
        escaped(&reviewed.name),
        escaped(&reviewed.uid),
        here.name,
        here.uid
    );
    Ok(())
}

/// Nothing is planned that a person has not seen, or an error says what. What is no longer planned
/// has been done meanwhile, or need not be.
fn agreed(seen: &Report, now: &Report, since: &str) -> anyhow::Result<()> {
    let news = seen.news(now);
    let news = news.join("\n  ");
    ensure!(news.is_empty(), "new since the plan was {since}, and {UNCHANGED}:\n  {news}");
    Ok(())
}

fn is_confirmed() -> anyhow::Result<bool> {
    print("Carry out this plan? Only \"yes\" is accepted: ")?;
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

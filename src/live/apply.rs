//! `eip-operator apply`: one cycle, of the plan that a person has seen.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::command::ApplyArgs;
use super::config::{Config, Raw};
use super::lease::{ACT_WITHIN, Attempt, Election, Leadership};
use super::oneshot::{Sources, complete, plan_text, print, read};
use super::operator::Operator;
use super::perform::told;
use super::serve::{election, operator};
use super::wake::Mailbox;
use crate::plan::forecast::forecast;
use crate::plan::report::Report;
use crate::plan::snapshot::{Cluster, Snapshot};
use crate::plan::text::{escaped, forecast_plan, step_line};

/// Exit code when not all of the plan was carried out.
const NOT_ALL: u8 = 3;

/// One cycle.
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
    let sources = Sources::of(config).await?;
    // Whoever asks for no Lease gets none; otherwise this is a turn like an operator's.
    let mut election =
        (config.leader_elect != Some(false)).then(|| election(config, sources.client.clone()));
    if let Some(reviewed) = &reviewed {
        same_cluster(&reviewed.cluster, &sources.cluster)?;
    }
    let gap = config.rhythm.expected_gap();
    let Sources { cluster, ec2, kubernetes, quota, .. } = sources;
    let quota = Arc::new(watch::Sender::new(quota));
    let (ec2, cancel) = (Arc::new(ec2), CancellationToken::new());
    let mut operator = operator(config, cluster, ec2, kubernetes, quota, cancel);
    if args.yes {
        operator.leadership = take(&mut election).await?;
    }
    let done = one_cycle(args, &mut operator, &mut election, reviewed.as_ref(), gap, config).await;
    if let Some(mut election) = election
        && let Err(failure) = election.release().await
    {
        eprintln!("the lease is not given back, and runs out: {failure}");
    }
    done
}

/// Takes the Lease for this cycle; an error names who holds it.
async fn take(
    election: &mut Option<Election>,
) -> anyhow::Result<Option<watch::Receiver<Leadership>>> {
    let Some(election) = election else { return Ok(None) };
    let until = Instant::now() + ACT_WITHIN;
    match election.attempt().await {
        Ok(Attempt::Leads) => Ok(Some(watch::channel(Leadership::Leading { until }).1)),
        Ok(Attempt::Held(by)) => anyhow::bail!(
            "{election} is held by {}: an operator is at work; nothing was changed",
            escaped(&by)
        ),
        // Without that namespace there is no operator that could hold one.
        Err(failure) if failure.code == "NotFound" => Ok(None),
        Err(failure) => anyhow::bail!("{election} cannot be had: {failure}; nothing was changed"),
    }
}

async fn one_cycle(
    args: &ApplyArgs,
    operator: &mut Operator,
    election: &mut Option<Election>,
    reviewed: Option<&Report>,
    gap: Duration,
    config: &Config,
) -> anyhow::Result<ExitCode> {
    let (mut seen, now) = look(operator).await?;
    if let Some(reviewed) = reviewed {
        unchanged(reviewed, &now, "it was written")?;
    }
    let headline = now.headline();
    if !now.changes() {
        print(&format!("{}{headline}\n", plan_text(&now, args.color)))?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&format!("{}{headline}\n", plan_text(&now, args.color)))?;
    if !args.yes {
        ensure!(is_confirmed()?, "not confirmed; nothing was changed");
        operator.leadership = take(election).await?;
        // Nobody knows how long that took, and a plan rests on a look of just now.
        let (again, then) = look(operator).await?;
        unchanged(&now, &then, "it was shown")?;
        seen = again;
    }
    let mailbox = Mailbox::new(config.min_event_interval, gap);
    let acted = operator.act(&mut seen, &mailbox).await;
    let mut all = acted.faults.is_empty();
    for performed in &acted.performed {
        let (done, line) = told(performed);
        all &= done;
        print(&format!("{line}\n"))?;
    }
    for fault in &acted.faults {
        print(&format!("dropped: the plan contradicts itself: {}\n", escaped(fault)))?;
    }
    if acted.left {
        for step in &forecast_plan(&forecast(&seen).rounds).steps {
            all = false;
            print(&format!("left: {}\n", step_line(step)))?;
        }
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(NOT_ALL) })
}

async fn look(operator: &mut Operator) -> anyhow::Result<(Snapshot, Report)> {
    let seen = operator.look().await;
    complete(&seen)?;
    let report = Report::of(&seen, None).map_err(anyhow::Error::msg)?;
    Ok((seen, report))
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

/// What is planned is what a person has seen, or an error says what differs.
fn unchanged(then: &Report, now: &Report, since: &str) -> anyhow::Result<()> {
    let differences = then.differences(now);
    ensure!(
        differences.is_empty(),
        "the plan is another since {since}; nothing was changed (- no longer planned, + new):\n  \
         {}",
        differences.join("\n  ")
    );
    Ok(())
}

fn is_confirmed() -> anyhow::Result<bool> {
    print("Carry out this plan? Only \"yes\" is accepted: ")?;
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

//! `eip-operator apply`: one cycle, of the plan that a person has seen.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, ensure};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::command::ApplyArgs;
use super::config::{Config, Raw};
use super::oneshot::{Sources, complete, plan_text, print, read};
use super::operator::Operator;
use super::perform::told;
use super::serve::operator;
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
    if let Some(reviewed) = &reviewed {
        same_cluster(&reviewed.cluster, &sources.cluster)?;
    }
    let (gap, Sources { cluster, ec2, kubernetes, quota }) =
        (config.rhythm.expected_gap(), sources);
    let quota = Arc::new(watch::Sender::new(quota));
    let (ec2, cancel) = (Arc::new(ec2), CancellationToken::new());
    let mut operator = operator(config, cluster, ec2, kubernetes, quota, cancel);
    let (mut seen, now) = look(&mut operator).await?;
    if let Some(reviewed) = &reviewed {
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
        // Nobody knows how long that took, and a plan rests on a look of just now.
        let (again, then) = look(&mut operator).await?;
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

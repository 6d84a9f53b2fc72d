//! The command line of the operator.

use std::process::ExitCode;

use eip_operator::live::command::Command;
use eip_operator::live::config::{self, Cli, Config};
use eip_operator::live::metrics::Metrics;
use eip_operator::live::{apply, crd, doctor, oneshot, pages, serve, telemetry};
use eip_operator::plan::text::escaped;

fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing is left to say when even stderr is closed.
            let _ = error.print();
            return ExitCode::from(config::exit_code(&error));
        }
    };
    match act(&cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", printable(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn act(cli: &Cli) -> anyhow::Result<ExitCode> {
    match cli.chosen() {
        Command::Crd => oneshot::print(&crd::crd_yaml()?)?,
        Command::Run => run(&Config::check(&cli.settings)?)?,
        Command::Plan(args) => return oneshot::plan(&args, &cli.settings),
        Command::Apply(args) => return apply::apply(&args, &cli.settings),
        Command::Explain(args) => return oneshot::explain(&args, &cli.settings),
        Command::Snapshot(args) => return oneshot::snapshot(&args, &cli.settings),
        Command::Doctor(args) => return doctor::doctor(&args, &cli.settings),
        Command::Completions(args) => oneshot::print(&pages::completions(args.shell))?,
        Command::Man(args) => oneshot::print(&pages::manual(args.command.as_deref())?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A message of several lines without what could colour or overwrite others. Where a line of it is
/// somebody else's text, that was escaped where it was taken in.
fn printable(text: &str) -> String {
    text.split('\n').map(escaped).collect::<Vec<_>>().join("\n")
}

#[tokio::main]
async fn run(config: &Config) -> anyhow::Result<()> {
    let telemetry = telemetry::init(config).await?;
    let result = serve::run(config, Metrics::new(&telemetry.meter())).await;
    telemetry.shutdown().await;
    result
}

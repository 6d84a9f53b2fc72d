//! What is made of the command line itself: completions for shells, and manual pages.

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::config::Cli;

/// A script that completes commands and flags.
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The manual page of the operator, or of one of its commands; of none other.
pub fn manual(of: Option<&str>) -> anyhow::Result<String> {
    let mut all = Cli::command();
    all.build();
    let page = match of {
        None => all,
        Some(name) => {
            let names: Vec<&str> = all.get_subcommands().map(Command::get_name).collect();
            let accepted = names.join(", ");
            let wrong = || anyhow::anyhow!("the command is \"{name}\"; accepted: {accepted}");
            all.find_subcommand(name).cloned().ok_or_else(wrong)?
        }
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

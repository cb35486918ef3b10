//! The command line: what can be asked, and who does it.

mod admin;
mod amount;
mod backup;
mod budget;
mod check;
pub(crate) mod client;
mod duration;
mod key;
mod ledger;
mod limit;
mod model;
pub(crate) mod output;
mod provider;
mod requests;
mod scope;
mod usage;
mod webhook;

use clap::{Args, Parser, Subcommand};

use client::Target;

const AFTER_HELP: &str = "\
Start:  tollgate serve --demo       simulated providers, a ready-made key and a request to paste
        tollgate serve --detect     use OPENAI_API_KEY, ANTHROPIC_API_KEY, a local Ollama or vLLM

Commands that ask a running Tollgate find it by TOLLGATE_URL and TOLLGATE_ADMIN_TOKEN.
Exit codes: 0 success, 1 failure, 2 wrong usage.";

/// One API in front of every model: who called what, and what it cost
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API, the admin API and metrics
    Serve(Box<crate::serve::Options>),
    /// Check the configuration; every mistake is told with its place
    Check(check::Options),
    /// Make, list, revoke and rotate keys
    Key(Asking<key::Command>),
    /// Add, list and test providers
    Provider(Asking<provider::Command>),
    /// Add and list models
    Model(Asking<model::Command>),
    /// Make, list, raise and delete budgets, and see what is left of them
    Budget(Asking<budget::Command>),
    /// Make, list and delete limits of requests, tokens and concurrency
    Limit(Asking<limit::Command>),
    /// Check the balances of budgets, and give up what a lost process held
    Ledger(Asking<ledger::Command>),
    /// Make, list, test and delete the addresses that alerts are sent to
    Webhook(Asking<webhook::Command>),
    /// List alerts, newest first
    Alerts(WithTarget<webhook::Alerts>),
    /// Sum up usage and cost
    Usage(WithTarget<usage::Options>),
    /// List requests, newest first, or show one in full
    Requests(WithTarget<requests::Options>),
    /// Measure Tollgate on this machine against calling the provider directly
    Bench(crate::bench::Options),
    /// Copy the store to a file, also while it is in use
    Backup(backup::Backup),
    /// Make a data directory from a backup
    Restore(backup::Restore),
    /// Work on the store itself
    Store {
        #[command(subcommand)]
        command: backup::StoreCommand,
    },
    /// Admin credentials
    Admin {
        #[command(subcommand)]
        command: admin::Command,
    },
    /// Print the OpenAPI description of the admin API
    Openapi,
    /// Print the version
    Version,
}

/// A command of a group that asks a running Tollgate.
#[derive(Debug, Args)]
struct Asking<C: Subcommand> {
    #[command(subcommand)]
    command: C,
    #[command(flatten)]
    target: Target,
}

/// A single command that asks a running Tollgate.
#[derive(Debug, Args)]
struct WithTarget<O: Args> {
    #[command(flatten)]
    options: O,
    #[command(flatten)]
    target: Target,
}

/// Does what was asked.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Serve(options) => crate::serve::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Key(asking) => block_on(key::run(asking.command, &asking.target)),
        Command::Provider(asking) => block_on(provider::run(asking.command, &asking.target)),
        Command::Model(asking) => block_on(model::run(asking.command, &asking.target)),
        Command::Budget(asking) => block_on(budget::run(asking.command, &asking.target)),
        Command::Limit(asking) => block_on(limit::run(asking.command, &asking.target)),
        Command::Ledger(asking) => block_on(ledger::run(asking.command, &asking.target)),
        Command::Webhook(asking) => block_on(webhook::run(asking.command, &asking.target)),
        Command::Alerts(asking) => block_on(webhook::alerts(asking.options, &asking.target)),
        Command::Usage(asking) => block_on(usage::run(asking.options, &asking.target)),
        Command::Requests(asking) => block_on(requests::run(asking.options, &asking.target)),
        Command::Bench(options) => crate::bench::run(&options),
        Command::Backup(options) => block_on(backup::backup(options)),
        Command::Restore(options) => backup::restore(&options),
        Command::Store { command } => block_on(backup::run(command)),
        Command::Admin { command } => block_on(admin::run(command)),
        Command::Openapi => output::json(&tollgate_control::openapi::document(env!("CARGO_PKG_VERSION"))),
        Command::Version => output::line(format!("tollgate {}", env!("CARGO_PKG_VERSION"))),
    }
}

/// Commands do one thing at a time: the current thread is enough.
fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}

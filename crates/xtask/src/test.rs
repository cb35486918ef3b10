//! `cargo xtask test`: everything the tests need, then the tests.

mod sdk;

use clap::{Args, ValueEnum};

use crate::debian;
use crate::postgres;
use crate::process;
use crate::workspace::Workspace;

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// Which tests to run
    #[arg(long, value_enum, default_value_t = Suite::All)]
    suite: Suite,
    /// Arguments for the runner of the Rust tests, for example `-p tollgate-store` or a part of a test's name
    #[arg(last = true)]
    runner_arguments: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// The tests of the workspace, with SQLite and PostgreSQL
    Rust,
    /// Unmodified provider SDKs in Python and Node against the built binary
    Sdk,
    All,
}

/// Runs the suites one after the other; a later one runs even if an earlier one failed.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    let postgres = postgres::Server::start()?;
    ensure_redis()?;
    let postgres_url = postgres.url();
    let mut failures = Vec::new();
    if matches!(options.suite, Suite::Rust | Suite::All) {
        failures.extend(run_rust(workspace, &options.runner_arguments, &postgres_url).err());
    }
    if matches!(options.suite, Suite::Sdk | Suite::All) {
        failures.extend(sdk::run(workspace, &postgres_url).err());
    }
    match failures.len() {
        0 => Ok(()),
        1 => Err(failures.remove(0)),
        _ => {
            let reasons: Vec<String> = failures.iter().map(|failure| format!("- {failure:#}")).collect();
            anyhow::bail!("more than one suite failed:\n{}", reasons.join("\n"))
        }
    }
}

/// The tests of shared limits start servers of their own.
fn ensure_redis() -> anyhow::Result<()> {
    if ["redis-server", "valkey-server"].iter().any(|program| process::find(program).is_some()) {
        return Ok(());
    }
    debian::install(&["redis-server"], "the tests of limits that several processes share")
}

fn run_rust(workspace: &Workspace, arguments: &[String], postgres_url: &str) -> anyhow::Result<()> {
    let mut command = workspace.cargo();
    // nextest runs no documentation tests: examples in documentation are written as integration tests.
    let runner: &[&str] =
        if process::find("cargo-nextest").is_some() { &["nextest", "run"] } else { &["test"] };
    command.args(runner).arg("--no-fail-fast");
    if !arguments.iter().any(|argument| argument == "-p" || argument == "--package") {
        command.arg("--workspace");
    }
    process::run(command.args(arguments).env(POSTGRES_URL_VARIABLE, postgres_url))
}

/// Where tests find a PostgreSQL server on which they may create databases.
const POSTGRES_URL_VARIABLE: &str = "TOLLGATE_TEST_POSTGRES_URL";

//! The project's own commands: run, test, check, tidy, openapi, bench. `cargo xtask --help` lists them.
//!
//! Everything that a fresh Debian machine with Rust and Node needs for development is installed and
//! started from here, so that no page has to list it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its terminal")]

mod bench;
mod check;
mod debian;
mod openapi;
mod postgres;
mod process;
mod serve;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use workspace::Workspace;

/// Tollgate's development commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build Tollgate and start it with simulated providers; further arguments go to `tollgate serve --demo`
    Run {
        /// Arguments for `tollgate serve --demo`, for example `--listen 127.0.0.1:9000`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        serve_arguments: Vec<String>,
    },
    /// Install what the tests need, start what they talk to, and run them
    Test(test::Options),
    /// Formatting, lints, the rules of the house, dependencies and documentation
    Check(check::Options),
    /// Only the rules of the house: sizes, names, and which crate may know which
    Tidy,
    /// Write docs/openapi.json from the binary's own description
    Openapi {
        /// Compare with the committed file instead of writing it
        #[arg(long)]
        check: bool,
    },
    /// Measure a release build against nginx as a bare reverse proxy
    Bench {
        /// Further arguments for `tollgate bench`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        bench_arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let workspace = Workspace::locate()?;
    match command {
        Command::Run { serve_arguments } => serve::run(&workspace, &serve_arguments),
        Command::Test(options) => test::run(&workspace, &options),
        Command::Check(options) => check::run(&workspace, &options),
        Command::Tidy => tidy::run(&workspace),
        Command::Openapi { check } => openapi::run(&workspace, check),
        Command::Bench { bench_arguments } => bench::run(&workspace, &bench_arguments),
    }
}

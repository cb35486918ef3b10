//! Tollgate: an AI model gateway in one program.

mod bench;
mod cli;
mod serve;

use std::process::ExitCode;

use clap::Parser;

/// Gives memory back to the system when a burst is over. Without huge pages (a feature of the dependency): they made
/// an idle process three times as large.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::run(cli::Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::output::note(format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

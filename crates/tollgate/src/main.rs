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
            cli::output::note(format!("error: {}", in_full(&error)));
            ExitCode::FAILURE
        }
    }
}

/// The error with its causes, without those that it already names.
fn in_full(error: &anyhow::Error) -> String {
    error.chain().skip(1).map(ToString::to_string).fold(error.to_string(), |text, cause| {
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    #[test]
    fn each_cause_is_told_once() {
        let error = anyhow!("no route").context("cannot connect: no route").context("opening the store");
        assert_eq!(super::in_full(&error), "opening the store: cannot connect: no route");
    }
}

//! `cargo xtask check`: what a change must pass before its tests are run.

use std::process::Command;
use std::time::Instant;

use anyhow::bail;
use clap::Args;

use crate::workspace::Workspace;
use crate::{openapi, process, tidy};

/// Pinned, because the newest may need a newer compiler; building it takes about two minutes, once.
const CARGO_DENY: &str = "cargo-deny@0.20.2";

/// What to check.
#[derive(Args)]
pub(crate) struct Options {
    /// Leave out the documentation and the OpenAPI document, which take the longest
    #[arg(long)]
    fast: bool,
}

/// Runs every step, even after one has failed, and ends with a table of all of them.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    steps.step("format", || process::run(workspace.cargo().args(["fmt", "--all", "--check"])));
    steps.step("tidy", || tidy::run(workspace));
    steps.step("lints", || process::run(&mut clippy(workspace)));
    steps.step("dependencies", || check_dependencies(workspace));
    if !options.fast {
        steps.step("documentation", || process::run(&mut documentation(workspace)));
        if workspace.path(openapi::DOCUMENT).is_file() {
            steps.step("openapi", || openapi::run(workspace, true));
        }
    }
    steps.finish()
}

fn clippy(workspace: &Workspace) -> Command {
    let mut command = workspace.cargo();
    command.args(["clippy", "--workspace", "--all-targets", "--keep-going", "--", "-D", "warnings"]);
    command
}

/// Licences, banned crates, sources and duplicates, as deny.toml has them.
///
/// Advisories are left out: their database comes from no registry, and a check must not depend on that download.
fn check_dependencies(workspace: &Workspace) -> anyhow::Result<()> {
    if process::find("cargo-deny").is_none() {
        process::run(workspace.cargo().args(["install", "--locked", "--quiet", CARGO_DENY]))?;
    }
    let mut command = workspace.cargo();
    process::run(command.args(["deny", "check", "licenses", "bans", "sources"]))
}

fn documentation(workspace: &Workspace) -> Command {
    let mut command = workspace.cargo();
    command.args(["doc", "--workspace", "--no-deps", "--document-private-items", "--keep-going"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    command
}

/// The steps taken so far.
#[derive(Default)]
struct Steps {
    lines: Vec<String>,
    failed: Vec<&'static str>,
}

impl Steps {
    fn step(&mut self, name: &'static str, action: impl FnOnce() -> anyhow::Result<()>) {
        let started = Instant::now();
        let outcome = action();
        let seconds = started.elapsed().as_secs();
        let verdict = match outcome {
            Ok(()) => "ok",
            Err(error) => {
                eprintln!("{error:#}");
                self.failed.push(name);
                "FAILED"
            }
        };
        self.lines.push(format!("{name:<14} {verdict:<7} {seconds:>5} s"));
    }

    fn finish(self) -> anyhow::Result<()> {
        println!("\n{}", self.lines.join("\n"));
        if !self.failed.is_empty() {
            bail!("failed: {}", self.failed.join(", "));
        }
        Ok(())
    }
}

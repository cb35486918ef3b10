//! `cargo xtask run`: the first of the two commands.

use crate::process;
use crate::workspace::Workspace;

/// Builds Tollgate, with its console, and starts it with simulated providers.
pub(crate) fn run(workspace: &Workspace, serve_arguments: &[String]) -> anyhow::Result<()> {
    build_console(workspace)?;
    let mut command = workspace.cargo();
    command.args(["run", "--package", "tollgate", "--bin", "tollgate", "--", "serve", "--demo"]);
    process::run(command.args(serve_arguments))
}

/// Builds the web application, if this checkout has one.
fn build_console(workspace: &Workspace) -> anyhow::Result<()> {
    let console = workspace.path("console");
    if !console.join("package.json").is_file() {
        return Ok(());
    }
    for arguments in [["ci", "--no-audit"], ["run", "build"]] {
        process::run(workspace.command("npm").args(arguments).current_dir(&console))?;
    }
    Ok(())
}

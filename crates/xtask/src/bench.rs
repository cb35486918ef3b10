//! `cargo xtask bench`: `tollgate bench` on a release build, with nginx in the same run as the yardstick.

mod nginx;
mod table;

use anyhow::Context;

use crate::process;
use crate::workspace::Workspace;
use nginx::Nginx;

/// Builds, starts nginx in front of the benchmark's mock provider, measures, and prints a table.
pub(crate) fn run(workspace: &Workspace, bench_arguments: &[String]) -> anyhow::Result<()> {
    process::run(workspace.cargo().args([
        "build",
        "--release",
        "--package",
        "tollgate",
        "--bin",
        "tollgate",
    ]))?;
    let target_directory = workspace.metadata()?.target_directory;
    let nginx = Nginx::start(workspace, &target_directory.join("bench-nginx"))?;
    let mut bench = workspace.command(target_directory.join("release/tollgate"));
    bench.args(["bench", "--json", "--mock-listen", nginx::MOCK_ADDRESS]);
    bench.arg("--compare").arg(format!("nginx=http://{}", nginx::LISTEN_ADDRESS));
    bench.arg("--compare-pid").arg(nginx.process_id().to_string()).args(bench_arguments);
    let printed = process::capture(&mut bench)?;
    let report = target_directory.join("bench.json");
    std::fs::write(&report, &printed).with_context(|| format!("could not write {}", report.display()))?;
    print!("{}", table::render(&printed)?);
    println!("\nall figures: {}", report.display());
    Ok(())
}

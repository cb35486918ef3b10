//! `cargo xtask openapi`: the description of the admin API, as committed.

use anyhow::{Context, bail};

use crate::process;
use crate::workspace::Workspace;

/// The committed description, relative to the root.
pub(crate) const DOCUMENT: &str = "docs/openapi.json";

/// Writes the binary's description of its admin API to `docs/openapi.json`, or compares it with that file.
pub(crate) fn run(workspace: &Workspace, only_check: bool) -> anyhow::Result<()> {
    let mut command = workspace.cargo();
    command.args(["run", "--quiet", "--package", "tollgate", "--bin", "tollgate", "--", "openapi"]);
    let printed = process::capture(&mut command)?;
    let current = format!("{}\n", printed.trim_end());
    serde_json::from_str::<serde_json::Value>(&current).context("`tollgate openapi` printed no JSON")?;
    let path = workspace.path(DOCUMENT);
    if !only_check {
        return std::fs::write(&path, current).with_context(|| format!("could not write {DOCUMENT}"));
    }
    let committed = std::fs::read_to_string(&path).with_context(|| format!("could not read {DOCUMENT}"))?;
    if committed != current {
        bail!("{DOCUMENT} is not what the binary says: run `cargo xtask openapi` and commit the result");
    }
    Ok(())
}

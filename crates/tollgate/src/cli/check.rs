//! `tollgate check`: is the configuration right?

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::output;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The configuration to check
    #[arg(env = "TOLLGATE_CONFIG", value_name = "FILE", default_value = "tollgate.yaml")]
    config: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let problems = crate::serve::settings::read(&options.config).err().unwrap_or_default();
    if options.json {
        output::json(&json!({"ok": problems.is_empty(), "problems": problems}))?;
    } else {
        problems.iter().try_for_each(output::line)?;
    }
    match problems.len() {
        0 if options.json => Ok(()),
        0 => output::line(format!("{} is in order", options.config.display())),
        1 => bail!("there is one mistake"),
        count => bail!("there are {count} mistakes"),
    }
}

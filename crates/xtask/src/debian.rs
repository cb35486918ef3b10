//! Installing Debian packages that a command needs.

use std::os::unix::fs::MetadataExt;
use std::process::Command;

use anyhow::{Context, bail};

use crate::process;

/// Installs packages with apt-get, or says how to when this user may not.
///
/// `reason` completes "… is needed for": it tells the reader why something is installed.
pub(crate) fn install(packages: &[&str], reason: &str) -> anyhow::Result<()> {
    let list = packages.join(" ");
    let by_hand = format!("sudo apt-get update && sudo apt-get install --yes {list}");
    if process::find("apt-get").is_none() {
        bail!("{list} is needed for {reason}, and this machine has no apt-get: install it and try again");
    }
    if !is_root()? {
        bail!("{list} is needed for {reason}; install it and try again:\n\n    {by_hand}\n");
    }
    eprintln!("Installing {list} for {reason}");
    let mut update = Command::new("apt-get");
    process::run(update.args(["update", "--quiet=2"]))?;
    let mut install = Command::new("apt-get");
    install.args(["install", "--yes", "--quiet=2", "--no-install-recommends"]).args(packages);
    process::run(install.env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> anyhow::Result<bool> {
    let own = std::fs::metadata("/proc/self").context("could not read /proc/self")?;
    Ok(own.uid() == 0)
}

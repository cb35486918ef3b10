//! nginx as a bare reverse proxy, for the time of one measurement.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::workspace::Workspace;
use crate::{debian, process};

/// Where nginx listens, as its committed configuration says.
pub(super) const LISTEN_ADDRESS: &str = "127.0.0.1:18080";
/// Where the benchmark's mock provider has to listen for nginx to find it.
pub(super) const MOCK_ADDRESS: &str = "127.0.0.1:18081";

const CONFIGURATION: &str = "deploy/bench/nginx.conf";
const START_LIMIT: Duration = Duration::from_secs(10);

/// A running nginx of one process; dropping it ends it.
pub(super) struct Nginx {
    process: Child,
}

impl Nginx {
    /// Starts nginx with its temporary files in `directory`, installing it first if this machine has none.
    pub(super) fn start(workspace: &Workspace, directory: &Path) -> anyhow::Result<Self> {
        let program = program()?;
        if TcpStream::connect(LISTEN_ADDRESS).is_ok() {
            bail!("something listens on {LISTEN_ADDRESS} already: stop it, the benchmark needs that address");
        }
        std::fs::create_dir_all(directory)
            .with_context(|| format!("could not create {}", directory.display()))?;
        let mut command = workspace.command(&program);
        command.arg("-p").arg(directory).arg("-c").arg(workspace.path(CONFIGURATION)).args(["-e", "stderr"]);
        let process =
            command.spawn().with_context(|| format!("could not start `{}`", process::describe(&command)))?;
        let mut nginx = Self { process };
        nginx.wait_until_listening()?;
        Ok(nginx)
    }

    /// The one process whose CPU time is nginx's.
    pub(super) fn process_id(&self) -> u32 {
        self.process.id()
    }

    fn wait_until_listening(&mut self) -> anyhow::Result<()> {
        let started = Instant::now();
        while TcpStream::connect(LISTEN_ADDRESS).is_err() {
            if let Some(status) = self.process.try_wait()? {
                bail!("nginx ended with {status}; what it said is above");
            }
            if started.elapsed() > START_LIMIT {
                bail!("nginx does not listen on {LISTEN_ADDRESS} after {START_LIMIT:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let outcome = self.process.kill().and_then(|()| self.process.wait());
        if let Err(error) = outcome {
            eprintln!("could not end nginx: {error}");
        }
    }
}

/// Debian keeps nginx where only root's search path goes.
fn program() -> anyhow::Result<PathBuf> {
    let find = || {
        process::find("nginx")
            .or_else(|| Some("/usr/sbin/nginx".into()).filter(|path: &PathBuf| path.is_file()))
    };
    if let Some(found) = find() {
        return Ok(found);
    }
    debian::install(&["nginx"], "the benchmark's yardstick")?;
    find().context("the package nginx is installed, but no `nginx` was found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_configuration_has_the_same_addresses() {
        let configuration = include_str!("../../../../deploy/bench/nginx.conf");
        assert!(configuration.contains(&format!("listen {LISTEN_ADDRESS} ")));
        assert!(configuration.contains(&format!("server {MOCK_ADDRESS};")));
    }
}

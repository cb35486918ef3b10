//! A throw-away PostgreSQL server for one test run.
//!
//! A small shell script owns the server and waits for the end of its standard input. That pipe closes when
//! the run ends in whatever way (done, failed, interrupted, killed), so the script always gets to stop the
//! server and to remove its directory.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};

use crate::{debian, process};

const GUARD_SCRIPT: &str = include_str!("postgres/guard.sh");

/// A running server; dropping it stops the server and removes its data.
pub(crate) struct Server {
    guard: Child,
    port: u16,
}

impl Server {
    /// Starts a server on a free loopback port, installing PostgreSQL first if this machine has none.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let binaries = binaries()?;
        let owner = owner()?;
        let directory = create_directory(owner)?;
        let port = process::free_port()?;
        let mut command = Command::new("sh");
        command.args(["-c", GUARD_SCRIPT, "postgres-guard"]);
        command.arg(&binaries).arg(&directory).arg(port.to_string());
        // An own process group: ctrl-c reaches the tests at once, and the server after them through the pipe.
        command.current_dir(&directory).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(owner) = owner {
            command.gid(owner.group_id).uid(owner.user_id);
        }
        let guard = command.spawn().context("could not start `sh` for PostgreSQL")?;
        let mut server = Self { guard, port };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// The address of the server's maintenance database, for a user who may create databases.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let stdout = self.guard.stdout.take().context("the PostgreSQL guard has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("could not read from the PostgreSQL guard")?;
        if line.trim() != "ready" {
            bail!("PostgreSQL did not start; its log is above");
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        if let Err(error) = self.guard.wait() {
            eprintln!("could not wait for PostgreSQL to stop: {error}");
        }
    }
}

/// The directory with `initdb` and `pg_ctl`.
fn binaries() -> anyhow::Result<PathBuf> {
    if let Some(found) = find_binaries() {
        return Ok(found);
    }
    debian::install(&["postgresql"], "the tests of the PostgreSQL store")?;
    find_binaries().context("the package postgresql is installed, but no `initdb` was found")
}

/// Debian keeps the server's programs off the search path, one directory per major version.
fn find_binaries() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, directory)| directory.join("initdb").is_file())
        .collect();
    versions.sort();
    let newest = versions.pop().map(|(_, directory)| directory);
    newest.or_else(|| process::find("initdb")?.parent().map(Path::to_path_buf))
}

/// A user that is not root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    user_id: u32,
    group_id: u32,
}

/// PostgreSQL refuses to run as root, so root lends the server to another user.
fn owner() -> anyhow::Result<Option<Owner>> {
    if !debian::is_root()? {
        return Ok(None);
    }
    let accounts = std::fs::read_to_string("/etc/passwd").context("could not read /etc/passwd")?;
    let found = ["postgres", "nobody"].iter().find_map(|name| find_owner(&accounts, name));
    found.map(Some).context("running as root, and neither user `postgres` nor `nobody` exists for PostgreSQL")
}

fn find_owner(accounts: &str, name: &str) -> Option<Owner> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        let user_id = fields.nth(1)?.parse().ok()?;
        let group_id = fields.next()?.parse().ok()?;
        Some(Owner { user_id, group_id })
    })
}

fn create_directory(owner: Option<Owner>) -> anyhow::Result<PathBuf> {
    let directory = std::env::temp_dir().join(format!("tollgate-postgres-{}", std::process::id()));
    std::fs::create_dir(&directory).with_context(|| format!("could not create {}", directory.display()))?;
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700))?;
    if let Some(owner) = owner {
        chown(&directory, Some(owner.user_id), Some(owner.group_id))?;
    }
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_ids_by_exact_name() {
        let accounts =
            "root:x:0:0:root:/root:/bin/sh\npostgres2:x:1:2::/:/bin/sh\npostgres:x:101:104::/:/bin/sh\n";
        assert_eq!(find_owner(accounts, "postgres"), Some(Owner { user_id: 101, group_id: 104 }));
        assert_eq!(find_owner(accounts, "nobody"), None);
    }
}

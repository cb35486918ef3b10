//! The Tollgate that is measured, as a process of its own, and what the system tells about a process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::cli::client::{Admin, Target};

const START_LIMIT: Duration = Duration::from_secs(60);

/// A running `tollgate serve`; dropping it ends it.
pub(super) struct Served {
    child: Child,
    pub(super) address: SocketAddr,
    pub(super) admin: Admin,
    /// From the start of the process until it was ready.
    pub(super) ready: Duration,
}

impl Served {
    /// Starts this same program on a data directory, with one data-plane thread.
    pub(super) fn start(data: &Path) -> anyhow::Result<Self> {
        let bootstrap = data.join("bench-bootstrap.json");
        let program = std::env::current_exe().context("finding this program")?;
        let log = std::fs::File::create(data.join("bench.log")).context("making a log file")?;
        let mut command = Command::new(program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--threads", "1", "--data"]).arg(data);
        command.arg("--bootstrap-file").arg(&bootstrap).env_remove("TOLLGATE_CONFIG");
        command.env_remove("TOLLGATE_DATABASE_URL").env("TOLLGATE_LOG", "warn");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let started = Instant::now();
        let mut child = command.spawn().context("starting Tollgate")?;
        let facts = loop {
            if let Some(facts) =
                std::fs::read(&bootstrap).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok())
            {
                break facts;
            }
            if let Some(status) = child.try_wait()? {
                let log = std::fs::read_to_string(data.join("bench.log")).unwrap_or_default();
                bail!("Tollgate ended with {status}: {log}");
            }
            if started.elapsed() > START_LIMIT {
                let _ = child.kill().and_then(|()| child.wait());
                bail!("Tollgate was not ready after {START_LIMIT:?}");
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let url = facts.get("url").and_then(Value::as_str).context("the bootstrap file has no url")?;
        let address: SocketAddr =
            url.trim_start_matches("http://").parse().context("the bootstrap file's url")?;
        wait_until_ready(address)?;
        let ready = started.elapsed();
        let admin = Target::of_bootstrap_file(bootstrap).connect()?;
        Ok(Self { child, address, admin, ready })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Bytes of the journal that are not in the store.
    pub(super) async fn lag_bytes(&self) -> anyhow::Result<u64> {
        let system = self.admin.get("/api/v1/system", &[]).await?;
        system.pointer("/journal/lag_bytes").and_then(Value::as_u64).context("the system view has no lag")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// Its listener takes connections before its threads run: the answer comes once they do.
fn wait_until_ready(address: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address).context("connecting to Tollgate")?;
    stream.set_read_timeout(Some(START_LIMIT))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("asking whether Tollgate is ready")?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { bail!("Tollgate is not ready: {answer}") }
}

/// CPU time so far of those threads of a process whose name begins so, in nanoseconds.
pub(super) fn cpu_nanos(pid: u32, thread_name: &str) -> u64 {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    let of_task = |task: std::io::Result<std::fs::DirEntry>| -> Option<u64> {
        let path = task.ok()?.path();
        let name = std::fs::read_to_string(path.join("comm")).ok()?;
        if !name.starts_with(thread_name) {
            return None;
        }
        std::fs::read_to_string(path.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
    };
    tasks.filter_map(of_task).sum()
}

/// Resident memory of a process.
pub(super) fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

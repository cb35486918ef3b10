//! The real `tollgate` binary as a child process, for black-box tests.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::client::RawClient;

/// How long a start may take before the test fails.
const START_PATIENCE: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(10);
const LOG_TAIL_BYTES: usize = 8 << 10;

/// How to start it.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Content of `tollgate.yaml`; none starts without a file.
    pub config: Option<String>,
    /// Further arguments behind `serve`, such as `--demo`.
    pub arguments: Vec<String>,
    /// Further environment variables.
    pub environment: Vec<(String, String)>,
    /// The binary; by default it is looked for, see [`find_binary`].
    pub binary: Option<PathBuf>,
}

/// What the first start writes for scripts.
#[derive(Debug, Clone, Deserialize)]
pub struct Bootstrap {
    pub url: String,
    pub admin_url: String,
    pub admin_token: String,
    pub key: Option<String>,
}

/// A running `tollgate serve` on a free loopback port with a data directory of its own. Dropping it kills it.
#[derive(Debug)]
pub struct TollgateProcess {
    pub address: SocketAddr,
    pub bootstrap: Bootstrap,
    settings: Settings,
    directory: TempDir,
    child: Child,
}

impl TollgateProcess {
    /// Starts it and waits until `/readyz` says yes.
    ///
    /// # Errors
    /// When there is no binary, it exits, or it is not ready in time; the end of its log is in the message.
    pub async fn start(settings: Settings) -> Result<Self> {
        let (address, directory, child) = launch(&settings).await?;
        let path = directory.path().join("bootstrap.json");
        let text = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let bootstrap = serde_json::from_slice(&text).context("reading the bootstrap file")?;
        Ok(Self { address, bootstrap, settings, directory, child })
    }

    /// Starts another process on the same store; it has the first one's credentials.
    ///
    /// # Errors
    /// As for [`TollgateProcess::start`].
    pub async fn start_beside(settings: Settings, first: &Self) -> Result<Self> {
        let (address, directory, child) = launch(&settings).await?;
        let url = format!("http://{address}");
        let bootstrap = Bootstrap { url: url.clone(), admin_url: url, ..first.bootstrap.clone() };
        Ok(Self { address, bootstrap, settings, directory, child })
    }

    /// Where the process keeps its data.
    pub fn data_directory(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// A new connection to the data plane.
    ///
    /// # Errors
    /// When it does not listen.
    pub async fn connect(&self) -> Result<RawClient> {
        RawClient::connect(self.address).await.with_context(|| format!("connecting to {}", self.address))
    }

    /// All that it has written to its log.
    pub fn log(&self) -> String {
        read_log(self.directory.path())
    }

    /// `kill -9`, and waits until the process is gone.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("killing tollgate")
    }

    /// Sends a signal by its short name, such as `HUP`.
    ///
    /// # Errors
    /// When the process has gone.
    pub async fn signal(&self, name: &str) -> Result<()> {
        let pid = self.child.id().context("tollgate has already exited")?;
        let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status().await?;
        ensure!(status.success(), "kill -{name} {pid} failed");
        Ok(())
    }

    /// SIGTERM, and waits at most `patience` for the exit.
    ///
    /// # Errors
    /// When it does not exit in time.
    pub async fn terminate(&mut self, patience: Duration) -> Result<ExitStatus> {
        self.signal("TERM").await?;
        self.wait(patience).await
    }

    /// Waits at most `patience` for the exit.
    ///
    /// # Errors
    /// When it does not exit in time.
    pub async fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let waited = tokio::time::timeout(patience, self.child.wait()).await;
        Ok(waited.with_context(|| format!("tollgate still runs after {patience:?}"))??)
    }

    /// Starts again with these variables in the environment instead of the ones before, and does not wait: it may never
    /// be ready.
    ///
    /// # Errors
    /// When it still runs, or cannot be started.
    pub fn spawn_with(&mut self, environment: Vec<(String, String)>) -> Result<()> {
        ensure!(self.child.try_wait()?.is_some(), "tollgate still runs");
        self.settings.environment = environment;
        self.child = spawn(&self.settings, self.directory.path(), self.address)?;
        Ok(())
    }

    /// Whether `/readyz` says yes.
    pub async fn is_ready(&self) -> bool {
        is_ready(self.address).await
    }

    /// What the next start has in its environment.
    pub fn set_environment(&mut self, environment: Vec<(String, String)>) {
        self.settings.environment = environment;
    }

    /// Starts again on the same data directory and address; kills it first if it still runs. Returns the time from
    /// start to ready.
    ///
    /// # Errors
    /// As for [`TollgateProcess::start`].
    pub async fn restart(&mut self) -> Result<Duration> {
        if self.child.try_wait()?.is_none() {
            self.kill().await?;
        }
        let started = Instant::now();
        self.child = spawn(&self.settings, self.directory.path(), self.address)?;
        wait_until_ready(&mut self.child, self.address, self.directory.path()).await?;
        Ok(started.elapsed())
    }
}

/// Starts a process in a directory of its own and waits until it is ready.
async fn launch(settings: &Settings) -> Result<(SocketAddr, TempDir, Child)> {
    let directory = tempfile::tempdir().context("making a data directory")?;
    let address = free_address()?;
    let mut child = spawn(settings, directory.path(), address)?;
    wait_until_ready(&mut child, address, directory.path()).await?;
    Ok((address, directory, child))
}

fn spawn(settings: &Settings, directory: &Path, address: SocketAddr) -> Result<Child> {
    let binary = settings.binary.clone().map_or_else(find_binary, Ok)?;
    let log_path = directory.join("log");
    let log = std::fs::OpenOptions::new().create(true).append(true).open(&log_path)?;
    let mut command = Command::new(&binary);
    command.arg("serve").arg("--listen").arg(address.to_string());
    command.arg("--data").arg(directory.join("data"));
    command.arg("--bootstrap-file").arg(directory.join("bootstrap.json"));
    if let Some(config) = &settings.config {
        let path = directory.join("tollgate.yaml");
        std::fs::write(&path, config)?;
        command.arg("--config").arg(path);
    }
    command.args(&settings.arguments).envs(settings.environment.iter().cloned());
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
    command.spawn().with_context(|| format!("starting {}", binary.display()))
}

async fn wait_until_ready(child: &mut Child, address: SocketAddr, directory: &Path) -> Result<()> {
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            bail!("tollgate exited with {status}:\n{}", tail(&read_log(directory)));
        }
        if is_ready(address).await {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("tollgate was not ready within {START_PATIENCE:?}:\n{}", tail(&read_log(directory)));
        }
        // Another process gets ready: there is nothing here to be woken by.
        tokio::time::sleep(POLL_EVERY).await;
    }
}

async fn is_ready(address: SocketAddr) -> bool {
    let ask = async {
        let mut client = RawClient::connect(address).await.ok()?;
        client.get("/readyz", &[("connection", "close")]).await.ok()
    };
    let answer = tokio::time::timeout(Duration::from_secs(1), ask).await;
    answer.ok().flatten().is_some_and(|response| response.status == 200)
}

fn read_log(directory: &Path) -> String {
    let bytes = std::fs::read(directory.join("log")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn tail(log: &str) -> &str {
    let from = log.len().saturating_sub(LOG_TAIL_BYTES);
    let from = (from..log.len()).find(|&position| log.is_char_boundary(position)).unwrap_or(log.len());
    log.get(from..).unwrap_or_default()
}

/// A port that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("looking for a free port")?;
    Ok(listener.local_addr()?)
}

/// The binary: `TOLLGATE_BIN`, `CARGO_BIN_EXE_tollgate`, or the one beside the running test in its target directory.
///
/// # Errors
/// When there is none; the message says how to build it.
pub fn find_binary() -> Result<PathBuf> {
    for variable in ["TOLLGATE_BIN", "CARGO_BIN_EXE_tollgate"] {
        if let Some(path) = std::env::var_os(variable) {
            return Ok(path.into());
        }
    }
    // A test runs as target/PROFILE/deps/NAME, an example or a program one level higher.
    let test = std::env::current_exe().context("finding the running test")?;
    let beside = test.ancestors().skip(1).take(2).map(|directory| directory.join("tollgate"));
    beside.into_iter().find(|path| path.is_file()).context(
        "there is no tollgate binary: run `cargo build -p tollgate`, or set TOLLGATE_BIN to its path",
    )
}

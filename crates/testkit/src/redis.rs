//! A Redis server of a test's own, on loopback, without persistence.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];
const MISSING: &str = "the tests of shared limits need a Redis server: `cargo xtask test` installs one, or run\n\n    sudo \
                       apt-get update && sudo apt-get install --yes redis-server\n";

/// A running server; dropping it kills it.
#[derive(Debug)]
pub struct RedisServer {
    process: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl RedisServer {
    /// Starts it on a free port and waits until it answers.
    ///
    /// # Errors
    /// When there is no such program, or it does not answer.
    pub async fn start() -> Result<Self> {
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let directory = tempfile::tempdir()?;
        let port = address.port().to_string();
        let spawn = |program: &&str| {
            let mut command = Command::new(program);
            command.args([
                "--bind",
                "127.0.0.1",
                "--port",
                &port,
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
            ]);
            command.arg(directory.path()).stdout(Stdio::null()).spawn().ok()
        };
        let process = PROGRAMS.iter().find_map(spawn).context(MISSING)?;
        let this = Self { process, address, _directory: directory };
        for _ in 0..500 {
            if this.command("PING").await.is_ok_and(|answer| answer.starts_with("+PONG")) {
                return Ok(this);
            }
            // Another process starts: there is nothing here to be woken by.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("the Redis server does not answer at {address}")
    }

    pub fn url(&self) -> String {
        format!("redis://{}/", self.address)
    }

    /// Forgets everything it knows.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn flush(&self) -> Result<()> {
        self.command("FLUSHALL").await.map(drop)
    }

    /// Stops it for good.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn stop(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    async fn command(&self, command: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(format!("{command}\r\n").as_bytes()).await?;
        let mut answer = [0; 64];
        let length = stream.read(&mut answer).await?;
        Ok(String::from_utf8_lossy(answer.get(..length).unwrap_or_default()).into_owned())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have been stopped before.
        let _ = self.stop();
    }
}

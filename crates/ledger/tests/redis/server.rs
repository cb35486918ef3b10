//! A Redis server of a test's own, on loopback, without persistence.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::Client;
use tokio::time::sleep;

const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];

pub(crate) struct Server {
    process: Option<Child>,
    port: u16,
    directory: tempfile::TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut this = Self { process: None, port, directory: tempfile::tempdir().unwrap() };
        this.run().await;
        this
    }

    /// Starts the server again, empty, on the same port.
    pub(crate) async fn run(&mut self) {
        let port = self.port.to_string();
        let started = PROGRAMS.iter().find_map(|program| {
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
            command.arg(self.directory.path()).stdout(Stdio::null()).spawn().ok()
        });
        self.process = Some(started.expect(
            "the tests of limits need a Redis server: `cargo xtask test` installs one, or run\n\n    sudo apt-get update \
             && sudo apt-get install --yes redis-server\n",
        ));
        for _ in 0..500 {
            if self.command(&["PING"]).await.is_ok() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("the Redis server does not answer on port {port}");
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) async fn command(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        let mut connection = Client::open(self.url())?.get_multiplexed_async_connection().await?;
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut connection).await
    }

    /// Stops the process from running, with its sockets open.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    fn signal(&self, name: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

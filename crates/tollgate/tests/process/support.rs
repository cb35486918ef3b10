//! What the tests share: a started Tollgate before a scripted provider, and commands that ask it.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tollgate_testkit::{RawClient, RawResponse, ScriptedProvider, Settings, TollgateProcess};

/// How long something may take that nobody signals.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn binary() -> PathBuf {
    env!("CARGO_BIN_EXE_tollgate").into()
}

pub(crate) fn settings(arguments: &[&str]) -> Settings {
    let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    Settings { arguments, binary: Some(binary()), ..Settings::default() }
}

/// Runs a command to its end, without the environment's Tollgate.
pub(crate) async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(binary());
    for name in ["TOLLGATE_URL", "TOLLGATE_ADMIN_TOKEN", "TOLLGATE_DATA", "TOLLGATE_CONFIG"] {
        command.env_remove(name);
    }
    command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    tokio::time::timeout(PATIENCE, command.output()).await.expect("the command ends").unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap().trim().to_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Commands against one Tollgate.
pub(crate) struct Asking<'a>(pub(crate) &'a TollgateProcess);

impl Asking<'_> {
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let bootstrap = &self.0.bootstrap;
        let environment = [
            ("TOLLGATE_URL", bootstrap.admin_url.as_str()),
            ("TOLLGATE_ADMIN_TOKEN", bootstrap.admin_token.as_str()),
        ];
        run(arguments, &environment).await
    }

    /// What a command that must succeed prints.
    pub(crate) async fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    }

    pub(crate) async fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(arguments).await).unwrap()
    }

    /// The request records, once there are so many.
    pub(crate) async fn requests(&self, count: usize) -> Vec<Value> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let requests = self.json(&["requests", "--json"]).await.as_array().unwrap().clone();
            if requests.len() >= count {
                return requests;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "only {} of {count} requests arrived",
                requests.len()
            );
            // Another process ships them: there is nothing here to be woken by.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// One provider, the model `gpt-5.5` on it, and a key; all made by commands.
    pub(crate) async fn configure(&self, provider: &ScriptedProvider) -> String {
        let key = self.ok(&["key", "create", "first", "--team", "main", "--create-team"]).await;
        let base_url = format!("{}/v1", provider.url());
        self.ok(&[
            "provider",
            "add",
            "openai_compatible",
            "--name",
            "scripted",
            "--base-url",
            &base_url,
            "--internal",
        ])
        .await;
        self.ok(&["model", "add", "gpt-5.5", "--provider", "scripted"]).await;
        key
    }
}

pub(crate) fn chat(stream: bool) -> String {
    serde_json::json!({"model": "gpt-5.5", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]})
        .to_string()
}

pub(crate) async fn call(tollgate: &TollgateProcess, key: &str) -> RawResponse {
    let mut client: RawClient = tollgate.connect().await.unwrap();
    let authorization = format!("Bearer {key}");
    client.post("/v1/chat/completions", &[("authorization", &authorization)], chat(false)).await.unwrap()
}

/// The address that a starting Tollgate prints.
pub(crate) async fn address_on_screen(screen: tokio::process::ChildStdout) -> std::net::SocketAddr {
    let mut lines = BufReader::new(screen).lines();
    let reading = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(url) = line.trim().strip_prefix("API ") {
                return url.trim().rsplit_once("//").unwrap().1.trim_end_matches("/v1").parse().unwrap();
            }
        }
        panic!("Tollgate ended before it said where it listens");
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("the screen is printed")
}

//! The scripted provider as a program, for tests in other languages.
//!
//! Prints one line of JSON, `{"url":…,"address":…,"pid":…}`, and serves until its standard input closes. A line on standard input
//! is a question: `requests` prints what was received until now, as one line of JSON.
#![allow(clippy::print_stdout, reason = "standard output is this program's interface")]

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tollgate_testkit::{RecordedRequest, ScriptedProvider};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let provider = ScriptedProvider::start().await;
    let address = provider.address().to_string();
    println!("{}", json!({"url": provider.url(), "address": address, "pid": std::process::id()}));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        if line.trim() == "requests" {
            let requests: Vec<_> = provider.requests().iter().map(describe).collect();
            println!("{}", json!(requests));
        }
    }
    Ok(())
}

fn describe(request: &RecordedRequest) -> serde_json::Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| [text(name), text(value)]).collect();
    json!({
        "number": request.number,
        "connection": request.connection,
        "method": request.method,
        "target": request.target,
        "headers": headers,
        "body": text(&request.body),
        "answered": request.answered_at.is_some(),
        "peer_closed": request.peer_closed_at.is_some(),
    })
}

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::installation::{Installation, MODEL, quick_provider};
use crate::{MACHINE, PATIENCE};

const MEBIBYTE: u64 = 1 << 20;
const UNKNOWN_CALLERS: usize = 50;
const UNKNOWN_BODY_BYTES: usize = 30 << 20;
const KNOWN_CALLERS: usize = 20;
const PROMPT_BYTES: usize = 10_000_000;

/// A line of `/proc/PID/status`, in bytes.
fn memory_bytes(installation: &Installation, name: &str) -> u64 {
    let path = format!("/proc/{}/status", installation.tollgate.pid().unwrap());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Sends as much of the body as is taken while it reads the answer; the status of that.
async fn send(address: SocketAddr, authorization: Option<String>, body: Arc<[u8]>) -> Option<u16> {
    let (mut reader, mut writer) = TcpStream::connect(address).await.ok()?.into_split();
    let authorization = authorization.map_or_else(String::new, |value| format!("authorization: {value}\r\n"));
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{authorization}\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let sending = tokio::spawn(async move {
        let _ = writer.write_all(head.as_bytes()).await;
        let _ = writer.write_all(&body).await;
        writer
    });
    let mut answer = Vec::new();
    // A connection that is closed before all was sent may be reset behind the answer.
    let _ = reader.read_to_end(&mut answer).await;
    sending.abort();
    String::from_utf8_lossy(&answer).split(' ').nth(1)?.parse().ok()
}

async fn flood(
    installation: &Installation,
    callers: usize,
    authorization: Option<&str>,
    body: &Arc<[u8]>,
) -> Vec<Option<u16>> {
    let mut calls = JoinSet::new();
    for _ in 0..callers {
        let authorization = authorization.map(str::to_owned);
        calls.spawn(send(installation.tollgate.address, authorization, Arc::clone(body)));
    }
    calls.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_bounded_and_is_given_back() {
    let _machine = MACHINE.lock().await;
    let provider = quick_provider();
    let installation = Installation::start(&provider.url()).await;
    let idle = memory_bytes(&installation, "VmRSS:");

    let body: Arc<[u8]> = vec![b' '; UNKNOWN_BODY_BYTES].into();
    let statuses = flood(&installation, UNKNOWN_CALLERS, None, &body).await;
    assert!(statuses.iter().all(|status| *status == Some(401)), "{statuses:?}");
    let peak = memory_bytes(&installation, "VmHWM:");
    assert!(peak < idle + 64 * MEBIBYTE, "bodies of unknown callers took {peak} bytes");

    let message = json!({"role": "user", "content": "all the words ".repeat(PROMPT_BYTES / 14)});
    let body: Arc<[u8]> = json!({"model": MODEL, "messages": [message]}).to_string().into_bytes().into();
    let statuses = flood(&installation, KNOWN_CALLERS, Some(&installation.authorization()), &body).await;
    assert!(statuses.iter().all(|status| *status == Some(200)), "{statuses:?}");
    let peak = memory_bytes(&installation, "VmHWM:");
    assert!(peak < 600 * MEBIBYTE, "long prompts took {peak} bytes");

    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let now = memory_bytes(&installation, "VmRSS:");
        if now < idle + 100 * MEBIBYTE {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{now} bytes are kept, {idle} at the start");
        // The allocator gives back in its own time.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

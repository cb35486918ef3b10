//! Traces and the access log, as they leave the process.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tollgate_testkit::{ScriptedProvider, TollgateProcess};

use crate::support::{Asking, PATIENCE, call, settings};

/// Answers every request with 200 and gives its head and body to the test.
async fn collector() -> (std::net::SocketAddr, tokio::sync::mpsc::UnboundedReceiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let sender = sender.clone();
            tokio::spawn(async move {
                while let Some(request) = read_request(&mut stream).await {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                    if stream.write_all(answer).await.is_err() || sender.send(request).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, received)
}

async fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let length: usize = length.parse().unwrap();
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, bytes[end..].to_vec()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sampled_call_reaches_the_collector_with_genai_names() {
    let (address, mut received) = collector().await;
    let provider = ScriptedProvider::start().await;
    let mut settings = settings(&[]);
    settings.config = Some(format!("otlp: {{endpoint: 'http://{address}', sample_ratio: 1}}\n"));
    let tollgate = TollgateProcess::start(settings).await.unwrap();
    let key = Asking(&tollgate).configure(&provider).await;
    assert_eq!(call(&tollgate, &key).await.status, 200);
    let (head, body) =
        tokio::time::timeout(PATIENCE, received.recv()).await.expect("a trace arrives").unwrap();
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    let text = String::from_utf8_lossy(&body);
    for name in [
        "service.name",
        "gen_ai.operation.name",
        "gen_ai.request.model",
        "gpt-5.5",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
    ] {
        assert!(text.contains(name), "{name} is missing in {text}");
    }
    assert!(!text.contains(&key) && !text.contains("\"Hi\""), "neither keys nor prompts are exported");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_access_log_is_one_json_line_per_call_without_secrets() {
    const CANARY: &str = "sk-canary-0123456789abcdef";
    let provider = ScriptedProvider::start().await;
    let mut settings = settings(&[]);
    settings.config = Some("log: {format: json, access: true}\n".to_owned());
    let tollgate = TollgateProcess::start(settings).await.unwrap();
    let asking = Asking(&tollgate);
    let key = asking.configure(&provider).await;
    let answer = call(&tollgate, &key).await;
    assert_eq!(answer.status, 200);
    let id = answer.header("x-tollgate-request-id").unwrap();
    let mut client = tollgate.connect().await.unwrap();
    let refused = client.get("/v1/models", &[("authorization", &format!("Bearer {CANARY}"))]).await.unwrap();
    assert_eq!(refused.status, 401);

    let deadline = tokio::time::Instant::now() + PATIENCE;
    let line = loop {
        let log = tollgate.log();
        let found = log.lines().find(|line| line.contains("tollgate_access") && line.contains(id));
        if let Some(line) = found {
            break serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
        assert!(tokio::time::Instant::now() < deadline, "no access log line in {log}");
        // Another process writes it in its own time.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let text = line.to_string();
    for part in ["\"gpt-5.5\"", "\"completed\"", "200", "latency_us", "input_tokens"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    for secret in [&*key, CANARY] {
        assert!(!tollgate.log().contains(secret), "a secret is in the log");
    }
}

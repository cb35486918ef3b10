//! Requests that no honest client sends: each gets a clear answer, and nothing of them reaches a provider.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tollgate_core::Dialect;
use tollgate_ledger::record::Outcome;
use tollgate_testkit::{GatewayPlan, RawClient, RawResponse, ScriptedProvider, TestGateway, canned};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const PATIENCE: Duration = Duration::from_secs(20);

fn plan(provider: &ScriptedProvider) -> GatewayPlan {
    GatewayPlan::default()
        .provider("oa", "openai_compatible", &provider.url())
        .provider("an", "anthropic_compatible", &provider.url())
        .model("oa", &[("oa", "upstream-name", 1)])
        .model("an", &[("an", "upstream-name", 1)])
}

async fn setup() -> (ScriptedProvider, TestGateway) {
    let provider = ScriptedProvider::start().await;
    let gateway = TestGateway::start(plan(&provider));
    (provider, gateway)
}

fn good_body() -> String {
    json!({"model": "oa", "messages": [{"role": "user", "content": "hello"}]}).to_string()
}

fn request(key: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

async fn post(gateway: &TestGateway, path: &str, body: &[u8]) -> RawResponse {
    send(gateway, &request(&gateway.key, path, "", body)).await
}

/// Writes and reads at the same time, as a client must whose request may be refused before it is whole.
async fn send(gateway: &TestGateway, bytes: &[u8]) -> RawResponse {
    let received =
        talk(gateway, bytes, |received| parse(received).is_some_and(|(answer, _)| answer.complete)).await;
    parse(&received).unwrap_or_else(|| panic!("no answer to {:?}", String::from_utf8_lossy(bytes))).0
}

/// The first answer, and everything that came after it until the connection was silent or closed.
async fn exchange(gateway: &TestGateway, bytes: &[u8]) -> (RawResponse, Vec<u8>) {
    let received = talk(gateway, bytes, |_| false).await;
    parse(&received).unwrap_or_else(|| panic!("no answer to {:?}", String::from_utf8_lossy(bytes)))
}

async fn talk(gateway: &TestGateway, bytes: &[u8], enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let write = async {
        let _ = writer.write_all(bytes).await;
        std::future::pending::<()>().await;
    };
    let read = async {
        let mut received = Vec::new();
        loop {
            let mut piece = [0; 16 << 10];
            let silence = if received.is_empty() { PATIENCE } else { Duration::from_millis(300) };
            match tokio::time::timeout(silence, reader.read(&mut piece)).await {
                Ok(Ok(length)) if length > 0 => received.extend_from_slice(&piece[..length]),
                _ => return received,
            }
            if enough(&received) {
                return received;
            }
        }
    };
    tokio::select! { received = read => received, () = write => unreachable!() }
}

/// The first answer in what came, and the rest.
fn parse(received: &[u8]) -> Option<(RawResponse, Vec<u8>)> {
    let end = received.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&received[..end]).into_owned();
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, Bytes)> = text
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), Bytes::copy_from_slice(value.as_bytes())))
        .collect();
    let mut answer = RawResponse {
        status,
        head_bytes: Bytes::copy_from_slice(&received[..end]),
        headers,
        body: Bytes::new(),
        complete: false,
    };
    let length = answer.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    let body_end = received.len().min(end + length);
    answer.complete = body_end == end + length;
    answer.body = Bytes::copy_from_slice(&received[end..body_end]);
    Some((answer, received[body_end..].to_vec()))
}

fn assert_error(answer: &RawResponse, path: &str, status: u16, what: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    let body = answer.json();
    assert!(body["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{what}: {body}");
    assert_eq!(body["type"] == "error", path.starts_with(MESSAGES), "{what}: {body}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
}

#[tokio::test]
async fn bodies_that_make_no_sense_are_refused_in_the_callers_dialect() {
    let (provider, gateway) = setup().await;
    let text = |text: &str| text.as_bytes().to_vec();
    let deep = format!("{{\"model\":\"oa\",\"messages\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_objects =
        format!("{{\"model\":\"oa\",\"x\":{}1{}}}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    let utf16: Vec<u8> = good_body().encode_utf16().flat_map(u16::to_le_bytes).collect();
    let bodies = [
        ("100,000 deep", text(&deep)),
        ("100,000 deep objects", text(&deep_objects)),
        ("unclosed", text(&"[".repeat(100_000))),
        ("model twice", text(r#"{"model":"oa","model":"an","messages":[]}"#)),
        ("model in another case", text(r#"{"model":"oa","Model":"an","messages":[]}"#)),
        ("model in another spelling", text(r#"{"model":"oa","mod\u0065l":"an","messages":[]}"#)),
        ("stream twice", text(r#"{"model":"oa","stream":false,"stream":true}"#)),
        ("stream in another case", text(r#"{"model":"oa","STREAM":true}"#)),
        ("model is a number", text(r#"{"model":7}"#)),
        ("model is null", text(r#"{"model":null}"#)),
        ("model is an object", text(r#"{"model":{"a":1}}"#)),
        ("model is missing", text(r#"{"messages":[]}"#)),
        ("stream is a text", text(r#"{"model":"oa","stream":"true"}"#)),
        ("stream is a number", text(r#"{"model":"oa","stream":1}"#)),
        ("cap is a text", text(r#"{"model":"oa","max_tokens":"9"}"#)),
        ("cap is negative", text(r#"{"model":"oa","max_tokens":-1}"#)),
        ("cap is enormous", text(r#"{"model":"oa","max_tokens":1e400}"#)),
        ("invalid UTF-8", b"{\"model\":\"oa\",\"x\":\"\xff\"}".to_vec()),
        ("overlong UTF-8", b"{\"model\":\"oa\",\"x\":\"\xc0\xaf\"}".to_vec()),
        ("lone surrogate", text(r#"{"model":"oa\ud800"}"#)),
        ("NUL in the model", text(r#"{"model":"oa\u0000"}"#)),
        ("line end in the model", text(r#"{"model":"oa\r\nx-evil: 1"}"#)),
        ("markup in the model", text(r#"{"model":"<script>"}"#)),
        ("long model", text(&format!(r#"{{"model":"{}"}}"#, "x".repeat(1 << 20)))),
        ("NaN", text(r#"{"model":"oa","temperature":NaN}"#)),
        ("Infinity", text(r#"{"model":"oa","temperature":-Infinity}"#)),
        ("hexadecimal", text(r#"{"model":"oa","temperature":0x1}"#)),
        ("leading zero", text(r#"{"model":"oa","temperature":01}"#)),
        ("comment", text("{\"model\":\"oa\"/* */}")),
        ("single quotes", text("{'model':'oa'}")),
        ("trailing comma", text(r#"{"model":"oa",}"#)),
        ("two documents", text(r#"{"model":"oa"}{"model":"an"}"#)),
        ("cut", text(r#"{"model":"oa","messages":[{"#)),
        ("raw line end in a text", text("{\"model\":\"oa\",\"x\":\"a\nb\"}")),
        ("UTF-16", utf16),
        ("byte order mark", [b"\xef\xbb\xbf".as_slice(), good_body().as_bytes()].concat()),
        ("empty", Vec::new()),
        ("null", text("null")),
        ("a list", text("[]")),
        ("a number", text("1")),
        ("white space", text(" \n ")),
    ];
    for path in [CHAT, MESSAGES] {
        for (what, body) in &bodies {
            let answer = post(&gateway, path, body).await;
            assert_error(&answer, path, 400, what);
            assert!(answer.header("x-evil").is_none());
            assert_eq!(answer.header("x-should-retry"), Some("false"), "{what}");
            assert!(answer.body.len() < 2_048, "{what}: an answer of {} bytes", answer.body.len());
        }
    }
    assert!(provider.requests().is_empty());
    let settled = gateway.wait_for_settlements(2 * bodies.len()).await;
    assert!(settled.iter().all(|one| one.request.outcome == Outcome::Refused && one.request.status == 400));
}

#[tokio::test]
async fn a_million_keys_are_only_many() {
    let (provider, gateway) = setup().await;
    let mut body = String::from("{\"model\":\"oa\",\"messages\":[]");
    for key in 0..1_000_000 {
        body.push_str(&format!(",\"k{key}\":0"));
    }
    body.push('}');
    let answer = post(&gateway, CHAT, body.as_bytes()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(provider.requests()[0].body.len(), body.len() - 2 + "upstream-name".len());
}

#[tokio::test]
async fn what_is_too_large_is_refused_unread() {
    let provider = ScriptedProvider::start().await;
    let mut plan = plan(&provider);
    plan.settings.max_body_bytes = 256 << 10;
    let gateway = TestGateway::start(plan);
    let key = &gateway.key;

    let long = format!("x-long: {}\r\n", "x".repeat(100 << 10));
    assert_eq!(send(&gateway, &request(key, CHAT, &long, b"{}")).await.status, 431);
    let many: String = (0..1_000).map(|number| format!("x-{number}: y\r\n")).collect();
    assert_eq!(send(&gateway, &request(key, CHAT, &many, b"{}")).await.status, 431);
    let path = format!("/v1/{}", "x".repeat(70_000));
    assert!(matches!(send(&gateway, &request(key, &path, "", b"{}")).await.status, 414 | 431));

    // Announced: refused before a byte of it.
    let head = format!(
        "POST {MESSAGES} HTTP/1.1\r\nhost: t\r\nx-api-key: {key}\r\ncontent-length: 99999999999\r\n\r\n"
    );
    assert_error(&send(&gateway, head.as_bytes()).await, MESSAGES, 413, "announced");
    // In chunks: refused once it is too much.
    let mut chunked =
        format!("POST {CHAT} HTTP/1.1\r\nhost: t\r\nx-api-key: {key}\r\ntransfer-encoding: chunked\r\n\r\n");
    for _ in 0..64 {
        chunked.push_str(&format!("4000\r\n{}\r\n", " ".repeat(0x4000)));
    }
    assert_error(&send(&gateway, chunked.as_bytes()).await, CHAT, 413, "chunked");
    assert!(provider.requests().is_empty());
    gateway.wait_for_settlements(2).await;
}

#[tokio::test]
async fn a_caller_without_a_key_cannot_make_the_gateway_read_thirty_megabytes() {
    let (provider, gateway) = setup().await;
    for expect in ["", "expect: 100-continue\r\n"] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let head = format!("POST {CHAT} HTTP/1.1\r\nhost: t\r\n{expect}content-length: {}\r\n\r\n", 30 << 20);
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        let write = async {
            let (block, mut written) = (vec![b' '; 64 << 10], 0);
            while written < 30 << 20 && writer.write_all(&block).await.is_ok() {
                written += block.len();
            }
            written
        };
        let mut received = Vec::new();
        // The end may be a reset: bytes that nobody will read are on their way.
        let (written, _) = tokio::join!(write, async {
            let _ = reader.read_to_end(&mut received).await;
        });
        let (answer, rest) = parse(&received).unwrap();
        assert_error(&answer, CHAT, 401, "no key");
        assert!(rest.is_empty());
        // What was written went into the kernel's buffers, not into the gateway.
        assert!(written < 16 << 20, "{written} bytes were taken");
    }
    assert!(provider.requests().is_empty() && gateway.settlements().is_empty());
}

#[tokio::test]
async fn a_refused_request_does_not_leave_its_body_on_the_connection() {
    let (provider, gateway) = setup().await;
    let inner = request(&gateway.key, CHAT, "", good_body().as_bytes());
    for length in [inner.len(), 300 << 10] {
        // A body that is itself a request, and would be answered if it were taken for one.
        let mut body = inner.repeat(length.div_ceil(inner.len()));
        body.truncate(length);
        let no_key = request("tg_wrong", CHAT, "", &body);
        let encoded = request(&gateway.key, CHAT, "content-encoding: gzip\r\n", &body);
        let nowhere = request(&gateway.key, "/nowhere", "", &body);
        let method =
            String::from_utf8_lossy(&request(&gateway.key, CHAT, "", &body)).replacen("POST", "PUT", 1);
        for (bytes, status) in [(no_key, 401), (encoded, 415), (nowhere, 404), (method.into_bytes(), 405)] {
            let (answer, rest) = exchange(&gateway, &bytes).await;
            assert_error(&answer, CHAT, status, "refused");
            assert!(rest.is_empty(), "{status}: {}", String::from_utf8_lossy(&rest));
        }
    }
    assert!(provider.requests().is_empty());
}

#[tokio::test]
async fn slow_senders_are_not_waited_for() {
    let provider = ScriptedProvider::start().await;
    let mut plan = plan(&provider);
    plan.settings.header_timeout_ms = 300;
    plan.settings.keep_alive_timeout_ms = 1_500;
    plan.settings.body_idle_timeout_ms = 300;
    plan.settings.body_grace_ms = 600;
    let gateway = TestGateway::start(plan);
    let whole = request(&gateway.key, CHAT, "", good_body().as_bytes());
    let head_length = whole.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;

    for sent in ["", "P", "PRI * HTTP/2.0\r\n", "GET / HT", "POST /v1/messages HTTP/1.1\r\nhost: t\r\nx-a"] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let closed = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
        assert!(closed.is_ok(), "{sent:?} is still waited for");
    }
    // A head of which a byte comes now and then.
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let trickle = async {
        for byte in whole.iter().take(head_length).cycle().take(1_000) {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("a head of one byte at a time was waited for");
    };
    tokio::time::timeout(PATIENCE, trickle).await.unwrap();

    // A body that stops, and one that comes a byte at a time.
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    client.send(&whole[..whole.len() - 5]).await.unwrap();
    let answer = client.response().await.unwrap();
    assert_error(&answer, CHAT, 408, "a body that stops");
    assert!(client.read_some().await.is_ok_and(|rest| rest.is_empty()), "the connection must close");
    let long = request(&gateway.key, CHAT, "", &[b' '; 4_096]);
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    writer.write_all(&long[..long.len() - 4_096]).await.unwrap();
    let writing = tokio::spawn(async move {
        while writer.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut received = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, reader.read_to_end(&mut received)).await.unwrap();
    assert_error(&parse(&received).unwrap().0, CHAT, 408, "a slow body");
    writing.await.unwrap();

    // Between two requests a client may be silent for longer, but not for ever.
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    for _ in 0..2 {
        client.send(&whole).await.unwrap();
        assert_eq!(client.response().await.unwrap().status, 200);
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    let closed = tokio::time::timeout(PATIENCE, client.read_some()).await.unwrap();
    assert!(closed.is_ok_and(|rest| rest.is_empty()));
    assert_eq!(provider.requests().len(), 2);
    let settled = gateway.wait_for_settlements(4).await;
    assert_eq!(settled.iter().filter(|one| one.request.status == 408).count(), 2);
}

#[tokio::test]
async fn keys_that_prove_nothing_are_told_apart() {
    let (provider, mut gateway) = setup().await;
    let key = gateway.key.clone();
    let mut wrong_secret = key.clone();
    wrong_secret.pop();
    let call = |headers: String| {
        let body = good_body();
        format!(
            "POST {MESSAGES} HTTP/1.1\r\nhost: t\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let refused = [
        (String::new(), 401),
        ("x-api-key: \r\n".to_owned(), 401),
        ("authorization: Basic dGc6eA==\r\n".to_owned(), 401),
        ("authorization: Bearer\r\n".to_owned(), 401),
        (format!("authorization: {key}\r\n"), 401),
        (format!("x-api-key: {wrong_secret}\r\n"), 401),
        (format!("x-api-key: {key}{key}\r\n"), 401),
        (format!("x-api-key: {}\r\n", key.to_uppercase()), 401),
        ("x-api-key: tg_\r\n".to_owned(), 401),
        (format!("x-api-key: tg_{}\r\n", "a".repeat(20_000)), 401),
        ("x-api-key: sk-ant-api03-xxxxxxxx\r\n".to_owned(), 401),
        (format!("x-api-key: {key}\r\nx-api-key: tg_other\r\n"), 400),
        (format!("x-api-key: {key}\r\nauthorization: Bearer tg_other\r\n"), 400),
        (format!("x-goog-api-key: {key}\r\napi-key: tg_other\r\n"), 400),
    ];
    for (headers, status) in refused {
        let answer = send(&gateway, call(headers.clone()).as_bytes()).await;
        assert_error(&answer, MESSAGES, status, &headers);
        assert!(!answer.text().contains(&key), "the key is told back");
    }
    gateway.reconfigure(|objects| objects.credentials[0].expires_at = Some(tollgate_core::UnixMicros(1)));
    let expired = send(&gateway, call(format!("x-api-key: {key}\r\n")).as_bytes()).await;
    assert_error(&expired, MESSAGES, 401, "expired");
    assert!(expired.text().contains("expired"));
    gateway.reconfigure(|objects| objects.credentials[0].expires_at = None);
    gateway.reconfigure(|objects| objects.keys[0].revoked_at = Some(tollgate_core::UnixMicros(1)));
    assert_error(
        &send(&gateway, call(format!("x-api-key: {key}\r\n")).as_bytes()).await,
        MESSAGES,
        401,
        "revoked",
    );
    assert!(provider.requests().is_empty() && gateway.settlements().is_empty());
}

#[tokio::test]
async fn framing_that_two_readers_could_understand_differently_smuggles_nothing() {
    let (provider, gateway) = setup().await;
    let key = &gateway.key;
    let smuggled = "POST /v1/messages HTTP/1.1\r\nhost: t\r\ncontent-length: 2\r\n\r\n{}";
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: t\r\nx-api-key: {key}\r\n");
    let refused = [
        ("two lengths", format!("{head}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}{smuggled}")),
        ("a list of lengths", format!("{head}content-length: 2, 3\r\n\r\n{{}}{smuggled}")),
        ("a signed length", format!("{head}content-length: +2\r\n\r\n{{}}{smuggled}")),
        ("no number", format!("{head}content-length: 0x2\r\n\r\n{{}}{smuggled}")),
        ("chunked is not last", format!("{head}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n")),
        ("another encoding", format!("{head}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n")),
        ("a folded line", format!("{head}x-a: b\r\n c: d\r\ncontent-length: 2\r\n\r\n{{}}")),
        ("a space before the colon", format!("{head}content-length : 2\r\n\r\n{{}}")),
        ("a CR in a value", format!("{head}x-a: b\rc: d\r\ncontent-length: 2\r\n\r\n{{}}")),
        ("a NUL in a value", format!("{head}x-a: b\0\r\ncontent-length: 2\r\n\r\n{{}}")),
        ("a bad chunk size", format!("{head}transfer-encoding: chunked\r\n\r\n-2\r\n{{}}\r\n0\r\n\r\n")),
        (
            "an endless chunk size",
            format!("{head}transfer-encoding: chunked\r\n\r\n{}\r\n{{}}", "f".repeat(40)),
        ),
        ("no version", format!("POST {CHAT}\r\nhost: t\r\n\r\n")),
    ];
    for (what, bytes) in refused {
        let (answer, rest) = exchange(&gateway, bytes.as_bytes()).await;
        assert_eq!(answer.status, 400, "{what}");
        assert!(rest.is_empty(), "{what}: {}", String::from_utf8_lossy(&rest));
    }
    // Chunked wins over a length, and what follows is a request of its own, with its own refusal.
    let both = format!("{head}content-length: 90\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}");
    let (answer, rest) = exchange(&gateway, both.as_bytes()).await;
    assert_eq!(answer.status, 400);
    assert!(rest.is_empty() || parse(&rest).unwrap().0.status == 401);
    assert!(provider.requests().is_empty());

    let body = good_body();
    let chunked = format!(
        "{head}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    assert_eq!(exchange(&gateway, chunked.as_bytes()).await.0.status, 200);
    let received = provider.last_request();
    assert_eq!(received.header("transfer-encoding"), None);
    assert_eq!(received.header("content-length"), Some(received.body.len().to_string().as_str()));
}

#[tokio::test]
async fn unusual_but_legal_requests_are_served_and_choose_no_upstream() {
    let (provider, gateway) = setup().await;
    let (key, body) = (&gateway.key, good_body());
    let length = body.len();
    let tail = format!("x-api-key: {key}\r\ncontent-length: {length}\r\n\r\n{body}");
    let requests = [
        format!("POST http://evil.example{CHAT} HTTP/1.1\r\nhost: t\r\n{tail}"),
        format!("POST {CHAT} HTTP/1.1\r\nhost: evil.example:99\r\n{tail}"),
        format!("POST {CHAT} HTTP/1.1\r\nhost: 169.254.169.254\r\nx-forwarded-host: evil.example\r\n{tail}"),
        format!("POST {CHAT} HTTP/1.1\r\nhost:\r\n{tail}"),
        format!("POST {CHAT} HTTP/1.0\r\n{tail}"),
        format!(
            "POST {CHAT} HTTP/1.1\r\nHOST: t\r\nconnection: authorization, x-api-key, content-type\r\n{tail}"
        ),
        format!(
            "POST {CHAT} HTTP/1.1\r\nhost: t\r\nupgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n{tail}"
        ),
        format!("\r\nPOST {CHAT} HTTP/1.1\r\nhost: t\r\n{tail}"),
    ];
    for (number, bytes) in requests.iter().enumerate() {
        let (answer, rest) = exchange(&gateway, bytes.as_bytes()).await;
        assert_eq!((answer.status, rest.len()), (200, 0), "{bytes}");
        let received = &provider.requests()[number];
        assert_eq!(received.header("host"), Some(provider.address().to_string().as_str()), "{bytes}");
        assert_eq!(received.target, CHAT);
        let secret = format!("Bearer {}", tollgate_testkit::gateway::PROVIDER_SECRET);
        assert_eq!(received.header("authorization"), Some(secret.as_str()), "{bytes}");
        assert!(!String::from_utf8_lossy(&received.head_bytes).contains(key.as_str()), "{bytes}");
        assert_eq!(received.header("content-type"), Some("application/json"));
        assert_eq!(received.header("upgrade"), None);
    }
    gateway.wait_for_settlements(requests.len()).await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (provider, gateway) = setup().await;
    let good = request(&gateway.key, CHAT, "", good_body().as_bytes());
    let bad = request(&gateway.key, CHAT, "", b"{}");
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    client
        .send(&[good.as_slice(), &bad, &good, b"GET /healthz HTTP/1.1\r\nhost: t\r\n\r\n"].concat())
        .await
        .unwrap();
    for status in [200, 400, 200, 200] {
        assert_eq!(client.response().await.unwrap().status, status);
    }
    assert_eq!(provider.requests().len(), 2);
    gateway.wait_for_settlements(3).await;
}

#[tokio::test]
async fn a_client_that_waits_for_leave_to_send_gets_it_only_with_a_key() {
    let (_provider, gateway) = setup().await;
    let body = good_body();
    let head = |key: &str| {
        let length = body.len();
        format!(
            "POST {CHAT} HTTP/1.1\r\nhost: t\r\nx-api-key: {key}\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    client.send(head(&gateway.key).as_bytes()).await.unwrap();
    let interim = client.read_some().await.unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100 "), "{interim:?}");
    client.send(body.as_bytes()).await.unwrap();
    assert_eq!(client.response().await.unwrap().status, 200);
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    client.send(head("tg_wrong").as_bytes()).await.unwrap();
    let answer = client.read_some().await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 401 "), "{answer:?}");
}

#[tokio::test]
async fn half_a_connection_is_no_reason_to_hang() {
    let (_provider, gateway) = setup().await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    stream.write_all(&request(&gateway.key, CHAT, "", good_body().as_bytes())).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut received = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut received)).await.unwrap().unwrap();
    // Whether it is answered or taken for gone, it is settled.
    let settlement = gateway.wait_for_settlements(1).await.remove(0);
    assert_eq!(settlement.request.outcome == Outcome::Completed, !received.is_empty());
}

#[tokio::test]
async fn what_is_told_back_injects_nothing() {
    let (provider, gateway) = setup().await;
    let odd = "x-tollgate-tags: a=\x07b\u{e9}\r\nx-tollgate-customer: \u{1f600}\r\ntraceparent: 00-nonsense\r\nx-request-id: <x>\r\n";
    let bytes = request(&gateway.key, CHAT, odd, good_body().as_bytes());
    let answer = send(&gateway, &bytes).await;
    assert!(matches!(answer.status, 200 | 400), "{}", answer.text());
    for value in answer.headers.iter().map(|(_, value)| value) {
        assert!(value.iter().all(|byte| (b' '..=b'~').contains(byte)), "{value:?}");
    }
    // A provider's headers are no better than a client's.
    provider.on(
        tollgate_testkit::Match::any(),
        canned::text(Dialect::OpenaiChat)
            .reply()
            .header("set-cookie", "a=b")
            .header("connection", "x-gone")
            .header("x-gone", "1")
            .header("x-tollgate-cost-usd", "0")
            .header("x-tollgate-model", "forged")
            .header("x-tollgate-request-id", "forged"),
    );
    let answer = post(&gateway, CHAT, good_body().as_bytes()).await;
    assert_eq!((answer.status, answer.header("x-tollgate-model")), (200, Some("oa")));
    for gone in ["set-cookie", "x-gone"] {
        assert_eq!(answer.header(gone), None);
    }
    assert!(answer.header("x-tollgate-request-id").is_some_and(|id| id != "forged"));
}

//! HTTP/2 with prior knowledge: what it multiplexes is settled call by call, and its own ways to attack do no harm.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tollgate_core::Dialect;
use tollgate_ledger::record::Outcome;
use tollgate_testkit::{GatewayPlan, Match, RawClient, Reply, ScriptedProvider, TestGateway, canned};

const CHAT: &str = "/v1/chat/completions";
const PATIENCE: Duration = Duration::from_secs(30);

fn plan(provider: &ScriptedProvider) -> GatewayPlan {
    GatewayPlan::default()
        .provider("oa", "openai_compatible", &provider.url())
        .model("m", &[("oa", "upstream", 1)])
}

async fn connect(gateway: &TestGateway) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    client
}

fn chat(gateway: &TestGateway, body: impl Into<Bytes>) -> http::Request<Full<Bytes>> {
    http::Request::post(format!("http://t{CHAT}"))
        .header("authorization", format!("Bearer {}", gateway.key))
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .unwrap()
}

fn body(stream: bool) -> String {
    json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hello"}]}).to_string()
}

async fn settles(gateway: &TestGateway) {
    let in_flight = &gateway.gateway.metrics.requests_in_flight;
    let settled = async {
        while in_flight.load(Ordering::Relaxed) != 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.expect("every call ends");
}

#[tokio::test]
async fn calls_of_one_connection_are_served_side_by_side() {
    let provider = ScriptedProvider::start().await;
    let gateway = TestGateway::start(plan(&provider));
    let client = connect(&gateway).await;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..200 {
        let (mut client, request) = (client.clone(), chat(&gateway, body(number % 2 == 0)));
        calls.spawn(async move {
            let answer = client.send_request(request).await.unwrap();
            assert_eq!(answer.status(), 200);
            (number % 2 == 0, answer.into_body().collect().await.unwrap().to_bytes())
        });
    }
    for (stream, answer) in calls.join_all().await {
        let whole = canned::text(Dialect::OpenaiChat).body();
        let expected =
            if stream { canned::text_stream_without_usage(Dialect::OpenaiChat).body() } else { whole };
        assert_eq!(answer, expected);
    }
    let settled = gateway.wait_for_settlements(200).await;
    assert!(settled.iter().all(|one| one.request.outcome == Outcome::Completed));
}

#[tokio::test]
async fn ten_thousand_streams_leave_nothing_behind() {
    let provider = ScriptedProvider::start().await;
    let gateway = TestGateway::start(plan(&provider));
    let client = connect(&gateway).await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..64 {
        let mut client = client.clone();
        calls.spawn(async move {
            for _ in 0..10_000 / 64 + 1 {
                let request = http::Request::get("http://t/healthz").body(Full::default()).unwrap();
                let answer = client.send_request(request).await.unwrap();
                assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "ok\n");
            }
        });
    }
    calls.join_all().await;
    assert_eq!(gateway.gateway.metrics.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_stream_that_is_reset_is_closed_at_the_provider_and_its_neighbour_goes_on() {
    let provider = ScriptedProvider::start().await;
    let gateway = TestGateway::start(plan(&provider));
    let parts = canned::text_stream(Dialect::OpenaiChat).parts.into_iter().take(4);
    provider.on(Match::any().and_stream(true), Reply::events(parts).stall());
    let mut client = connect(&gateway).await;
    let mut answer = client.send_request(chat(&gateway, body(true))).await.unwrap();
    assert!(answer.body_mut().frame().await.unwrap().unwrap().is_data());
    drop(answer);
    provider.wait_for_peer_close(0).await;
    let settlement = gateway.wait_for_settlements(1).await.remove(0);
    assert_eq!(settlement.request.outcome, Outcome::ClientGone);
    let answer = client.send_request(chat(&gateway, body(false))).await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn refusals_are_the_same_as_on_http1() {
    let provider = ScriptedProvider::start().await;
    let mut plan = plan(&provider);
    plan.settings.max_body_bytes = 64 << 10;
    let gateway = TestGateway::start(plan);
    let mut client = connect(&gateway).await;
    let no_key = http::Request::post(format!("http://t{CHAT}")).body(Full::new("{}".into())).unwrap();
    let cases = [
        (no_key, 401),
        (chat(&gateway, "{"), 400),
        (chat(&gateway, vec![b' '; 1 << 20]), 413),
        (chat(&gateway, r#"{"model":"nope"}"#), 404),
    ];
    for (request, status) in cases {
        let answer = client.send_request(request).await.unwrap();
        assert_eq!(answer.status(), status);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert!(body["error"]["message"].is_string());
    }
    assert!(provider.requests().is_empty());
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// One header, as a literal that no table keeps.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut field = vec![0];
    for text in [name, value] {
        field.push(u8::try_from(text.len()).unwrap());
        field.extend_from_slice(text.as_bytes());
    }
    field
}

fn head(gateway: &TestGateway) -> Vec<u8> {
    let bearer = format!("Bearer {}", gateway.key);
    [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "t"),
        (":path", CHAT),
        ("authorization", &bearer),
    ]
    .into_iter()
    .flat_map(|(name, value)| literal(name, value))
    .collect()
}

#[tokio::test]
async fn rapid_resets_end_the_connection_and_reach_no_provider() {
    let provider = ScriptedProvider::start().await;
    let gateway = TestGateway::start(plan(&provider));
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = head(&gateway);
    let mut bytes = [PREFACE, &frame(4, 0, 0, &[])].concat();
    for number in 0..10_000 {
        let id = 2 * number + 1;
        bytes.extend(frame(1, 4, id, &head));
        bytes.extend(frame(3, 0, id, &8_u32.to_be_bytes()));
    }
    let (mut reader, mut writer) = stream.split();
    let (mut received, write) = (Vec::new(), writer.write_all(&bytes));
    let read = async {
        let _ = reader.read_to_end(&mut received).await;
    };
    let both = async { tokio::join!(write, read) };
    let _ = tokio::time::timeout(PATIENCE, both).await.expect("the connection is closed");
    settles(&gateway).await;
    assert!(provider.requests().is_empty());
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    assert_eq!(client.get("/readyz", &[]).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_client_that_opens_no_window_is_treated_as_gone() {
    let provider = ScriptedProvider::start().await;
    let mut plan = plan(&provider);
    plan.settings.client_write_timeout_ms = 400;
    let gateway = TestGateway::start(plan);
    let content = json!({"choices": [{"index": 0, "delta": {"content": "x".repeat(2_000)}}]});
    provider.on(Match::any(), Reply::events(vec![canned::data(&content); 50]).stall());
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    // SETTINGS_INITIAL_WINDOW_SIZE is 0: an answer's head may come, and nothing of its body.
    let settings = frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let request = frame(1, 4, 1, &head(&gateway));
    let data = frame(0, 1, 1, body(true).as_bytes());
    stream.write_all(&[PREFACE, &settings, &request, &data].concat()).await.unwrap();
    let mut received = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut received)).await.expect("the end");
    assert!(received.len() < 4_096);
    let settlement = gateway.wait_for_settlements(1).await.remove(0);
    assert_eq!(settlement.request.outcome, Outcome::ClientGone);
    provider.wait_for_peer_close(0).await;
}

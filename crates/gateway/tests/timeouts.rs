//! Providers that stop, clients that stop, and a process that is told to.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_core::Dialect;
use tollgate_ledger::record::{Outcome, Settlement, UsageSource, Verdict};
use tollgate_state::objects::TimeoutOverrides;
use tollgate_testkit::{
    GatewayPlan, Match, RawClient, RawResponse, Reply, ScriptedProvider, Signal, Step, TestGateway, canned,
};

const CHAT: &str = "/v1/chat/completions";
const PATIENCE: Duration = Duration::from_secs(20);

fn timeouts(total_ms: u64) -> TimeoutOverrides {
    TimeoutOverrides {
        connect_ms: Some(400),
        first_byte_ms: Some(400),
        idle_ms: Some(400),
        total_ms: Some(total_ms),
    }
}

fn plan(provider: &ScriptedProvider, total_ms: u64) -> GatewayPlan {
    let mut plan = GatewayPlan::default()
        .provider("oa", "openai_compatible", &provider.url())
        .timeouts(timeouts(total_ms))
        .model("m", &[("oa", "first", 1)])
        .model("pair", &[("oa", "first", 1), ("oa", "second", 0)]);
    plan.settings.max_attempts = 2;
    plan
}

fn body(model: &str, stream: bool) -> String {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "hello"}]}).to_string()
}

async fn call(gateway: &TestGateway, model: &str, stream: bool) -> RawResponse {
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    let bearer = format!("Bearer {}", gateway.key);
    let headers = [("authorization", bearer.as_str())];
    let answer = client.post(CHAT, &headers, body(model, stream));
    tokio::time::timeout(PATIENCE, answer).await.expect("an answer in time").unwrap()
}

async fn send(client: &mut RawClient, gateway: &TestGateway, model: &str, stream: bool) {
    let body = body(model, stream);
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
        gateway.key,
        body.len()
    );
    client.send(format!("{head}{body}").as_bytes()).await.unwrap();
}

fn events(count: usize) -> Vec<Bytes> {
    canned::text_stream(Dialect::OpenaiChat).parts.into_iter().take(count).collect()
}

fn last_error(text: &str) -> Value {
    let last = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap_or_default();
    serde_json::from_str::<Value>(last).unwrap_or_default()["error"].take()
}

fn kinds(settlement: &Settlement) -> Vec<&str> {
    settlement.attempts.iter().map(|attempt| attempt.error_kind.as_deref().unwrap_or_default()).collect()
}

#[tokio::test]
async fn a_provider_that_is_silent_before_its_first_byte_is_given_up() {
    for stream in [false, true] {
        let provider = ScriptedProvider::start().await;
        let gateway = TestGateway::start(plan(&provider, 5_000));
        provider.on(Match::model("first"), Reply::raw().stall());
        let answer = call(&gateway, "pair", stream).await;
        assert_eq!(answer.status, 200, "the next deployment serves: {}", answer.text());
        let answer = call(&gateway, "m", stream).await;
        assert_eq!(answer.status, 504, "{}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "first_byte_timeout");
        assert_eq!(answer.header("x-should-retry"), Some("false"), "two attempts were made");
        let settlements = gateway.wait_for_settlements(2).await;
        assert_eq!(kinds(&settlements[0]), ["first_byte_timeout", ""]);
        assert_eq!(kinds(&settlements[1]), ["first_byte_timeout", "first_byte_timeout"]);
        // The provider may have worked on each prompt.
        assert!(settlements[1].attempts.iter().all(|one| one.usage_source == UsageSource::Estimated));
        provider.wait_for_open_connections(1).await;
    }
}

#[tokio::test]
async fn a_provider_that_takes_no_connection_is_given_up() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    // The queue is full, so that further connections wait for ever.
    let mut waiting = Vec::new();
    for _ in 0..4 {
        let connecting = tokio::net::TcpStream::connect(address);
        waiting.push(tokio::time::timeout(Duration::from_millis(100), connecting).await);
    }
    let plan = GatewayPlan::default()
        .provider("hole", "openai_compatible", &format!("http://{address}"))
        .timeouts(timeouts(5_000))
        .model("m", &[("hole", "first", 1)]);
    let gateway = TestGateway::start(plan);
    let answer = call(&gateway, "m", false).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (504, &json!("connect_timeout")));
    let settlement = gateway.wait_for_settlements(1).await.remove(0);
    assert!(
        settlement.attempts.iter().all(|one| one.usage_source == UsageSource::Nothing),
        "nothing was sent"
    );
    assert_eq!(settlement.request.cost.unwrap().get(), 0);
}

#[tokio::test]
async fn a_provider_that_refuses_connections_is_given_up_at_no_cost() {
    let provider = ScriptedProvider::start().await;
    let gateway = TestGateway::start(plan(&provider, 5_000));
    drop(provider);
    let answer = call(&gateway, "m", true).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    let settlement = gateway.wait_for_settlements(1).await.remove(0);
    assert_eq!((settlement.request.cost.unwrap().get(), settlement.attempts.len()), (0, 2));
}

#[tokio::test]
async fn silence_between_chunks_and_endless_answers_end_with_an_error() {
    let provider = ScriptedProvider::start().await;
    let gateway = TestGateway::start(plan(&provider, 1_200));
    let ping = Bytes::from_static(b": ping\n\n");
    let endless = (0..100)
        .fold(Reply::events(events(3)), |reply, _| reply.send(ping.clone()).wait(Duration::from_millis(50)));
    for (reply, code) in [(Reply::events(events(3)).stall(), "idle_timeout"), (endless, "total_timeout")] {
        provider.forget_rules();
        provider.on(Match::any(), reply);
        let answer = call(&gateway, "m", true).await;
        assert_eq!((answer.status, answer.complete), (200, true));
        assert_eq!(last_error(&answer.text())["code"], code, "{}", answer.text());
        assert!(!answer.text().contains("[DONE]"));
    }
    let whole = canned::text(Dialect::OpenaiChat).reply();
    provider.forget_rules();
    provider.on(Match::any(), whole.first_half().stall());
    let answer = call(&gateway, "m", false).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (502, &json!("idle_timeout")));
    let settlements = gateway.wait_for_settlements(3).await;
    for settlement in &settlements {
        assert_eq!(settlement.request.outcome, Outcome::Failed);
        assert_eq!(settlement.request.usage_source, UsageSource::Estimated);
    }
    assert!(settlements[0].request.usage.output > 0);
    provider.wait_for_open_connections(0).await;
}

#[tokio::test]
async fn an_error_whose_body_never_comes_does_not_hold_up_the_next_attempt() {
    let provider = ScriptedProvider::start().await;
    let plan = GatewayPlan::default()
        .provider("oa", "openai_compatible", &provider.url())
        .model("pair", &[("oa", "first", 1), ("oa", "second", 0)]);
    let gateway = TestGateway::start(plan);
    let error = canned::error(Dialect::OpenaiChat, 500).reply();
    provider.on(Match::model("first"), error.first_steps(0).stall());
    assert_eq!(call(&gateway, "pair", false).await.status, 200);
}

#[tokio::test]
async fn a_429_always_says_when_to_come_back() {
    let provider = ScriptedProvider::start().await;
    let gateway = TestGateway::start(plan(&provider, 5_000));
    let limited = |reply: Reply| {
        provider.forget_rules();
        provider.on(Match::any(), reply);
    };
    let json = |headers: &[(&str, &str)]| {
        let body = r#"{"error":{"message":"slow down","type":"rate_limit_error","code":null,"param":null}}"#;
        headers.iter().fold(Reply::json(429, body), |reply, (name, value)| reply.header(name, value))
    };
    limited(json(&[("retry-after", "30"), ("x-ratelimit-remaining-requests", "0")]));
    let answer = call(&gateway, "m", false).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("30")));
    assert_eq!(answer.header("x-upstream-ratelimit-remaining-requests"), Some("0"));
    limited(json(&[]));
    let answer = call(&gateway, "m", false).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
    limited(Reply::status(429).header("content-type", "text/html").send("<html>slow down"));
    let answer = call(&gateway, "m", false).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
    // Both deployments were tried, so the client need not.
    limited(json(&[]));
    let answer = call(&gateway, "pair", false).await;
    assert_eq!((answer.status, answer.header("x-should-retry")), (429, Some("false")));
}

#[tokio::test]
async fn a_client_that_takes_no_bytes_is_treated_as_gone() {
    let provider = ScriptedProvider::start().await;
    let mut plan = plan(&provider, 60_000);
    plan.settings.client_write_timeout_ms = 400;
    let gateway = TestGateway::start(plan);
    let content = json!({"choices": [{"index": 0, "delta": {"content": "x".repeat(60_000)}}]});
    let event = canned::data(&content);
    provider.on(Match::any(), Reply::events(vec![event; 600]));
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    send(&mut client, &gateway, "m", true).await;
    assert_eq!(client.response_head().await.unwrap().status, 200);
    let settlement = gateway.wait_for_settlements(1).await.remove(0);
    assert_eq!(settlement.request.outcome, Outcome::ClientGone);
    assert!(settlement.request.usage.output > 0);
    provider.wait_for_peer_close(0).await;
    drop(client);
}

#[tokio::test]
async fn every_candidate_is_named_when_no_retry_is_left() {
    let provider = ScriptedProvider::start().await;
    let mut plan = plan(&provider, 5_000);
    plan.settings.max_attempts = 1;
    let gateway = TestGateway::start(plan);
    provider.on(Match::model("first"), canned::error(Dialect::OpenaiChat, 500).reply());
    assert_eq!(call(&gateway, "pair", false).await.status, 502);
    let settlement = gateway.wait_for_settlements(1).await.remove(0);
    let verdicts: Vec<_> = settlement.request.decision.candidates.iter().map(|one| one.verdict).collect();
    assert_eq!(verdicts, [Verdict::Failed, Verdict::NoRetryLeft]);
}

async fn readiness(gateway: &TestGateway) -> u16 {
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    client.get("/readyz", &[]).await.unwrap().status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_lets_running_calls_finish_and_takes_no_new_ones() {
    let provider = ScriptedProvider::start().await;
    let mut plan = plan(&provider, 20_000);
    plan.drain = Duration::from_secs(20);
    let mut gateway = TestGateway::start(plan);
    let go_on = Signal::new();
    let mut parts = events(usize::MAX);
    let rest = parts.split_off(3);
    let whole = canned::text(Dialect::OpenaiChat).body();
    let stream = rest.into_iter().fold(Reply::events(parts).wait_for(&go_on), Reply::send);
    provider.on(Match::any().and_stream(true), stream);
    let late =
        Reply::status(200).header("content-type", "application/json").wait_for(&go_on).send(whole.clone());
    provider.on(Match::any().and_stream(false), late);

    let mut streaming = RawClient::connect(gateway.address).await.unwrap();
    let mut waiting = RawClient::connect(gateway.address).await.unwrap();
    let mut idle = RawClient::connect(gateway.address).await.unwrap();
    send(&mut streaming, &gateway, "m", true).await;
    send(&mut waiting, &gateway, "m", false).await;
    assert_eq!(idle.get("/readyz", &[]).await.unwrap().status, 200);
    assert_eq!(streaming.response_head().await.unwrap().status, 200);
    provider.wait_for_requests(2).await;

    gateway.gateway.start_draining();
    assert_eq!(readiness(&gateway).await, 503, "not ready at once");
    gateway.drain();
    assert!(idle.read_some().await.is_ok_and(|rest| rest.is_empty()), "idle connections close");
    while RawClient::connect(gateway.address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    go_on.raise();
    let answer = waiting.response().await.unwrap();
    assert_eq!((answer.status, &answer.body), (200, &whole));
    let mut text = String::new();
    loop {
        let piece = streaming.read_some().await.unwrap();
        if piece.is_empty() {
            break;
        }
        text.push_str(&String::from_utf8_lossy(&piece));
    }
    assert!(text.contains("[DONE]") && text.ends_with("0\r\n\r\n"), "{text}");
    tokio::task::block_in_place(|| gateway.stop());
    let settlements = gateway.settlements();
    assert_eq!(settlements.len(), 2);
    assert!(settlements.iter().all(|one| one.request.outcome == Outcome::Completed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_still_runs_at_the_end_of_a_drain_is_cut_and_accounted_for() {
    let provider = ScriptedProvider::start().await;
    let mut plan = GatewayPlan::default()
        .provider("oa", "openai_compatible", &provider.url())
        .model("m", &[("oa", "first", 1)]);
    plan.drain = Duration::from_millis(300);
    let mut gateway = TestGateway::start(plan);
    provider.on(Match::any().and_stream(true), Reply::events(events(4)).stall());
    provider.on(Match::any().and_stream(false), Reply::raw().step(Step::Stall));
    let mut clients = Vec::new();
    for number in 0..10 {
        let mut client = RawClient::connect(gateway.address).await.unwrap();
        send(&mut client, &gateway, "m", number % 2 == 0).await;
        clients.push(client);
    }
    provider.wait_for_requests(10).await;
    for client in clients.iter_mut().step_by(2) {
        assert_eq!(client.response_head().await.unwrap().status, 200);
    }
    let asked = Instant::now();
    tokio::task::block_in_place(|| gateway.stop());
    assert!(asked.elapsed() < PATIENCE, "the drain has a deadline");
    let settlements = gateway.settlements();
    assert_eq!(settlements.len(), 10, "each call is accounted for");
    for settlement in settlements {
        assert_eq!(settlement.request.usage_source, UsageSource::Estimated);
        assert!(settlement.request.usage.input > 0);
        assert_ne!(settlement.request.outcome, Outcome::Completed);
        assert_eq!(settlement.attempts.len(), 1);
    }
    let metrics = &gateway.gateway.metrics;
    assert_eq!(metrics.requests_in_flight.load(Ordering::Relaxed), 0);
    assert_eq!(metrics.connections.load(Ordering::Relaxed), 0);
    provider.wait_for_open_connections(0).await;
}

//! What the process holds at one time is bounded: connections, calls, bodies, and calls that nobody waits for.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use serde_json::json;
use tollgate_core::Dialect;
use tollgate_ledger::record::{Outcome, UsageSource};
use tollgate_testkit::{
    GatewayPlan, Match, RawClient, RawResponse, Reply, ScriptedProvider, Signal, TestGateway, canned,
};

const CHAT: &str = "/v1/chat/completions";
const PATIENCE: Duration = Duration::from_secs(20);

fn plan(provider: &ScriptedProvider) -> GatewayPlan {
    GatewayPlan::default()
        .provider("oa", "openai_compatible", &provider.url())
        .model("m", &[("oa", "upstream", 1)])
}

/// Whole answers wait for the signal.
fn hold(provider: &ScriptedProvider) -> Signal {
    let go_on = Signal::new();
    let body = canned::text(Dialect::OpenaiChat).body();
    let reply = Reply::status(200).header("content-type", "application/json");
    provider.on(Match::any(), reply.wait_for(&go_on).send(body));
    go_on
}

fn request(gateway: &TestGateway, content_bytes: usize) -> Vec<u8> {
    let content = "x".repeat(content_bytes);
    let body = json!({"model": "m", "messages": [{"role": "user", "content": content}]}).to_string();
    let (key, length) = (&gateway.key, body.len());
    format!("POST {CHAT} HTTP/1.1\r\nhost: t\r\nx-api-key: {key}\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

async fn begin(gateway: &TestGateway, content_bytes: usize) -> RawClient {
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    client.send(&request(gateway, content_bytes)).await.unwrap();
    client
}

async fn answer(mut client: RawClient) -> RawResponse {
    tokio::time::timeout(PATIENCE, client.response()).await.expect("an answer in time").unwrap()
}

fn assert_busy(answer: &RawResponse) {
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{}", answer.text());
    assert!(answer.json()["error"]["message"].is_string());
}

#[tokio::test]
async fn bodies_take_only_their_share_of_memory() {
    let provider = ScriptedProvider::start().await;
    let mut plan = plan(&provider);
    plan.settings.max_body_memory_bytes = 100 << 10;
    let gateway = TestGateway::start(plan);
    let go_on = hold(&provider);
    let first = begin(&gateway, 80 << 10).await;
    provider.wait_for_requests(1).await;
    assert_busy(&answer(begin(&gateway, 80 << 10).await).await);
    go_on.raise();
    assert_eq!(answer(first).await.status, 200);
    assert_eq!(answer(begin(&gateway, 80 << 10).await).await.status, 200, "the share was given back");
    gateway.wait_for_settlements(3).await;
}

#[tokio::test]
async fn calls_beyond_the_limit_are_told_to_come_back() {
    let provider = ScriptedProvider::start().await;
    let mut plan = plan(&provider);
    plan.settings.max_requests_in_flight = 2;
    let gateway = TestGateway::start(plan);
    let go_on = hold(&provider);
    let running = [begin(&gateway, 1).await, begin(&gateway, 1).await];
    provider.wait_for_requests(2).await;
    assert_busy(&answer(begin(&gateway, 1).await).await);
    go_on.raise();
    for client in running {
        assert_eq!(answer(client).await.status, 200);
    }
    assert_eq!(answer(begin(&gateway, 1).await).await.status, 200);
    assert_eq!(provider.requests().len(), 3);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let provider = ScriptedProvider::start().await;
    let mut plan = plan(&provider);
    plan.settings.max_connections = 2;
    let gateway = TestGateway::start(plan);
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = RawClient::connect(gateway.address).await.unwrap();
        assert_eq!(client.get("/healthz", &[]).await.unwrap().status, 200);
        clients.push(client);
    }
    let mut third = RawClient::connect(gateway.address).await.unwrap();
    let closed = tokio::time::timeout(PATIENCE, third.read_some()).await.expect("it is closed");
    assert!(closed.is_ok_and(|bytes| bytes.is_empty()));
    drop(clients.pop());
    let again = async {
        loop {
            let mut client = RawClient::connect(gateway.address).await.unwrap();
            if client.get("/healthz", &[]).await.is_ok_and(|answer| answer.status == 200) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("a place is free again");
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_not_read_for_ever() {
    let provider = ScriptedProvider::start().await;
    let mut plan = plan(&provider);
    plan.settings.abandoned_call_ms = 300;
    let gateway = TestGateway::start(plan);
    provider.on(Match::any(), Reply::raw().stall());
    let client = begin(&gateway, 1_000).await;
    provider.wait_for_requests(1).await;
    drop(client);
    provider.wait_for_peer_close(0).await;
    let request = gateway.wait_for_settlements(1).await.remove(0).request;
    assert_eq!((request.outcome, request.usage_source), (Outcome::ClientGone, UsageSource::Estimated));
    assert!(request.usage.input > 0 && request.cost.is_some_and(|cost| cost.get() > 0));
}

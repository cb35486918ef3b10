//! A stream whose first content takes long is kept alive, and nothing else about it changes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_core::{Dialect, Fault};
use tollgate_ledger::record::Outcome;
use tollgate_testkit::{
    GatewayPlan, Match, RawClient, RawResponse, Reply, ScriptedProvider, Signal, TestGateway, canned,
};

const PATHS: [(Dialect, &str, &str); 3] = [
    (Dialect::OpenaiChat, "/v1/chat/completions", "oa"),
    (Dialect::AnthropicMessages, "/v1/messages", "an"),
    (Dialect::OpenaiResponses, "/v1/responses", "oa"),
];
const SILENCE: Duration = Duration::from_millis(400);

async fn setup() -> (ScriptedProvider, TestGateway) {
    let provider = ScriptedProvider::start().await;
    let mut plan = GatewayPlan::default()
        .provider("oa", "openai_compatible", &provider.url())
        .provider("an", "anthropic_compatible", &provider.url())
        .model("oa", &[("oa", "first", 1), ("oa", "second", 0)])
        .model("an", &[("an", "first", 1), ("an", "second", 0)]);
    plan.settings.stream_keep_alive_after_ms = 100;
    plan.settings.stream_keep_alive_every_ms = 50;
    (provider, TestGateway::start(plan))
}

fn body(dialect: Dialect, model: &str) -> Value {
    match dialect {
        Dialect::OpenaiResponses => json!({"model": model, "input": "x", "stream": true}),
        _ => json!({"model": model, "messages": [], "max_tokens": 9, "stream": true}),
    }
}

fn late(reply: Reply) -> Reply {
    let steps = reply.steps().to_vec();
    let before = Reply::status(200).wait(SILENCE);
    reply.with_steps([before.steps().to_vec(), steps].concat())
}

fn ping(dialect: Dialect) -> &'static str {
    if dialect == Dialect::AnthropicMessages {
        "event: ping\ndata: {\"type\": \"ping\"}\n\n"
    } else {
        ": ping\n\n"
    }
}

async fn post(gateway: &TestGateway, path: &str, body: &Value) -> RawResponse {
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    let bearer = format!("Bearer {}", gateway.key);
    client.post(path, &[("authorization", &bearer)], body.to_string()).await.unwrap()
}

/// The text after the signs of life, of which there must be some.
fn after_pings(text: &str, dialect: Dialect) -> &str {
    let mut rest = text;
    let mut pings = 0;
    while let Some(next) = rest.strip_prefix(ping(dialect)) {
        (rest, pings) = (next, pings + 1);
    }
    assert!(pings >= 2, "{text}");
    rest
}

#[tokio::test]
async fn a_late_stream_comes_after_signs_of_life_and_is_recorded_like_any_other() {
    for (dialect, path, model) in PATHS {
        let (provider, gateway) = setup().await;
        let canned = canned::text_stream(dialect);
        provider.on(Match::model("first"), late(canned.reply()));
        let answer = post(&gateway, path, &body(dialect, model)).await;
        assert_eq!((answer.status, answer.complete), (200, true));
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        assert_eq!(answer.header("x-tollgate-model"), Some(model));
        let expected = match dialect {
            Dialect::OpenaiChat => canned::text_stream_without_usage(dialect).body(),
            _ => canned.body(),
        };
        let text = answer.text();
        assert_eq!(after_pings(&text, dialect).as_bytes(), expected, "{dialect:?}");
        let request = gateway.wait_for_settlements(1).await.remove(0).request;
        assert_eq!(answer.header("x-tollgate-request-id"), Some(request.request_id.to_string().as_str()));
        assert_eq!((request.outcome, request.usage, request.status), (Outcome::Completed, canned.usage, 200));
    }
}

#[tokio::test]
async fn a_failure_in_the_meantime_is_followed_by_another_deployment() {
    for (dialect, path, model) in PATHS {
        let (provider, gateway) = setup().await;
        provider.on(Match::model("first"), late(canned::error(dialect, 500).reply()));
        let answer = post(&gateway, path, &body(dialect, model)).await;
        let text = answer.text();
        let ends = ["[DONE]", "message_stop", "response.completed"];
        assert!(
            answer.complete && ends.iter().any(|end| after_pings(&text, dialect).contains(end)),
            "{text}"
        );
        let settlement = gateway.wait_for_settlements(1).await.remove(0);
        let served: Vec<_> = settlement.attempts.iter().map(|one| (one.status, one.served)).collect();
        assert_eq!(
            (settlement.request.outcome, served.as_slice()),
            (Outcome::Completed, &[(500, false), (200, true)][..])
        );
    }
}

#[tokio::test]
async fn the_end_of_all_attempts_is_told_in_the_stream() {
    for (dialect, path, model) in PATHS {
        let replies = [
            (late(canned::error(dialect, 500).reply()), Fault::Provider),
            (late(canned::error(dialect, 400).reply()), Fault::Client),
            (Reply::raw().wait(SILENCE).cut(), Fault::Provider),
        ];
        for (reply, fault) in replies {
            let (provider, gateway) = setup().await;
            provider.on(Match::any(), reply);
            let answer = post(&gateway, path, &body(dialect, model)).await;
            assert_eq!((answer.status, answer.complete), (200, true));
            let text = answer.text();
            let rest = after_pings(&text, dialect);
            let data = rest.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
            let error: Value = serde_json::from_str(data).unwrap();
            assert!(error["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{text}");
            assert!(!text.contains("[DONE]") && !text.contains("message_stop"), "{text}");
            let request = gateway.wait_for_settlements(1).await.remove(0).request;
            assert_eq!(request.outcome, Outcome::Failed);
            assert_eq!(request.fault, Some(fault));
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_meantime_ends_the_call() {
    let (provider, gateway) = setup().await;
    let arrived = Signal::new();
    provider.on(Match::any(), Reply::raw().raise(&arrived).stall());
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    let body = body(Dialect::OpenaiChat, "oa").to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
        gateway.key,
        body.len()
    );
    client.send(format!("{head}{body}").as_bytes()).await.unwrap();
    arrived.raised().await;
    tokio::time::sleep(SILENCE).await;
    drop(client);
    let settlement = gateway.wait_for_settlements(1).await.remove(0);
    assert_eq!(settlement.request.outcome, Outcome::ClientGone);
    assert_eq!(settlement.attempts.len(), 1);
}

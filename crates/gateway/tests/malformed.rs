//! Every broken answer that the test kit knows, through the gateway: a defined outcome for each, never a false success.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::HashMap;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tollgate_core::{Dialect, RequestId};
use tollgate_ledger::record::{Outcome, Settlement, UsageSource};
use tollgate_state::objects::TimeoutOverrides;
use tollgate_testkit::malformed::{self, Malformed, Outcome as Expected};
use tollgate_testkit::{GatewayPlan, Match, RawClient, RawResponse, ScriptedProvider, TestGateway, canned};

/// How a broken answer reaches the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// In the dialect in which it was made.
    Direct,
    /// Through a translation.
    Translated,
    /// Direct, with a deployment behind it that behaves.
    WithFallback,
}

struct Case {
    broken: Malformed,
    way: Way,
    client: Dialect,
    answer: RawResponse,
}

fn client_dialect(broken: &Malformed, way: Way) -> Option<Dialect> {
    match (way, broken.dialect) {
        (Way::Direct | Way::WithFallback, dialect) => Some(dialect),
        (Way::Translated, Dialect::OpenaiChat) => Some(Dialect::AnthropicMessages),
        (Way::Translated, Dialect::AnthropicMessages) => Some(Dialect::OpenaiChat),
        (Way::Translated, _) => None,
    }
}

const fn path(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::AnthropicMessages => "/v1/messages",
        Dialect::OpenaiResponses => "/v1/responses",
        _ => "/v1/chat/completions",
    }
}

fn body(dialect: Dialect, model: &str, stream: bool) -> Value {
    match dialect {
        Dialect::OpenaiResponses => json!({"model": model, "input": "hello", "stream": stream}),
        _ => json!({
            "model": model, "stream": stream, "max_tokens": 64,
            "messages": [{"role": "user", "content": "hello"}],
        }),
    }
}

fn plan(all: &[Malformed], provider: &ScriptedProvider, max_attempts: u16) -> GatewayPlan {
    let timeouts = TimeoutOverrides {
        connect_ms: Some(5_000),
        first_byte_ms: Some(1_500),
        idle_ms: Some(1_500),
        total_ms: Some(20_000),
    };
    let mut plan = GatewayPlan::default()
        .provider("oa", "openai_compatible", &provider.url())
        .timeouts(timeouts)
        .provider("an", "anthropic_compatible", &provider.url())
        .timeouts(timeouts);
    plan.settings.max_attempts = max_attempts;
    for (number, broken) in all.iter().enumerate() {
        let kind = if broken.dialect == Dialect::AnthropicMessages { "an" } else { "oa" };
        let upstream = format!("broken-{number}");
        plan = plan
            .model(&format!("alone-{number}"), &[(kind, &upstream, 1)])
            .model(&format!("pair-{number}"), &[(kind, &upstream, 1), (kind, "behaves", 0)]);
    }
    plan
}

async fn run(ways: &[Way], max_attempts: u16) -> Vec<(Case, Settlement)> {
    let all = malformed::all();
    let provider = ScriptedProvider::start().await;
    let gateway = TestGateway::start(plan(&all, &provider, max_attempts));
    let mut calls = JoinSet::new();
    for (number, broken) in all.into_iter().enumerate() {
        provider.on(Match::model(&format!("broken-{number}")), broken.reply.clone());
        for &way in ways {
            let Some(client) = client_dialect(&broken, way) else { continue };
            let prefix = if way == Way::WithFallback { "pair" } else { "alone" };
            let body = body(client, &format!("{prefix}-{number}"), broken.stream).to_string();
            let (address, key, broken) = (gateway.address, gateway.key.clone(), broken.clone());
            calls.spawn(async move {
                let answer = call(address, &key, client, &body, broken.name).await;
                Case { broken, way, client, answer }
            });
        }
    }
    let cases = calls.join_all().await;
    let settled = gateway.wait_for_settlements(cases.len()).await;
    let mut settled: HashMap<String, Settlement> =
        settled.into_iter().map(|one| (one.request.request_id.to_string(), one)).collect();
    assert_eq!(gateway.gateway.metrics.requests_in_flight.load(std::sync::atomic::Ordering::Relaxed), 0);
    let paired = cases.into_iter().map(|case| {
        let id = case.answer.header("x-tollgate-request-id").expect("every answer has an id");
        let settlement = settled.remove(id);
        let settlement = settlement.unwrap_or_else(|| panic!("{} was not settled once", case.broken.name));
        assert_ne!(settlement.request.request_id, RequestId::from_bytes([0; 16]));
        (case, settlement)
    });
    paired.collect()
}

async fn call(address: SocketAddr, key: &str, dialect: Dialect, body: &str, name: &str) -> RawResponse {
    let mut client = RawClient::connect(address).await.unwrap();
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str())];
    let answer = client.post(path(dialect), &headers, body);
    let answer = tokio::time::timeout(std::time::Duration::from_secs(30), answer).await;
    answer.unwrap_or_else(|_| panic!("{name} hangs")).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The event or body text that only a success has.
fn success_marker(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::AnthropicMessages => "\"type\":\"message_stop\"",
        Dialect::OpenaiResponses => "\"type\":\"response.completed\"",
        _ => "[DONE]",
    }
}

fn is_error(dialect: Dialect, value: &Value) -> bool {
    let inner = match dialect {
        Dialect::AnthropicMessages if value["type"] != "error" => return false,
        Dialect::OpenaiResponses if value["type"] == "error" => value,
        Dialect::OpenaiResponses if value["type"] == "response.failed" => &value["response"]["error"],
        _ => &value["error"],
    };
    inner["message"].is_string()
}

/// Whether the last event of a stream is an error of the dialect.
fn ends_with_error(dialect: Dialect, text: &str) -> bool {
    let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data:")).collect();
    let last = data.last().and_then(|data| serde_json::from_str(data.trim()).ok());
    last.is_some_and(|value: Value| is_error(dialect, &value))
}

fn describe(case: &Case, settlement: &Settlement) -> String {
    let text: String =
        case.answer.text().chars().rev().take(700).collect::<Vec<_>>().into_iter().rev().collect();
    let request = &settlement.request;
    format!(
        "{} ({:?} to {:?}; {}): status {}, complete {}, {:?} {:?} {:?} {:?}\n…{text}\n",
        case.broken.name,
        case.way,
        case.client,
        case.broken.expectation,
        case.answer.status,
        case.answer.complete,
        request.outcome,
        request.error_kind,
        request.usage,
        request.usage_source,
    )
}

/// What is wrong with an outcome; nothing when it is as it must be.
fn judge(case: &Case, settlement: &Settlement) -> Option<&'static str> {
    let (answer, request) = (&case.answer, &settlement.request);
    let text = answer.text();
    let marker = text.contains(success_marker(case.client));
    let expected = match case.broken.outcome {
        // A translation has to understand what relaying may pass on, so it may fail where relaying does not.
        Expected::Complete | Expected::CompleteEstimated if case.way == Way::Translated => {
            Expected::NoFalseSuccess
        }
        other => other,
    };
    let complete = || {
        let wrong_usage =
            case.broken.outcome == Expected::Complete && request.usage_source != UsageSource::Reported;
        let trusted = case.broken.outcome == Expected::CompleteEstimated
            && matches!(request.usage_source, UsageSource::Reported | UsageSource::Nothing);
        match () {
            () if answer.status != 200 || !answer.complete => Some("the answer is not whole"),
            () if request.outcome != Outcome::Completed => Some("not recorded as completed"),
            () if case.broken.stream && ends_with_error(case.client, &text) => Some("an error in a success"),
            () if case.way == Way::Translated && case.broken.stream && !marker => Some("the end is missing"),
            () if wrong_usage => Some("the provider's usage was not taken"),
            () if trusted => Some("an impossible usage was believed"),
            () if request.usage.output == 0 => Some("what was produced is not charged"),
            () if request.usage.output > 1 << 20 => Some("an absurd usage was charged"),
            () => None,
        }
    };
    let before_content = || match () {
        () if answer.status < 400 => Some("a failure with a success status"),
        () if !is_error(case.client, &answer.json()) => Some("not an error of the dialect"),
        () if request.outcome != Outcome::Failed => Some("not recorded as failed"),
        () if settlement.attempts.iter().any(|attempt| attempt.served) => Some("an attempt counts as served"),
        () if request.status != answer.status => Some("another status was recorded"),
        () => None,
    };
    let mid_stream = || match () {
        () if answer.status != 200 => Some("content had come, so the status must have gone out"),
        () if marker => Some("a success marker in a failure"),
        () if !ends_with_error(case.client, &text) => Some("no error event at the end"),
        () if request.outcome != Outcome::Failed => Some("not recorded as failed"),
        () if request.usage_source == UsageSource::Nothing => Some("nothing was charged"),
        () => None,
    };
    match expected {
        Expected::Complete | Expected::CompleteEstimated => complete(),
        Expected::FailsBeforeContent => before_content(),
        Expected::FailsMidStream => mid_stream(),
        Expected::NoFalseSuccess if answer.status >= 400 => before_content(),
        Expected::NoFalseSuccess if !case.broken.stream => {
            (!answer.json().is_object()).then_some("a success without an answer")
        }
        Expected::NoFalseSuccess if request.outcome == Outcome::Completed => complete_if_any(answer, marker),
        Expected::NoFalseSuccess => mid_stream(),
    }
}

fn complete_if_any(answer: &RawResponse, marker: bool) -> Option<&'static str> {
    let has_end = marker || answer.text().contains("finish_reason") || answer.text().contains("stop_reason");
    (answer.status != 200 || !answer.complete || !has_end)
        .then_some("recorded as completed, but is not whole")
}

fn report(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn each_broken_answer_has_its_defined_outcome() {
    let cases = run(&[Way::Direct, Way::Translated], 1).await;
    assert!(cases.len() > 150, "{} cases", cases.len());
    let judged = cases.iter().filter_map(|(case, settlement)| {
        let wrong = judge(case, settlement)?;
        Some(format!("{wrong}: {}", describe(case, settlement)))
    });
    report(&judged.collect::<Vec<_>>());
    for (case, settlement) in &cases {
        assert_eq!(settlement.attempts.len(), 1, "{}", describe(case, settlement));
    }
}

#[tokio::test]
async fn what_fails_before_content_is_served_by_the_next_deployment() {
    let cases = run(&[Way::WithFallback], 2).await;
    let fails = |broken: &Malformed| broken.outcome == Expected::FailsBeforeContent;
    let judged = cases.iter().filter(|(case, _)| fails(&case.broken)).filter_map(|(case, settlement)| {
        let request = &settlement.request;
        let served: Vec<bool> = settlement.attempts.iter().map(|attempt| attempt.served).collect();
        let marker = case.answer.text().contains(success_marker(case.client));
        let whole = case.answer.status == 200 && case.answer.complete && (marker || !case.broken.stream);
        let right = whole && request.outcome == Outcome::Completed && served == [false, true];
        (!right).then(|| format!("{served:?}: {}", describe(case, settlement)))
    });
    report(&judged.collect::<Vec<_>>());
}

#[test]
fn the_good_stream_has_the_marker_that_failures_must_not_have() {
    for dialect in [Dialect::OpenaiChat, Dialect::AnthropicMessages, Dialect::OpenaiResponses] {
        let stream = canned::text_stream(dialect).body();
        assert!(String::from_utf8_lossy(&stream).contains(success_marker(dialect)), "{dialect:?}");
    }
}

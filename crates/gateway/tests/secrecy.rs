//! What a provider says of its own credential stays between it and the gateway.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_core::Dialect;
use tollgate_ledger::record::Outcome;
use tollgate_testkit::gateway::PROVIDER_SECRET;
use tollgate_testkit::{
    GatewayPlan, Match, RawClient, RawResponse, Reply, ScriptedProvider, TestGateway, canned,
};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const RESPONSES: &str = "/v1/responses";

async fn setup() -> (ScriptedProvider, TestGateway) {
    let provider = ScriptedProvider::start().await;
    let plan = GatewayPlan::default()
        .provider("oa", "openai_compatible", &provider.url())
        .provider("an", "anthropic_compatible", &provider.url())
        .model("oa", &[("oa", "upstream-name", 1)])
        .model("an", &[("an", "upstream-name", 1)]);
    let gateway = TestGateway::start(plan);
    (provider, gateway)
}

async fn post(gateway: &TestGateway, path: &str, body: &Value) -> RawResponse {
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    let bearer = format!("Bearer {}", gateway.key);
    client.post(path, &[("authorization", &bearer)], body.to_string()).await.unwrap()
}

fn body(path: &str, model: &str, stream: bool) -> Value {
    match path {
        RESPONSES => json!({"model": model, "input": "hello", "stream": stream}),
        _ => json!({"model": model, "max_tokens": 64, "stream": stream,
                    "messages": [{"role": "user", "content": "hello"}]}),
    }
}

/// The secret as JSON may write it.
fn spellings() -> [String; 3] {
    let escaped: String = PROVIDER_SECRET.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    [PROVIDER_SECRET.to_owned(), escaped.clone(), escaped.replace('\\', "\\\\")]
}

fn unescaped(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    for _ in 0..3 {
        for byte in b'!'..=b'~' {
            let escape = format!("\\u{byte:04x}");
            text = text.replace(&escape, &char::from(byte).to_string());
        }
        text = text.replace("\\\\", "\\");
    }
    text
}

#[track_caller]
fn assert_silent(answer: &RawResponse, what: &str) {
    let part = &PROVIDER_SECRET[..PROVIDER_SECRET.len() / 2];
    for bytes in [&answer.head_bytes, &answer.body] {
        let text = unescaped(bytes);
        assert!(!text.contains(part), "{what}: {text}");
    }
}

#[tokio::test]
async fn an_error_in_a_good_status_does_not_tell_it() {
    let (provider, gateway) = setup().await;
    let long = "x".repeat(235);
    for spelling in spellings() {
        for padding in ["", long.as_str()] {
            let error = format!(
                r#"{{"type":"error","error":{{"type":"e","message":"{padding} bad key {spelling}"}}}}"#
            );
            provider.forget_rules();
            provider.on(Match::any(), Reply::json(200, error));
            for (path, model) in [(CHAT, "oa"), (CHAT, "an"), (MESSAGES, "an"), (MESSAGES, "oa")] {
                let answer = post(&gateway, path, &body(path, model, false)).await;
                assert_eq!(answer.status, 502, "{}", answer.text());
                assert_silent(&answer, path);
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_does_not_tell_it_however_it_is_written() {
    let (provider, gateway) = setup().await;
    for spelling in spellings() {
        let error =
            format!(r#"{{"type":"error","error":{{"type":"e","message":"bad","param":"{spelling}"}}}}"#);
        for status in [400, 404, 429, 500] {
            provider.forget_rules();
            provider.on(Match::any(), Reply::json(status, error.clone()));
            for (path, model) in [(CHAT, "oa"), (CHAT, "an"), (MESSAGES, "an"), (RESPONSES, "oa")] {
                let answer = post(&gateway, path, &body(path, model, false)).await;
                assert!(answer.status >= 400);
                assert_silent(&answer, path);
            }
        }
    }
}

fn error_event(dialect: Dialect, secret: &str) -> String {
    match dialect {
        Dialect::AnthropicMessages => format!(
            "event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"api_error\",\"message\":\"{secret}\"}}}}\n\n"
        ),
        Dialect::OpenaiResponses => {
            format!("event: error\ndata: {{\"type\":\"error\",\"code\":\"e\",\"message\":\"{secret}\"}}\n\n")
        }
        _ => format!("data: {{\"error\":{{\"message\":\"{secret}\",\"type\":\"e\"}}}}\n\n"),
    }
}

#[tokio::test]
async fn an_error_in_a_stream_does_not_tell_it() {
    let cases = [
        (CHAT, "oa", Dialect::OpenaiChat),
        (MESSAGES, "an", Dialect::AnthropicMessages),
        (RESPONSES, "oa", Dialect::OpenaiResponses),
        (CHAT, "an", Dialect::AnthropicMessages),
        (MESSAGES, "oa", Dialect::OpenaiChat),
    ];
    for (path, model, upstream) in cases {
        let (provider, gateway) = setup().await;
        let stream = canned::text_stream(upstream);
        let half = stream.parts.len() / 2;
        let mut calls = 0;
        for spelling in spellings() {
            // Before any content, after some of it, with it, and in pieces.
            let (start, error) = (stream.parts[..half].concat(), error_event(upstream, &spelling));
            let pieces: Vec<Bytes> = error.as_bytes().chunks(9).map(Bytes::copy_from_slice).collect();
            let scripts: [Vec<Bytes>; 4] = [
                vec![error.clone().into()],
                vec![start.clone().into(), error.clone().into()],
                vec![[start.as_slice(), error.as_bytes()].concat().into()],
                [vec![Bytes::from(start.clone())], pieces].concat(),
            ];
            for (number, script) in scripts.into_iter().enumerate() {
                provider.forget_rules();
                provider.on(Match::any(), Reply::events(script));
                let answer = post(&gateway, path, &body(path, model, true)).await;
                let what = format!("{path} from {upstream:?}, script {number}: {}", answer.text());
                assert_silent(&answer, &what);
                assert_eq!(answer.status, if number == 0 { 502 } else { 200 }, "{what}");
                assert!(answer.complete && answer.text().contains("error"), "{what}");
                calls += 1;
            }
        }
        let settled = gateway.wait_for_settlements(calls).await;
        assert!(settled.iter().all(|one| one.request.outcome == Outcome::Failed));
    }
}

#[tokio::test]
async fn no_header_tells_it() {
    let (provider, gateway) = setup().await;
    let replies = [
        (false, canned::text(Dialect::OpenaiChat).reply()),
        (true, canned::text_stream(Dialect::OpenaiChat).reply()),
        (false, canned::error(Dialect::OpenaiChat, 400).reply()),
        (false, canned::error(Dialect::OpenaiChat, 429).reply()),
    ];
    for (stream, reply) in replies {
        provider.forget_rules();
        let secret = format!("key={PROVIDER_SECRET}");
        let reply = reply
            .header("x-debug", &secret)
            .header("x-request-id", PROVIDER_SECRET)
            .header("x-ratelimit-key", PROVIDER_SECRET)
            .header("x-kept", "yes");
        provider.on(Match::any(), reply);
        let answer = post(&gateway, CHAT, &body(CHAT, "oa", stream)).await;
        assert_silent(&answer, "headers");
        assert_eq!(answer.header("x-kept"), Some("yes"));
    }
}

//! Responses clients on upstreams that do not speak Responses, and other clients on upstreams that speak nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use serde_json::{Value, json};
use tollgate_core::Dialect;
use tollgate_ledger::record::{JournalRecord, Outcome};
use tollgate_testkit::{
    GatewayPlan, Match, RawClient, RawResponse, Reply, ScriptedProvider, TestGateway, canned,
};

type Side = (Dialect, &'static str);

const CHAT: Side = (Dialect::OpenaiChat, "/v1/chat/completions");
const MESSAGES: Side = (Dialect::AnthropicMessages, "/v1/messages");
const RESPONSES: Side = (Dialect::OpenaiResponses, "/v1/responses");

/// The client's side, the model, and the upstream's side.
const PAIRS: [(Side, &str, Side); 4] = [
    (RESPONSES, "only-chat", CHAT),
    (RESPONSES, "anthropic", MESSAGES),
    (CHAT, "only-responses", RESPONSES),
    (MESSAGES, "only-responses", RESPONSES),
];

async fn setup() -> (ScriptedProvider, TestGateway) {
    let provider = ScriptedProvider::start().await;
    let plan = GatewayPlan::default()
        .provider("chat", "openai_chat_compatible", &provider.url())
        .provider("anthropic", "anthropic_compatible", &provider.url())
        .provider("responses", "openai_responses_compatible", &provider.url())
        .model("only-chat", &[("chat", "upstream-name", 1)])
        .model("anthropic", &[("anthropic", "upstream-name", 1)])
        .model("only-responses", &[("responses", "upstream-name", 1)]);
    let gateway = TestGateway::start(plan);
    (provider, gateway)
}

async fn post(gateway: &TestGateway, path: &str, body: &Value) -> RawResponse {
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    let bearer = format!("Bearer {}", gateway.key);
    client.post(path, &[("authorization", &bearer)], body.to_string()).await.unwrap()
}

fn body(dialect: Dialect, model: &str, stream: bool) -> Value {
    match dialect {
        Dialect::OpenaiResponses => json!({"model": model, "input": "hello", "stream": stream}),
        _ => json!({
            "model": model, "max_tokens": 64, "stream": stream,
            "messages": [{"role": "user", "content": "hello"}],
        }),
    }
}

fn events(answer: &RawResponse) -> Vec<Value> {
    let text = answer.text();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|data| serde_json::from_str(data).ok()).collect()
}

/// The words of an answer, whole or streamed.
fn words(dialect: Dialect, answer: &RawResponse, stream: bool) -> String {
    if !stream {
        let whole = answer.json();
        let text = match dialect {
            Dialect::OpenaiResponses => &whole["output"][0]["content"][0]["text"],
            Dialect::AnthropicMessages => &whole["content"][0]["text"],
            _ => &whole["choices"][0]["message"]["content"],
        };
        return text.as_str().unwrap_or_default().to_owned();
    }
    let pieces = events(answer).into_iter().filter_map(|event| {
        let piece = match dialect {
            Dialect::OpenaiResponses => &event["delta"],
            Dialect::AnthropicMessages => &event["delta"]["text"],
            _ => &event["choices"][0]["delta"]["content"],
        };
        piece.as_str().map(str::to_owned)
    });
    pieces.collect()
}

#[tokio::test]
async fn each_side_is_served_by_the_other() {
    for stream in [false, true] {
        for ((client, path), model, (upstream, upstream_path)) in PAIRS {
            let (provider, gateway) = setup().await;
            let answer = post(&gateway, path, &body(client, model, stream)).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(provider.last_request().path(), upstream_path);
            assert_eq!(provider.last_request().model().as_deref(), Some("upstream-name"));
            assert_eq!(words(client, &answer, stream), canned::TEXT, "{client:?} on {upstream:?}");
            let settlement = gateway.wait_for_settlements(1).await.remove(0);
            let canned = if stream { canned::text_stream(upstream) } else { canned::text(upstream) };
            assert_eq!(settlement.request.usage, canned.usage);
            assert_eq!(settlement.request.upstream_dialect, Some(upstream));
            assert_eq!(settlement.request.outcome, Outcome::Completed);
            let owns = |record: &JournalRecord| format!("{record:?}").contains("resp_");
            assert!(!gateway.records().iter().any(owns), "nothing that is kept was handed out");
        }
    }
}

#[tokio::test]
async fn a_response_stream_ends_with_the_whole_answer() {
    for model in ["only-chat", "anthropic"] {
        let (_provider, gateway) = setup().await;
        let answer = post(&gateway, RESPONSES.1, &body(RESPONSES.0, model, true)).await;
        let events = events(&answer);
        for (number, event) in events.iter().enumerate() {
            assert_eq!(event["sequence_number"], number, "{event}");
        }
        assert_eq!(events[0]["type"], "response.created");
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.completed");
        assert_eq!(last["response"]["output"][0]["content"][0]["text"], canned::TEXT);
        assert!(last["response"]["usage"]["output_tokens"].as_u64().unwrap() > 0);
    }
}

#[tokio::test]
async fn tools_are_called_and_their_results_brought() {
    let tool = json!({
        "type": "function", "name": canned::TOOL_NAME, "strict": true,
        "parameters": {"type": "object", "properties": {}, "additionalProperties": false},
    });
    for model in ["only-chat", "anthropic"] {
        let (provider, gateway) = setup().await;
        let mut request = json!({
            "model": model, "tools": [tool, {"type": "web_search"}],
            "input": [{"role": "user", "content": "weather?"}],
        });
        let answer = post(&gateway, RESPONSES.1, &request).await;
        assert!(answer.header("x-tollgate-translation").unwrap().contains("web_search"));
        let call = answer.json()["output"][0].clone();
        assert_eq!((&call["type"], &call["name"]), (&json!("function_call"), &json!(canned::TOOL_NAME)));
        let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
        assert_eq!(arguments, serde_json::from_str::<Value>(canned::TOOL_ARGUMENTS).unwrap());
        let output = json!({"type": "function_call_output", "call_id": call["call_id"], "output": "21"});
        request["input"].as_array_mut().unwrap().extend([call.clone(), output]);
        let answer = post(&gateway, RESPONSES.1, &request).await;
        assert_eq!(words(RESPONSES.0, &answer, false), canned::FINAL_TEXT, "{}", answer.text());
        let sent = provider.last_request().json().to_string();
        assert_eq!(sent.matches(call["call_id"].as_str().unwrap()).count(), 2, "the call and its result");
    }
}

#[tokio::test]
async fn errors_come_in_the_clients_dialect() {
    for ((client, path), model, (upstream, upstream_path)) in PAIRS {
        let (provider, gateway) = setup().await;
        provider.on(Match::path(upstream_path), canned::error(upstream, 400).reply());
        let answer = post(&gateway, path, &body(client, model, false)).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
        assert_eq!(answer.json()["type"] == "error", client == Dialect::AnthropicMessages);
    }
}

#[tokio::test]
async fn a_broken_stream_is_never_a_whole_one() {
    for ((client, path), model, (upstream, upstream_path)) in PAIRS {
        for reports in [false, true] {
            let (provider, gateway) = setup().await;
            let half: Reply = canned::text_stream(upstream).reply().first_half();
            let reply = if reports { half.send(canned::error_event(upstream)) } else { half };
            provider.on(Match::path(upstream_path), reply);
            let answer = post(&gateway, path, &body(client, model, true)).await;
            let text = answer.text();
            assert!(!text.contains("[DONE]"), "{text}");
            for end in ["message_stop", "response.completed", "response.incomplete"] {
                assert!(events(&answer).iter().all(|event| event["type"] != end), "{text}");
            }
            let last = events(&answer).pop().unwrap();
            let error =
                if client == Dialect::OpenaiResponses { &last["response"]["error"] } else { &last["error"] };
            assert!(error["message"].is_string(), "{text}");
            let settlement = gateway.wait_for_settlements(1).await.remove(0);
            assert_eq!(settlement.request.outcome, Outcome::Failed);
        }
    }
}

#[tokio::test]
async fn what_only_a_provider_keeps_is_refused_and_not_sent() {
    let (provider, gateway) = setup().await;
    for model in ["only-chat", "anthropic"] {
        for (field, value) in [
            ("previous_response_id", json!("resp_1")),
            ("conversation", json!("conv_1")),
            ("prompt", json!({"id": "pmpt_1"})),
        ] {
            let mut request = body(RESPONSES.0, model, false);
            request[field] = value;
            let answer = post(&gateway, RESPONSES.1, &request).await;
            assert!([400, 404].contains(&answer.status), "{}", answer.text());
            assert!(answer.text().contains(field) || answer.text().contains("resp_1"), "{}", answer.text());
        }
    }
    assert!(provider.requests().is_empty());
}

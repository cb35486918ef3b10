//! The scripted provider does on the wire what its script says, and records what it gets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use serde_json::json;
use tollgate_core::Dialect;
use tollgate_testkit::{
    Behaviour, Framing, Match, RawClient, RawResponse, Reply, ScriptedProvider, Signal, canned, malformed,
};

const CHAT: &str = "/v1/chat/completions";

async fn client(provider: &ScriptedProvider) -> RawClient {
    RawClient::connect(provider.address()).await.unwrap()
}

async fn ask(provider: &ScriptedProvider, body: &serde_json::Value) -> RawResponse {
    client(provider).await.post(CHAT, &[], body.to_string()).await.unwrap()
}

fn chat(model: &str, stream: bool) -> serde_json::Value {
    json!({"model": model, "stream": stream, "stream_options": {"include_usage": stream}, "messages": [{"role": "user", "content": "hi"}]})
}

#[tokio::test]
async fn records_bytes_and_reuses_connections() {
    let provider = ScriptedProvider::start().await;
    let mut client = client(&provider).await;
    let body = "{\"model\" : \"m\",  \"x\":1}";
    for _ in 0..3 {
        let response = client.post("/v1/chat/completions?a=b", &[("X-Odd-Case", "V")], body).await.unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(response.body, canned::text(Dialect::OpenaiChat).body());
    }
    let requests = provider.wait_for_requests(3).await;
    assert_eq!(provider.connections(), 1);
    assert_eq!(requests[2].position_on_connection, 2);
    assert_eq!(requests[0].target, "/v1/chat/completions?a=b");
    assert_eq!(requests[0].path(), CHAT);
    assert_eq!(requests[0].body, body);
    assert!(requests[0].headers.iter().any(|(name, value)| name == "X-Odd-Case" && value == "V"));
    assert!(requests[0].head_bytes.starts_with(b"POST /v1/chat/completions?a=b HTTP/1.1\r\n"));
    drop(client);
    provider.wait_for_open_connections(0).await;
}

#[tokio::test]
async fn reads_chunked_request_bodies() {
    let provider = ScriptedProvider::start().await;
    let mut client = client(&provider).await;
    client
        .send(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n")
        .await
        .unwrap();
    let response = client.response().await.unwrap();
    assert_eq!(response.body, canned::text(Dialect::AnthropicMessages).body());
    assert_eq!(provider.last_request().body, "{\"a\":1}");
}

#[tokio::test]
async fn behaves_well_by_default() {
    let provider = ScriptedProvider::start().await;
    let streamed = ask(&provider, &chat("m", true)).await;
    assert_eq!(streamed.body, canned::text_stream(Dialect::OpenaiChat).body());
    let mut without_usage = chat("m", true);
    without_usage["stream_options"] = json!(null);
    let expected = canned::text_stream_without_usage(Dialect::OpenaiChat).body();
    assert_eq!(ask(&provider, &without_usage).await.body, expected);
    let mut tools = chat("m", false);
    tools["tools"] = json!([{"type": "function", "function": {"name": "look_up"}}]);
    let call = ask(&provider, &tools).await.json();
    assert_eq!(call["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "look_up");
    tools["messages"] = json!([{"role": "tool", "tool_call_id": canned::TOOL_CALL_ID, "content": "21"}]);
    let answer = ask(&provider, &tools).await.json();
    assert_eq!(answer["choices"][0]["message"]["content"], canned::FINAL_TEXT);
    let mut client = client(&provider).await;
    let embedding = client.post("/v1/embeddings", &[], r#"{"encoding_format":"base64"}"#).await.unwrap();
    assert!(embedding.json()["data"][0]["embedding"].is_string());
    assert_eq!(client.get("/v1/models", &[]).await.unwrap().json()["data"][0]["id"], canned::MODEL);
    assert_eq!(client.get("/nowhere", &[]).await.unwrap().status, 404);
}

#[tokio::test]
async fn rules_answer_in_order_and_newest_first() {
    let provider = ScriptedProvider::start().await;
    provider.on(Match::path(CHAT), vec![Reply::json(500, "{}"), Reply::json(200, "{}")]);
    provider.on(
        Match::any().and_model("special"),
        Behaviour::from_fn(|request, used| Reply::json(418, format!("[{},{used}]", request.number))),
    );
    let status = async |model| ask(&provider, &chat(model, false)).await.status;
    assert_eq!(status("m").await, 500);
    assert_eq!(status("m").await, 200);
    assert_eq!(status("m").await, 200);
    assert_eq!(ask(&provider, &chat("special", false)).await.body, "[3,0]");
    provider.forget_rules();
    assert_eq!(ask(&provider, &chat("special", false)).await.body, canned::text(Dialect::OpenaiChat).body());
}

#[tokio::test]
async fn requests_choose_scripts_by_name() {
    let provider = ScriptedProvider::start().await;
    for run in ["script:429-then-ok@a", "script:429-then-ok@b"] {
        let refused = ask(&provider, &chat(run, false)).await;
        assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
        assert_eq!(ask(&provider, &chat(run, false)).await.status, 200);
        assert_eq!(ask(&provider, &chat(run, false)).await.status, 200);
    }
    assert_eq!(ask(&provider, &chat("script:no-such", false)).await.status, 400);
    let cut = ask(&provider, &chat("script:cut-mid-stream", true)).await;
    assert_eq!((cut.status, cut.complete), (200, false));
    assert!(canned::text_stream(Dialect::OpenaiChat).body().starts_with(&cut.body) && !cut.body.is_empty());
    let cut = ask(&provider, &chat("script:cut-mid-stream", false)).await;
    assert_eq!((cut.status, cut.complete), (200, false), "a JSON answer is cut too");
    let html = ask(&provider, &chat("script:malformed.html-200", true)).await;
    assert_eq!(html.header("content-type"), Some("text/html"));
    let by_header = client(&provider).await.post(CHAT, &[("x-script", "script:503")], "{}").await.unwrap();
    assert_eq!(by_header.status, 503);
}

#[tokio::test]
async fn cut_is_an_end_and_reset_is_an_error() {
    let provider = ScriptedProvider::start().await;
    let half = || Reply::status(200).framing(Framing::ClaimedLength(10)).send("12345");
    provider.on(Match::model("cut"), half().cut()).on(Match::model("reset"), half().reset());
    for (model, reset) in [("cut", false), ("reset", true)] {
        let mut client = client(&provider).await;
        let response = client.post(CHAT, &[], chat(model, false).to_string()).await;
        // A reset may overtake the bytes before it.
        if let Ok(response) = response {
            assert!(!response.complete);
        }
        let end = client.read_some().await;
        if reset {
            // The first error was consumed by reading the body.
            assert!(end.is_err() || end.unwrap().is_empty());
        } else {
            assert_eq!(end.unwrap(), "");
        }
    }
    let mut client = client(&provider).await;
    provider.on(Match::any(), Reply::raw().reset());
    let error = client.post(CHAT, &[], "{}").await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn signals_hold_a_script_and_a_peer_that_leaves_is_seen() {
    let provider = ScriptedProvider::start().await;
    let (reached, go) = (Signal::new(), Signal::new());
    provider
        .on(Match::any(), Reply::events(["data: 1\n\n"]).raise(&reached).wait_for(&go).send("data: 2\n\n"));
    let mut waiting = client(&provider).await;
    waiting.send(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    reached.raised().await;
    assert!(provider.requests()[0].answered_at.is_none());
    go.raise();
    assert_eq!(waiting.response().await.unwrap().body, "data: 1\n\ndata: 2\n\n");
    assert!(provider.wait_for_answer(0).await.peer_closed_at.is_none());

    provider.on(Match::any(), Reply::events(["data: 1\n\n"]).stall());
    let mut leaving = client(&provider).await;
    leaving.send(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(leaving.response_head().await.unwrap().status, 200);
    drop(leaving);
    provider.wait_for_peer_close(1).await;
    assert!(provider.requests()[1].answered_at.is_none());
}

#[tokio::test]
async fn a_peer_that_leaves_while_sending_is_recorded() {
    let provider = ScriptedProvider::start().await;
    let mut leaving = client(&provider).await;
    leaving.send(b"POST / HTTP/1.1\r\ncontent-length: 100\r\n\r\nabc").await.unwrap();
    drop(leaving);
    provider.wait_for_peer_close(0).await;
    let request = provider.last_request();
    assert_eq!((request.body_complete, request.body.as_ref()), (false, &b"abc"[..]));
}

#[tokio::test]
async fn slow_writes_carry_the_same_bytes() {
    let provider = ScriptedProvider::start().await;
    provider.on(Match::any(), Reply::status(200).send_slowly("abcdef", 2, Duration::from_millis(1)));
    assert_eq!(ask(&provider, &chat("m", false)).await.body, "abcdef");
    provider.forget_rules();
    let streamed = ask(&provider, &chat("script:byte-by-byte", true)).await;
    assert_eq!(streamed.body, canned::text_stream(Dialect::OpenaiChat).body());
}

/// Those that promise to end do end; those that stall say nothing more until the peer leaves.
#[tokio::test]
async fn every_malformed_answer_is_played() {
    let provider = ScriptedProvider::start().await;
    for malformed in malformed::all() {
        let model = format!("script:malformed.{}", malformed.name);
        let mut client = client(&provider).await;
        let body = chat(&model, malformed.stream).to_string();
        if malformed.name.starts_with("silence") {
            let head = format!("POST {CHAT} HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let before = provider.requests().len();
            client.send(head.as_bytes()).await.unwrap();
            provider.wait_for_requests(before + 1).await;
            drop(client);
            provider.wait_for_peer_close(before).await;
        } else {
            // Broken heads are errors of this client; that it comes to an end is what counts.
            let played = tokio::time::timeout(Duration::from_secs(20), client.post(CHAT, &[], body)).await;
            assert!(played.is_ok(), "{} does not end", malformed.name);
        }
    }
    provider.wait_for_open_connections(0).await;
}

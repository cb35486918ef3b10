//! The demo provider over real sockets: every dialect, usage that fits the text, tools, faults in proportion.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use tollgate_simulator::{Profile, SimulatedProvider};
use tollgate_testkit::{RawClient, RawResponse};

fn start(seed: u64) -> SimulatedProvider {
    SimulatedProvider::builder()
        .profile(Profile::Demo { seed })
        .without_delays()
        .bind("127.0.0.1:0".parse().unwrap())
        .unwrap()
        .spawn()
        .unwrap()
}

/// Asks until the answer is no simulated fault.
async fn ask(provider: &SimulatedProvider, path: &str, body: &Value) -> RawResponse {
    let mut client = RawClient::connect(provider.address()).await.unwrap();
    loop {
        let response = client.post(path, &[], body.to_string()).await.unwrap();
        if response.status < 429 {
            return response;
        }
    }
}

/// The data of every event but `[DONE]`.
fn events(response: &RawResponse) -> Vec<Value> {
    assert!(response.complete);
    response
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn chat(stream: bool) -> Value {
    json!({
        "model": "sim-fast",
        "stream": stream,
        "stream_options": {"include_usage": true},
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Explain database indexes"}]},
        ],
    })
}

#[tokio::test]
async fn chat_streams_the_same_text_with_the_same_usage() {
    let provider = start(1);
    let whole = ask(&provider, "/v1/chat/completions", &chat(false)).await.json();
    let text = whole["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.contains("database"));
    let streamed = ask(&provider, "/v1/chat/completions", &chat(true)).await;
    assert!(streamed.text().ends_with("data: [DONE]\n\n"));
    let events = events(&streamed);
    let content = |event: &Value| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned);
    assert_eq!(events.iter().filter_map(content).collect::<String>(), text);
    let usage = &events.last().unwrap()["usage"];
    assert_eq!(usage["completion_tokens"], whole["usage"]["completion_tokens"]);
    let tokens = usage["completion_tokens"].as_u64().unwrap();
    assert!(tokens.abs_diff(text.len() as u64 / 4) <= 2, "{tokens} tokens for {} bytes", text.len());
}

#[tokio::test]
async fn output_limits_are_kept() {
    let provider = start(2);
    let mut body = chat(false);
    body["max_tokens"] = json!(5);
    let answer = ask(&provider, "/v1/chat/completions", &body).await.json();
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["completion_tokens"], 5);
}

#[tokio::test]
async fn tools_are_called_when_asked_for_and_their_results_used() {
    let provider = start(3);
    let parameters = json!({
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    });
    let function = json!({"name": "get_weather", "parameters": parameters});
    let mut body = chat(false);
    body["tools"] = json!([{"type": "function", "function": function}]);
    let answer = ask(&provider, "/v1/chat/completions", &body).await.json();
    assert_eq!(answer["choices"][0]["finish_reason"], "stop", "nobody asked for the tool");
    body["messages"] = json!([{"role": "user", "content": "What is the weather in Oslo?"}]);
    let answer = ask(&provider, "/v1/chat/completions", &body).await.json();
    let call = &answer["choices"][0]["message"]["tool_calls"][0]["function"];
    assert_eq!((&call["name"], &call["arguments"]), (&json!("get_weather"), &json!(r#"{"city":"Oslo"}"#)));
    body["messages"] = json!([{"role": "tool", "tool_call_id": "x", "content": "4 degrees"}]);
    let answer = ask(&provider, "/v1/chat/completions", &body).await.json();
    assert!(answer["choices"][0]["message"]["content"].as_str().unwrap().contains("4 degrees"));

    let anthropic = json!({
        "model": "sim-claude", "max_tokens": 500, "stream": true,
        "tools": [{"name": "get_weather", "input_schema": parameters}],
        "messages": [{"role": "user", "content": "What is the weather in Oslo?"}],
    });
    let events = events(&ask(&provider, "/v1/messages", &anthropic).await);
    let json: String = events.iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
    assert_eq!(json, r#"{"city":"Oslo"}"#);
    assert_eq!(events.last().unwrap()["type"], "message_stop");
}

#[tokio::test]
async fn the_other_dialects_answer_too() {
    let provider = start(4);
    let messages =
        json!({"model": "sim-claude", "max_tokens": 900, "messages": [{"role": "user", "content": "hi"}]});
    let answer = ask(&provider, "/v1/messages", &messages).await.json();
    assert_eq!(answer["stop_reason"], "end_turn");
    assert!(answer["usage"]["output_tokens"].as_u64().unwrap() > 10);
    let count = ask(&provider, "/v1/messages/count_tokens", &messages).await.json();
    assert_eq!(count["input_tokens"], answer["usage"]["input_tokens"]);

    let responses = json!({"model": "sim-reasoner", "input": "hi", "stream": true});
    let events = events(&ask(&provider, "/v1/responses", &responses).await);
    assert_eq!(events.last().unwrap()["type"], "response.completed");
    let usage = &events.last().unwrap()["response"]["usage"];
    assert!(usage["output_tokens_details"]["reasoning_tokens"].as_u64().unwrap() > 0);
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
    }

    let completion = ask(&provider, "/v1/completions", &json!({"model": "sim-fast", "prompt": "hi"})).await;
    assert!(completion.json()["choices"][0]["text"].is_string());
    let embed = json!({"model": "sim-embed", "input": ["a", "b", "a"]});
    let embedded = ask(&provider, "/v1/embeddings", &embed).await.json();
    assert_eq!(embedded["data"][0]["embedding"], embedded["data"][2]["embedding"]);
    assert_ne!(embedded["data"][0]["embedding"], embedded["data"][1]["embedding"]);
    assert_eq!(ask(&provider, "/v1/chat/completions", &json!({"model": "gone"})).await.status, 404);
    assert_eq!(ask(&provider, "/v1/embeddings", &json!({"model": "sim-fast"})).await.status, 400);
}

#[tokio::test]
async fn models_are_listed_in_either_dialect() {
    let provider = start(5);
    let mut client = RawClient::connect(provider.address()).await.unwrap();
    let names = |value: &Value| {
        let data = value["data"].as_array().unwrap().clone();
        data.into_iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let expected: Vec<_> = tollgate_simulator::demo_model_names().collect();
    assert_eq!(names(&client.get("/v1/models", &[]).await.unwrap().json()), expected);
    let anthropic = client.get("/v1/models", &[("anthropic-version", "2023-06-01")]).await.unwrap();
    assert_eq!(names(&anthropic.json()), expected);
    assert_eq!(anthropic.json()["data"][0]["type"], "model");
    assert_eq!(client.get("/v1/models/sim-fast", &[]).await.unwrap().json()["id"], "sim-fast");
    assert_eq!(client.get("/v1/models/none", &[]).await.unwrap().status, 404);
}

/// The same seed gives the same faults; they are rare for most models and frequent for the flaky one.
#[tokio::test]
async fn faults_come_in_proportion_and_repeat_with_the_seed() {
    let statuses = async |model: &str| {
        let provider = start(6);
        let mut client = RawClient::connect(provider.address()).await.unwrap();
        let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]}).to_string();
        let mut statuses = Vec::new();
        for _ in 0..400 {
            let response = client.post("/v1/chat/completions", &[], &body).await.unwrap();
            if response.status == 429 {
                assert!(response.header("retry-after").is_some());
            }
            statuses.push(response.status);
        }
        statuses
    };
    let count = |statuses: &[u16], range: std::ops::RangeInclusive<u16>| {
        statuses.iter().filter(|status| range.contains(status)).count()
    };
    let usual = statuses("sim-smart").await;
    assert!((1..=20).contains(&count(&usual, 400..=599)), "{}", count(&usual, 400..=599));
    assert_eq!(usual, statuses("sim-smart").await);
    let flaky = statuses("sim-flaky").await;
    assert!(count(&flaky, 429..=429) > 30 && count(&flaky, 500..=599) > 20);
}

#[tokio::test]
async fn dropping_the_provider_closes_its_port() {
    let provider = start(7);
    let address = provider.address();
    let mut client = RawClient::connect(address).await.unwrap();
    client.get("/v1/models", &[]).await.unwrap();
    drop(provider);
    assert!(client.read_some().await.unwrap().is_empty());
}

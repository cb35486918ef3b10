//! A clamp changes the cap, and what must follow it, and no other byte.
#![allow(clippy::unwrap_used, reason = "a test fails where its own set-up does")]

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_core::Dialect;
use tollgate_wire::translate::{Capabilities, RequestContext, translate_request};
use tollgate_wire::{Edits, Field, OutputCap, lowest_output_cap, peek, splice};

fn clamped(dialect: Dialect, body: &str, tokens: u64, add_as: Field) -> String {
    let peeked = peek(dialect, Bytes::copy_from_slice(body.as_bytes())).unwrap();
    let edits = Edits { output_cap: Some(OutputCap { tokens, add_as }), ..Edits::default() };
    String::from_utf8(splice(&peeked, &edits).to_bytes().to_vec()).unwrap()
}

const BUDGET: &str =
    r#"{ "max_tokens" : 32000, "thinking":{"type":"enabled", "budget_tokens": 31999 ,"x":1}, "a":[ ]}"#;
const ADAPTIVE: &str = r#"{"max_tokens":32000,"thinking":{"type":"adaptive","display":"omitted"}}"#;

#[test]
fn only_the_named_bytes_change() {
    use Dialect::{AnthropicMessages, OpenaiChat, OpenaiCompletions, OpenaiResponses};
    let cases = [
        (
            OpenaiChat,
            r#"{"max_completion_tokens":9,"x":"max_completion_tokens"}"#,
            5,
            Field::MaxCompletionTokens,
            r#"{"max_completion_tokens":5,"x":"max_completion_tokens"}"#,
        ),
        (
            OpenaiChat,
            r#"{"max_tokens":9,"max_completion_tokens":3}"#,
            5,
            Field::MaxTokens,
            r#"{"max_tokens":5,"max_completion_tokens":3}"#,
        ),
        (
            OpenaiChat,
            r#"{"max_completion_tokens":3}"#,
            5,
            Field::MaxTokens,
            r#"{"max_tokens":5,"max_completion_tokens":3}"#,
        ),
        (OpenaiChat, r#"{"max_tokens":0}"#, 5, Field::MaxTokens, r#"{"max_tokens":5}"#),
        (OpenaiChat, r#"{"max_tokens":3}"#, 5, Field::MaxTokens, r#"{"max_tokens":3}"#),
        (OpenaiChat, r#"{"max_tokens":null}"#, 5, Field::MaxTokens, r#"{"max_tokens":5}"#),
        (OpenaiCompletions, r#"{"prompt":"x"}"#, 5, Field::MaxTokens, r#"{"max_tokens":5,"prompt":"x"}"#),
        (
            OpenaiResponses,
            r#"{"input":"x"}"#,
            16,
            Field::MaxOutputTokens,
            r#"{"max_output_tokens":16,"input":"x"}"#,
        ),
        (
            OpenaiResponses,
            r#"{"max_output_tokens":99}"#,
            16,
            Field::MaxOutputTokens,
            r#"{"max_output_tokens":16}"#,
        ),
        (AnthropicMessages, r#"{"max_tokens":0}"#, 5, Field::MaxTokens, r#"{"max_tokens":0}"#),
        (
            AnthropicMessages,
            BUDGET,
            5000,
            Field::MaxTokens,
            r#"{ "max_tokens" : 5000, "thinking":{"type":"enabled", "budget_tokens": 4999 ,"x":1}, "a":[ ]}"#,
        ),
        (
            AnthropicMessages,
            BUDGET,
            1025,
            Field::MaxTokens,
            r#"{ "max_tokens" : 1025, "thinking":{"type":"enabled", "budget_tokens": 1024 ,"x":1}, "a":[ ]}"#,
        ),
        (AnthropicMessages, BUDGET, 40_000, Field::MaxTokens, BUDGET),
        (
            AnthropicMessages,
            ADAPTIVE,
            100,
            Field::MaxTokens,
            r#"{"max_tokens":100,"thinking":{"type":"adaptive","display":"omitted"}}"#,
        ),
    ];
    for (dialect, body, tokens, add_as, expected) in cases {
        assert_eq!(clamped(dialect, body, tokens, add_as), expected, "{body} to {tokens}");
    }
}

#[test]
fn below_the_lowest_cap_a_clamp_is_impossible() {
    let lowest = |dialect, body: &'static str| lowest_output_cap(&peek(dialect, body.into()).unwrap());
    let budget = r#"{"thinking":{"type":"enabled","budget_tokens":2048},"max_tokens":4096}"#;
    assert_eq!(lowest(Dialect::AnthropicMessages, budget), 1025);
    assert_eq!(lowest(Dialect::AnthropicMessages, r#"{"thinking":{"type":"adaptive"}}"#), 1);
    assert_eq!(lowest(Dialect::OpenaiResponses, "{}"), 16);
    assert_eq!(lowest(Dialect::OpenaiChat, "{}"), 1);
}

fn translated(from: Dialect, to: Dialect, body: &Value, cap: Option<u64>) -> Value {
    let context = RequestContext {
        upstream_model: "m",
        default_max_output_tokens: 4_096,
        output_cap_tokens: cap,
        capabilities: Capabilities::default(),
    };
    let request = translate_request(from, to, &serde_json::to_vec(body).unwrap(), &context).unwrap();
    serde_json::from_slice(&request.body).unwrap()
}

#[test]
fn a_translated_request_keeps_the_cap_and_a_valid_budget() {
    let (chat, messages) = (Dialect::OpenaiChat, Dialect::AnthropicMessages);
    let asks = |member: &str, value: Value| json!({"model": "m", "messages": [{"role": "user", "content": "x"}], member: value});
    let max_tokens = |body: &Value, cap| translated(chat, messages, body, cap)["max_tokens"].clone();
    let plain = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
    assert_eq!(max_tokens(&plain, None), 4_096);
    assert_eq!(max_tokens(&plain, Some(100)), 100);
    assert_eq!(max_tokens(&plain, Some(9_000)), 4_096);
    assert_eq!(max_tokens(&asks("max_completion_tokens", json!(500)), Some(100)), 100);
    assert_eq!(max_tokens(&asks("max_tokens", json!(50)), Some(100)), 50);

    let reasoning = translated(chat, messages, &asks("reasoning_effort", json!("high")), Some(3_000));
    assert!(
        reasoning["thinking"]["budget_tokens"]
            .as_u64()
            .is_some_and(|budget| (1_024..3_000).contains(&budget))
    );
    let reasoning = translated(chat, messages, &asks("reasoning_effort", json!("high")), Some(500));
    assert!(reasoning.get("thinking").is_none());

    let thinks = json!({"model": "m", "max_tokens": 32_000, "messages": [{"role": "user", "content": "x"}]});
    assert_eq!(translated(messages, chat, &thinks, Some(700))["max_completion_tokens"], 700);
    assert_eq!(translated(messages, chat, &thinks, None)["max_completion_tokens"], 32_000);
    assert_eq!(translated(chat, chat, &plain, Some(700))["max_completion_tokens"], 700);
}

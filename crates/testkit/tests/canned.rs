//! Every canned answer is what its dialect says: JSON that parses, streams that read back to the same text and usage.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::Value;
use tollgate_core::Dialect;
use tollgate_testkit::{Canned, canned, malformed};

const DIALECTS: [Dialect; 5] = [
    Dialect::OpenaiChat,
    Dialect::OpenaiCompletions,
    Dialect::OpenaiEmbeddings,
    Dialect::OpenaiResponses,
    Dialect::AnthropicMessages,
];
const STREAMING: [Dialect; 4] =
    [Dialect::OpenaiChat, Dialect::OpenaiCompletions, Dialect::OpenaiResponses, Dialect::AnthropicMessages];
const WITH_TOOLS: [Dialect; 3] = [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::AnthropicMessages];

/// The events of a stream, each as (event name, data); `[DONE]` as a string.
fn events(canned: &Canned) -> Vec<(Option<String>, Value)> {
    let body = String::from_utf8(canned.body().to_vec()).unwrap();
    assert!(body.ends_with("\n\n"), "the last event has no blank line");
    body.trim_end()
        .split("\n\n")
        .map(|event| {
            let (mut name, mut data) = (None, None);
            for line in event.lines() {
                match line.split_once(": ").unwrap() {
                    ("event", value) => name = Some(value.to_owned()),
                    ("data", "[DONE]") => data = Some(Value::from("[DONE]")),
                    ("data", value) => data = Some(serde_json::from_str(value).unwrap()),
                    other => panic!("unexpected line {other:?}"),
                }
            }
            (name, data.expect("an event without data"))
        })
        .collect()
}

fn streamed_text(dialect: Dialect, events: &[(Option<String>, Value)]) -> String {
    let piece = |data: &Value| match dialect {
        Dialect::OpenaiChat => data["choices"][0]["delta"]["content"].as_str().map(str::to_owned),
        Dialect::OpenaiCompletions => data["choices"][0]["text"].as_str().map(str::to_owned),
        Dialect::OpenaiResponses => data["delta"].as_str().map(str::to_owned),
        _ => data["delta"]["text"].as_str().map(str::to_owned),
    };
    events.iter().filter_map(|(_, data)| piece(data)).collect()
}

#[test]
fn json_answers_parse() {
    for dialect in DIALECTS {
        for canned in [canned::text(dialect), canned::error(dialect, 429), canned::error(dialect, 500)] {
            let value: Value = serde_json::from_slice(&canned.body()).unwrap();
            assert!(value.is_object());
        }
    }
    let chat: Value = serde_json::from_slice(&canned::text(Dialect::OpenaiChat).body()).unwrap();
    assert_eq!(chat["choices"][0]["message"]["content"], canned::TEXT);
    let message: Value = serde_json::from_slice(&canned::text(Dialect::AnthropicMessages).body()).unwrap();
    assert_eq!(message["content"][0]["text"], canned::TEXT);
}

#[test]
fn declared_usage_is_what_the_body_says() {
    let chat: Value = serde_json::from_slice(&canned::text(Dialect::OpenaiChat).body()).unwrap();
    let usage = canned::text(Dialect::OpenaiChat).usage;
    assert_eq!(chat["usage"]["prompt_tokens"], usage.total_input());
    assert_eq!(chat["usage"]["completion_tokens"], usage.total_output());
    let response: Value = serde_json::from_slice(&canned::text(Dialect::OpenaiResponses).body()).unwrap();
    let usage = canned::text(Dialect::OpenaiResponses).usage;
    assert_eq!(response["usage"]["input_tokens"], usage.total_input());
    assert_eq!(response["usage"]["output_tokens"], usage.total_output());
    let message: Value = serde_json::from_slice(&canned::text(Dialect::AnthropicMessages).body()).unwrap();
    let usage = canned::text(Dialect::AnthropicMessages).usage;
    assert_eq!(message["usage"]["input_tokens"], usage.input);
    assert_eq!(message["usage"]["cache_read_input_tokens"], usage.cache_read);
    assert_eq!(message["usage"]["cache_creation_input_tokens"], usage.cache_write);
    assert_eq!(message["usage"]["output_tokens"], usage.output);
}

#[test]
fn streams_read_back_to_the_same_text() {
    assert_eq!(canned::TEXT_PIECES.concat(), canned::TEXT);
    assert_eq!(canned::TOOL_ARGUMENT_PIECES.concat(), canned::TOOL_ARGUMENTS);
    for dialect in STREAMING {
        let events = events(&canned::text_stream(dialect));
        assert_eq!(streamed_text(dialect, &events), canned::TEXT, "{dialect:?}");
        for (name, data) in &events {
            if let Some(name) = name {
                assert_eq!(data["type"], *name);
            }
        }
        let terminator = match dialect {
            Dialect::OpenaiResponses => "response.completed",
            Dialect::AnthropicMessages => "message_stop",
            _ => "[DONE]",
        };
        let (name, data) = events.last().unwrap();
        assert_eq!(name.as_deref().or(data.as_str()), Some(terminator));
    }
}

#[test]
fn tool_calls_carry_the_same_arguments_streamed_or_not() {
    for dialect in WITH_TOOLS {
        let whole = String::from_utf8(canned::tool_call(dialect, "f").body().to_vec()).unwrap();
        assert!(serde_json::from_str::<Value>(&whole).is_ok());
        let arguments: String = events(&canned::tool_call_stream(dialect, "f"))
            .iter()
            .filter_map(|(_, data)| match dialect {
                Dialect::OpenaiChat => data["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"]
                    .as_str()
                    .map(str::to_owned),
                Dialect::OpenaiResponses => data["delta"].as_str().map(str::to_owned),
                _ => data["delta"]["partial_json"].as_str().map(str::to_owned),
            })
            .collect();
        assert_eq!(arguments, canned::TOOL_ARGUMENTS, "{dialect:?}");
    }
}

#[test]
fn malformed_answers_are_many_and_named_once() {
    let all = malformed::all();
    assert!(all.len() >= 30, "only {}", all.len());
    let mut names: Vec<_> = all.iter().map(|malformed| malformed.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all.len(), "a name is used twice");
    for name in names {
        assert!(malformed::named(name).is_some());
    }
}

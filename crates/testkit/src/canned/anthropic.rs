use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_core::{Dialect, TokenUsage};

use super::{Canned, MODEL, TOOL_ARGUMENT_PIECES, TOOL_ARGUMENTS, TOOL_USE_ID, event};

const ID: &str = "msg_scripted0001";

pub(super) const USAGE: TokenUsage =
    TokenUsage { input: 8, cache_read: 4, cache_write: 3, cache_write_long: 0, output: 7, reasoning: 0 };

fn usage_json(output_tokens: u64) -> Value {
    json!({
        "input_tokens": 8,
        "cache_read_input_tokens": 4,
        "cache_creation_input_tokens": 3,
        "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output_tokens,
        "service_tier": "standard",
    })
}

fn message(content: &Value, stop_reason: &Value, output_tokens: u64) -> Value {
    json!({
        "id": ID,
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": null,
        "usage": usage_json(output_tokens),
    })
}

fn answer(content: &Value, stop_reason: &str) -> Canned {
    Canned::json(Dialect::AnthropicMessages, 200, &message(content, &json!(stop_reason), 7), USAGE)
}

pub(super) fn text(text: &str) -> Canned {
    answer(&json!([{"type": "text", "text": text}]), "end_turn")
}

pub(super) fn tool_call(name: &str) -> Canned {
    let input: Value = serde_json::from_str(TOOL_ARGUMENTS).expect("the canned arguments are JSON");
    answer(&json!([{"type": "tool_use", "id": TOOL_USE_ID, "name": name, "input": input}]), "tool_use")
}

pub(super) fn count_tokens() -> Canned {
    let body = json!({"input_tokens": USAGE.total_input()});
    Canned::json(Dialect::AnthropicMessages, 200, &body, TokenUsage::default())
}

fn stream(block: &Value, deltas: impl Iterator<Item = Value>, stop_reason: &str) -> Canned {
    let mut parts: Vec<Bytes> = vec![
        event(&json!({"type": "message_start", "message": message(&json!([]), &Value::Null, 1)})),
        event(&json!({"type": "content_block_start", "index": 0, "content_block": block})),
        event(&json!({"type": "ping"})),
    ];
    parts.extend(
        deltas.map(|delta| event(&json!({"type": "content_block_delta", "index": 0, "delta": delta}))),
    );
    parts.push(event(&json!({"type": "content_block_stop", "index": 0})));
    parts.push(event(&json!({
        "type": "message_delta",
        "delta": {"stop_reason": stop_reason, "stop_sequence": null},
        "usage": {"output_tokens": 7},
    })));
    parts.push(event(&json!({"type": "message_stop"})));
    Canned::stream(Dialect::AnthropicMessages, parts, USAGE)
}

pub(super) fn text_stream(pieces: &[&str]) -> Canned {
    let deltas = pieces.iter().map(|piece| json!({"type": "text_delta", "text": piece}));
    stream(&json!({"type": "text", "text": ""}), deltas, "end_turn")
}

pub(super) fn tool_call_stream(name: &str) -> Canned {
    let block = json!({"type": "tool_use", "id": TOOL_USE_ID, "name": name, "input": {}});
    let deltas = std::iter::once("")
        .chain(TOOL_ARGUMENT_PIECES)
        .map(|piece| json!({"type": "input_json_delta", "partial_json": piece}));
    stream(&block, deltas, "tool_use")
}

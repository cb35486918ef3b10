use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_core::{Dialect, TokenUsage};

use super::{Canned, MODEL, TOOL_ARGUMENT_PIECES, TOOL_ARGUMENTS, TOOL_CALL_ID, data};

const ID: &str = "chatcmpl-scripted0001";
const CREATED: u64 = 1_793_000_000;

pub(super) const USAGE: TokenUsage =
    TokenUsage { input: 8, cache_read: 4, cache_write: 0, cache_write_long: 0, output: 5, reasoning: 2 };

pub(super) fn usage_json() -> Value {
    json!({
        "prompt_tokens": 12,
        "completion_tokens": 7,
        "total_tokens": 19,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 2,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

fn completion(message: &Value, finish_reason: &str) -> Canned {
    let body = json!({
        "id": ID,
        "object": "chat.completion",
        "created": CREATED,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason}],
        "usage": usage_json(),
        "service_tier": "default",
        "system_fingerprint": "fp_scripted",
    });
    Canned::json(Dialect::OpenaiChat, 200, &body, USAGE)
}

pub(super) fn text(text: &str) -> Canned {
    completion(&json!({"role": "assistant", "content": text, "refusal": null, "annotations": []}), "stop")
}

pub(super) fn tool_call(name: &str) -> Canned {
    let call = json!({
        "id": TOOL_CALL_ID,
        "type": "function",
        "function": {"name": name, "arguments": TOOL_ARGUMENTS},
    });
    completion(
        &json!({"role": "assistant", "content": null, "tool_calls": [call], "refusal": null}),
        "tool_calls",
    )
}

pub(super) fn chunk(delta: &Value, finish_reason: &Value) -> Bytes {
    data(&json!({
        "id": ID,
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": MODEL,
        "system_fingerprint": "fp_scripted",
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason}],
    }))
}

fn usage_chunk() -> Bytes {
    data(&json!({
        "id": ID,
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": MODEL,
        "choices": [],
        "usage": usage_json(),
    }))
}

fn stream(mut parts: Vec<Bytes>, finish_reason: &str, with_usage: bool) -> Canned {
    parts.push(chunk(&json!({}), &json!(finish_reason)));
    if with_usage {
        parts.push(usage_chunk());
    }
    parts.push(Bytes::from_static(b"data: [DONE]\n\n"));
    Canned::stream(Dialect::OpenaiChat, parts, if with_usage { USAGE } else { TokenUsage::default() })
}

pub(super) fn text_stream(pieces: &[&str], with_usage: bool) -> Canned {
    let mut parts = vec![chunk(&json!({"role": "assistant", "content": ""}), &Value::Null)];
    parts.extend(pieces.iter().map(|piece| chunk(&json!({"content": piece}), &Value::Null)));
    stream(parts, "stop", with_usage)
}

pub(super) fn tool_call_stream(name: &str, with_usage: bool) -> Canned {
    let opening = json!({
        "index": 0,
        "id": TOOL_CALL_ID,
        "type": "function",
        "function": {"name": name, "arguments": ""},
    });
    let mut parts =
        vec![chunk(&json!({"role": "assistant", "content": null, "tool_calls": [opening]}), &Value::Null)];
    parts.extend(TOOL_ARGUMENT_PIECES.iter().map(|piece| {
        let delta = json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]});
        chunk(&delta, &Value::Null)
    }));
    stream(parts, "tool_calls", with_usage)
}

pub(super) fn models() -> Canned {
    let body = json!({
        "object": "list",
        "data": [{"id": MODEL, "object": "model", "created": CREATED, "owned_by": "scripted"}],
    });
    Canned::json(Dialect::OpenaiChat, 200, &body, TokenUsage::default())
}

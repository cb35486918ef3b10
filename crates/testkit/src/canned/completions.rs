use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_core::{Dialect, TokenUsage};

use super::{Canned, MODEL, data};

const USAGE: TokenUsage =
    TokenUsage { input: 9, cache_read: 0, cache_write: 0, cache_write_long: 0, output: 6, reasoning: 0 };

fn body(choices: &Value) -> Value {
    json!({
        "id": "cmpl-scripted0001",
        "object": "text_completion",
        "created": 1_793_000_000,
        "model": MODEL,
        "choices": choices,
    })
}

fn with_usage(mut body: Value) -> Value {
    body["usage"] = json!({"prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15});
    body
}

fn choices(text: &str, finish_reason: &Value) -> Value {
    json!([{"index": 0, "text": text, "logprobs": null, "finish_reason": finish_reason}])
}

pub(super) fn text(text: &str) -> Canned {
    Canned::json(Dialect::OpenaiCompletions, 200, &with_usage(body(&choices(text, &json!("stop")))), USAGE)
}

pub(super) fn text_stream(pieces: &[&str], usage: bool) -> Canned {
    let mut parts: Vec<Bytes> =
        pieces.iter().map(|piece| data(&body(&choices(piece, &Value::Null)))).collect();
    parts.push(data(&body(&choices("", &json!("stop")))));
    if usage {
        parts.push(data(&with_usage(body(&json!([])))));
    }
    parts.push(Bytes::from_static(b"data: [DONE]\n\n"));
    Canned::stream(Dialect::OpenaiCompletions, parts, if usage { USAGE } else { TokenUsage::default() })
}

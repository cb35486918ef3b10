//! Chat streams that lie about what they consumed.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Malformed, Outcome::*, USAGE, chat, chat_parts, chat_with, chat_without};
use crate::{canned, scripted::Reply};

pub(super) fn all() -> Vec<Malformed> {
    let with = |usage: &Value| {
        let mut parts = chat_parts();
        if let Some(part) = parts.get_mut(USAGE) {
            *part = usage_chunk(usage);
        }
        Reply::events(parts)
    };
    let count = |prompt: Value, completion: Value| json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": 19});
    vec![
        chat("usage-missing", chat_without(&[USAGE]), CompleteEstimated, "no usage: counted here"),
        chat("usage-null", with(&Value::Null), CompleteEstimated, "null is no usage"),
        chat("usage-negative", with(&count(json!(-5), json!(7))), CompleteEstimated, "nobody earns tokens"),
        chat(
            "usage-absurd",
            with(&count(json!(u64::MAX), json!(u64::MAX))),
            CompleteEstimated,
            "more tokens than any model reads: not believed, and no sum overflows",
        ),
        chat("usage-float", with(&count(json!(12.5), json!(7))), CompleteEstimated, "tokens are whole"),
        chat("usage-text", with(&count(json!("12"), json!("7"))), CompleteEstimated, "a text is no number"),
        chat(
            "usage-cached-above-total",
            with(&json!({
                "prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 19,
                "prompt_tokens_details": {"cached_tokens": 500},
            })),
            CompleteEstimated,
            "a part cannot exceed the whole: no meter goes below zero",
        ),
        chat(
            "usage-twice",
            chat_with(USAGE, usage_chunk(&count(json!(3), json!(1)))),
            Complete,
            "some servers count while they stream: the last one counts, they are not added",
        ),
    ]
}

fn usage_chunk(usage: &Value) -> Bytes {
    canned::data(&json!({
        "id": "chatcmpl-scripted0001",
        "object": "chat.completion.chunk",
        "created": 1_793_000_000,
        "model": canned::MODEL,
        "choices": [],
        "usage": usage,
    }))
}

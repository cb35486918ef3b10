//! Anthropic message streams.

use bytes::Bytes;
use serde_json::json;
use tollgate_core::Dialect;

use super::{Malformed, Outcome, Outcome::*, stream};
use crate::{canned, scripted::Reply};

/// Positions in the good stream: message_start, content_block_start, ping, six deltas, content_block_stop,
/// message_delta, message_stop.
const FIRST_TEXT: usize = 3;
const BLOCK_STOP: usize = 9;
const MESSAGE_DELTA: usize = 10;
const MESSAGE_STOP: usize = 11;

fn parts() -> Vec<Bytes> {
    canned::text_stream(Dialect::AnthropicMessages).parts
}

fn with(position: usize, event: Bytes) -> Reply {
    let mut parts = parts();
    parts.insert(position, event);
    Reply::events(parts)
}

fn without(position: usize) -> Reply {
    let mut parts = parts();
    parts.remove(position);
    Reply::events(parts)
}

fn instead(position: usize, event: Bytes) -> Reply {
    let mut parts = parts();
    if let Some(part) = parts.get_mut(position) {
        *part = event;
    }
    Reply::events(parts)
}

fn broken(name: &'static str, reply: Reply, outcome: Outcome, expectation: &'static str) -> Malformed {
    stream(Dialect::AnthropicMessages, name, reply, outcome, expectation)
}

pub(super) fn all() -> Vec<Malformed> {
    [grammar(), ends(), usage()].concat()
}

fn grammar() -> Vec<Malformed> {
    let nameless = String::from_utf8_lossy(&canned::text_stream(Dialect::AnthropicMessages).body())
        .lines()
        .filter(|line| !line.starts_with("event:"))
        .fold(String::new(), |text, line| text + line + "\n");
    let pings = parts().into_iter().flat_map(|part| [part, canned::event(&json!({"type": "ping"}))]);
    let foreign_delta = canned::event(&json!({
        "type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": "?"},
    }));
    let error = canned::error_event(Dialect::AnthropicMessages);
    let start = parts().swap_remove(0);
    vec![
        broken(
            "anthropic-event-lines-missing",
            Reply::events([nameless]),
            Complete,
            "the type stands in the data too",
        ),
        broken("anthropic-pings-between", Reply::events(pings), Complete, "pings are no content"),
        broken(
            "anthropic-unknown-event",
            with(FIRST_TEXT + 1, canned::event(&json!({"type": "something_new", "x": [1]}))),
            Complete,
            "new event types pass",
        ),
        broken("anthropic-start-missing", without(0), NoFalseSuccess, "a stream that begins in its middle"),
        broken("anthropic-start-twice", with(1, start), NoFalseSuccess, "a stream that begins twice"),
        broken(
            "anthropic-delta-of-unopened-block",
            with(FIRST_TEXT + 1, foreign_delta),
            NoFalseSuccess,
            "a delta for a block that was never opened",
        ),
        broken(
            "anthropic-block-stop-missing",
            without(BLOCK_STOP),
            NoFalseSuccess,
            "a block that is never closed",
        ),
        broken(
            "anthropic-bad-json",
            with(FIRST_TEXT + 2, Bytes::from_static(b"event: content_block_delta\ndata: {\"type\":\n\n")),
            FailsMidStream,
            "an event that is no JSON",
        ),
        broken(
            "anthropic-error-mid-stream",
            with(FIRST_TEXT + 2, error.clone()),
            FailsMidStream,
            "overloaded after content: passed on as the end",
        ),
        broken(
            "anthropic-error-first",
            Reply::events([error]),
            FailsBeforeContent,
            "overloaded before content may be retried elsewhere",
        ),
    ]
}

fn ends() -> Vec<Malformed> {
    let until = |position: usize| Reply::events(parts().into_iter().take(position));
    let tool = canned::tool_call_stream(Dialect::AnthropicMessages, canned::TOOL_NAME).parts;
    vec![
        broken(
            "anthropic-stop-missing",
            until(MESSAGE_STOP),
            FailsMidStream,
            "message_stop is the only success marker, and it is not made up",
        ),
        broken(
            "anthropic-end-before-message-delta",
            until(MESSAGE_DELTA),
            FailsMidStream,
            "no stop reason and no output count",
        ),
        broken("anthropic-end-after-ping", until(FIRST_TEXT), FailsBeforeContent, "no content has come"),
        broken("anthropic-end-mid-text", until(FIRST_TEXT + 2), FailsMidStream, "the text is cut"),
        broken(
            "anthropic-end-in-tool-arguments",
            Reply::events(tool.into_iter().take(FIRST_TEXT + 3)),
            FailsMidStream,
            "half of a call's arguments must not look like a call",
        ),
    ]
}

fn usage() -> Vec<Malformed> {
    let delta = |usage: serde_json::Value| {
        let mut value = json!({
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": null},
        });
        if !usage.is_null() {
            value["usage"] = usage;
        }
        instead(MESSAGE_DELTA, canned::event(&value))
    };
    vec![
        broken(
            "anthropic-usage-missing",
            delta(json!(null)),
            CompleteEstimated,
            "only the provisional count of the beginning is there",
        ),
        broken(
            "anthropic-usage-negative",
            delta(json!({"output_tokens": -7})),
            CompleteEstimated,
            "nobody earns tokens",
        ),
        broken(
            "anthropic-usage-absurd",
            delta(json!({"output_tokens": u64::MAX})),
            CompleteEstimated,
            "more tokens than any model writes",
        ),
    ]
}

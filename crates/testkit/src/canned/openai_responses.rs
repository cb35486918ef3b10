use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_core::{Dialect, TokenUsage};

use super::{Canned, MODEL, TOOL_ARGUMENT_PIECES, TOOL_ARGUMENTS, TOOL_CALL_ID, event};

const ID: &str = "resp_scripted0001";

const USAGE: TokenUsage =
    TokenUsage { input: 8, cache_read: 4, cache_write: 0, cache_write_long: 0, output: 5, reasoning: 2 };

/// The response object; without output it is one in progress, which has no usage yet.
fn response(output: Option<&Value>) -> Value {
    let usage = json!({
        "input_tokens": 12,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 19,
    });
    json!({
        "id": ID,
        "object": "response",
        "created_at": 1_793_000_000,
        "status": if output.is_some() { "completed" } else { "in_progress" },
        "model": MODEL,
        "output": output.cloned().unwrap_or_else(|| json!([])),
        "usage": if output.is_some() { usage } else { Value::Null },
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "metadata": {},
        "parallel_tool_calls": true,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "store": true,
    })
}

fn message_item(text: Option<&str>) -> Value {
    let content = text.map_or_else(|| json!([]), |text| json!([text_part(text)]));
    let status = if text.is_some() { "completed" } else { "in_progress" };
    json!({"id": "msg_scripted0001", "type": "message", "status": status, "role": "assistant", "content": content})
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn call_item(name: &str, arguments: Option<&str>) -> Value {
    json!({
        "id": "fc_scripted0001",
        "type": "function_call",
        "status": if arguments.is_some() { "completed" } else { "in_progress" },
        "call_id": TOOL_CALL_ID,
        "name": name,
        "arguments": arguments.unwrap_or_default(),
    })
}

pub(super) fn text(text: &str) -> Canned {
    let body = response(Some(&json!([message_item(Some(text))])));
    Canned::json(Dialect::OpenaiResponses, 200, &body, USAGE)
}

pub(super) fn tool_call(name: &str) -> Canned {
    let body = response(Some(&json!([call_item(name, Some(TOOL_ARGUMENTS))])));
    Canned::json(Dialect::OpenaiResponses, 200, &body, USAGE)
}

/// Adds what every stream begins and ends with, and numbers the events.
fn stream(item_events: Vec<Value>, item: &Value) -> Canned {
    let mut events = vec![
        json!({"type": "response.created", "response": response(None)}),
        json!({"type": "response.in_progress", "response": response(None)}),
    ];
    events.extend(item_events);
    events.push(json!({"type": "response.output_item.done", "output_index": 0, "item": item}));
    events.push(json!({"type": "response.completed", "response": response(Some(&json!([item])))}));
    let parts: Vec<Bytes> = events
        .into_iter()
        .enumerate()
        .map(|(number, mut value)| {
            value["sequence_number"] = json!(number);
            event(&value)
        })
        .collect();
    Canned::stream(Dialect::OpenaiResponses, parts, USAGE)
}

pub(super) fn text_stream(pieces: &[&str]) -> Canned {
    let text = pieces.concat();
    let place = |kind: &str| json!({"type": kind, "item_id": "msg_scripted0001", "output_index": 0, "content_index": 0});
    let with = |kind: &str, field: &str, value: Value| {
        let mut event = place(kind);
        event[field] = value;
        event
    };
    let mut events =
        vec![json!({"type": "response.output_item.added", "output_index": 0, "item": message_item(None)})];
    events.push(with("response.content_part.added", "part", text_part("")));
    for piece in pieces {
        let mut delta = with("response.output_text.delta", "delta", json!(piece));
        delta["logprobs"] = json!([]);
        events.push(delta);
    }
    let mut done = with("response.output_text.done", "text", json!(text));
    done["logprobs"] = json!([]);
    events.push(done);
    events.push(with("response.content_part.done", "part", text_part(&text)));
    stream(events, &message_item(Some(&text)))
}

pub(super) fn tool_call_stream(name: &str) -> Canned {
    let mut events =
        vec![json!({"type": "response.output_item.added", "output_index": 0, "item": call_item(name, None)})];
    events.extend(TOOL_ARGUMENT_PIECES.iter().map(|piece| {
        json!({
            "type": "response.function_call_arguments.delta",
            "item_id": "fc_scripted0001",
            "output_index": 0,
            "delta": piece,
        })
    }));
    events.push(json!({
        "type": "response.function_call_arguments.done",
        "item_id": "fc_scripted0001",
        "output_index": 0,
        "name": name,
        "arguments": TOOL_ARGUMENTS,
    }));
    stream(events, &call_item(name, Some(TOOL_ARGUMENTS)))
}

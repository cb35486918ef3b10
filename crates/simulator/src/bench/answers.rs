use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};

use crate::profile::BenchProfile;

const MODEL: &str = "bench";
const CREATED: u64 = 1_790_000_000;

/// Which ready-made answer a path gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Chat,
    Completions,
    Embeddings,
    Responses,
    Messages,
    CountTokens,
    Models,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Chat,
        Self::Completions,
        Self::Embeddings,
        Self::Responses,
        Self::Messages,
        Self::CountTokens,
        Self::Models,
    ];

    pub(super) fn of(path: &str) -> Self {
        let path = path.split('?').next().unwrap_or_default();
        match path {
            path if path.ends_with("/chat/completions") => Self::Chat,
            path if path.ends_with("/completions") => Self::Completions,
            path if path.ends_with("/embeddings") => Self::Embeddings,
            path if path.ends_with("/responses") => Self::Responses,
            path if path.ends_with("/messages") => Self::Messages,
            path if path.ends_with("/count_tokens") => Self::CountTokens,
            path if path.ends_with("/models") => Self::Models,
            _ => Self::Chat,
        }
    }
}

/// Every answer, ready to be written: head, body and framing.
#[derive(Debug)]
pub(crate) struct BenchAnswers {
    /// In the order of [`Kind::ALL`].
    answers: Vec<Answer>,
}

#[derive(Debug)]
struct Answer {
    whole: Bytes,
    /// One element per write.
    stream: Vec<Bytes>,
}

impl BenchAnswers {
    pub(crate) fn new(profile: &BenchProfile) -> Self {
        let answers = Kind::ALL.iter().map(|kind| answer(*kind, profile)).collect();
        Self { answers }
    }

    pub(super) fn whole(&self, kind: Kind) -> &[u8] {
        self.answers.get(kind as usize).map_or(&[], |answer| &answer.whole)
    }

    pub(super) fn stream(&self, kind: Kind) -> &[Bytes] {
        self.answers.get(kind as usize).map_or(&[], |answer| &answer.stream)
    }
}

fn answer(kind: Kind, profile: &BenchProfile) -> Answer {
    let body = padded(kind, profile.response_bytes);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\ncontent-length: {}\r\n\r\n",
        body.len(),
    );
    Answer { whole: Bytes::from(head + &body), stream: stream(kind, profile) }
}

/// The JSON body, its text as long as the wished size needs.
fn padded(kind: Kind, wanted_bytes: usize) -> String {
    let bare = body(kind, "").to_string();
    let padding = "x".repeat(wanted_bytes.saturating_sub(bare.len()));
    body(kind, &padding).to_string()
}

fn body(kind: Kind, text: &str) -> Value {
    let openai_usage = json!({
        "prompt_tokens": 200, "completion_tokens": 50, "total_tokens": 250,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    });
    let completion = |object: &str, choice: Value| {
        json!({
            "id": "bench", "object": object, "created": CREATED, "model": MODEL,
            "choices": [choice], "usage": openai_usage,
        })
    };
    match kind {
        Kind::Chat => {
            let message = json!({"role": "assistant", "content": text});
            completion("chat.completion", json!({"index": 0, "message": message, "finish_reason": "stop"}))
        }
        Kind::Completions => {
            completion("text_completion", json!({"index": 0, "text": text, "finish_reason": "stop"}))
        }
        Kind::Embeddings => json!({
            "object": "list", "model": MODEL,
            "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5, 0.125]}],
            "usage": {"prompt_tokens": 200, "total_tokens": 200},
        }),
        Kind::Responses => response(text, true),
        Kind::Messages => json!({
            "id": "msg_bench", "type": "message", "role": "assistant", "model": MODEL,
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 200, "output_tokens": 50},
        }),
        Kind::CountTokens => json!({"input_tokens": 200}),
        Kind::Models => json!({
            "object": "list",
            "data": [{"id": MODEL, "object": "model", "created": CREATED, "owned_by": "simulator"}],
        }),
    }
}

fn response(text: &str, done: bool) -> Value {
    let usage = json!({"input_tokens": 200, "output_tokens": 50, "total_tokens": 250});
    let part = json!({"type": "output_text", "text": text, "annotations": []});
    let item = json!({
        "id": "msg_bench", "type": "message", "role": "assistant", "status": "completed", "content": [part],
    });
    json!({
        "id": "resp_bench", "object": "response", "created_at": CREATED, "model": MODEL,
        "status": if done { "completed" } else { "in_progress" },
        "output": if done { json!([item]) } else { json!([]) },
        "usage": if done { usage } else { Value::Null },
    })
}

fn stream(kind: Kind, profile: &BenchProfile) -> Vec<Bytes> {
    let text = "x".repeat(profile.event_text_bytes);
    let events = match kind {
        Kind::Responses => response_events(&text, profile.events),
        Kind::Messages => message_events(&text, profile.events),
        Kind::Completions => completion_events(
            "text_completion",
            profile.events,
            |finish| json!({"index": 0, "text": if finish.is_null() { text.as_str() } else { "" }, "finish_reason": finish}),
        ),
        _ => completion_events("chat.completion.chunk", profile.events, |finish| {
            let delta = if finish.is_null() { json!({"content": text}) } else { json!({}) };
            json!({"index": 0, "delta": delta, "finish_reason": finish})
        }),
    };
    let mut head = BytesMut::from(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req_bench\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    let groups = events.chunks(profile.events_per_write.clamp(1, events.len().max(1)));
    let last = groups.len().saturating_sub(1);
    let mut writes = Vec::with_capacity(groups.len());
    for (number, group) in groups.enumerate() {
        let mut write = std::mem::take(&mut head);
        for event in group {
            write.put_slice(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes());
        }
        if number == last {
            write.put_slice(b"0\r\n\r\n");
        }
        writes.push(write.freeze());
    }
    writes
}

/// Chat and plain completions: content, finish reason, usage, `[DONE]`.
fn completion_events(object: &str, count: usize, choice: impl Fn(&Value) -> Value) -> Vec<String> {
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({
            "id": "bench", "object": object, "created": CREATED, "model": MODEL,
            "choices": choices, "usage": usage,
        });
        format!("data: {chunk}\n\n")
    };
    let mut events = vec![chunk(json!([choice(&Value::Null)]), Value::Null); count];
    events.push(chunk(json!([choice(&json!("stop"))]), Value::Null));
    events
        .push(chunk(json!([]), json!({"prompt_tokens": 200, "completion_tokens": 50, "total_tokens": 250})));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

fn named(value: &Value) -> String {
    format!("event: {}\ndata: {value}\n\n", value.get("type").and_then(Value::as_str).unwrap_or_default())
}

fn message_events(text: &str, count: usize) -> Vec<String> {
    let start = json!({
        "id": "msg_bench", "type": "message", "role": "assistant", "model": MODEL, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 200, "output_tokens": 1},
    });
    let delta =
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}});
    let mut events = vec![
        named(&json!({"type": "message_start", "message": start})),
        named(
            &json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
    ];
    events.extend(vec![named(&delta); count]);
    events.push(named(&json!({"type": "content_block_stop", "index": 0})));
    events.push(named(&json!({
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": null},
        "usage": {"output_tokens": 50},
    })));
    events.push(named(&json!({"type": "message_stop"})));
    events
}

fn response_events(text: &str, count: usize) -> Vec<String> {
    let item = json!({"id": "msg_bench", "type": "message", "role": "assistant", "status": "in_progress", "content": []});
    let delta = json!({
        "type": "response.output_text.delta", "item_id": "msg_bench", "output_index": 0, "content_index": 0,
        "delta": text,
    });
    let whole = text.repeat(count);
    let done = response(&whole, true);
    let mut events = vec![
        named(&json!({"type": "response.created", "response": response("", false)})),
        named(&json!({"type": "response.output_item.added", "output_index": 0, "item": item})),
    ];
    events.extend(vec![named(&delta); count]);
    events.push(named(&json!({
        "type": "response.output_item.done", "output_index": 0,
        "item": done.pointer("/output/0").cloned().unwrap_or_default(),
    })));
    events.push(named(&json!({"type": "response.completed", "response": done})));
    events
}

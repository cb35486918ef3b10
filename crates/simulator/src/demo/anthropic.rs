use std::time::Duration;

use serde_json::{Value, json};

use super::{
    paced::Frame,
    plan::{Content, Finish, Plan},
};
use crate::text;

fn usage(plan: &Plan, output: u64) -> Value {
    json!({
        "input_tokens": plan.usage.prompt - plan.usage.cached,
        "cache_read_input_tokens": plan.usage.cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": output,
        "service_tier": "standard",
    })
}

fn stop_reason(plan: &Plan) -> &'static str {
    match plan.finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::Call => "tool_use",
    }
}

fn message(plan: &Plan, content: &Value, stop_reason: &Value, output: u64) -> Value {
    json!({
        "id": format!("msg_sim{:016x}", plan.number),
        "type": "message",
        "role": "assistant",
        "model": plan.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": null,
        "usage": usage(plan, output),
    })
}

fn tool_use(plan: &Plan, name: &str, input: &Value) -> Value {
    json!({"type": "tool_use", "id": format!("toolu_sim{:016x}", plan.number), "name": name, "input": input})
}

pub(super) fn count(plan: &Plan) -> Value {
    json!({"input_tokens": plan.usage.prompt})
}

pub(super) fn answer(plan: &Plan) -> Value {
    let block = match &plan.content {
        Content::Text(_) => json!({"type": "text", "text": plan.text()}),
        Content::Call { name, arguments } => {
            tool_use(plan, name, &serde_json::from_str(arguments).unwrap_or_default())
        }
    };
    message(plan, &json!([block]), &json!(stop_reason(plan)), plan.usage.output)
}

pub(super) fn frames(plan: &Plan) -> Vec<Frame> {
    let now = Duration::ZERO;
    let (block, deltas): (Value, Vec<Value>) = match &plan.content {
        Content::Text(pieces) => (
            json!({"type": "text", "text": ""}),
            pieces.iter().map(|piece| json!({"type": "text_delta", "text": piece})).collect(),
        ),
        Content::Call { name, arguments } => (
            tool_use(plan, name, &json!({})),
            text::tokens(arguments)
                .iter()
                .map(|piece| json!({"type": "input_json_delta", "partial_json": piece}))
                .collect(),
        ),
    };
    let start = message(plan, &json!([]), &Value::Null, 1);
    let mut frames = vec![
        Frame::event(plan.first_token, &json!({"type": "message_start", "message": start})),
        Frame::event(now, &json!({"type": "content_block_start", "index": 0, "content_block": block})),
        Frame::event(now, &json!({"type": "ping"})),
    ];
    frames.extend(deltas.into_iter().map(|delta| {
        let event = json!({"type": "content_block_delta", "index": 0, "delta": delta});
        Frame::event(plan.per_token, &event)
    }));
    frames.push(Frame::event(now, &json!({"type": "content_block_stop", "index": 0})));
    let end = json!({
        "type": "message_delta",
        "delta": {"stop_reason": stop_reason(plan), "stop_sequence": null},
        "usage": usage(plan, plan.usage.output),
    });
    frames.push(Frame::event(now, &end));
    frames.push(Frame::event(now, &json!({"type": "message_stop"})));
    frames
}

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    paced::Frame,
    plan::{Content, Finish, Plan},
};
use crate::text;

fn usage(plan: &Plan) -> Value {
    let usage = plan.usage;
    json!({
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.output,
    })
}

fn status(plan: &Plan) -> &'static str {
    if plan.finish == Finish::Length { "incomplete" } else { "completed" }
}

fn response(plan: &Plan, status: &str, output: &[&Value], usage: &Value) -> Value {
    let incomplete = (status == "incomplete").then(|| json!({"reason": "max_output_tokens"}));
    json!({
        "id": format!("resp_sim{:016x}", plan.number),
        "object": "response",
        "created_at": plan.created,
        "status": status,
        "model": plan.model,
        "output": output,
        "usage": usage,
        "error": null,
        "incomplete_details": incomplete,
        "instructions": null,
        "metadata": {},
        "parallel_tool_calls": true,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
    })
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

fn item_id(plan: &Plan) -> String {
    let kind = if matches!(plan.content, Content::Text(_)) { "msg" } else { "fc" };
    format!("{kind}_sim{:016x}", plan.number)
}

/// The only item of the answer: begun, or done.
fn item(plan: &Plan, done: bool) -> Value {
    let status = if done { status(plan) } else { "in_progress" };
    match &plan.content {
        Content::Text(_) => {
            let content = if done { vec![text_part(&plan.text())] } else { Vec::new() };
            json!({
                "id": item_id(plan),
                "type": "message",
                "status": status,
                "role": "assistant",
                "content": content,
            })
        }
        Content::Call { name, arguments } => json!({
            "id": item_id(plan),
            "type": "function_call",
            "status": status,
            "call_id": format!("call_sim{:016x}", plan.number),
            "name": name,
            "arguments": if done { arguments.as_str() } else { "" },
        }),
    }
}

pub(super) fn answer(plan: &Plan) -> Value {
    response(plan, status(plan), &[&item(plan, true)], &usage(plan))
}

pub(super) fn frames(plan: &Plan) -> Vec<Frame> {
    let now = Duration::ZERO;
    let begun = response(plan, "in_progress", &[], &Value::Null);
    let mut events = vec![
        (plan.first_token, json!({"type": "response.created", "response": begun})),
        (now, json!({"type": "response.in_progress", "response": begun})),
        (now, json!({"type": "response.output_item.added", "output_index": 0, "item": item(plan, false)})),
    ];
    events.extend(content_events(plan));
    let done = item(plan, true);
    events.push((now, json!({"type": "response.output_item.done", "output_index": 0, "item": done})));
    let last = response(plan, status(plan), &[&done], &usage(plan));
    events.push((now, json!({"type": format!("response.{}", status(plan)), "response": last})));
    events
        .into_iter()
        .enumerate()
        .map(|(number, (after, mut event))| {
            if let Some(fields) = event.as_object_mut() {
                fields.insert("sequence_number".to_owned(), json!(number));
            }
            Frame::event(after, &event)
        })
        .collect()
}

fn content_events(plan: &Plan) -> Vec<(Duration, Value)> {
    let now = Duration::ZERO;
    let place = |kind: &str, field: &str, value: &Value| {
        let mut event = json!({"type": kind, "item_id": item_id(plan), "output_index": 0});
        if let Some(fields) = event.as_object_mut() {
            fields.insert(field.to_owned(), value.clone());
            if kind.contains("output_text") || kind.contains("content_part") {
                fields.insert("content_index".to_owned(), json!(0));
            }
            if kind.contains("output_text") {
                fields.insert("logprobs".to_owned(), json!([]));
            }
        }
        event
    };
    match &plan.content {
        Content::Text(pieces) => {
            let mut events = vec![(now, place("response.content_part.added", "part", &text_part("")))];
            for piece in pieces {
                events.push((plan.per_token, place("response.output_text.delta", "delta", &json!(piece))));
            }
            events.push((now, place("response.output_text.done", "text", &json!(plan.text()))));
            events.push((now, place("response.content_part.done", "part", &text_part(&plan.text()))));
            events
        }
        Content::Call { arguments, .. } => {
            let mut events = Vec::new();
            for piece in text::tokens(arguments) {
                let event = place("response.function_call_arguments.delta", "delta", &json!(piece));
                events.push((plan.per_token, event));
            }
            let done = place("response.function_call_arguments.done", "arguments", &json!(arguments));
            events.push((now, done));
            events
        }
    }
}

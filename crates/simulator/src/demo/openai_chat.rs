use std::time::Duration;

use serde_json::{Value, json};

use super::{
    ask::Ask,
    paced::Frame,
    plan::{Content, Finish, Plan},
};
use crate::text;

pub(super) fn usage(plan: &Plan) -> Value {
    let usage = plan.usage;
    json!({
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.output,
        "total_tokens": usage.prompt + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    })
}

pub(super) fn finish_reason(plan: &Plan) -> &'static str {
    match plan.finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::Call => "tool_calls",
    }
}

fn id(plan: &Plan) -> String {
    format!("chatcmpl-sim{:016x}", plan.number)
}

fn call_id(plan: &Plan) -> String {
    format!("call_sim{:016x}", plan.number)
}

pub(super) fn answer(plan: &Plan) -> Value {
    let message = match &plan.content {
        Content::Text(_) => json!({"role": "assistant", "content": plan.text(), "refusal": null}),
        Content::Call { name, arguments } => json!({
            "role": "assistant",
            "content": null,
            "tool_calls": [{
                "id": call_id(plan),
                "type": "function",
                "function": {"name": name, "arguments": arguments},
            }],
            "refusal": null,
        }),
    };
    json!({
        "id": id(plan),
        "object": "chat.completion",
        "created": plan.created,
        "model": plan.model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason(plan)}],
        "usage": usage(plan),
        "service_tier": "default",
    })
}

fn chunk(plan: &Plan, choices: &Value) -> Value {
    json!({
        "id": id(plan),
        "object": "chat.completion.chunk",
        "created": plan.created,
        "model": plan.model,
        "choices": choices,
    })
}

pub(super) fn frames(ask: &Ask, plan: &Plan) -> Vec<Frame> {
    let delta = |after: Duration, delta: Value, finish: Value| {
        let choices = json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
        Frame::data(after, &chunk(plan, &choices))
    };
    let mut frames = Vec::new();
    match &plan.content {
        Content::Text(pieces) => {
            frames.push(delta(plan.first_token, json!({"role": "assistant", "content": ""}), Value::Null));
            frames.extend(
                pieces.iter().map(|piece| delta(plan.per_token, json!({"content": piece}), Value::Null)),
            );
        }
        Content::Call { name, arguments } => {
            let opening = json!({
                "role": "assistant",
                "content": null,
                "tool_calls": [{
                    "index": 0,
                    "id": call_id(plan),
                    "type": "function",
                    "function": {"name": name, "arguments": ""},
                }],
            });
            frames.push(delta(plan.first_token, opening, Value::Null));
            frames.extend(text::tokens(arguments).iter().map(|piece| {
                let call = json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]});
                delta(plan.per_token, call, Value::Null)
            }));
        }
    }
    frames.push(delta(Duration::ZERO, json!({}), json!(finish_reason(plan))));
    if ask.include_usage {
        let mut last = chunk(plan, &json!([]));
        if let Some(fields) = last.as_object_mut() {
            fields.insert("usage".to_owned(), usage(plan));
        }
        frames.push(Frame::data(Duration::ZERO, &last));
    }
    frames.push(Frame::done());
    frames
}

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    ask::Ask,
    openai_chat::{finish_reason, usage},
    paced::Frame,
    plan::{Content, Plan},
};

fn completion(plan: &Plan, choices: Value, with_usage: bool) -> Value {
    let mut fields = Map::new();
    fields.insert("id".to_owned(), json!(format!("cmpl-sim{:016x}", plan.number)));
    fields.insert("object".to_owned(), json!("text_completion"));
    fields.insert("created".to_owned(), json!(plan.created));
    fields.insert("model".to_owned(), json!(plan.model));
    fields.insert("choices".to_owned(), choices);
    if with_usage {
        fields.insert("usage".to_owned(), usage(plan));
    }
    Value::Object(fields)
}

fn choice(text: &str, finish_reason: &Value) -> Value {
    json!([{"index": 0, "text": text, "logprobs": null, "finish_reason": finish_reason}])
}

pub(super) fn answer(plan: &Plan) -> Value {
    completion(plan, choice(&plan.text(), &json!(finish_reason(plan))), true)
}

pub(super) fn frames(ask: &Ask, plan: &Plan) -> Vec<Frame> {
    let Content::Text(pieces) = &plan.content else { return Vec::new() };
    let mut frames: Vec<Frame> = pieces
        .iter()
        .enumerate()
        .map(|(number, piece)| {
            let after = if number == 0 { plan.first_token } else { plan.per_token };
            Frame::data(after, &completion(plan, choice(piece, &Value::Null), false))
        })
        .collect();
    let end = completion(plan, choice("", &json!(finish_reason(plan))), false);
    frames.push(Frame::data(Duration::ZERO, &end));
    if ask.include_usage {
        frames.push(Frame::data(Duration::ZERO, &completion(plan, json!([]), true)));
    }
    frames.push(Frame::done());
    frames
}

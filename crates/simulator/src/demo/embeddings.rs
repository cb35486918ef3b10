use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{ask::Ask, plan::Plan};
use crate::random::Random;

const DIMENSIONS: usize = 256;

/// Unit vectors that depend on the text alone.
pub(super) fn answer(ask: &Ask, plan: &Plan) -> Value {
    let data: Vec<Value> = ask
        .inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let vector = vector(input);
            let embedding = if ask.base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                json!(STANDARD.encode(bytes))
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    json!({
        "object": "list",
        "data": data,
        "model": plan.model,
        "usage": {"prompt_tokens": plan.usage.prompt, "total_tokens": plan.usage.prompt},
    })
}

fn vector(input: &str) -> Vec<f32> {
    let mut random = Random::from_text(input);
    let mut vector: Vec<f32> = (0..DIMENSIONS)
        .map(|_| f32::from(u16::try_from(random.below(2_001)).unwrap_or(0)) / 1_000.0 - 1.0)
        .collect();
    let length = vector.iter().map(|number| number * number).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    for number in &mut vector {
        *number /= length;
    }
    vector
}

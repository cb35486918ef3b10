use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tollgate_core::{Dialect, TokenUsage};

use super::{Canned, MODEL};

/// The vector in every embedding answer; each number is exact in 32 bits.
pub const VECTOR: [f32; 8] = [0.25, -0.5, 0.125, 0.0, 1.0, -0.75, 0.0625, 0.5];

const USAGE: TokenUsage =
    TokenUsage { input: 6, cache_read: 0, cache_write: 0, cache_write_long: 0, output: 0, reasoning: 0 };

pub(super) fn floats() -> Canned {
    answer(&json!(VECTOR))
}

/// Little-endian 32-bit floats in base64.
pub(super) fn base64() -> Canned {
    let bytes: Vec<u8> = VECTOR.iter().flat_map(|number| number.to_le_bytes()).collect();
    answer(&json!(STANDARD.encode(bytes)))
}

fn answer(embedding: &Value) -> Canned {
    let body = json!({
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": embedding}],
        "model": MODEL,
        "usage": {"prompt_tokens": 6, "total_tokens": 6},
    });
    Canned::json(Dialect::OpenaiEmbeddings, 200, &body, USAGE)
}

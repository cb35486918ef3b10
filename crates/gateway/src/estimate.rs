//! Token counts where the provider gives none. An estimate is flagged as such wherever it is stored.
//!
//! Counting builds a vocabulary on first use and can be slow on hostile text, so it runs off the data-plane threads.

use serde_json::Value;

pub mod exact;
pub mod worst_case;

/// Bytes per token of ordinary text, for when counting is not possible.
const BYTES_PER_TOKEN: u64 = 4;
/// What a chat format adds to each message.
const TOKENS_PER_MESSAGE: u64 = 4;
/// Longer text is counted from its beginning and scaled.
const MAX_COUNTED_BYTES: usize = 256 << 10;

/// Tokens of a text in a current vocabulary (o200k), scaled by `factor` where only a part of it is known.
fn count(text: &str, factor: f64) -> u64 {
    let mut end = text.len().min(MAX_COUNTED_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let head = text.get(..end).unwrap_or_default();
    let counted = match tiktoken::get_encoding("o200k_base") {
        Some(encoding) => encoding.encode(head).len() as f64,
        None => head.len() as f64 / BYTES_PER_TOKEN as f64,
    };
    let scale = if end == 0 { 1.0 } else { text.len() as f64 / end as f64 };
    (counted * scale * factor).ceil() as u64
}

/// Tokens of the text in a request body: every string of its content, and what the format adds.
fn count_prompt(body: &[u8]) -> u64 {
    let Ok(Value::Object(root)) = serde_json::from_slice(body) else {
        return bytes_as_tokens(body.len() as u64);
    };
    let mut text = String::new();
    let mut messages = 0;
    for key in ["system", "instructions", "messages", "input", "prompt", "tools"] {
        if let Some(value) = root.get(key) {
            messages += value.as_array().map_or(1, |items| items.len() as u64);
            gather(value, &mut text);
        }
    }
    count(&text, 1.0) + messages * TOKENS_PER_MESSAGE
}

/// Collects strings; recursion is bounded by the parser's own limit of 128 levels.
fn gather(value: &Value, text: &mut String) {
    match value {
        Value::String(string) if string.starts_with("data:") => {}
        Value::String(string) => {
            text.push_str(string);
            text.push('\n');
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, text)),
        Value::Object(members) => {
            members
                .iter()
                .filter(|(key, _)| *key != "type" && *key != "role")
                .for_each(|(_, item)| gather(item, text));
        }
        _ => {}
    }
}

/// The coarse estimate: four bytes to a token.
pub const fn bytes_as_tokens(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES_PER_TOKEN)
}

/// Counts a request body's prompt on another thread.
pub async fn prompt_tokens(body: bytes::Bytes) -> u64 {
    let fallback = bytes_as_tokens(body.len() as u64);
    tokio::task::spawn_blocking(move || count_prompt(&body)).await.unwrap_or(fallback)
}

/// Counts produced text on another thread; `factor` scales for what was not kept.
pub async fn text_tokens(text: String, factor: f64) -> u64 {
    let fallback = bytes_as_tokens((text.len() as f64 * factor) as u64);
    tokio::task::spawn_blocking(move || count(&text, factor)).await.unwrap_or(fallback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_counts() {
        assert_eq!(count("", 1.0), 0);
        assert_eq!(count("hello world", 1.0), 2);
        assert_eq!(count("hello world", 3.0), 6);
        let body = br#"{"model":"m","messages":[{"role":"user","content":"hello world"}]}"#;
        let expected = count("hello world\n", 1.0) + TOKENS_PER_MESSAGE;
        assert_eq!(count_prompt(body), expected);
    }

    #[test]
    fn long_and_hostile_text_is_bounded_and_scaled() {
        let spaces = " ".repeat(3 << 20);
        let counted = count(&spaces, 1.0);
        assert!(counted > 0);
        assert_eq!(count_prompt(b"\xff"), 1);
    }
}

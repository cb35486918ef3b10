//! The second step of an estimate: real tokens, where the bound by bytes does not fit into the money that is left.
//!
//! Only for models whose vocabulary is known; a count by another one is no bound. What is counted is at least what the
//! model reads: every text for itself, with what any chat format puts around it, every key, and all options.

use std::time::Duration;

use serde_json::Value;
use tiktoken::CoreBpe;
use tokio::sync::Semaphore;
use tollgate_core::Dialect;
use tollgate_wire::{Beyond, Field, Peeked, input_bound_tokens};

use super::worst_case::prompt_is_in_body;

/// Larger bodies are not counted. Merging takes n log n for the worst text, so this bounds the time as well.
const MAX_COUNTED_BYTES: usize = 256 << 10;
/// Counts at the same time; they run beside the data plane and must not take its cores.
const MAX_COUNTS: usize = 2;
/// Nobody waits longer, in line or for the count. The first one builds the vocabulary and may take longer itself.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// What a chat format adds to the whole prompt, and to one with tools.
const TEMPLATE_TOKENS: u64 = 512;
const TOOL_PROMPT_TOKENS: u64 = 512;
/// Around each text, also for pieces that merge otherwise where two texts meet.
const TOKENS_PER_TEXT: u64 = 4;
const TOKENS_PER_KEY: u64 = 2;
/// A line of a description becomes a line of comment.
const TOKENS_PER_LINE: u64 = 3;

/// OpenAI's models that read o200k, by the start of their names. Newer ones have said nothing.
const O200K_MODELS: [&str; 8] =
    ["gpt-4o", "chatgpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "o1", "o3", "o4-mini"];

static SLOTS: Semaphore = Semaphore::const_new(MAX_COUNTS);

/// An upper bound of the prompt's tokens that is close to the truth, never above the one by bytes. `None` where the
/// vocabulary is not known, the prompt is not all in the body, or counting would take too long: then the bound by
/// bytes stands.
pub async fn exact_input_tokens(kind: &str, upstream_model: &str, peeked: &Peeked) -> Option<u64> {
    let is_chat = matches!(
        peeked.dialect(),
        Dialect::OpenaiChat | Dialect::OpenaiResponses | Dialect::AnthropicMessages
    );
    let is_known = kind == "openai" && O200K_MODELS.iter().any(|start| upstream_model.starts_with(start));
    let is_countable = prompt_is_in_body(peeked)
        && !peeked.beyond_text().has(Beyond::ProviderTools)
        && peeked.body().len() <= MAX_COUNTED_BYTES;
    if !is_chat || !is_known || !is_countable {
        return None;
    }
    let (body, has_tools) = (peeked.body().clone(), peeked.has(Field::Tools));
    let counting = async move {
        let slot = SLOTS.acquire().await.ok()?;
        let job = tokio::task::spawn_blocking(move || {
            // Held until the count is done, also when nobody waits for it any more.
            let _slot = slot;
            count_body(tiktoken::get_encoding("o200k_base")?, &body, has_tools)
        });
        job.await.ok().flatten()
    };
    let counted = tokio::time::timeout(LONGEST_WAIT, counting).await.ok().flatten()?;
    Some(counted.min(input_bound_tokens(peeked)))
}

fn count_body(encoding: &CoreBpe, body: &[u8], has_tools: bool) -> Option<u64> {
    let Ok(Value::Object(root)) = serde_json::from_slice(body) else { return None };
    let mut counter = Counter { encoding, tokens: TEMPLATE_TOKENS, lines_count: false };
    if has_tools {
        counter.add(TOOL_PROMPT_TOKENS);
    }
    for (key, value) in &root {
        counter.lines_count = !matches!(&**key, "messages" | "input" | "system" | "instructions" | "prompt");
        counter.member(key, value);
    }
    Some(counter.tokens)
}

struct Counter<'a> {
    encoding: &'a CoreBpe,
    tokens: u64,
    /// Schemas and descriptions are written anew by the provider.
    lines_count: bool,
}

impl Counter<'_> {
    const fn add(&mut self, tokens: u64) {
        self.tokens = self.tokens.saturating_add(tokens);
    }

    fn text(&mut self, text: &str, around: u64) {
        self.add(self.encoding.count(text) as u64 + around);
        if self.lines_count {
            self.add(TOKENS_PER_LINE * memchr::memchr_iter(b'\n', text.as_bytes()).count() as u64);
        }
    }

    fn member(&mut self, key: &str, value: &Value) {
        self.text(key, TOKENS_PER_KEY);
        self.value(value);
    }

    /// Recursion is bounded by the parser's own limit of 128 levels.
    fn value(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.text(text, TOKENS_PER_TEXT),
            Value::Array(items) => items.iter().for_each(|item| self.value(item)),
            Value::Object(members) => members.iter().for_each(|(key, value)| self.member(key, value)),
            Value::Number(number) => self.add(number.to_string().len() as u64),
            Value::Bool(_) | Value::Null => self.add(1),
        }
    }
}

#[cfg(test)]
mod tests;

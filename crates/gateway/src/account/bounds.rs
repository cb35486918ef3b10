//! The most that a call can honestly have used. Asked for only when a report looks like more.

use memchr::memmem;
use serde_json::Value;
use tollgate_catalog::Limits;
use tollgate_core::{Dialect, TokenUsage};
use tollgate_wire::{Field, Peeked};

use crate::journey::admit::Terms;

/// Tokens of the prompt and of all choices together; `None` where nothing bounds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub input: Option<u64>,
    pub output: Option<u64>,
}

impl Bounds {
    /// What the request itself and, where they hold for it, the model's limits allow.
    pub fn of(dialect: Dialect, peeked: &Peeked, terms: &Terms, limits: Option<&Limits>) -> Self {
        if provider_runs_tools(peeked) {
            // Each of its turns is another prompt, with content that nobody here has seen.
            return Self { input: None, output: None };
        }
        let window = limits.and_then(|limits| limits.context_tokens);
        let input = if is_in_body(dialect, peeked) { Some(terms.input_bound_tokens) } else { window };
        let cap = terms.output_cap_tokens.or_else(|| limits.and_then(|limits| limits.max_output_tokens));
        Self { input, output: cap.map(|cap| cap.saturating_mul(terms.choices.max(1))) }
    }

    /// The usage, with no more than the bounds; equal where it keeps them.
    pub fn clamp(&self, usage: TokenUsage) -> TokenUsage {
        let mut left = self.input.unwrap_or(u64::MAX);
        let mut take = |count: u64| {
            let taken = count.min(left);
            left -= taken;
            taken
        };
        let input = take(usage.input);
        let cache_write_long = take(usage.cache_write_long);
        let cache_write = take(usage.cache_write);
        let cache_read = take(usage.cache_read);
        let most = self.output.unwrap_or(u64::MAX);
        let output = usage.output.min(most);
        let reasoning = usage.reasoning.min(most - output);
        TokenUsage { input, cache_read, cache_write, cache_write_long, output, reasoning }
    }
}

/// Whether the whole prompt is text in the body. Media take tokens by their size in pixels or seconds, not in bytes.
fn is_in_body(dialect: Dialect, peeked: &Peeked) -> bool {
    const STORED: [Field; 3] = [Field::PreviousResponseId, Field::Conversation, Field::Container];
    const MEDIA: [&[u8]; 3] = [b";base64,", b"\"base64\"", b"\"input_audio\""];
    let is_stored = STORED.iter().any(|field| peeked.has(*field))
        || dialect == Dialect::OpenaiResponses && peeked.has(Field::Prompt);
    peeked.references() == 0 && !is_stored && !mentions(peeked, &MEDIA)
}

/// Whether the provider itself may call tools and read what they give.
fn provider_runs_tools(peeked: &Peeked) -> bool {
    const ASKED_FOR: [&[u8]; 4] =
        [b"\"web_search", b"\"mcp_servers\"", b"\"plugins\"", b"\"search_parameters\""];
    if mentions(peeked, &ASKED_FOR) {
        return true;
    }
    if !peeked.has(Field::Tools) {
        return false;
    }
    let body: Value = serde_json::from_slice(peeked.body()).unwrap_or_default();
    let is_callers = |tool: &Value| match tool.get("type") {
        None => true,
        Some(kind) => matches!(kind.as_str(), Some("function" | "custom")),
    };
    !body.get("tools").and_then(Value::as_array).is_some_and(|tools| tools.iter().all(is_callers))
}

fn mentions(peeked: &Peeked, words: &[&[u8]]) -> bool {
    words.iter().any(|word| memmem::find(peeked.body(), word).is_some())
}

#[cfg(test)]
mod tests {
    use tollgate_catalog::ServiceTier;
    use tollgate_wire::{input_bound_tokens, peek};

    use super::*;

    fn bounds(dialect: Dialect, body: &'static str, limits: Option<&Limits>) -> Bounds {
        let peeked = peek(dialect, body.into()).unwrap();
        let terms = Terms {
            tier: Some(ServiceTier::Standard),
            input_bound_tokens: input_bound_tokens(&peeked),
            output_cap_tokens: peeked.output_cap(),
            choices: peeked.choices(),
        };
        Bounds::of(dialect, &peeked, &terms, limits)
    }

    #[test]
    fn text_is_bounded_by_its_bytes_and_the_answer_by_its_cap() {
        let text = r#"{"model":"m","messages":[{"content":"hi"}],"max_tokens":7,"n":3,"tools":[{"type":"function"}]}"#;
        let found = bounds(Dialect::OpenaiChat, text, None);
        assert!(found.input.is_some_and(|input| input >= text.len() as u64));
        assert_eq!(found.output, Some(21));
    }

    #[test]
    fn what_is_not_in_the_body_is_bounded_by_the_model_alone() {
        let limits =
            Limits { context_tokens: Some(1_000_000), max_output_tokens: Some(9), ..Limits::default() };
        let model = Bounds { input: Some(1_000_000), output: Some(9) };
        let cases = [
            (Dialect::OpenaiResponses, r#"{"model":"m","input":"x","previous_response_id":"r"}"#),
            (Dialect::OpenaiResponses, r#"{"model":"m","prompt":{"id":"p"}}"#),
            (Dialect::OpenaiChat, r#"{"messages":[{"content":[{"image_url":{"url":"https://x/"}}]}]}"#),
            (
                Dialect::OpenaiChat,
                r#"{"messages":[{"content":[{"image_url":{"url":"data:image/png;base64,x"}}]}]}"#,
            ),
        ];
        for (dialect, body) in cases {
            assert_eq!(bounds(dialect, body, Some(&limits)), model, "{body}");
            assert_eq!(bounds(dialect, body, None), Bounds { input: None, output: None }, "{body}");
        }
        for tool in [r#"{"type":"web_search"}"#, r#"{"type":"mcp"}"#] {
            let body: &'static str = format!(r#"{{"model":"m","input":"x","tools":[{tool}]}}"#).leak();
            let none = Bounds { input: None, output: None };
            assert_eq!(bounds(Dialect::OpenaiResponses, body, Some(&limits)), none, "{tool}");
        }
    }

    #[test]
    fn a_clamped_usage_keeps_its_kinds_as_far_as_they_fit() {
        let usage = TokenUsage { input: 5, cache_read: 9, output: 6, reasoning: 6, ..TokenUsage::default() };
        let bounds = Bounds { input: Some(8), output: Some(10) };
        let clamped = TokenUsage { cache_read: 3, reasoning: 4, ..usage };
        assert_eq!(bounds.clamp(usage), clamped);
        assert_eq!(Bounds { input: None, output: None }.clamp(usage), usage);
    }
}

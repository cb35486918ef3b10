//! The most that a call can honestly have used. Asked for only when a report looks like more.

use tollgate_catalog::Limits;
use tollgate_core::{Dialect, TokenUsage};
use tollgate_wire::{Beyond, Peeked};

use crate::estimate::worst_case::prompt_is_in_body;
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
        debug_assert_eq!(dialect, peeked.dialect());
        if peeked.beyond_text().has(Beyond::ProviderTools) {
            // Each of its turns is another prompt, with content that nobody here has seen.
            return Self { input: None, output: None };
        }
        let window = limits.and_then(|limits| limits.context_tokens);
        let input = if prompt_is_in_body(peeked) { Some(terms.input_bound_tokens) } else { window };
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

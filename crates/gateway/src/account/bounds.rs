//! The most that a call can honestly have used. Asked for only when a report looks like more.

use tollgate_core::TokenUsage;

use crate::estimate::worst_case::{CallBound, Unbounded};

/// Tokens of the prompt and of all choices together; `None` where nothing bounds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub input: Option<u64>,
    pub output: Option<u64>,
}

impl Bounds {
    /// The same bound that the call was admitted by, and the cap that a budget set.
    pub fn of(bound: Result<CallBound, Unbounded>, cap_tokens: Option<u64>) -> Self {
        let Some(bound) = bound.ok().filter(|bound| !bound.provider_runs_tools) else {
            // Each turn of a provider's tools is another prompt, with content that nobody here has seen.
            return Self { input: None, output: None };
        };
        let bound = cap_tokens.map_or(bound, |cap| bound.with_cap(cap));
        Self { input: Some(bound.input_tokens), output: bound.output_tokens() }
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
    use tollgate_core::{Dialect, Operation};
    use tollgate_wire::peek;

    use super::*;
    use crate::estimate::worst_case::{Asked, Offer};

    fn bounds(kind: &str, body: &'static str) -> Bounds {
        let peeked = peek(Dialect::OpenaiChat, body.into()).unwrap();
        let offer = Offer { kind, dialect: Dialect::OpenaiChat, facts: None, beta: None };
        Bounds::of(Asked::of(Operation::Chat, &peeked).bound(&offer), None)
    }

    #[test]
    fn a_cap_that_the_server_does_not_know_bounds_nothing() {
        let newer = r#"{"model":"m","messages":[{"content":"hi"}],"max_completion_tokens":7,"n":3}"#;
        assert_eq!(bounds("openai", newer).output, Some(21));
        assert_eq!(bounds("deepseek", newer).output, None);
        let zero = r#"{"model":"m","messages":[{"content":"hi"}],"max_tokens":0}"#;
        assert_eq!(bounds("deepseek", zero).output, None);
        assert!(bounds("openai", newer).input.is_some_and(|input| input >= newer.len() as u64));
    }

    #[test]
    fn what_providers_run_or_keep_is_not_bounded_by_the_body() {
        let tools = r#"{"model":"m","messages":[],"max_tokens":7,"web_search_options":{"search_context_size":"low"}}"#;
        let stored =
            r#"{"model":"m","max_tokens":7,"messages":[{"content":[{"image_url":{"url":"https://x/"}}]}]}"#;
        for body in [tools, stored] {
            assert_eq!(bounds("openai", body), Bounds { input: None, output: None }, "{body}");
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

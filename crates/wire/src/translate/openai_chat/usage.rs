//! Token counts of the chat dialect, in which parts are included in sums, mostly.

use tollgate_core::TokenUsage;

use crate::translate::error::TranslateError;
use crate::translate::read::Object;
use crate::translate::write::ObjectWriter;

/// Reads `usage`. Servers that count cached or reasoning tokens beside the sums are recognized by their arithmetic.
pub(super) fn read_usage(mut usage: Object<'_>) -> Result<TokenUsage, TranslateError> {
    let prompt = usage.unsigned("prompt_tokens")?.unwrap_or(0);
    let completion = usage.unsigned("completion_tokens")?.unwrap_or(0);
    let total = usage.unsigned("total_tokens")?.unwrap_or(0);
    let (mut cached, mut written) = (usage.unsigned("prompt_cache_hit_tokens")?.unwrap_or(0), 0);
    if let Some(mut details) = usage.object("prompt_tokens_details")? {
        cached = details.unsigned("cached_tokens")?.unwrap_or(cached);
        written = details.unsigned("cache_write_tokens")?.unwrap_or(0);
    }
    let mut reasoning = 0;
    if let Some(mut details) = usage.object("completion_tokens_details")? {
        reasoning = details.unsigned("reasoning_tokens")?.unwrap_or(0);
    }
    let reasoning_beside = reasoning > completion
        || (reasoning > 0 && total == prompt.saturating_add(completion).saturating_add(reasoning));
    let aside = cached.saturating_add(written);
    Ok(TokenUsage {
        // More cached tokens than prompt tokens: the prompt is counted without them.
        input: prompt.checked_sub(aside).unwrap_or(prompt),
        cache_read: cached,
        cache_write: written,
        cache_write_long: 0,
        output: if reasoning_beside { completion } else { completion - reasoning },
        reasoning,
    })
}

pub(super) fn write_usage(out: &mut ObjectWriter<'_>, usage: &TokenUsage) {
    out.object("usage", |out| {
        out.number("prompt_tokens", usage.total_input());
        out.number("completion_tokens", usage.total_output());
        out.number("total_tokens", usage.total_input().saturating_add(usage.total_output()));
        out.object("prompt_tokens_details", |details| {
            details.number("cached_tokens", usage.cache_read);
            details.number("cache_write_tokens", usage.cache_write.saturating_add(usage.cache_write_long));
        });
        out.object("completion_tokens_details", |details| {
            details.number("reasoning_tokens", usage.reasoning);
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::error::Side;

    fn read(usage: &str) -> TokenUsage {
        read_usage(Object::parse(usage.as_bytes(), Side::Response).unwrap()).unwrap()
    }

    #[test]
    fn parts_inside_the_sums_are_taken_out() {
        let usage = read(
            r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,
                "prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":10},
                "completion_tokens_details":{"reasoning_tokens":20}}"#,
        );
        let expected = TokenUsage {
            input: 30,
            cache_read: 60,
            cache_write: 10,
            output: 30,
            reasoning: 20,
            ..TokenUsage::default()
        };
        assert_eq!(usage, expected);
    }

    #[test]
    fn parts_beside_the_sums_are_left_there() {
        let usage = read(
            r#"{"prompt_tokens":10,"completion_tokens":50,"total_tokens":80,
                "prompt_tokens_details":{"cached_tokens":60},"completion_tokens_details":{"reasoning_tokens":20}}"#,
        );
        assert_eq!((usage.input, usage.cache_read, usage.output, usage.reasoning), (10, 60, 50, 20));
    }
}

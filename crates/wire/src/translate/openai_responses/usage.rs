//! Token counts of the responses dialect, in which parts are included in sums.

use tollgate_core::TokenUsage;

use crate::translate::error::TranslateError;
use crate::translate::read::Object;
use crate::translate::write::ObjectWriter;

pub(super) fn read_usage(mut usage: Object<'_>) -> Result<TokenUsage, TranslateError> {
    let input = usage.unsigned("input_tokens")?.unwrap_or(0);
    let output = usage.unsigned("output_tokens")?.unwrap_or(0);
    let (mut cached, mut written, mut reasoning) = (0, 0, 0);
    if let Some(mut details) = usage.object("input_tokens_details")? {
        cached = details.unsigned("cached_tokens")?.unwrap_or(0);
        written = details.unsigned("cache_write_tokens")?.unwrap_or(0);
    }
    if let Some(mut details) = usage.object("output_tokens_details")? {
        reasoning = details.unsigned("reasoning_tokens")?.unwrap_or(0);
    }
    Ok(TokenUsage {
        // A server that counts parts beside the sums is recognized by parts larger than the sum.
        input: input.checked_sub(cached.saturating_add(written)).unwrap_or(input),
        cache_read: cached,
        cache_write: written,
        cache_write_long: 0,
        output: output.checked_sub(reasoning).unwrap_or(output),
        reasoning,
    })
}

pub(super) fn write_usage(out: &mut ObjectWriter<'_>, usage: &TokenUsage) {
    out.object("usage", |out| {
        out.number("input_tokens", usage.total_input());
        out.object("input_tokens_details", |details| {
            details.number("cached_tokens", usage.cache_read);
            details.number("cache_write_tokens", usage.cache_write.saturating_add(usage.cache_write_long));
        });
        out.number("output_tokens", usage.total_output());
        out.object("output_tokens_details", |details| {
            details.number("reasoning_tokens", usage.reasoning);
        });
        out.number("total_tokens", usage.total_input().saturating_add(usage.total_output()));
    });
}

//! Token counts of the messages dialect: inputs are disjoint, thinking is part of the output.

use tollgate_core::TokenUsage;

use crate::translate::error::TranslateError;
use crate::translate::read::Object;
use crate::translate::write::ObjectWriter;

/// Counters as the provider spells them; a stream sends them twice, the later ones being cumulative.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counters {
    input: u64,
    cache_read: u64,
    cache_write: u64,
    cache_write_long: u64,
    output: u64,
    thinking: u64,
}

impl Counters {
    pub(super) fn merge(&mut self, mut usage: Object<'_>) -> Result<(), TranslateError> {
        let mut set = |slot: &mut u64, key: &str| -> Result<(), TranslateError> {
            if let Some(value) = usage.unsigned(key)? {
                *slot = value;
            }
            Ok(())
        };
        set(&mut self.input, "input_tokens")?;
        set(&mut self.cache_read, "cache_read_input_tokens")?;
        set(&mut self.cache_write, "cache_creation_input_tokens")?;
        set(&mut self.output, "output_tokens")?;
        if let Some(mut split) = usage.object("cache_creation")? {
            self.cache_write_long =
                split.unsigned("ephemeral_1h_input_tokens")?.unwrap_or(self.cache_write_long);
        }
        if let Some(mut details) = usage.object("output_tokens_details")? {
            self.thinking = details.unsigned("thinking_tokens")?.unwrap_or(self.thinking);
        }
        Ok(())
    }

    pub(super) fn usage(&self) -> TokenUsage {
        let reasoning = self.thinking.min(self.output);
        let long = self.cache_write_long.min(self.cache_write);
        TokenUsage {
            input: self.input,
            cache_read: self.cache_read,
            cache_write: self.cache_write - long,
            cache_write_long: long,
            output: self.output - reasoning,
            reasoning,
        }
    }
}

pub(super) fn write_usage(out: &mut ObjectWriter<'_>, usage: &TokenUsage) {
    out.object("usage", |out| {
        out.number("input_tokens", usage.input);
        out.number("cache_creation_input_tokens", usage.cache_write.saturating_add(usage.cache_write_long));
        out.number("cache_read_input_tokens", usage.cache_read);
        if usage.cache_write_long > 0 {
            out.object("cache_creation", |split| {
                split.number("ephemeral_5m_input_tokens", usage.cache_write);
                split.number("ephemeral_1h_input_tokens", usage.cache_write_long);
            });
        }
        out.number("output_tokens", usage.total_output());
        if usage.reasoning > 0 {
            out.object("output_tokens_details", |details| details.number("thinking_tokens", usage.reasoning));
        }
    });
}

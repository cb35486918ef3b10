//! What a call consumed, as disjoint meters: no token is counted in two fields.

use serde::{Deserialize, Serialize};

/// Token counts of one attempt. The fields never overlap; a dialect's own sums are derived from them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TokenUsage {
    /// Prompt tokens that were neither read from nor written to a cache.
    pub input: u64,
    /// Prompt tokens read from a provider's cache.
    pub cache_read: u64,
    /// Prompt tokens written to a cache with the provider's short lifetime.
    pub cache_write: u64,
    /// Prompt tokens written to a cache with a long lifetime (one hour and more).
    pub cache_write_long: u64,
    /// Visible output tokens.
    pub output: u64,
    /// Reasoning tokens, where the provider reports them apart.
    pub reasoning: u64,
}

impl TokenUsage {
    pub const ZERO: Self =
        Self { input: 0, cache_read: 0, cache_write: 0, cache_write_long: 0, output: 0, reasoning: 0 };

    /// All prompt tokens, cached or not.
    pub const fn total_input(&self) -> u64 {
        self.input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_write)
            .saturating_add(self.cache_write_long)
    }

    /// All generated tokens, visible or not.
    pub const fn total_output(&self) -> u64 {
        self.output.saturating_add(self.reasoning)
    }

    pub const fn is_zero(&self) -> bool {
        self.total_input() == 0 && self.total_output() == 0
    }
}

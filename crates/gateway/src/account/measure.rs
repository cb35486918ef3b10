//! From what a provider reported, or failed to, to the usage that is charged.

use bytes::Bytes;
use tollgate_core::{Operation, TokenUsage};
use tollgate_ledger::record::UsageSource;
use tollgate_wire::UsageProblem;

use crate::estimate;
use crate::journey::admit::Terms;

/// A usage and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    pub usage: TokenUsage,
    pub source: UsageSource,
}

impl Measured {
    pub const fn nothing() -> Self {
        Self { usage: TokenUsage::ZERO, source: UsageSource::Nothing }
    }

    pub const fn estimated(usage: TokenUsage) -> Self {
        Self { usage, source: UsageSource::Estimated }
    }

    /// The provider's figures where they are final and possible.
    ///
    /// # Errors
    /// When something must be counted instead: what the count is to be flagged as.
    pub fn reported(
        reported: Result<Option<TokenUsage>, UsageProblem>,
        is_final: bool,
        operation: Operation,
        terms: &Terms,
    ) -> Result<Self, UsageSource> {
        if operation == Operation::CountTokens {
            return Ok(Self::nothing());
        }
        match reported {
            Ok(Some(usage)) if is_final => Ok(Self { usage, source: UsageSource::Reported }),
            Ok(_) => Err(UsageSource::Estimated),
            Err(problem) => {
                tracing::warn!(%problem, "a provider reported impossible usage");
                // Charged at the bound; an output without a bound can only be counted.
                let cap = terms.output_cap_tokens.ok_or(UsageSource::Quarantined)?;
                let output = cap.saturating_mul(terms.choices.max(1));
                let usage = TokenUsage { input: terms.input_bound_tokens, output, ..TokenUsage::default() };
                Ok(Self { usage, source: UsageSource::Quarantined })
            }
        }
    }

    /// Counts what the provider did not report. `partial` is what it told at the start of a stream, if anything.
    pub async fn count(
        source: UsageSource,
        partial: Option<TokenUsage>,
        prompt: Bytes,
        produced: (String, f64),
    ) -> Self {
        let (text, factor) = produced;
        let mut usage = match partial {
            Some(told) if told.total_input() > 0 => told,
            _ => TokenUsage { input: estimate::prompt_tokens(prompt).await, ..TokenUsage::default() },
        };
        let counted = if text.is_empty() { 0 } else { estimate::text_tokens(text, factor).await };
        usage.output = usage.output.max(counted.saturating_sub(usage.reasoning));
        Self { usage, source }
    }
}

//! From what a provider reported, or failed to, to the usage that is charged.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use tollgate_core::{Operation, TokenUsage};
use tollgate_ledger::record::UsageSource;
use tollgate_wire::UsageProblem;

use super::bounds::Bounds;
use crate::estimate;
use crate::journey::admit::Terms;

/// Where the client gave no cap, less is possible for any model.
const UNREMARKABLE_OUTPUT_TOKENS: u64 = 1_024;

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

    /// The provider's figures where they are final and possible; `bounds` are what is possible, and are only asked
    /// for when the figures look high. `produced` says whether the answer has content.
    ///
    /// # Errors
    /// When something must be counted instead: what the count is to be flagged as.
    pub fn reported(
        reported: Result<Option<TokenUsage>, UsageProblem>,
        is_final: bool,
        produced: bool,
        operation: Operation,
        terms: &Terms,
        bounds: impl FnOnce() -> Bounds,
    ) -> Result<Self, UsageSource> {
        if operation == Operation::CountTokens {
            return Ok(Self::nothing());
        }
        match reported {
            Ok(Some(usage)) if usage.is_zero() && produced => Err(UsageSource::Estimated),
            Ok(Some(usage)) if is_final => {
                let cap = terms.output_cap_tokens.map(|cap| cap.saturating_mul(terms.choices.max(1)));
                let is_high = usage.total_input() > terms.input_bound_tokens
                    || usage.total_output() > cap.unwrap_or(UNREMARKABLE_OUTPUT_TOKENS);
                let possible = if is_high { bounds().clamp(usage) } else { usage };
                if possible == usage {
                    return Ok(Self { usage, source: UsageSource::Reported });
                }
                warn(&format_args!("more tokens than the call can have used: {usage:?}"));
                Ok(Self { usage: possible, source: UsageSource::Quarantined })
            }
            Ok(_) => Err(UsageSource::Estimated),
            Err(problem) => {
                warn(&problem);
                // Charged at the bound; what has none can only be counted.
                let bounds = bounds();
                let (input, output) = bounds.input.zip(bounds.output).ok_or(UsageSource::Quarantined)?;
                let usage = TokenUsage { input, output, ..TokenUsage::default() };
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

/// Says that a provider's figures are not believed, at most once in ten seconds: a broken one breaks every answer.
fn warn(problem: &dyn std::fmt::Display) {
    const EVERY_S: u64 = 10;
    static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
    static NEXT_S: AtomicU64 = AtomicU64::new(0);
    let now_s = STARTED.elapsed().as_secs();
    let next_s = NEXT_S.load(Ordering::Relaxed);
    let is_due = now_s >= next_s;
    let later_s = now_s + EVERY_S;
    if is_due && NEXT_S.compare_exchange(next_s, later_s, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        tracing::warn!(%problem, "a provider reported impossible usage");
    }
}

//! What one budget holds for a call.

use tollgate_core::NanoUsd;
use tollgate_state::governance::{BudgetObject, Unpriced};

use super::{Unbounded, WorstCase};

/// What a budget has to hold for a call: its worst case, and the budget's cap for tools that the provider runs. `None`
/// where the budget lets the call through uncounted.
///
/// # Errors
/// When the budget refuses calls and nobody can say what this one costs at most.
pub fn reservation(
    worst: Result<WorstCase, Unbounded>,
    budget: &BudgetObject,
) -> Result<Option<NanoUsd>, Unbounded> {
    let refuses = budget.mode.refuses();
    match worst {
        Ok(worst) if !worst.provider_runs_tools => Ok(Some(worst.nano_usd)),
        Ok(worst) => match budget.server_tools_nano_usd {
            // An amount below nothing would give money back.
            Some(cap) => Ok(Some(worst.nano_usd.saturating_add(cap.max(NanoUsd::ZERO)))),
            None if refuses => Err(Unbounded::ServerTools),
            None => Ok(Some(worst.nano_usd)),
        },
        Err(Unbounded::NoPrice(problem)) => match budget.unpriced {
            Unpriced::FlatNanoUsd(flat) => Ok(Some(flat.max(NanoUsd::ZERO))),
            Unpriced::Refuse if refuses => Err(Unbounded::NoPrice(problem)),
            Unpriced::Refuse | Unpriced::Allow => Ok(None),
        },
        Err(unbounded) if refuses => Err(unbounded),
        Err(_) => Ok(None),
    }
}

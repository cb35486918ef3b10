//! Budgets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::{ModelName, NanoUsd, UsdAmount};
use tollgate_ledger::budget::check_time_zone;
use tollgate_state::governance::{OnExhausted, Place, Scope, Unpriced, Window, WindowKind};
use tollgate_store::BudgetDraft;

use super::scope::scope_errors;
use crate::problem::FieldError;

const MOST_THRESHOLDS: usize = 10;
const LARGEST_THRESHOLD_PERCENT: u16 = 1_000;
const SHORTEST_ROLLING_S: u32 = 60;
const LONGEST_ROLLING_S: u32 = 366 * 24 * 60 * 60;

/// What happens to a call whose price nobody knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UnpricedInput {
    #[default]
    Refuse,
    /// Each such call counts as this much.
    FlatUsd(UsdAmount),
    /// It is let through and not counted here.
    Allow,
}

impl From<UnpricedInput> for Unpriced {
    fn from(input: UnpricedInput) -> Self {
        match input {
            UnpricedInput::Refuse => Self::Refuse,
            UnpricedInput::FlatUsd(amount) => Self::FlatNanoUsd(amount.nano_usd()),
            UnpricedInput::Allow => Self::Allow,
        }
    }
}

impl From<Unpriced> for UnpricedInput {
    fn from(stored: Unpriced) -> Self {
        match stored {
            Unpriced::Refuse => Self::Refuse,
            Unpriced::FlatNanoUsd(amount) => Self::FlatUsd(UsdAmount::of(amount)),
            Unpriced::Allow => Self::Allow,
        }
    }
}

/// The scope of whoever names none.
pub(crate) const fn whole_organization() -> Scope {
    Scope { place: Place::Organization, each: None, model: None }
}

/// Everything that is wrong with a budget, by the names that its fields have outside.
pub(crate) fn budget_errors(budget: &BudgetDraft, has_model: &dyn Fn(&str) -> bool) -> Vec<FieldError> {
    let mut errors = scope_errors(&budget.scope, has_model);
    let mut wrong = |field: &str, message: String| {
        errors.push(FieldError { field: field.to_owned(), message });
    };
    if budget.amount_nano_usd <= NanoUsd::ZERO {
        let message = "must be more than zero; to let nothing through, revoke keys or take away their grants";
        wrong("amount_usd", message.into());
    }
    if budget.amount_nano_usd > UsdAmount::MAX.nano_usd() {
        wrong("amount_usd", format!("must be at most {}", UsdAmount::MAX));
    }
    for (field, message) in window_errors(&budget.window) {
        wrong(field, message);
    }
    if let Some(message) = threshold_error(&budget.thresholds_percent) {
        wrong("thresholds_percent", message);
    }
    if matches!(budget.unpriced, Unpriced::FlatNanoUsd(amount) if amount <= NanoUsd::ZERO) {
        wrong(
            "unpriced.flat_usd",
            "must be more than zero; `allow` lets such calls through uncounted".into(),
        );
    }
    if let OnExhausted::Substitute { model } = &budget.on_exhausted {
        const FIELD: &str = "on_exhausted.substitute.model";
        match ModelName::check(model) {
            Err(error) => wrong(FIELD, error.to_string()),
            Ok(()) if !has_model(model) => {
                wrong(FIELD, format!("names no model: `{model}`; add the model first"));
            }
            Ok(()) => {}
        }
        if !budget.mode.refuses() {
            wrong("on_exhausted", "can only be `refuse` in a budget that never refuses a call".into());
        }
    }
    errors
}

fn window_errors(window: &Window) -> Vec<(&'static str, String)> {
    let mut errors = Vec::new();
    if let Err(error) = check_time_zone(&window.time_zone) {
        errors.push(("window.time_zone", error.to_string()));
    }
    match window.kind {
        WindowKind::RollingS(seconds) => {
            if !(SHORTEST_ROLLING_S..=LONGEST_ROLLING_S).contains(&seconds) {
                let message = format!("must be {SHORTEST_ROLLING_S} to {LONGEST_ROLLING_S} seconds");
                errors.push(("window.kind.rolling_s", message));
            } else if seconds % 60 != 0 {
                errors.push(("window.kind.rolling_s", "must be a multiple of 60 seconds".into()));
            }
        }
        WindowKind::Once
        | WindowKind::Hour
        | WindowKind::Day
        | WindowKind::Week
        | WindowKind::Month
        | WindowKind::Quarter
        | WindowKind::Year => {}
    }
    errors
}

fn threshold_error(thresholds: &[u16]) -> Option<String> {
    if thresholds.len() > MOST_THRESHOLDS {
        return Some(format!("has {} percentages; at most {MOST_THRESHOLDS} are possible", thresholds.len()));
    }
    if thresholds.iter().any(|percent| !(1..=LARGEST_THRESHOLD_PERCENT).contains(percent)) {
        return Some(format!("must be percentages from 1 to {LARGEST_THRESHOLD_PERCENT}"));
    }
    let ascending = thresholds.windows(2).all(|pair| matches!(pair, [lower, higher] if lower < higher));
    (!ascending).then(|| "must ascend, each percentage once".to_owned())
}

//! A budget as it shall be, and what it may be.

use tollgate_core::NanoUsd;
use tollgate_ledger::budget::check_time_zone;
use tollgate_state::governance::{
    BudgetMode, BudgetObject, Clamp, OnExhausted, Scope, Unpriced, Window, WindowKind,
};

use crate::error::StoreError;
use crate::ship::{DAY_US, HOUR_US};
use crate::store::check_name;

const MAX_THRESHOLDS: usize = 20;
const MAX_THRESHOLD_PERCENT: u16 = 1000;
const ROLLING_S: std::ops::RangeInclusive<u32> = 60..=366 * 24 * 3600;

/// A budget as it shall be.
#[derive(Debug, Clone, PartialEq)]
pub struct BudgetDraft {
    pub name: String,
    /// Of an existing budget: the same as before.
    pub scope: Scope,
    pub amount_nano_usd: NanoUsd,
    /// Of an existing budget: the same as before.
    pub window: Window,
    pub mode: BudgetMode,
    pub clamp: Clamp,
    /// Ascending.
    pub thresholds_percent: Vec<u16>,
    pub on_exhausted: OnExhausted,
    pub unpriced: Unpriced,
    pub server_tools_nano_usd: Option<NanoUsd>,
    pub enabled: bool,
}

impl BudgetDraft {
    pub(super) fn check(&self) -> Result<(), StoreError> {
        check_name(&self.name)?;
        check_amount("amount_nano_usd", self.amount_nano_usd)?;
        check_amount("server_tools_nano_usd", self.server_tools_nano_usd.unwrap_or(NanoUsd::ZERO))?;
        if let Unpriced::FlatNanoUsd(amount) = self.unpriced {
            check_amount("unpriced.flat_nano_usd", amount)?;
        }
        check_time_zone(&self.window.time_zone).map_err(|error| StoreError::Invalid {
            field: "window.time_zone",
            reason: format!("is not known: {error}"),
        })?;
        if let WindowKind::RollingS(seconds) = self.window.kind
            && !ROLLING_S.contains(&seconds)
        {
            let reason = format!("must be {} to {}", ROLLING_S.start(), ROLLING_S.end());
            return Err(StoreError::Invalid { field: "window.kind.rolling_s", reason });
        }
        let thresholds = &self.thresholds_percent;
        let good = thresholds.len() <= MAX_THRESHOLDS
            && thresholds.is_sorted_by(|one, next| one < next)
            && thresholds.iter().all(|percent| (1..=MAX_THRESHOLD_PERCENT).contains(percent));
        if !good {
            let reason = format!(
                "must be at most {MAX_THRESHOLDS} different percentages from 1 to {MAX_THRESHOLD_PERCENT}, ascending"
            );
            return Err(StoreError::Invalid { field: "thresholds_percent", reason });
        }
        if let OnExhausted::Substitute { model } = &self.on_exhausted
            && model.is_empty()
        {
            let reason = "must name a model".into();
            return Err(StoreError::Invalid { field: "on_exhausted.substitute.model", reason });
        }
        Ok(())
    }

    pub(super) fn applied_to(self, before: &BudgetObject) -> BudgetObject {
        BudgetObject {
            name: self.name,
            amount_nano_usd: self.amount_nano_usd,
            mode: self.mode,
            clamp: self.clamp,
            thresholds_percent: self.thresholds_percent,
            on_exhausted: self.on_exhausted,
            unpriced: self.unpriced,
            server_tools_nano_usd: self.server_tools_nano_usd,
            enabled: self.enabled,
            ..before.clone()
        }
    }
}

pub(super) fn check_amount(field: &'static str, amount: NanoUsd) -> Result<(), StoreError> {
    if amount < NanoUsd::ZERO {
        return Err(StoreError::Invalid { field, reason: "must not be negative".into() });
    }
    Ok(())
}

/// No window of this kind is longer, whatever the time zone does; of a rolling one, its buckets count so long.
pub(super) fn longest_window_us(window: &Window) -> Option<i64> {
    let days = |days: i64| Some((days + 1) * DAY_US);
    match window.kind {
        WindowKind::Once => None,
        WindowKind::Hour => Some(2 * HOUR_US),
        WindowKind::Day => days(1),
        WindowKind::Week => days(7),
        WindowKind::Month => days(31),
        WindowKind::Quarter => days(92),
        WindowKind::Year => days(366),
        // The oldest bucket is counted whole.
        WindowKind::RollingS(seconds) => Some(i64::from(seconds) * 1_000_000 * 2),
    }
}

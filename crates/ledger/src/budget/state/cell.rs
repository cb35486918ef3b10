//! What is counted in one window, or in one bucket of a rolling window.

use std::sync::Arc;

use tollgate_core::{NanoUsd, UnixMicros};

use crate::budget::lease::Allowance;
use crate::budget::window::Calendar;
use crate::record::BalanceKey;

#[derive(Debug)]
pub(super) struct Cell {
    pub(super) key: Arc<BalanceKey>,
    pub(super) end: UnixMicros,
    pub(super) spent: NanoUsd,
    pub(super) reserved: NanoUsd,
    /// How many reservations are under way, those of nothing included.
    pub(super) holders: u64,
    /// Where several processes share the budget.
    pub(super) lease: Option<Box<Allowance>>,
}

impl Cell {
    pub(super) fn new(key: BalanceKey, end: UnixMicros) -> Self {
        let (spent, reserved) = (NanoUsd::ZERO, NanoUsd::ZERO);
        Self { key: Arc::new(key), end, spent, reserved, holders: 0, lease: None }
    }

    pub(super) fn start(&self) -> UnixMicros {
        self.key.window_start
    }

    /// Saturates, which refuses.
    pub(super) fn committed(&self) -> NanoUsd {
        self.spent + self.reserved
    }

    pub(super) fn holds_something(&self) -> bool {
        self.holders > 0
    }

    /// Whether what was spent in a bucket still counts at `now`. The one that is left by half counts whole.
    pub(super) fn still_counts(&self, now: UnixMicros, calendar: &Calendar) -> bool {
        calendar.rolling().is_some_and(|rolling| self.end.plus(rolling) > now)
    }

    pub(super) fn lease_is_at_rest(&self) -> bool {
        let at_rest = |lease: &Allowance| lease.is_at_rest(self.committed()) && !self.holds_something();
        self.lease.as_deref().is_none_or(at_rest)
    }
}

/// What costs nothing always fits.
pub(super) fn fits(committed: NanoUsd, ceiling: Option<NanoUsd>, amount: NanoUsd) -> bool {
    if amount == NanoUsd::ZERO {
        return true;
    }
    let sum = committed.checked_add(amount).filter(|_| !amount.is_negative());
    sum.is_some_and(|sum| ceiling.is_none_or(|ceiling| sum <= ceiling))
}

/// Zero where `taken` is more than there is.
pub(super) fn difference(whole: NanoUsd, taken: NanoUsd) -> NanoUsd {
    whole.checked_sub(taken).unwrap_or(NanoUsd::ZERO).max(NanoUsd::ZERO)
}

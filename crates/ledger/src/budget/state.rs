//! One balance as a state machine over integers. Nothing here waits, asks a clock, or knows of other balances.
//!
//! Its invariants:
//! - Nothing is admitted or extended beyond the ceiling: what is spent and reserved stays within it, unless the ceiling
//!   was lowered or an attempt cost more than was reserved for it; then nothing new is admitted.
//! - What is spent in a window is the sum of the charges made on it. Neither it nor what is reserved is ever negative.
//! - Windows follow each other and never return, wherever the wall clock goes. What was reserved in one is settled in
//!   it.

mod cell;
mod leasing;

use std::sync::Arc;

use tollgate_core::{NanoUsd, UnixMicros};

use super::window::{Calendar, NEVER, Span};
use crate::record::BalanceKey;
use cell::{Cell, difference, fits};

/// The count of one budget for one member.
#[derive(Debug)]
pub(super) struct BalanceState {
    /// The window, or the bucket, that admits.
    current: Cell,
    /// Those before it, oldest first, that still hold something, and the buckets that still count.
    earlier: Vec<Cell>,
    /// Taken out of the book. Whoever still has it must look for its successor.
    retired: bool,
}

/// Why a balance admits no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) balance: Arc<BalanceKey>,
    /// What could still be reserved.
    pub(super) left: NanoUsd,
    /// When the window has moved on far enough for the amount, if nothing else is spent.
    pub(super) resets_at: Option<UnixMicros>,
}

/// Something that cannot happen did. Counted, and an error in tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Violation;

/// What a balance has counted in the window that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) spent: NanoUsd,
    pub(super) reserved: NanoUsd,
}

impl BalanceState {
    /// A balance that has counted nothing; `key` names the window that ends at `end`.
    pub(super) fn new(key: BalanceKey, end: UnixMicros) -> Self {
        Self { current: Cell::new(key, end), earlier: Vec::new(), retired: false }
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired
    }

    /// Opens the window that `now` is in, unless it or a later one is open.
    pub(super) fn roll(&mut self, now: UnixMicros, calendar: &Calendar) {
        if now >= self.current.end {
            self.open(calendar.span_at(now), calendar);
        }
    }

    fn open(&mut self, span: Span, calendar: &Calendar) {
        if span.start <= self.current.start() {
            // The same window: a change of the clock's offset made it longer than it seemed.
            self.current.end = self.current.end.max(span.end);
            return;
        }
        let key = BalanceKey { window_start: span.start, ..(*self.current.key).clone() };
        let closed = std::mem::replace(&mut self.current, Cell::new(key, span.end));
        self.earlier.push(closed);
        self.earlier.retain(|cell| cell.holds_something() || cell.still_counts(span.start, calendar));
    }

    /// What counts against the ceiling of the window that is open.
    pub(super) fn counted(&self, now: UnixMicros, calendar: &Calendar) -> Counted {
        let mut sum = Counted { spent: self.current.spent, reserved: self.current.reserved };
        if calendar.rolling().is_some() {
            let now = now.max(self.current.start());
            for cell in &self.earlier {
                sum.reserved += cell.reserved;
                if cell.still_counts(now, calendar) {
                    sum.spent += cell.spent;
                }
            }
        }
        sum
    }

    /// What could be reserved now. [`Self::roll`] comes first.
    pub(super) fn left(&self, now: UnixMicros, calendar: &Calendar, ceiling: NanoUsd) -> NanoUsd {
        let committed = self.committed(self.current.start(), now, calendar);
        difference(ceiling, committed).min(self.left_to_lease().unwrap_or(NanoUsd::MAX))
    }

    /// Whether `amount` more in the window that began at `start`, open or not, fits under `ceiling`, or can be counted
    /// at all where there is none. [`Self::roll`] comes first.
    pub(super) fn admits(
        &self,
        start: UnixMicros,
        now: UnixMicros,
        calendar: &Calendar,
        ceiling: Option<NanoUsd>,
        amount: NanoUsd,
    ) -> Result<(), Refusal> {
        let committed = self.committed(start, now, calendar);
        if fits(committed, ceiling, amount) {
            return Ok(());
        }
        let left = difference(ceiling.unwrap_or(NanoUsd::MAX), committed);
        Err(self.refusal(start, now, calendar, left, amount))
    }

    /// What the refusal of `amount` says when only `left` is left.
    pub(super) fn refusal(
        &self,
        start: UnixMicros,
        now: UnixMicros,
        calendar: &Calendar,
        left: NanoUsd,
        amount: NanoUsd,
    ) -> Refusal {
        let key = self.cell(start).map_or(&self.current.key, |cell| &cell.key);
        let resets_at = match calendar.rolling() {
            Some(rolling) => Some(self.freed_after(now, calendar, difference(amount, left)).plus(rolling)),
            None if start != self.current.start() || self.current.end == NEVER => None,
            None => Some(self.current.end),
        };
        Refusal { balance: Arc::clone(key), left, resets_at }
    }

    /// Reserves in the open window what [`Self::admits`] let in, and says on which balance.
    pub(super) fn hold(&mut self, amount: NanoUsd) -> Arc<BalanceKey> {
        self.current.reserved += amount;
        self.current.holders += 1;
        Arc::clone(&self.current.key)
    }

    /// Adds what [`Self::admits`] let in to a reservation in the window that began at `start`.
    pub(super) fn hold_more(&mut self, start: UnixMicros, more: NanoUsd) -> Result<(), Violation> {
        let cell = self.cell_mut(start).ok_or(Violation)?;
        cell.reserved += more;
        Ok(())
    }

    /// Ends a reservation: `held` is reserved no more, `charged` is spent, in the window that began at `start`.
    pub(super) fn settle(
        &mut self,
        start: UnixMicros,
        held: NanoUsd,
        charged: NanoUsd,
    ) -> Result<(), Violation> {
        let cell = self.cell_mut(start).ok_or(Violation)?;
        let reserved = cell.reserved.checked_sub(held).filter(|rest| !rest.is_negative());
        cell.spent += charged.max(NanoUsd::ZERO);
        cell.reserved = reserved.unwrap_or(NanoUsd::ZERO);
        let sound = reserved.is_some() && cell.holders > 0 && !charged.is_negative();
        cell.holders = cell.holders.saturating_sub(1);
        if sound { Ok(()) } else { Err(Violation) }
    }

    /// Adds what the books say was spent in a window, before anything is admitted.
    pub(super) fn restore(&mut self, start: UnixMicros, spent: NanoUsd, calendar: &Calendar) {
        let spent = spent.max(NanoUsd::ZERO);
        let span = calendar.span_at(start);
        self.open(Span { start, end: span.end }, calendar);
        if let Some(cell) = self.cell_mut(start) {
            cell.spent += spent;
            return;
        }
        let mut cell = Cell::new(BalanceKey { window_start: start, ..(*self.current.key).clone() }, span.end);
        cell.spent = spent;
        if cell.still_counts(self.current.start(), calendar) {
            let place = self.earlier.partition_point(|other| other.start() < start);
            self.earlier.insert(place, cell);
        }
    }

    /// Retires a balance that holds nothing, if a new one would count the same. Returns until when its window would
    /// have counted: it must not be opened again before, wherever the clock goes.
    pub(super) fn retire_if_idle(&mut self, now: UnixMicros, calendar: &Calendar) -> Option<UnixMicros> {
        let cells = || self.earlier.iter().chain([&self.current]);
        if cells().any(|cell| cell.holds_something() || !cell.lease_is_at_rest()) {
            return None;
        }
        let unused = cells().all(|cell| cell.spent == NanoUsd::ZERO);
        let closed_until = self.current.end.plus(calendar.rolling().unwrap_or_default());
        if !unused && now < closed_until {
            return None;
        }
        self.retired = true;
        Some(if unused { self.current.start() } else { closed_until })
    }

    /// From when until when the open window counts.
    pub(super) fn window(&self) -> (Arc<BalanceKey>, UnixMicros) {
        (Arc::clone(&self.current.key), self.current.end)
    }

    fn cell(&self, start: UnixMicros) -> Option<&Cell> {
        if self.current.start() == start {
            return Some(&self.current);
        }
        self.earlier.iter().find(|cell| cell.start() == start)
    }

    fn cell_mut(&mut self, start: UnixMicros) -> Option<&mut Cell> {
        if self.current.start() == start {
            return Some(&mut self.current);
        }
        self.earlier.iter_mut().find(|cell| cell.start() == start)
    }

    /// What counts against the ceiling when more is reserved in the window that began at `start`. Windows of a calendar
    /// stand for themselves; what is reserved in any bucket counts as long as it is.
    fn committed(&self, start: UnixMicros, now: UnixMicros, calendar: &Calendar) -> NanoUsd {
        if calendar.rolling().is_some() || start == self.current.start() {
            let counted = self.counted(now, calendar);
            return counted.spent + counted.reserved;
        }
        self.cell(start).map_or(NanoUsd::MAX, Cell::committed)
    }

    /// The end of the bucket with which as much as is `lacking` leaves the rolling window.
    fn freed_after(&self, now: UnixMicros, calendar: &Calendar, lacking: NanoUsd) -> UnixMicros {
        let mut freed = NanoUsd::ZERO;
        let buckets = self.earlier.iter().filter(|cell| cell.still_counts(now, calendar));
        let enough = buckets.chain([&self.current]).find(|cell| {
            freed += cell.spent;
            freed >= lacking
        });
        enough.map_or(self.current.end, |cell| cell.end)
    }
}

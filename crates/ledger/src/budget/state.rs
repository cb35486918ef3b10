//! One balance as a state machine over integers. Nothing here waits, asks a clock, or knows of other balances.
//!
//! Its invariants:
//! - Nothing is admitted or extended beyond the ceiling: what is spent and reserved stays within it, unless the ceiling
//!   was lowered or an attempt cost more than was reserved for it; then nothing new is admitted.
//! - What is spent in a window is the sum of the charges made on it. Neither it nor what is reserved is ever negative.
//! - Windows follow each other and never return, wherever the wall clock goes. What was reserved in one is settled in
//!   it.

use std::sync::Arc;

use tollgate_core::{NanoUsd, UnixMicros};

use super::window::{Calendar, NEVER, Span};
use crate::record::BalanceKey;

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

/// What is counted in one window, or in one bucket of a rolling window.
#[derive(Debug)]
struct Cell {
    key: Arc<BalanceKey>,
    end: UnixMicros,
    spent: NanoUsd,
    reserved: NanoUsd,
}

/// Why a balance admits no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) balance: Arc<BalanceKey>,
    /// What could still be reserved.
    pub(super) left: NanoUsd,
    /// When the amount fits at the latest, if it ever does and nothing else is spent.
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

impl Cell {
    fn new(key: BalanceKey, end: UnixMicros) -> Self {
        Self { key: Arc::new(key), end, spent: NanoUsd::ZERO, reserved: NanoUsd::ZERO }
    }

    fn start(&self) -> UnixMicros {
        self.key.window_start
    }

    /// Saturates, which refuses.
    fn committed(&self) -> NanoUsd {
        self.spent + self.reserved
    }

    fn holds_something(&self) -> bool {
        self.reserved > NanoUsd::ZERO
    }
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
        self.earlier.retain(|cell| cell.holds_something() || still_counts(cell, span.start, calendar));
    }

    /// What counts against the ceiling of the window that is open.
    pub(super) fn counted(&self, now: UnixMicros, calendar: &Calendar) -> Counted {
        let mut sum = Counted { spent: self.current.spent, reserved: self.current.reserved };
        if calendar.rolling().is_some() {
            let now = now.max(self.current.start());
            for cell in &self.earlier {
                sum.reserved += cell.reserved;
                if still_counts(cell, now, calendar) {
                    sum.spent += cell.spent;
                }
            }
        }
        sum
    }

    /// What could be reserved now. [`Self::roll`] comes first.
    pub(super) fn left(&self, now: UnixMicros, calendar: &Calendar, ceiling: NanoUsd) -> NanoUsd {
        let counted = self.counted(now, calendar);
        difference(ceiling, counted.spent + counted.reserved)
    }

    /// Whether `amount` fits under `ceiling`, or can be counted at all where there is none. [`Self::roll`] comes first.
    pub(super) fn admits(
        &self,
        now: UnixMicros,
        calendar: &Calendar,
        ceiling: Option<NanoUsd>,
        amount: NanoUsd,
    ) -> Result<(), Refusal> {
        let counted = self.counted(now, calendar);
        let fits = fits(counted.spent + counted.reserved, ceiling, amount);
        if fits { Ok(()) } else { Err(self.refusal(now, calendar, ceiling, amount)) }
    }

    /// Reserves what [`Self::admits`] let in, and says on which balance.
    pub(super) fn hold(&mut self, amount: NanoUsd) -> Arc<BalanceKey> {
        self.current.reserved += amount;
        Arc::clone(&self.current.key)
    }

    /// Whether `more` fits beside what is held in the window that began at `start`, open or not.
    pub(super) fn admits_more(
        &self,
        start: UnixMicros,
        now: UnixMicros,
        calendar: &Calendar,
        ceiling: Option<NanoUsd>,
        more: NanoUsd,
    ) -> Result<(), Refusal> {
        if calendar.rolling().is_some() || start == self.current.start() {
            return self.admits(now, calendar, ceiling, more);
        }
        let committed = self.cell(start).map_or(NanoUsd::MAX, Cell::committed);
        if fits(committed, ceiling, more) {
            return Ok(());
        }
        let balance = self.cell(start).map_or(&self.current.key, |cell| &cell.key);
        let left = difference(ceiling.unwrap_or(NanoUsd::MAX), committed);
        Err(Refusal { balance: Arc::clone(balance), left, resets_at: None })
    }

    /// Reserves what [`Self::admits_more`] let in.
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
        let sound = reserved.is_some() && !charged.is_negative();
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
        if still_counts(&cell, self.current.start(), calendar) {
            let place = self.earlier.partition_point(|other| other.start() < start);
            self.earlier.insert(place, cell);
        }
    }

    /// Retires a balance that holds nothing, if a new one would count the same. Returns until when its window would
    /// have counted: it must not be opened again before, wherever the clock goes.
    pub(super) fn retire_if_idle(&mut self, now: UnixMicros, calendar: &Calendar) -> Option<UnixMicros> {
        let cells = || self.earlier.iter().chain([&self.current]);
        if cells().any(Cell::holds_something) {
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

    fn refusal(
        &self,
        now: UnixMicros,
        calendar: &Calendar,
        ceiling: Option<NanoUsd>,
        amount: NanoUsd,
    ) -> Refusal {
        let ceiling = ceiling.unwrap_or(NanoUsd::MAX);
        let resets_at = self.resets_at(now, calendar, ceiling, amount);
        Refusal { balance: Arc::clone(&self.current.key), left: self.left(now, calendar, ceiling), resets_at }
    }

    fn resets_at(
        &self,
        now: UnixMicros,
        calendar: &Calendar,
        ceiling: NanoUsd,
        amount: NanoUsd,
    ) -> Option<UnixMicros> {
        let Some(rolling) = calendar.rolling() else {
            return (self.current.end != NEVER).then_some(self.current.end);
        };
        let counted = self.counted(now, calendar);
        let mut spent = counted.spent;
        let buckets = self.earlier.iter().filter(|cell| still_counts(cell, now, calendar));
        for cell in buckets.chain([&self.current]) {
            spent = difference(spent, cell.spent);
            if fits(spent + counted.reserved, Some(ceiling), amount) {
                return Some(cell.end.plus(rolling));
            }
        }
        None
    }
}

/// Whether what was spent in a bucket still counts at `now`. The one that is left by half counts whole.
fn still_counts(cell: &Cell, now: UnixMicros, calendar: &Calendar) -> bool {
    calendar.rolling().is_some_and(|rolling| cell.end.plus(rolling) > now)
}

fn fits(committed: NanoUsd, ceiling: Option<NanoUsd>, amount: NanoUsd) -> bool {
    let sum = committed.checked_add(amount).filter(|_| !amount.is_negative());
    sum.is_some_and(|sum| ceiling.is_none_or(|ceiling| sum <= ceiling))
}

/// Zero where `taken` is more than there is.
fn difference(whole: NanoUsd, taken: NanoUsd) -> NanoUsd {
    whole.checked_sub(taken).unwrap_or(NanoUsd::ZERO).max(NanoUsd::ZERO)
}

//! The leases of a balance: one for each window, or bucket, in which something is held.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tollgate_core::{NanoUsd, UnixMicros};

use super::BalanceState;
use super::cell::Cell;
use crate::budget::balance::Ceiling;
use crate::budget::lease::{Allowance, Asking, LeaseGrant, Uncovered};
use crate::budget::window::{Calendar, NEVER};
use crate::record::BalanceKey;

/// What a lease is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::budget) struct LeaseWindow {
    pub(in crate::budget) key: Arc<BalanceKey>,
    pub(in crate::budget) counts_from: UnixMicros,
    pub(in crate::budget) counts_to: UnixMicros,
    pub(in crate::budget) end: Option<UnixMicros>,
}

impl BalanceState {
    /// Where the window that admits begins.
    pub(in crate::budget) fn open_since(&self) -> UnixMicros {
        self.current.start()
    }

    /// Whether `amount` more is leased in the window that began at `start`.
    pub(in crate::budget) fn cover(
        &mut self,
        start: UnixMicros,
        ceiling: Ceiling,
        amount: NanoUsd,
        now: Instant,
    ) -> Result<(), Uncovered> {
        if amount == NanoUsd::ZERO {
            return Ok(());
        }
        let Some(cell) = self.cell_mut(start) else { return Err(Uncovered::Unavailable) };
        let committed = cell.committed();
        let lease = cell.lease.get_or_insert_with(|| Box::new(Allowance::new(now)));
        lease.cover(committed, ceiling, amount, now)
    }

    /// Notes that somebody waits for `amount`; whether the keeper must be told.
    pub(in crate::budget) fn wish(&mut self, start: UnixMicros, amount: NanoUsd) -> bool {
        let lease = self.cell_mut(start).and_then(|cell| cell.lease.as_mut());
        lease.is_some_and(|lease| lease.wish(amount))
    }

    /// Notes that money should be fetched before it is missed, if so; whether the keeper must be told.
    pub(in crate::budget) fn wish_ahead(&mut self, start: UnixMicros) -> bool {
        let Some(cell) = self.cell_mut(start) else { return false };
        let committed = cell.committed();
        let lease = cell.lease.as_mut().filter(|lease| lease.runs_low(committed));
        lease.is_some_and(|lease| lease.wish(NanoUsd::ZERO))
    }

    pub(in crate::budget) fn begin_asking(
        &mut self,
        now: UnixMicros,
        calendar: &Calendar,
        ceiling: Ceiling,
        at: Instant,
    ) -> Vec<(LeaseWindow, Asking)> {
        let newest = self.current.start();
        let counted = |start: UnixMicros| match calendar.rolling() {
            // Also what others count by clocks that are ahead.
            Some(rolling) => (calendar.span_at(before(now.max(newest), rolling)).start.min(start), NEVER),
            None => (start, start),
        };
        let ask = |cell: &mut Cell| {
            let committed = cell.committed();
            let asking = cell.lease.as_mut()?.begin_asking(committed, ceiling, at)?;
            let end = (cell.end != NEVER).then_some(cell.end);
            let (counts_from, counts_to) = counted(cell.start());
            Some((LeaseWindow { key: Arc::clone(&cell.key), counts_from, counts_to, end }, asking))
        };
        self.cells_mut().filter_map(ask).collect()
    }

    pub(in crate::budget) fn finish_asking(
        &mut self,
        start: UnixMicros,
        grant: Option<LeaseGrant>,
        asked_at: Instant,
        now: Instant,
    ) {
        let Some(cell) = self.cell_mut(start) else { return };
        let committed = cell.committed();
        if let Some(lease) = &mut cell.lease {
            lease.finish_asking(committed, grant, asked_at, now);
        }
    }

    /// What goes back, as what each lease holds from now on.
    pub(in crate::budget) fn begin_giving_back(
        &mut self,
        now: UnixMicros,
        at: Instant,
    ) -> Vec<(Arc<BalanceKey>, NanoUsd)> {
        let current = self.current.start();
        let give_back = |cell: &mut Cell| {
            let (committed, open) = (cell.committed(), cell.start() == current && now < cell.end);
            let granted = cell.lease.as_mut()?.begin_giving_back(committed, open, at)?;
            Some((Arc::clone(&cell.key), granted))
        };
        self.cells_mut().filter_map(give_back).collect()
    }

    pub(in crate::budget) fn finish_giving_back(&mut self, start: UnixMicros, done: bool) {
        if let Some(lease) = self.cell_mut(start).and_then(|cell| cell.lease.as_mut()) {
            lease.finish_giving_back(done);
        }
    }

    /// The leases that must be prolonged.
    pub(in crate::budget) fn begin_renewing(&mut self, now: Instant) -> Vec<Arc<BalanceKey>> {
        let is_due = |cell: &mut Cell| {
            let committed = cell.committed();
            let due = cell.lease.as_mut().is_some_and(|lease| lease.begin_renewing(committed, now));
            due.then(|| Arc::clone(&cell.key))
        };
        self.cells_mut().filter_map(is_due).collect()
    }

    pub(in crate::budget) fn finish_renewing(
        &mut self,
        start: UnixMicros,
        asked_at: Instant,
        expires_in: Duration,
    ) {
        if let Some(lease) = self.cell_mut(start).and_then(|cell| cell.lease.as_mut()) {
            lease.renewed(asked_at, expires_in);
        }
    }

    pub(in crate::budget) fn leases_at_rest(&self) -> bool {
        self.earlier.iter().chain([&self.current]).all(Cell::lease_is_at_rest)
    }

    /// All that is leased in the open window, spent or not.
    pub(in crate::budget) fn leased(&self) -> NanoUsd {
        self.current.lease.as_ref().map_or(NanoUsd::ZERO, |lease| lease.granted())
    }

    /// What could be reserved by what the authority said last; `None` when it said nothing.
    pub(in crate::budget) fn left_to_lease(&self) -> Option<NanoUsd> {
        let committed = self.current.committed();
        self.current.lease.as_ref().and_then(|lease| lease.left(committed, Instant::now()))
    }

    fn cells_mut(&mut self) -> impl Iterator<Item = &mut Cell> {
        self.earlier.iter_mut().chain([&mut self.current])
    }
}

fn before(at: UnixMicros, duration: Duration) -> UnixMicros {
    UnixMicros(at.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
}

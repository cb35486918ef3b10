//! A balance, shared by the cores.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tollgate_core::{NanoUsd, UnixMicros};
use tollgate_state::governance::BudgetObject;

use super::state::BalanceState;
use super::window::Calendar;
use crate::record::BalanceKey;

/// A lock of its own for each balance, held for nanoseconds: nobody waits for anybody whose money is not the same.
#[derive(Debug)]
pub(super) struct Balance {
    pub(super) terms: Arc<Terms>,
    /// Unique within the book.
    rank: u64,
    state: Mutex<BalanceState>,
    /// Wakes those who wait for a lease.
    pub(super) changed: Arc<Notify>,
    /// Whether the keeper of the leases looks after it.
    pub(super) kept: AtomicBool,
}

/// What the balances of one budget have in common.
#[derive(Debug)]
pub(super) struct Terms {
    /// As last published.
    budget: ArcSwap<BudgetObject>,
    pub(super) calendar: Calendar,
}

impl Terms {
    pub(super) fn new(budget: Arc<BudgetObject>) -> Self {
        let calendar = Calendar::new(&budget.window);
        Self { budget: ArcSwap::new(budget), calendar }
    }

    pub(super) fn publish(&self, budget: &Arc<BudgetObject>) {
        self.budget.store(Arc::clone(budget));
    }

    /// Up to where calls are admitted; `None` where none is ever refused.
    pub(super) fn ceiling(&self, now: UnixMicros) -> Option<NanoUsd> {
        let budget = self.budget.load();
        budget.mode.refuses().then(|| budget.amount_at(now))
    }

    pub(super) fn budget(&self) -> Arc<BudgetObject> {
        self.budget.load_full()
    }
}

impl Balance {
    /// One that has counted nothing; `key` names the window that ends at `end`.
    pub(super) fn new(terms: Arc<Terms>, rank: u64, key: BalanceKey, end: UnixMicros) -> Self {
        let state = Mutex::new(BalanceState::new(key, end));
        Self { terms, rank, state, changed: Arc::default(), kept: AtomicBool::new(false) }
    }

    /// The order in which several are locked.
    pub(super) const fn rank(&self) -> u64 {
        self.rank
    }

    /// Whoever locks several does so by rising rank, each once.
    pub(super) fn lock(&self) -> MutexGuard<'_, BalanceState> {
        self.state.lock()
    }
}

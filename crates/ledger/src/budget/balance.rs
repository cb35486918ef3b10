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
    published: ArcSwap<Published>,
    pub(super) calendar: Calendar,
}

/// A budget as last published.
#[derive(Debug)]
struct Published {
    budget: Arc<BudgetObject>,
    /// How often it was another one before.
    revision: u64,
}

/// Up to where calls are admitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ceiling {
    pub(super) amount: NanoUsd,
    /// Of the budget that says so. It may have been higher for a while between two revisions.
    pub(super) revision: u64,
}

impl Terms {
    pub(super) fn new(budget: Arc<BudgetObject>) -> Self {
        let calendar = Calendar::new(&budget.window);
        Self { published: ArcSwap::from_pointee(Published { budget, revision: 0 }), calendar }
    }

    /// From one place at a time.
    pub(super) fn publish(&self, budget: &Arc<BudgetObject>) {
        let known = self.published.load();
        if *known.budget != **budget {
            let revision = known.revision + 1;
            self.published.store(Arc::new(Published { budget: Arc::clone(budget), revision }));
        }
    }

    /// `None` where no call is ever refused.
    pub(super) fn ceiling(&self, now: UnixMicros) -> Option<Ceiling> {
        let published = self.published.load();
        let Published { budget, revision } = &**published;
        budget.mode.refuses().then(|| Ceiling { amount: budget.amount_at(now), revision: *revision })
    }

    pub(super) fn budget(&self) -> Arc<BudgetObject> {
        Arc::clone(&self.published.load().budget)
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

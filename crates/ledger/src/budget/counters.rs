//! What the book counts about itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Sums since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BudgetCounts {
    /// Attempts that reserved on all their balances.
    pub reservations: u64,
    /// Attempts that a balance refused.
    pub refusals: u64,
    /// Attempts that could not be decided, because leases could not be asked for.
    pub unavailable: u64,
    /// Reservations raised while the attempt ran.
    pub extensions: u64,
    /// Extensions that a balance refused.
    pub extension_refusals: u64,
    /// Reservations given up without a charge.
    pub voids: u64,
    /// Settlements, per balance, that charged something else than was reserved.
    pub corrections: u64,
    /// Settlements, per balance, that charged more than was reserved. Each is an estimate that was no bound.
    pub overruns: u64,
    /// States that cannot be. Anything but zero is a mistake in Tollgate.
    pub violations: u64,
    /// Balances that were made.
    pub balances: u64,
    /// Calls of customers that came when a budget had no room for another balance.
    pub crowded_out: u64,
}

macro_rules! counters {
    ($($name:ident),*) => {
        /// Written by all cores.
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: Counter,)*
        }

        impl Counters {
            pub(super) fn read(&self) -> BudgetCounts {
                BudgetCounts { $($name: self.$name.0.load(Relaxed),)* }
            }
        }
    };
}

counters!(
    reservations,
    refusals,
    unavailable,
    extensions,
    extension_refusals,
    voids,
    corrections,
    overruns,
    violations,
    balances,
    crowded_out
);

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn count(&self) {
        self.next();
    }

    /// Counts, and says how many there were before.
    pub(super) fn next(&self) -> u64 {
        self.0.fetch_add(1, Relaxed)
    }
}

impl Counters {
    /// Counts it, and stops a test.
    pub(super) fn violation(&self, what: &str) {
        debug_assert!(false, "{what}");
        self.violations.count();
        tracing::error!(what, "a budget's balance is in a state that cannot be");
    }
}

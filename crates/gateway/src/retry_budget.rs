//! How many attempts beyond the first a process may make: a fifth of the requests, and ten a second besides.
//!
//! Whatever fails, providers see at most 1.2 times the requests plus the floor (the budget of Finagle and linkerd).

use std::sync::atomic::{AtomicI64, Ordering};

use tollgate_core::UnixMicros;

/// A retry costs ten; a request earns two, a second earns a hundred.
const RETRY_COST: i64 = 10;
const EARNED_PER_REQUEST: i64 = 2;
const EARNED_PER_SECOND: i64 = 100;
/// Ten seconds of the floor: a quiet hour does not save up for a storm.
const MOST_SAVED: i64 = 10 * EARNED_PER_SECOND;

/// One budget per process, shared by all cores.
#[derive(Debug, Default)]
pub struct RetryBudget {
    balance: AtomicI64,
    /// The second for which the floor was last added.
    second: AtomicI64,
}

impl RetryBudget {
    /// A request begins.
    pub fn earn(&self) {
        if self.balance.load(Ordering::Relaxed) < MOST_SAVED {
            self.balance.fetch_add(EARNED_PER_REQUEST, Ordering::Relaxed);
        }
    }

    /// Whether one more attempt may be made; takes its price if so.
    pub fn spend(&self, now: UnixMicros) -> bool {
        self.add_floor(now.as_secs());
        self.balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |balance| {
                (balance >= RETRY_COST).then_some(balance - RETRY_COST)
            })
            .is_ok()
    }

    fn add_floor(&self, second: i64) {
        let last = self.second.load(Ordering::Relaxed);
        if last == second {
            return;
        }
        if self.second.compare_exchange(last, second, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let elapsed = second.saturating_sub(last).clamp(0, 10);
            let earned = elapsed * EARNED_PER_SECOND;
            let add = |balance: i64| Some(balance.saturating_add(earned).min(MOST_SAVED));
            // The closure always answers, so this cannot fail.
            let _ = self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_stay_within_a_fifth_and_the_floor() {
        let budget = RetryBudget::default();
        let mut retries = 0;
        for request in 0..50_000 {
            budget.earn();
            // Five thousand requests a second, each failing.
            let now = UnixMicros(1_000_000_000_000 + request * 200);
            retries += i64::from(budget.spend(now));
        }
        let allowed = 50_000 / 5 + 10 * 10 + MOST_SAVED / RETRY_COST;
        assert!((10_000..=allowed).contains(&retries), "{retries} of {allowed}");
    }

    #[test]
    fn a_quiet_hour_saves_no_more_than_ten_seconds() {
        let budget = RetryBudget::default();
        assert!(budget.spend(UnixMicros(3_600_000_000)));
        let spent = (0..1_000).filter(|_| budget.spend(UnixMicros(7_200_000_000))).count();
        assert_eq!(spent, 100);
    }
}

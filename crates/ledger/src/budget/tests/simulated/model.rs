//! What must be true, kept independently of the code under test: by key, without windows that roll or locks.

use std::collections::BTreeMap;

use super::*;

/// The truth about every balance that ever was.
#[derive(Debug, Default)]
pub(super) struct Model {
    balances: BTreeMap<BalanceKey, Truth>,
    /// The latest window that was seen, and the latest time at all.
    newest: BTreeMap<BudgetId, UnixMicros>,
    latest: UnixMicros,
    pub(super) failures: Vec<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Truth {
    pub(super) spent: i64,
    pub(super) reserved: i64,
    /// What attempts cost beyond what was reserved for them. Other processes hear of it when it is shipped.
    overrun: i64,
}

impl Truth {
    fn known(&self, sole: bool) -> i64 {
        if sole { self.spent } else { self.spent - self.overrun }
    }
}

/// Lengths in microseconds of the kinds of windows that histories use.
fn length_us(kind: WindowKind) -> i64 {
    match kind {
        WindowKind::Hour => 3_600_000_000,
        WindowKind::Day => 24 * 3_600_000_000,
        WindowKind::RollingS(seconds) => i64::from(seconds) * 1_000_000 / 60,
        _ => i64::MAX,
    }
}

fn window_start_us(kind: WindowKind, at: UnixMicros) -> i64 {
    let length_us = length_us(kind);
    if length_us == i64::MAX { 0 } else { at.0 - at.0 % length_us }
}

fn ceiling(budget: &BudgetObject, now: UnixMicros) -> i64 {
    let mut sum = budget.amount_nano_usd.get();
    for increase in &budget.increases {
        if (increase.created_at..increase.expires_at).contains(&now) {
            sum += increase.amount_nano_usd.get();
        }
    }
    sum
}

impl Model {
    pub(super) fn fail(&mut self, what: String) {
        self.failures.push(what);
    }

    pub(super) fn truth(&self, key: &BalanceKey) -> Truth {
        self.balances.get(key).copied().unwrap_or_default()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = (&BalanceKey, &Truth)> {
        self.balances.iter()
    }

    /// What counts against the ceiling when `key` is about to take more.
    fn counted(&self, budget: &BudgetObject, key: &BalanceKey, now: UnixMicros, sole: bool) -> i64 {
        let WindowKind::RollingS(seconds) = budget.window.kind else {
            let truth = self.truth(key);
            return truth.known(sole) + truth.reserved;
        };
        let newest = self.newest.get(&key.budget_id).copied().unwrap_or_default();
        let now = now.max(newest);
        let reach_us = i64::from(seconds) * 1_000_000;
        let length_us = length_us(budget.window.kind);
        let same = self.balances.iter().filter(|(other, _)| other.budget_id == key.budget_id);
        let counts = same.map(|(other, truth)| {
            let reached = other.window_start.0 + length_us + reach_us > now.0;
            let spent = if reached { truth.known(sole) } else { 0 };
            spent + if reached || sole { truth.reserved } else { 0 }
        });
        counts.sum()
    }

    pub(super) fn saw(&mut self, now: UnixMicros) {
        self.latest = self.latest.max(now);
    }

    /// The book has gone on to this window.
    pub(super) fn opened(&mut self, key: &BalanceKey) {
        let newest = self.newest.entry(key.budget_id).or_insert(key.window_start);
        *newest = key.window_start.max(*newest);
    }

    /// The book was asked for more at this time. Windows only go forward: what has left the rolling window by then does not
    /// count again when the clock is set back.
    pub(super) fn rolled(&mut self, budget: &BudgetObject, key: &BalanceKey, now: UnixMicros) {
        let window_start = UnixMicros(window_start_us(budget.window.kind, now));
        self.opened(&BalanceKey { window_start, ..key.clone() });
    }

    /// A process that starts again knows of no window in which nothing was spent.
    pub(super) fn forget_unspent_windows(&mut self) {
        self.newest.clear();
        for (key, _) in self.balances.iter().filter(|(_, truth)| truth.spent > 0) {
            let newest = self.newest.entry(key.budget_id).or_insert(key.window_start);
            *newest = key.window_start.max(*newest);
        }
    }

    /// Somebody declared this much to be spent.
    pub(super) fn correct(&mut self, key: &BalanceKey, difference: i64) {
        self.balances.entry(key.clone()).or_default().spent += difference;
    }

    fn check_window(&mut self, budget: &BudgetObject, key: &BalanceKey, now: UnixMicros) {
        self.saw(now);
        self.opened(key);
        let expected = |at| window_start_us(budget.window.kind, at);
        let (low, high) = (expected(now), expected(self.latest));
        if !(low..=high).contains(&key.window_start.0) {
            self.fail(format!("{key:?} is not the window of {now:?}"));
        }
    }

    /// One that opened a window which was closed before gives money twice.
    pub(super) fn admitted(
        &mut self,
        budget: &BudgetObject,
        key: &BalanceKey,
        amount: i64,
        times: [UnixMicros; 2],
        sole: bool,
    ) {
        self.check_window(budget, key, times[0]);
        self.take(budget, key, amount, times, sole);
    }

    /// Must fit when it was asked for or when it was reserved. These are one time, unless it waited for a lease: a lease
    /// is granted by the clock of when the store was asked, and by then the rolling window may have moved on.
    pub(super) fn take(
        &mut self,
        budget: &BudgetObject,
        key: &BalanceKey,
        amount: i64,
        times: [UnixMicros; 2],
        sole: bool,
    ) {
        self.balances.entry(key.clone()).or_default().reserved += amount;
        let [asked, reserved] = times.map(|now| (self.counted(budget, key, now, sole), ceiling(budget, now)));
        let over = |(counted, ceiling)| counted > ceiling;
        if budget.mode.refuses() && amount > 0 && over(asked) && over(reserved) {
            let (counted, ceiling) = asked;
            self.fail(format!("{amount} made it {counted} of {ceiling} on {key:?}"));
        }
        if amount < 0 {
            self.fail(format!("{amount} was reserved on {key:?}"));
        }
    }

    pub(super) fn refused(
        &mut self,
        budget: &BudgetObject,
        key: &BalanceKey,
        (amount, left): (i64, i64),
        now: UnixMicros,
        sole: bool,
    ) {
        self.opened(key);
        let room = (ceiling(budget, now) - self.counted(budget, key, now, sole)).max(0);
        if !budget.mode.refuses() {
            self.fail(format!("{key:?} refused, and never should"));
        }
        if sole && (room >= amount || room != left) {
            self.fail(format!(
                "{amount} was refused with {left} left where there was room for {room} on {key:?}"
            ));
        }
    }

    pub(super) fn ended(&mut self, key: &BalanceKey, held: i64, charged: i64) {
        let truth = self.balances.entry(key.clone()).or_default();
        truth.reserved -= held;
        truth.spent += charged;
        truth.overrun += (charged - held).max(0);
        if truth.reserved < 0 || charged < 0 {
            self.fail(format!("{key:?} went below zero"));
        }
    }
}

//! The balances of one budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use tollgate_core::{BudgetId, NanoUsd, UnixMicros};
use tollgate_state::governance::{BudgetObject, Member};

use super::balance::{Balance, Terms};
use super::counters::Counters;
use super::window::NEVER;
use crate::record::BalanceKey;

/// How many customers of one budget get a balance of their own. They are named by callers, so there must be an end.
const MOST_CUSTOMERS: usize = 100_000;

/// One budget's balances, made on first use. It outlives every publish.
#[derive(Debug)]
pub struct BudgetLine {
    id: BudgetId,
    terms: Arc<Terms>,
    balances: papaya::HashMap<Member, Arc<Balance>>,
    /// No balance is made for a time before this: its window was closed and forgotten.
    forgotten_until: AtomicI64,
    counters: Arc<Counters>,
}

/// A balance in the window that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalanceReport {
    pub balance: Arc<BalanceKey>,
    /// `None` for a window without end. Of a rolling window, the end of its newest bucket.
    pub window_end: Option<UnixMicros>,
    /// What may be spent in the window, increases included.
    pub amount_nano_usd: NanoUsd,
    /// By this process, if several share the budget.
    pub spent_nano_usd: NanoUsd,
    /// For attempts that are under way.
    pub reserved_nano_usd: NanoUsd,
    /// What this process leased in the window, spent or not; zero where it is alone.
    pub leased_nano_usd: NanoUsd,
    /// What could be reserved now. More than can be afforded is left of a budget that never refuses.
    pub left_nano_usd: NanoUsd,
}

impl BudgetLine {
    pub(super) fn new(budget: Arc<BudgetObject>, counters: Arc<Counters>) -> Self {
        Self {
            id: budget.id,
            terms: Arc::new(Terms::new(budget)),
            balances: papaya::HashMap::new(),
            forgotten_until: AtomicI64::new(i64::MIN),
            counters,
        }
    }

    pub const fn budget_id(&self) -> BudgetId {
        self.id
    }

    pub(super) fn publish(&self, budget: &Arc<BudgetObject>) {
        self.terms.publish(budget);
    }

    /// The balance that counts for a member, made if it is new.
    pub(super) fn balance(&self, member: &Member, now: UnixMicros) -> Arc<Balance> {
        let balances = self.balances.pin();
        if let Some(balance) = balances.get(member) {
            return Arc::clone(balance);
        }
        let crowded = matches!(member, Member::Customer(_)) && balances.len() >= MOST_CUSTOMERS;
        if crowded {
            self.counters.crowded_out.count();
        }
        let member = if crowded { Member::OtherCustomers } else { member.clone() };
        let made = balances.get_or_insert_with(member.clone(), || self.new_balance(member, now));
        Arc::clone(made)
    }

    fn new_balance(&self, member: Member, now: UnixMicros) -> Arc<Balance> {
        let now = now.max(UnixMicros(self.forgotten_until.load(Relaxed)));
        let span = self.terms.calendar.span_at(now);
        let key = BalanceKey { budget_id: self.id, member, window_start: span.start };
        let rank = self.counters.balances.next();
        Arc::new(Balance::new(Arc::clone(&self.terms), rank, key, span.end))
    }

    /// What a member could reserve now; `None` where nothing is ever refused.
    pub(super) fn left(&self, member: &Member, now: UnixMicros) -> Option<NanoUsd> {
        let ceiling = self.terms.ceiling(now)?;
        let balances = self.balances.pin();
        let others = || balances.get(&Member::OtherCustomers).filter(|_| balances.len() >= MOST_CUSTOMERS);
        let Some(balance) = balances.get(member).or_else(others) else { return Some(ceiling.amount) };
        let calendar = &self.terms.calendar;
        let mut state = balance.lock();
        state.roll(now, calendar);
        Some(state.left(now, calendar, ceiling.amount))
    }

    pub(super) fn restore(&self, key: &BalanceKey, spent: NanoUsd) {
        let balances = self.balances.pin();
        let balance = balances.get_or_insert_with(key.member.clone(), || {
            self.new_balance(key.member.clone(), key.window_start)
        });
        balance.lock().restore(key.window_start, spent, &self.terms.calendar);
    }

    /// Every balance there is, by member.
    pub(super) fn reports(&self, now: UnixMicros) -> Vec<BalanceReport> {
        let budget = self.terms.budget();
        let amount_nano_usd = budget.amount_at(now);
        let calendar = &self.terms.calendar;
        let report = |balance: &Arc<Balance>| {
            let mut state = balance.lock();
            state.roll(now, calendar);
            let counted = state.counted(now, calendar);
            let (key, end) = state.window();
            BalanceReport {
                balance: key,
                window_end: (end != NEVER).then_some(end),
                amount_nano_usd,
                spent_nano_usd: counted.spent,
                reserved_nano_usd: counted.reserved,
                leased_nano_usd: state.leased(),
                left_nano_usd: state.left(now, calendar, amount_nano_usd),
            }
        };
        let mut reports: Vec<_> = self.balances.pin().values().map(report).collect();
        reports.sort_unstable_by(|one, other| one.balance.member.cmp(&other.balance.member));
        reports
    }

    /// Drops the balances that a new one could replace. Returns how many.
    pub(super) fn forget_idle(&self, now: UnixMicros) -> usize {
        let balances = self.balances.pin();
        let idle = |balance: &&Arc<Balance>| {
            let mut state = balance.lock();
            let closed_until = state.retire_if_idle(now, &self.terms.calendar);
            if let Some(until) = closed_until {
                self.forgotten_until.fetch_max(until.0, Relaxed);
            }
            closed_until.is_some()
        };
        balances.values().filter(idle).map(|balance| self.remove(balance)).count()
    }

    /// Makes room for the successor of a retired balance.
    pub(super) fn remove(&self, retired: &Arc<Balance>) {
        let member = retired.lock().window().0.member.clone();
        let same = |_: &Member, balance: &Arc<Balance>| Arc::ptr_eq(balance, retired);
        // Whoever was faster has removed it already, and perhaps put its successor there.
        let _ = self.balances.pin().remove_if(&member, same);
    }
}

//! All balances of a process.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;
use tollgate_core::{BudgetId, NanoUsd, UnixMicros};
use tollgate_state::governance::{Governance, Member};

use super::balance::Balance;
use super::counters::{BudgetCounts, Counters};
use super::hold::{Hold, Part, Parts};
use super::line::{BalanceReport, BudgetLine};
use super::state::Refusal;
use crate::record::BalanceKey;

/// The budgets' state: one per process, shared by its cores and its control plane.
#[derive(Debug, Default)]
pub struct BudgetBook {
    lines: Mutex<Lines>,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Lines {
    /// Also of budgets that are disabled: what they counted holds when they come back.
    by_budget: HashMap<BudgetId, Arc<BudgetLine>>,
    /// What was restored for budgets that have no line yet.
    restored: HashMap<BudgetId, Vec<(BalanceKey, NanoUsd)>>,
}

/// A wish to reserve on one balance.
#[derive(Debug, Clone)]
pub struct Claim<'a> {
    pub line: &'a Arc<BudgetLine>,
    pub member: Member,
    /// The most that the attempt can cost. A negative one is refused.
    pub amount: NanoUsd,
}

/// Why nothing could be reserved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// Of those that refuse, the balance with the smallest part of its claim left.
    #[error("budget {} has only ${left} left", balance.budget_id)]
    Exhausted {
        /// Position of its claim.
        claim: usize,
        balance: Arc<BalanceKey>,
        /// What could have been reserved there.
        left: NanoUsd,
        /// When the claim fits at the latest, if ever.
        resets_at: Option<UnixMicros>,
    },
    /// It cannot be told now: no more money is leased, and the store cannot be asked.
    #[error("the budgets' store cannot be reached")]
    Unavailable {
        /// Position of its claim.
        claim: usize,
    },
}

impl BudgetBook {
    /// The book of the one process that uses these budgets.
    pub fn sole() -> Self {
        Self::default()
    }

    /// The lines of these budgets, by slot, for a snapshot that is about to be published. From here on the budgets'
    /// new amounts and modes hold, for attempts under way too.
    pub fn lines(&self, governance: &Governance) -> Arc<[Arc<BudgetLine>]> {
        let mut lines = self.lines.lock();
        let Lines { by_budget, restored } = &mut *lines;
        let line_of = |budget: &Arc<_>| {
            let new = || Arc::new(BudgetLine::new(Arc::clone(budget), Arc::clone(&self.counters)));
            let line = by_budget.entry(budget.id).or_insert_with(new);
            line.publish(budget);
            for (key, spent) in restored.remove(&budget.id).unwrap_or_default() {
                line.restore(&key, spent);
            }
            Arc::clone(line)
        };
        governance.budgets().iter().map(line_of).collect()
    }

    /// Takes over what the books say was spent, at start and before anything is admitted. May come before or after the
    /// first [`Self::lines`].
    pub fn restore(&self, balances: impl IntoIterator<Item = (BalanceKey, NanoUsd)>) {
        let mut lines = self.lines.lock();
        let Lines { by_budget, restored } = &mut *lines;
        for (key, spent) in balances {
            match by_budget.get(&key.budget_id) {
                Some(line) => line.restore(&key, spent),
                None => restored.entry(key.budget_id).or_default().push((key, spent)),
            }
        }
    }

    /// Reserves each claim, or nothing. Never suspends where the process is alone.
    ///
    /// # Errors
    /// When a balance has not that much left, or its lease cannot be asked for.
    pub async fn reserve(&self, now: UnixMicros, claims: &[Claim<'_>]) -> Result<Hold, Shortage> {
        let reserved = self.try_reserve(now, claims);
        match &reserved {
            Ok(_) => self.counters.reservations.count(),
            Err(Shortage::Exhausted { .. }) => self.counters.refusals.count(),
            Err(Shortage::Unavailable { .. }) => self.counters.unavailable.count(),
        }
        reserved
    }

    fn try_reserve(&self, now: UnixMicros, claims: &[Claim<'_>]) -> Result<Hold, Shortage> {
        loop {
            match self.reserve_unless_retired(now, claims) {
                Ok(decided) => return decided,
                Err((claim, retired)) => claim.line.remove(&retired),
            }
        }
    }

    /// All balances are locked while they are looked at, so that a claim that fails elsewhere never shows here. The
    /// outer error is a balance that was retired since it was looked up.
    fn reserve_unless_retired<'a>(
        &self,
        now: UnixMicros,
        claims: &'a [Claim<'a>],
    ) -> Result<Result<Hold, Shortage>, (&'a Claim<'a>, Arc<Balance>)> {
        let claimed = in_locking_order(now, claims);
        let mut states: SmallVec<[_; 4]> = claimed.iter().map(|(balance, _, _)| balance.lock()).collect();
        let mut refusals = Refusals::default();
        for ((balance, position, claim), state) in claimed.iter().zip(&mut states) {
            if state.is_retired() {
                return Err((claim, Arc::clone(balance)));
            }
            let terms = &balance.terms;
            state.roll(now, &terms.calendar);
            let verdict = state.admits(now, &terms.calendar, terms.ceiling(now), claim.amount);
            refusals.note(*position, claim.amount, verdict);
        }
        if let Err(shortage) = refusals.into_result() {
            return Ok(Err(shortage));
        }
        let held = claimed.iter().zip(&mut states).map(|((_, _, claim), state)| state.hold(claim.amount));
        let keys: SmallVec<[_; 4]> = held.collect();
        drop(states);
        let parts: Parts = claimed
            .into_iter()
            .zip(keys)
            .map(|((balance, position, claim), key)| Part {
                claim: position,
                balance,
                key,
                held: claim.amount,
            })
            .collect();
        Ok(Ok(Hold::new(parts, Arc::clone(&self.counters))))
    }

    /// What a member could reserve on a line now; `None` where nothing is ever refused.
    pub fn left(&self, now: UnixMicros, line: &BudgetLine, member: &Member) -> Option<NanoUsd> {
        line.left(member, now)
    }

    /// The balances of a budget, by member: those that have been used since the last quiet time.
    pub fn balances(&self, budget_id: BudgetId, now: UnixMicros) -> Vec<BalanceReport> {
        let line = self.lines.lock().by_budget.get(&budget_id).cloned();
        line.map(|line| line.reports(now)).unwrap_or_default()
    }

    /// Drops balances whose window has passed and that hold nothing, to be called now and then. Returns how many.
    pub fn forget_idle(&self, now: UnixMicros) -> usize {
        let lines: Vec<_> = self.lines.lock().by_budget.values().cloned().collect();
        lines.iter().map(|line| line.forget_idle(now)).sum()
    }

    pub fn counts(&self) -> BudgetCounts {
        self.counters.read()
    }
}

/// The balances of the claims with their positions, by rising address. One that is claimed twice counts once.
fn in_locking_order<'a>(
    now: UnixMicros,
    claims: &'a [Claim<'a>],
) -> SmallVec<[(Arc<Balance>, usize, &'a Claim<'a>); 4]> {
    let found = claims.iter().enumerate();
    let mut found: SmallVec<[_; 4]> =
        found.map(|(position, claim)| (claim.line.balance(&claim.member, now), position, claim)).collect();
    found.sort_unstable_by_key(|(balance, position, _)| (Arc::as_ptr(balance), *position));
    found.dedup_by(|(second, ..), (first, ..)| Arc::ptr_eq(first, second));
    found
}

/// The refusals of one request, of which the tightest is told.
#[derive(Default)]
pub(super) struct Refusals {
    tightest: Option<(usize, NanoUsd, Refusal)>,
}

impl Refusals {
    pub(super) fn note(&mut self, claim: usize, amount: NanoUsd, verdict: Result<(), Refusal>) {
        let Err(refusal) = verdict else { return };
        // Compares left / amount without dividing.
        let tighter = |(first, wanted, known): &(usize, NanoUsd, Refusal)| {
            let part = |left: NanoUsd, of: NanoUsd| i128::from(left.get()) * i128::from(of.get());
            (part(refusal.left, *wanted), claim) < (part(known.left, amount), *first)
        };
        if self.tightest.as_ref().is_none_or(tighter) {
            self.tightest = Some((claim, amount, refusal));
        }
    }

    pub(super) fn into_result(self) -> Result<(), Shortage> {
        match self.tightest {
            None => Ok(()),
            Some((claim, _, Refusal { balance, left, resets_at })) => {
                Err(Shortage::Exhausted { claim, balance, left, resets_at })
            }
        }
    }
}

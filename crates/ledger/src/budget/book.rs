//! All balances of a process.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;
use tollgate_core::{BudgetId, Clock, NanoUsd, UnixMicros};
use tollgate_state::governance::{Governance, Member};

use super::admission::{self, Ask, Authority, Outcome, Waiting};
use super::balance::Balance;
use super::counters::{BudgetCounts, Counters};
use super::hold::{Hold, Part, Parts};
use super::lease::{LeaseSource, Leases};
use super::line::{BalanceReport, BudgetLine};
use crate::record::BalanceKey;

/// The budgets' state: one per process, shared by its cores and its control plane.
#[derive(Debug, Default)]
pub struct BudgetBook {
    lines: Mutex<Lines>,
    authority: Authority,
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

/// Why a try to reserve came to nothing.
enum Unreserved<'a> {
    Refused(Shortage),
    Waiting(Waiting),
    /// This balance was retired since it was looked up.
    Retired(&'a BudgetLine, Arc<Balance>),
}

impl BudgetBook {
    /// The book of the one process that uses these budgets.
    pub fn sole() -> Self {
        Self::default()
    }

    /// The book of one of several processes. It can reserve nothing on budgets that refuse until
    /// [`Self::keep_leases`] runs.
    pub fn leased(source: Arc<dyn LeaseSource>, clock: Arc<dyn Clock>) -> Self {
        Self { authority: Authority::Leased(Arc::new(Leases::new(source, clock))), ..Self::default() }
    }

    /// Asks for leases, prolongs them and gives back what is idle, for as long as it is polled: one task for the life
    /// of the process, on a runtime that requests do not share. Ends at once where the process is alone.
    pub async fn keep_leases(&self) {
        if let Authority::Leased(leases) = &self.authority {
            Arc::clone(leases).keep().await;
        }
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
        let mut deadline = None;
        let reserved = loop {
            match self.try_reserve(now, claims) {
                Ok(hold) => break Ok(hold),
                Err(Unreserved::Refused(shortage)) => break Err(shortage),
                Err(Unreserved::Retired(line, balance)) => line.remove(&balance),
                Err(Unreserved::Waiting(waiting)) => {
                    let deadline = *deadline.get_or_insert_with(admission::deadline);
                    if let Err(shortage) = waiting.answered(deadline).await {
                        break Err(shortage);
                    }
                }
            }
        };
        match &reserved {
            Ok(_) => self.counters.reservations.count(),
            Err(Shortage::Exhausted { .. }) => self.counters.refusals.count(),
            Err(Shortage::Unavailable { .. }) => self.counters.unavailable.count(),
        }
        reserved
    }

    /// All balances are locked while they are looked at, so that a claim that fails elsewhere never shows here.
    fn try_reserve<'a>(&self, now: UnixMicros, claims: &'a [Claim<'a>]) -> Result<Hold, Unreserved<'a>> {
        let claimed = in_locking_order(now, claims);
        let mut states: SmallVec<[_; 4]> = claimed.iter().map(|(balance, ..)| balance.lock()).collect();
        for ((balance, _, claim), state) in claimed.iter().zip(&states) {
            if state.is_retired() {
                return Err(Unreserved::Retired(claim.line, Arc::clone(balance)));
            }
        }
        let asked = claimed.iter().zip(&mut states).map(|((balance, position, claim), state)| {
            (Ask { claim: *position, balance, start: None, amount: claim.amount }, &mut **state)
        });
        match admission::decide(&self.authority, now, asked) {
            Outcome::Admitted => {}
            Outcome::Refused(shortage) => return Err(Unreserved::Refused(shortage)),
            Outcome::Waiting(waiting) => return Err(Unreserved::Waiting(waiting)),
        }
        let hold = claimed.iter().zip(&mut states).map(|((balance, _, claim), state)| {
            let key = state.hold(claim.amount);
            self.authority.look_ahead(balance, state, key.window_start);
            key
        });
        let keys: SmallVec<[_; 4]> = hold.collect();
        drop(states);
        let part = |((balance, position, claim), key): ((_, _, &Claim<'_>), _)| Part {
            claim: position,
            balance,
            key,
            held: claim.amount,
        };
        let parts: Parts = claimed.into_iter().zip(keys).map(part).collect();
        Ok(Hold::new(parts, self.authority.clone(), Arc::clone(&self.counters)))
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

/// The balances of the claims with their positions, by rising rank. One that is claimed twice counts once.
fn in_locking_order<'a>(
    now: UnixMicros,
    claims: &'a [Claim<'a>],
) -> SmallVec<[(Arc<Balance>, usize, &'a Claim<'a>); 4]> {
    let found = claims.iter().enumerate();
    let mut found: SmallVec<[_; 4]> =
        found.map(|(position, claim)| (claim.line.balance(&claim.member, now), position, claim)).collect();
    found.sort_unstable_by_key(|(balance, position, _)| (balance.rank(), *position));
    found.dedup_by(|(second, ..), (first, ..)| Arc::ptr_eq(first, second));
    found
}

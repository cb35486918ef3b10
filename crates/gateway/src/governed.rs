//! The budgets and limits of a published configuration, with the ledger's counts for them. Made once per publish.

use std::sync::Arc;

use tollgate_ledger::budget::{BudgetBook, BudgetLine};
use tollgate_ledger::limit::{LimitBook, LimitLine};
use tollgate_state::governance::{BudgetObject, Governance, LimitObject};

/// What a snapshot's budgets and limits are counted on. The counts themselves outlive every publish.
#[derive(Debug, Default)]
pub struct Governed {
    pub rules: Arc<Governance>,
    budgets: Arc<[Arc<BudgetLine>]>,
    limits: Arc<[Arc<LimitLine>]>,
}

impl Governed {
    pub fn new(rules: &Arc<Governance>, budgets: &BudgetBook, limits: &LimitBook) -> Self {
        Self { rules: Arc::clone(rules), budgets: budgets.lines(rules), limits: limits.lines(rules) }
    }

    /// A budget and its count, by slot.
    pub fn budget(&self, slot: usize) -> Option<(&Arc<BudgetObject>, &Arc<BudgetLine>)> {
        self.rules.budgets().get(slot).zip(self.budgets.get(slot))
    }

    /// A limit and its count, by slot.
    pub fn limit(&self, slot: usize) -> Option<(&Arc<LimitObject>, &Arc<LimitLine>)> {
        self.rules.limits().get(slot).zip(self.limits.get(slot))
    }
}

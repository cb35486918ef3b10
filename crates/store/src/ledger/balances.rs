//! Balances as books take them over at start and as the API shows them.

use serde::Serialize;
use tollgate_access::{Proof, authorize::BudgetsRead};
use tollgate_core::{BudgetId, NanoUsd, UnixMicros};
use tollgate_ledger::record::BalanceKey;
use tollgate_state::governance::Member;

use super::balance::BalanceRow;
use crate::database::{Query, values};
use crate::error::StoreError;
use crate::page::MAX_PAGE;
use crate::store::Store;

/// A balance as the store has it: what processes hold of their leases and have not shipped is in `leased`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct StoredBalance {
    pub balance: BalanceKey,
    pub spent_nano_usd: NanoUsd,
    pub leased_nano_usd: NanoUsd,
}

/// All members of a budget in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct WindowTotals {
    pub window_start: UnixMicros,
    pub members: u64,
    pub spent_nano_usd: NanoUsd,
    pub leased_nano_usd: NanoUsd,
}

/// Which balances of a budget are wanted.
#[derive(Debug, Clone, Default)]
pub struct BalanceFilter {
    pub member: Option<Member>,
    /// Of windows that begin then or later.
    pub from: Option<UnixMicros>,
    /// 1 to [`MAX_PAGE`]; other values are brought into that range.
    pub limit: u32,
}

impl Store {
    /// Visits what was spent of each balance whose window may still be open, for the books of a process that starts.
    pub async fn system_open_balances(
        &self,
        mut visit: impl FnMut(BalanceKey, NanoUsd),
    ) -> Result<(), StoreError> {
        const OPEN: &str = "SELECT budget_balances.* FROM budget_balances \
            JOIN budgets ON budgets.id = budget_balances.budget_id WHERE budgets.deleted_at IS NULL \
            AND (budgets.longest_window_us IS NULL OR window_start > $1 - budgets.longest_window_us)";
        let mut transaction = self.database.begin_read().await?;
        transaction
            .visit_each(OPEN, values![self.now()], |row| {
                visit(BalanceRow::read(row)?.key()?, row.nano_usd("spent_nano_usd")?);
                Ok(())
            })
            .await
    }

    /// The latest windows first, and in each those members first of whom most is spent or leased.
    pub async fn list_balances(
        &self,
        proof: &Proof<BudgetsRead>,
        budget_id: BudgetId,
        filter: &BalanceFilter,
    ) -> Result<Vec<StoredBalance>, StoreError> {
        self.get_budget(proof, budget_id).await?;
        let mut query = Query::new("SELECT * FROM budget_balances WHERE budget_id = ");
        query.bind(budget_id).filter("member =", filter.member.as_ref().map(Member::to_string));
        query.filter("window_start >=", filter.from);
        query.push(" ORDER BY window_start DESC, spent_nano_usd + leased_nano_usd DESC, member LIMIT ");
        query.bind(filter.limit.clamp(1, MAX_PAGE));
        let rows = self.database.rows(query.sql(), query.values()).await?;
        rows.iter()
            .map(|row| {
                Ok(StoredBalance {
                    balance: BalanceRow::read(row)?.key()?,
                    spent_nano_usd: row.nano_usd("spent_nano_usd")?,
                    leased_nano_usd: row.nano_usd("leased_nano_usd")?,
                })
            })
            .collect()
    }

    /// Sums over the members, for each window that begins at `from` or later, the latest first.
    pub async fn budget_totals(
        &self,
        proof: &Proof<BudgetsRead>,
        budget_id: BudgetId,
        from: UnixMicros,
    ) -> Result<Vec<WindowTotals>, StoreError> {
        const SUMS: &str = "SELECT window_start, COUNT(*) AS members, \
            CAST(SUM(spent_nano_usd) AS BIGINT) AS spent, CAST(SUM(leased_nano_usd) AS BIGINT) AS leased \
            FROM budget_balances WHERE budget_id = $1 AND window_start >= $2 \
            GROUP BY window_start ORDER BY window_start DESC LIMIT $3";
        self.get_budget(proof, budget_id).await?;
        let rows = self.database.rows(SUMS, values![budget_id, from, MAX_PAGE]).await?;
        rows.iter()
            .map(|row| {
                Ok(WindowTotals {
                    window_start: row.time("window_start")?,
                    members: row.unsigned("members")?,
                    spent_nano_usd: row.nano_usd("spent")?,
                    leased_nano_usd: row.nano_usd("leased")?,
                })
            })
            .collect()
    }
}

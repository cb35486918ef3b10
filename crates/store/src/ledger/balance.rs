//! The key of a balance as its rows have it.

use tollgate_core::{BudgetId, UnixMicros};
use tollgate_ledger::record::BalanceKey;
use tollgate_state::governance::Member;

use crate::database::{Query, Row, Value};
use crate::error::StoreError;

/// Where a balance stops growing, a hundred million dollars: charges of a provider that reports absurd usage without end
/// must not overflow the column, which would stop the shipping of everything behind them.
pub(crate) const SPENT_CAP_NANO_USD: i64 = 100_000_000_000_000_000;

/// A [`BalanceKey`] whose member is text that both databases can hold. Ordered as rows are locked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BalanceRow {
    pub(crate) budget_id: BudgetId,
    pub(crate) member: String,
    pub(crate) window_start: UnixMicros,
}

impl BalanceRow {
    pub(crate) fn of(key: &BalanceKey) -> Self {
        let member = key.member.to_string().replace('\0', "\u{fffd}");
        Self { budget_id: key.budget_id, member, window_start: key.window_start }
    }

    /// From the columns `budget_id`, `member` and `window_start`.
    pub(crate) fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            budget_id: row.id("budget_id")?,
            member: row.get("member")?,
            window_start: row.time("window_start")?,
        })
    }

    pub(crate) fn values(&self) -> [Value<'_>; 3] {
        [self.budget_id.into(), (&self.member).into(), self.window_start.into()]
    }

    /// `(VALUES (…), (…))`, to be compared with `(budget_id, member, window_start)`.
    pub(crate) fn push_list<'a>(query: &mut Query<'a>, rows: impl IntoIterator<Item = &'a Self>) {
        query.push("(VALUES ");
        for (index, row) in rows.into_iter().enumerate() {
            query.push(if index == 0 { "(" } else { ", (" });
            let [budget_id, member, window_start] = row.values();
            query.bind(budget_id).push(", ").bind(member).push(", ").bind(window_start).push(")");
        }
        query.push(")");
    }

    pub(crate) fn key(&self) -> Result<BalanceKey, StoreError> {
        let member: Member = self
            .member
            .parse()
            .map_err(|error| StoreError::Unreadable { column: "member", reason: format!("{error}") })?;
        Ok(BalanceKey { budget_id: self.budget_id, member, window_start: self.window_start })
    }
}

//! Charges as a usage record keeps them: `[["bud_…","all",1800000000000000,12000],…]`.

use std::sync::Arc;

use tollgate_core::{BudgetId, NanoUsd, UnixMicros};
use tollgate_ledger::record::{BalanceKey, Charge};
use tollgate_state::governance::Member;

use crate::error::StoreError;
use crate::write::json_text;

/// `None` where there are none.
pub(crate) fn write_charges(charges: &[Charge]) -> Result<Option<String>, StoreError> {
    if charges.is_empty() {
        return Ok(None);
    }
    let rows: Vec<(BudgetId, &Member, UnixMicros, NanoUsd)> = charges
        .iter()
        .map(|charge| {
            let key = &charge.balance;
            (key.budget_id, &key.member, key.window_start, charge.amount_nano_usd)
        })
        .collect();
    json_text(&rows).map(Some)
}

pub(crate) fn read_charges(text: Option<&str>) -> Result<Vec<Charge>, StoreError> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let rows: Vec<(BudgetId, Member, UnixMicros, NanoUsd)> = serde_json::from_str(text)
        .map_err(|error| StoreError::Unreadable { column: "charges", reason: error.to_string() })?;
    Ok(rows
        .into_iter()
        .map(|(budget_id, member, window_start, amount_nano_usd)| Charge {
            balance: Arc::new(BalanceKey { budget_id, member, window_start }),
            amount_nano_usd,
        })
        .collect())
}

/// `["bud_…","all",1800000000000000]`.
pub(crate) fn write_key(key: &BalanceKey) -> Result<String, StoreError> {
    json_text(&(key.budget_id, &key.member, key.window_start))
}

pub(crate) fn read_key(text: &str) -> Result<BalanceKey, StoreError> {
    let (budget_id, member, window_start) = serde_json::from_str(text)
        .map_err(|error| StoreError::Unreadable { column: "refused_by", reason: error.to_string() })?;
    Ok(BalanceKey { budget_id, member, window_start })
}

//! Alerts that a shipment raises: a threshold was crossed, or a budget could not pay for a call.
//!
//! Amounts and thresholds are those of the moment, read in the transaction that moves the balances. A balance is crossed
//! by one shipment only, because they move it one after the other.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::json;
use tollgate_core::{BudgetId, NanoUsd, UnixMicros};
use tollgate_ledger::record::Settlement;
use tollgate_state::governance::{BudgetObject, WindowKind};

use super::charges::Charged;
use crate::alerts::{AboutBalance, AlertEvent, NewAlert};
use crate::database::{Query, Transaction, values};
use crate::error::StoreError;
use crate::ledger::balance::BalanceRow;
use crate::objects::budgets::budget;

const BUDGETS_AT_ONCE: usize = 250;

pub(super) async fn raise_alerts(
    transaction: &mut Transaction,
    now: UnixMicros,
    charged: &[Charged],
    settlements: &[&Settlement],
) -> Result<(), StoreError> {
    let refused = settlements.iter().filter_map(|settlement| settlement.request.refused_by.as_deref());
    let refused: BTreeSet<BalanceRow> = refused.map(BalanceRow::of).collect();
    let rows = charged.iter().map(|one| &one.balance).chain(&refused);
    let ids: BTreeSet<BudgetId> = rows.map(|row| row.budget_id).collect();
    let budgets = budgets(transaction, ids.into_iter().collect()).await?;
    // In the order of their rows: transactions that insert several alerts insert them in one order.
    let mut alerts: BTreeMap<(AlertEvent, BalanceRow, u16), NewAlert> = BTreeMap::new();
    for one in charged {
        let Some(budget) = budgets.get(&one.balance.budget_id) else { continue };
        if budget.thresholds_percent.is_empty() {
            continue;
        }
        let after = counted(transaction, budget, &one.balance, one.spent).await?;
        for percent in crossed(budget, now, after, one.charged) {
            let about = about(budget, &one.balance, percent);
            let alert = alert(budget, AlertEvent::BudgetThreshold, &about, now, after);
            alerts.insert((AlertEvent::BudgetThreshold, about.balance.clone(), percent), alert);
        }
    }
    for row in refused {
        let Some(budget) = budgets.get(&row.budget_id) else { continue };
        let about = about(budget, &row, 0);
        let spent = spent(transaction, &row).await?;
        let spent = counted(transaction, budget, &row, spent).await?;
        // One call that is too large for an untouched budget exhausts nothing, and must not use up the alert.
        if spent == NanoUsd::ZERO && budget.amount_at(now) > NanoUsd::ZERO {
            continue;
        }
        let alert = alert(budget, AlertEvent::BudgetExhausted, &about, now, spent);
        alerts.insert((AlertEvent::BudgetExhausted, about.balance.clone(), 0), alert);
    }
    for alert in alerts.into_values() {
        alert.insert(transaction, now).await?;
    }
    Ok(())
}

/// The percentages that the charge brought the balance to.
fn crossed(
    budget: &BudgetObject,
    now: UnixMicros,
    after: NanoUsd,
    charged: NanoUsd,
) -> impl Iterator<Item = u16> {
    let amount = i128::from(budget.amount_at(now).get());
    let after = i128::from(after.get());
    let before = after - i128::from(charged.get());
    let thresholds = budget.thresholds_percent.iter().copied();
    thresholds.filter(move |percent| {
        let threshold = amount * i128::from(*percent);
        before * 100 < threshold && threshold <= after * 100
    })
}

/// What counts against the amount: the balance, or of a rolling window all its buckets up to this one.
async fn counted(
    transaction: &mut Transaction,
    budget: &BudgetObject,
    balance: &BalanceRow,
    spent: NanoUsd,
) -> Result<NanoUsd, StoreError> {
    const SUM: &str = "SELECT CAST(SUM(spent_nano_usd) AS BIGINT) AS spent FROM budget_balances \
        WHERE budget_id = $1 AND member = $2 AND window_start > $3 AND window_start <= $4";
    let WindowKind::RollingS(seconds) = budget.window.kind else { return Ok(spent) };
    let from = balance.window_start.0.saturating_sub(i64::from(seconds) * 1_000_000);
    let arguments = values![balance.budget_id, &balance.member, from, balance.window_start];
    let row = transaction.row(SUM, arguments).await?;
    Ok(row.map(|row| row.optional_nano_usd("spent")).transpose()?.flatten().unwrap_or(spent))
}

/// A rolling window has no beginning: its alerts come once for each span of its length.
fn about(budget: &BudgetObject, balance: &BalanceRow, threshold_percent: u16) -> AboutBalance {
    let mut balance = balance.clone();
    if let WindowKind::RollingS(seconds) = budget.window.kind {
        let span = i64::from(seconds.max(1)) * 1_000_000;
        balance.window_start = UnixMicros(super::start_of(span, balance.window_start.0));
    }
    AboutBalance { balance, threshold_percent }
}

fn alert(
    budget: &BudgetObject,
    event: AlertEvent,
    about: &AboutBalance,
    now: UnixMicros,
    spent: NanoUsd,
) -> NewAlert {
    let AboutBalance { balance, threshold_percent } = about;
    NewAlert {
        organization_id: Some(budget.organization_id),
        event,
        body: json!({
            "budget": budget.name,
            "budget_id": budget.id,
            "member": balance.member,
            "window_start": balance.window_start,
            "threshold_percent": (*threshold_percent > 0).then_some(threshold_percent),
            "amount_nano_usd": budget.amount_at(now),
            "spent_nano_usd": spent,
        }),
        about: Some(about.clone()),
    }
}

async fn spent(transaction: &mut Transaction, row: &BalanceRow) -> Result<NanoUsd, StoreError> {
    const GET: &str = "SELECT spent_nano_usd FROM budget_balances \
        WHERE budget_id = $1 AND member = $2 AND window_start = $3";
    let found = transaction.row(GET, &row.values()).await?;
    Ok(found.map(|row| row.nano_usd("spent_nano_usd")).transpose()?.unwrap_or_default())
}

/// Those that are not deleted.
async fn budgets(
    transaction: &mut Transaction,
    ids: Vec<BudgetId>,
) -> Result<HashMap<BudgetId, BudgetObject>, StoreError> {
    let mut found = HashMap::new();
    for chunk in ids.chunks(BUDGETS_AT_ONCE) {
        let mut query = Query::new("SELECT * FROM budgets WHERE deleted_at IS NULL AND id IN (");
        for (index, id) in chunk.iter().enumerate() {
            query.push(if index == 0 { "" } else { ", " }).bind(*id);
        }
        query.push(")");
        for row in transaction.rows(query.sql(), query.values()).await? {
            let budget = budget(&row)?;
            found.insert(budget.id, budget);
        }
    }
    Ok(found)
}

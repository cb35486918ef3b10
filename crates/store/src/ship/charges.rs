//! What a shipment adds to the balances of budgets, and takes from the leases of the process that spent it.
//!
//! Rows are locked in one order by all who lock several: first leases, which hardly anybody else wants, then balances,
//! each in the order of [`BalanceRow`].

use std::collections::{BTreeMap, HashMap};

use tollgate_core::{NanoUsd, UnixMicros};
use tollgate_ledger::record::{BalanceKey, Settlement};

use super::bulk::{BulkInsert, insert_returning};
use crate::database::{Transaction, Value, values};
use crate::error::StoreError;
use crate::ledger::balance::{BalanceRow, SPENT_CAP_NANO_USD};
use crate::ledger::leases::LeaseHolder;

/// What has been spent, and what of it was leased. The cap is [`SPENT_CAP_NANO_USD`].
static BALANCES: BulkInsert = BulkInsert::new(
    "budget_balances",
    &["budget_id", "member", "window_start", "spent_nano_usd", "leased_nano_usd", "archived_nano_usd"],
    "(budget_id, member, window_start) DO UPDATE SET \
     spent_nano_usd = CASE \
     WHEN budget_balances.spent_nano_usd > 100000000000000000 - excluded.spent_nano_usd \
     THEN 100000000000000000 ELSE budget_balances.spent_nano_usd + excluded.spent_nano_usd END, \
     leased_nano_usd = budget_balances.leased_nano_usd - excluded.leased_nano_usd \
     RETURNING budget_id, member, window_start, spent_nano_usd",
);

static CONSUMED: BulkInsert = BulkInsert::new(
    "budget_leases",
    &[
        "budget_id",
        "member",
        "window_start",
        "instance_id",
        "epoch",
        "sequence",
        "granted_nano_usd",
        "consumed_nano_usd",
        "expires_at",
    ],
    "(instance_id, epoch, budget_id, member, window_start) DO UPDATE SET \
     consumed_nano_usd = CASE \
     WHEN budget_leases.consumed_nano_usd > 100000000000000000 - excluded.consumed_nano_usd \
     THEN 100000000000000000 ELSE budget_leases.consumed_nano_usd + excluded.consumed_nano_usd END \
     RETURNING budget_id, member, window_start, granted_nano_usd, consumed_nano_usd",
);

/// A balance after a shipment.
#[derive(Debug)]
pub(super) struct Charged {
    pub(super) balance: BalanceRow,
    pub(super) charged: NanoUsd,
    /// With this charge.
    pub(super) spent: NanoUsd,
}

/// The charges of a shipment, by balance.
#[derive(Debug, Default)]
pub(super) struct Charges<'a> {
    sums: HashMap<&'a BalanceKey, NanoUsd>,
}

impl<'a> Charges<'a> {
    pub(super) fn add(&mut self, settlement: &'a Settlement) {
        for charge in settlement.attempts.iter().flat_map(|attempt| &attempt.charges) {
            let sum = self.sums.entry(&charge.balance).or_default();
            *sum += charge.amount_nano_usd.max(NanoUsd::ZERO);
        }
    }

    /// Adds them to the balances.
    pub(super) async fn apply(
        self,
        transaction: &mut Transaction,
        run: LeaseHolder,
        now: UnixMicros,
    ) -> Result<Vec<Charged>, StoreError> {
        let mut rows: BTreeMap<BalanceRow, NanoUsd> = BTreeMap::new();
        for (key, sum) in self.sums {
            *rows.entry(BalanceRow::of(key)).or_default() += sum;
        }
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let consumed = consume(transaction, run, now, &rows).await?;
        let mut values = Vec::with_capacity(rows.len() * BALANCES.columns.len());
        for (row, charged) in &rows {
            values.extend(row.values());
            let from_lease = consumed.get(row).copied().unwrap_or_default();
            values.extend([capped(*charged).into(), from_lease.into(), NanoUsd::ZERO.into()]);
        }
        let returned = insert_returning(transaction, &BALANCES, values).await?;
        let mut result = Vec::with_capacity(returned.len());
        for row in &returned {
            let balance = BalanceRow::read(row)?;
            let charged = rows.get(&balance).copied().unwrap_or_default();
            result.push(Charged { balance, charged, spent: row.nano_usd("spent_nano_usd")? });
        }
        Ok(result)
    }
}

/// Notes what the run spent, and says how much of it was outstanding of its leases.
async fn consume(
    transaction: &mut Transaction,
    run: LeaseHolder,
    now: UnixMicros,
    charges: &BTreeMap<BalanceRow, NanoUsd>,
) -> Result<BTreeMap<BalanceRow, NanoUsd>, StoreError> {
    let mut consumed = BTreeMap::new();
    if !may_lease(transaction, run).await? {
        return Ok(consumed);
    }
    let mut values: Vec<Value<'_>> = Vec::with_capacity(charges.len() * CONSUMED.columns.len());
    for (row, charged) in charges {
        values.extend(row.values());
        values.extend([run.instance_id.into(), run.epoch.into(), (-1_i64).into(), 0_i64.into()]);
        values.extend([capped(*charged).into(), now.into()]);
    }
    for row in &insert_returning(transaction, &CONSUMED, values).await? {
        let balance = BalanceRow::read(row)?;
        let charged = charges.get(&balance).copied().map_or(0, |charged| capped(charged).get());
        let (granted, after) = (row.get::<i64>("granted_nano_usd")?, row.get::<i64>("consumed_nano_usd")?);
        let before = after.saturating_sub(charged);
        let taken = granted.saturating_sub(before).max(0) - granted.saturating_sub(after).max(0);
        consumed.insert(balance, NanoUsd::new(taken));
    }
    Ok(consumed)
}

/// On SQLite one process is the authority and leases nothing, as a rule.
async fn may_lease(transaction: &mut Transaction, run: LeaseHolder) -> Result<bool, StoreError> {
    const ANY: &str = "SELECT epoch FROM budget_leases WHERE instance_id = $1 AND epoch = $2 LIMIT 1";
    if let Transaction::Postgres(_) = transaction {
        return Ok(true);
    }
    Ok(transaction.row(ANY, values![run.instance_id, run.epoch]).await?.is_some())
}

fn capped(amount: NanoUsd) -> NanoUsd {
    amount.min(NanoUsd::new(SPENT_CAP_NANO_USD))
}

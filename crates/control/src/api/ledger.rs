//! The ledger: whether it adds up, and giving up what a lost process held.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_access::authorize::{LedgerVerify, LedgerWriteOff};
use tollgate_core::{BudgetId, InstanceId, NanoUsd, UnixMicros, UsdAmount};
use tollgate_store::{BalanceColumn, Difference, LostLease, LostMoney, Windows};

use crate::call::{Call, Nothing};
use crate::problem::Problem;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyInput {
    /// Also windows that are over and those of deleted budgets.
    #[serde(default)]
    all_windows: bool,
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct VerificationView {
    /// Balances that were compared.
    balances: u64,
    /// Usage records with charges that were summed up.
    usage_records: u64,
    /// At most a thousand.
    differences: Vec<DifferenceView>,
    /// At most a thousand.
    lost_leases: Vec<LostLeaseView>,
}

/// A balance that is not the sum of its parts.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DifferenceView {
    budget_id: BudgetId,
    /// `all`, `id:` and 32 hexadecimal digits, `customer:` and a name, or `others`.
    member: String,
    window_start: UnixMicros,
    what: BalanceColumn,
    balance_usd: UsdAmount,
    records_usd: UsdAmount,
}

/// Money that waits for the journal of a process that is gone, or for a write-off. It is no difference.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LostLeaseView {
    budget_id: BudgetId,
    member: String,
    window_start: UnixMicros,
    instance_id: InstanceId,
    epoch: u64,
    held_usd: UsdAmount,
    expired_at: UnixMicros,
    /// When the process was there last.
    seen_at: Option<UnixMicros>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteOffInput {
    /// The process that does not come back.
    instance_id: InstanceId,
    /// What is assumed of the money that it had leased.
    money: LostMoney,
    /// Stays in the books.
    reason: String,
}

/// What was written off.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WriteOffView {
    leases: usize,
    /// Taken from what was leased.
    released_usd: UsdAmount,
    /// Counted as spent.
    spent_usd: UsdAmount,
}

impl From<Difference> for DifferenceView {
    fn from(found: Difference) -> Self {
        Self {
            budget_id: found.balance.budget_id,
            member: found.balance.member.to_string(),
            window_start: found.balance.window_start,
            what: found.column,
            balance_usd: UsdAmount::of(found.stored_nano_usd),
            records_usd: UsdAmount::of(found.recomputed_nano_usd),
        }
    }
}

impl From<LostLease> for LostLeaseView {
    fn from(found: LostLease) -> Self {
        Self {
            budget_id: found.balance.budget_id,
            member: found.balance.member.to_string(),
            window_start: found.balance.window_start,
            instance_id: found.instance_id,
            epoch: found.epoch,
            held_usd: UsdAmount::of(found.outstanding_nano_usd),
            expired_at: found.expired_at,
            seen_at: found.seen_at,
        }
    }
}

pub(crate) async fn verify(
    call: Call<LedgerVerify, Nothing, Nothing, VerifyInput>,
) -> Result<VerificationView, Problem> {
    let windows = if call.body.all_windows { Windows::All } else { Windows::Open };
    let found = call.plane.installation()?.store.verify_ledger(&call.proof, windows).await?;
    Ok(VerificationView {
        balances: found.balances,
        usage_records: found.usage_records,
        differences: found.differences.into_iter().map(Into::into).collect(),
        lost_leases: found.lost_leases.into_iter().map(Into::into).collect(),
    })
}

pub(crate) async fn write_off(
    call: Call<LedgerWriteOff, Nothing, Nothing, WriteOffInput>,
) -> Result<WriteOffView, Problem> {
    let body = &call.body;
    let store = &call.plane.installation()?.store;
    let entries = store.write_off(&call.proof, body.instance_id, body.money, &body.reason).await?;
    let sum = |amounts: &mut dyn Iterator<Item = NanoUsd>| {
        UsdAmount::of(amounts.fold(NanoUsd::ZERO, |sum, amount| sum + amount))
    };
    Ok(WriteOffView {
        leases: entries.len(),
        released_usd: sum(&mut entries.iter().map(|entry| entry.released_nano_usd)),
        spent_usd: sum(&mut entries.iter().map(|entry| entry.amount_nano_usd)),
    })
}

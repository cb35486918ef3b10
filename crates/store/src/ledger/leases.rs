//! Slices of budgets that processes may spend without asking. What is spent and what is leased of a balance never pass
//! its budget's amount: one conditional statement sees to that, at the isolation that both databases have by default.
//!
//! Rows are locked in one order: the instance, the lease, the balance.

mod grant;
mod release;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tollgate_core::{InstanceId, NanoUsd, UnixMicros};
use tollgate_ledger::budget::{
    LeaseError, LeaseFuture, LeaseGrant, LeaseRequest, LeaseReturn, LeaseSource, RenewedLeases,
};
use tollgate_ledger::record::BalanceKey;

use super::balance::BalanceRow;
use super::instances;
use crate::database::{Query, Transaction, values};
use crate::error::StoreError;
use crate::store::Store;

pub(super) use release::{Outstanding, outstanding, release, take_leases};

/// How long a process counts as live after it was last seen, when what is left is shared out.
const LIVE: Duration = Duration::from_secs(30);
const RENEWED_AT_ONCE: usize = 250;

/// Who leases: one run of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseHolder {
    pub instance_id: InstanceId,
    pub epoch: u64,
}

/// The store as the authority over budgets that several processes share.
#[derive(Clone)]
pub struct StoreLeases {
    store: Store,
    holder: LeaseHolder,
    term: Duration,
}

impl fmt::Debug for StoreLeases {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StoreLeases").field("holder", &self.holder).finish_non_exhaustive()
    }
}

impl Store {
    /// Leases for one run of a process; each may be used for `term` after it was asked for or renewed.
    pub fn leases(&self, holder: LeaseHolder, term: Duration) -> StoreLeases {
        StoreLeases { store: self.clone(), holder, term }
    }
}

impl LeaseSource for StoreLeases {
    fn lease(&self, request: LeaseRequest) -> LeaseFuture<'_, LeaseGrant> {
        Box::pin(async move { Ok(self.store.grant(self.holder, self.term, &request).await?) })
    }

    fn give_back(&self, returned: LeaseReturn) -> LeaseFuture<'_, ()> {
        Box::pin(async move { Ok(self.store.give_back(self.holder, &returned).await?) })
    }

    fn renew(&self, balances: Vec<Arc<BalanceKey>>) -> LeaseFuture<'_, RenewedLeases> {
        Box::pin(async move { Ok(self.store.renew(self.holder, self.term, balances).await?) })
    }
}

impl From<StoreError> for LeaseError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Fenced { .. } => Self::Fenced,
            error => Self::Unavailable(error.to_string().into()),
        }
    }
}

/// A lease whose row is locked.
#[derive(Debug, Clone, Copy)]
struct LockedLease {
    /// Of the last operation; -1 before the first.
    sequence: i64,
    granted: NanoUsd,
    consumed: NanoUsd,
    expires_at: UnixMicros,
}

impl LockedLease {
    /// What is outstanding with this grant.
    fn outstanding(&self, granted: NanoUsd) -> i64 {
        granted.get().saturating_sub(self.consumed.get()).max(0)
    }

    fn has_seen(&self, sequence: u64) -> bool {
        i64::try_from(sequence).is_ok_and(|sequence| sequence <= self.sequence)
    }
}

impl Store {
    async fn give_back(&self, holder: LeaseHolder, returned: &LeaseReturn) -> Result<(), StoreError> {
        let now = self.now();
        let row = BalanceRow::of(&returned.balance);
        let mut transaction = self.database.begin().await?;
        hold_instance(&mut transaction, holder, now).await?;
        // Made where there is none: the lease that this follows may arrive late.
        let lease = grant::make_lease(&mut transaction, holder, &row, now).await?;
        if lease.has_seen(returned.sequence) {
            return Ok(());
        }
        let granted = returned.granted.clamp(NanoUsd::ZERO, lease.granted);
        grant::note(&mut transaction, holder, &row, returned.sequence, granted, lease.expires_at).await?;
        let freed = lease.outstanding(lease.granted) - lease.outstanding(granted);
        free(&mut transaction, &row, NanoUsd::new(freed)).await?;
        transaction.commit().await
    }

    async fn renew(
        &self,
        holder: LeaseHolder,
        term: Duration,
        balances: Vec<Arc<BalanceKey>>,
    ) -> Result<RenewedLeases, StoreError> {
        let now = self.now();
        let expires_at = after(now, term);
        let mut renewed = std::collections::HashSet::new();
        let rows: Vec<BalanceRow> = balances.iter().map(|key| BalanceRow::of(key)).collect();
        for chunk in rows.chunks(RENEWED_AT_ONCE) {
            let mut transaction = self.database.begin().await?;
            hold_instance(&mut transaction, holder, now).await?;
            let mut query = Query::new("UPDATE budget_leases SET expires_at = ");
            query.bind(expires_at).push(" WHERE instance_id = ").bind(holder.instance_id);
            query.push(" AND epoch = ").bind(holder.epoch);
            query.push(" AND (budget_id, member, window_start) IN ");
            BalanceRow::push_list(&mut query, chunk);
            query.push(" RETURNING budget_id, member, window_start");
            for row in transaction.rows(query.sql(), query.values()).await? {
                renewed.insert(BalanceRow::read(&row)?);
            }
            transaction.commit().await?;
        }
        let kept = balances.into_iter().zip(rows).filter(|(_, row)| renewed.contains(row));
        Ok(RenewedLeases { balances: kept.map(|(key, _)| key).collect(), expires_in: term })
    }
}

/// Makes sure that this run may act until the transaction ends: a later run and a write-off wait for it.
async fn hold_instance(
    transaction: &mut Transaction,
    holder: LeaseHolder,
    now: UnixMicros,
) -> Result<(), StoreError> {
    let LeaseHolder { instance_id, epoch } = holder;
    let mut query = Query::new("SELECT epoch, lost_epoch FROM instances WHERE instance_id = ");
    query.bind(instance_id).push(transaction.for_share());
    let Some(row) = transaction.row(query.sql(), query.values()).await? else {
        return instances::register(transaction, instance_id, epoch, now).await;
    };
    let lost = row.optional_unsigned::<u64>("lost_epoch")?.is_some_and(|lost| epoch <= lost);
    match row.unsigned::<u64>("epoch")? {
        current if current > epoch || lost => Err(StoreError::Fenced { instance_id, epoch }),
        current if current == epoch => Ok(()),
        _ => instances::register(transaction, instance_id, epoch, now).await,
    }
}

async fn locked_lease(
    transaction: &mut Transaction,
    holder: LeaseHolder,
    row: &BalanceRow,
) -> Result<Option<LockedLease>, StoreError> {
    let mut query = Query::new("SELECT * FROM budget_leases WHERE instance_id = ");
    query.bind(holder.instance_id).push(" AND epoch = ").bind(holder.epoch);
    let [budget_id, member, window_start] = row.values();
    query.push(" AND budget_id = ").bind(budget_id).push(" AND member = ").bind(member);
    query.push(" AND window_start = ").bind(window_start).push(transaction.for_update());
    let found = transaction.row(query.sql(), query.values()).await?;
    found
        .map(|row| {
            Ok(LockedLease {
                sequence: row.get("sequence")?,
                granted: row.nano_usd("granted_nano_usd")?,
                consumed: row.nano_usd("consumed_nano_usd")?,
                expires_at: row.time("expires_at")?,
            })
        })
        .transpose()
}

/// Takes money from what is leased of a balance; adds to it where the amount is negative.
async fn free(transaction: &mut Transaction, row: &BalanceRow, amount: NanoUsd) -> Result<(), StoreError> {
    const FREE: &str = "UPDATE budget_balances SET leased_nano_usd = leased_nano_usd - $4 \
        WHERE budget_id = $1 AND member = $2 AND window_start = $3";
    if amount != NanoUsd::ZERO {
        let [budget_id, member, window_start] = row.values();
        transaction.execute(FREE, values![budget_id, member, window_start, amount]).await?;
    }
    Ok(())
}

fn after(now: UnixMicros, term: Duration) -> UnixMicros {
    UnixMicros(now.0.saturating_add(i64::try_from(term.as_micros()).unwrap_or(i64::MAX)))
}

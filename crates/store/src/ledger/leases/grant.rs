//! How a process gets money of a budget.

use std::time::Duration;

use tollgate_core::{BudgetId, NanoUsd, UnixMicros};
use tollgate_ledger::budget::{LeaseGrant, LeaseRequest};

use super::{LIVE, LeaseHolder, LockedLease, after, free, hold_instance, locked_lease};
use crate::database::{Query, Transaction, values};
use crate::error::StoreError;
use crate::ledger::balance::BalanceRow;
use crate::ledger::instances;
use crate::objects::budgets::budget;
use crate::store::Store;

impl Store {
    pub(super) async fn grant(
        &self,
        holder: LeaseHolder,
        term: Duration,
        request: &LeaseRequest,
    ) -> Result<LeaseGrant, StoreError> {
        let now = self.now();
        let row = BalanceRow::of(&request.balance);
        let mut transaction = self.database.begin().await?;
        hold_instance(&mut transaction, holder, now).await?;
        let lease = make_lease(&mut transaction, holder, &row, now).await?;
        make_balance(&mut transaction, request, &row).await?;
        if lease.has_seen(request.sequence) {
            let room = Room::measure(&mut transaction, now, request, &row).await?;
            let remaining = u64::try_from(lease.expires_at.0.saturating_sub(now.0)).unwrap_or(0);
            let expires_in = Duration::from_micros(remaining);
            return Ok(LeaseGrant { granted: lease.granted, expires_in, left: room.left() });
        }
        let keeps = request.keeps.max(NanoUsd::ZERO);
        let freed = lease.outstanding(lease.granted) - lease.outstanding(keeps);
        free(&mut transaction, &row, NanoUsd::new(freed)).await?;
        let room = Room::measure(&mut transaction, now, request, &row).await?;
        let live = instances::live_since(&mut transaction, instances::before(now, LIVE)).await?;
        let added = room.fair(request, live);
        // What was spent without a lease is consumed of what is leased later.
        let granted = keeps + added;
        let wanted = lease.outstanding(granted) - lease.outstanding(keeps);
        let taken = take(&mut transaction, &row, NanoUsd::new(wanted), room.ceiling).await?;
        let (granted, added) = if taken { (granted, added) } else { (keeps, NanoUsd::ZERO) };
        note(&mut transaction, holder, &row, request.sequence, granted, after(now, term)).await?;
        transaction.commit().await?;
        let left = NanoUsd::new(room.left().get() - added.get());
        Ok(LeaseGrant { granted, expires_in: term, left })
    }
}

/// What a balance may hold and does hold.
#[derive(Debug, Clone, Copy)]
struct Room {
    /// What may be spent and leased of this balance, after what other buckets of a rolling window count.
    ceiling: NanoUsd,
    /// What is.
    held: NanoUsd,
}

impl Room {
    /// Locks the balance, which is there. The ceiling is the lower one of what the process and the store believe it to be: neither an
    /// old configuration nor an increase that has just ended raises it.
    async fn measure(
        transaction: &mut Transaction,
        now: UnixMicros,
        request: &LeaseRequest,
        row: &BalanceRow,
    ) -> Result<Self, StoreError> {
        let amount = amount(transaction, row.budget_id, now).await?;
        let mut query = Query::new(
            "SELECT spent_nano_usd + leased_nano_usd AS held FROM budget_balances WHERE budget_id = ",
        );
        let [budget_id, member, window_start] = row.values();
        query.bind(budget_id).push(" AND member = ").bind(member);
        query.push(" AND window_start = ").bind(window_start).push(transaction.for_update());
        let held = transaction.row(query.sql(), query.values()).await?;
        let held = held.map(|row| row.nano_usd("held")).transpose()?.unwrap_or_default();
        let others =
            if is_rolling(request) { others(transaction, request, row).await? } else { NanoUsd::ZERO };
        let ceiling = request.ceiling.min(amount);
        Ok(Self { ceiling: NanoUsd::new(ceiling.get().saturating_sub(others.get())), held })
    }

    /// Negative where more is spent and leased than there may be.
    fn left(self) -> NanoUsd {
        NanoUsd::new(self.ceiling.get().saturating_sub(self.held.get()))
    }

    /// Half of what is left, divided by the number of processes; what the process needs at least, or nothing.
    fn fair(self, request: &LeaseRequest, live_processes: u32) -> NanoUsd {
        let left = self.left();
        let at_least = request.at_least.max(NanoUsd::ZERO);
        if at_least > left || left <= NanoUsd::ZERO {
            return NanoUsd::ZERO;
        }
        let share = NanoUsd::new(left.get() / (2 * i64::from(live_processes.max(1))));
        share.min(request.at_most).max(at_least).min(left)
    }
}

/// Makes the balance where there is none, and keeps others from leasing of its window.
async fn make_balance(
    transaction: &mut Transaction,
    request: &LeaseRequest,
    row: &BalanceRow,
) -> Result<(), StoreError> {
    const MAKE: &str = "INSERT INTO budget_balances (budget_id, member, window_start, spent_nano_usd, \
        leased_nano_usd, archived_nano_usd) VALUES ($1, $2, $3, 0, 0, 0) ON CONFLICT DO NOTHING";
    if is_rolling(request) {
        lock_all_buckets(transaction, row).await?;
    }
    transaction.execute(MAKE, &row.values()).await?;
    Ok(())
}

fn is_rolling(request: &LeaseRequest) -> bool {
    request.counts_from < request.counts_to
}

/// What the budget allows now; nothing where it is deleted.
async fn amount(transaction: &mut Transaction, id: BudgetId, now: UnixMicros) -> Result<NanoUsd, StoreError> {
    const GET: &str = "SELECT * FROM budgets WHERE id = $1 AND deleted_at IS NULL";
    let found = transaction.row(GET, values![id]).await?.as_ref().map(budget).transpose()?;
    Ok(found.map_or(NanoUsd::ZERO, |budget| budget.amount_at(now)))
}

/// Grants on the buckets of one rolling window come one after the other, because what counts is their sum.
async fn lock_all_buckets(transaction: &mut Transaction, row: &BalanceRow) -> Result<(), StoreError> {
    const LOCK: &str = "SELECT CAST(pg_advisory_xact_lock(hashtextextended($1, 0)) AS TEXT) AS locked";
    if let Transaction::Postgres(_) = transaction {
        let name = format!("{}/{}", row.budget_id, row.member);
        transaction.execute(LOCK, values![name]).await?;
    }
    Ok(())
}

/// What the other buckets of a rolling window hold.
async fn others(
    transaction: &mut Transaction,
    request: &LeaseRequest,
    row: &BalanceRow,
) -> Result<NanoUsd, StoreError> {
    const SUM: &str = "SELECT CAST(SUM(spent_nano_usd + leased_nano_usd) AS BIGINT) AS held FROM budget_balances \
        WHERE budget_id = $1 AND member = $2 AND window_start >= $4 AND window_start <= $5 AND window_start <> $3";
    let [budget_id, member, window_start] = row.values();
    let arguments = values![budget_id, member, window_start, request.counts_from, request.counts_to];
    let held = transaction.row(SUM, arguments).await?;
    Ok(held.map(|row| row.optional_nano_usd("held")).transpose()?.flatten().unwrap_or_default())
}

/// The lease, made empty where there is none.
pub(super) async fn make_lease(
    transaction: &mut Transaction,
    holder: LeaseHolder,
    row: &BalanceRow,
    now: UnixMicros,
) -> Result<LockedLease, StoreError> {
    const MAKE: &str = "INSERT INTO budget_leases (instance_id, epoch, budget_id, member, window_start, sequence, \
        granted_nano_usd, consumed_nano_usd, expires_at) VALUES ($1, $2, $3, $4, $5, -1, 0, 0, $6) \
        ON CONFLICT DO NOTHING";
    let LeaseHolder { instance_id, epoch } = holder;
    let [budget_id, member, window_start] = row.values();
    let arguments = values![instance_id, epoch, budget_id, member, window_start, now];
    transaction.execute(MAKE, arguments).await?;
    let lease = locked_lease(transaction, holder, row).await?;
    lease.ok_or(StoreError::Unreadable {
        column: "budget_leases.sequence",
        reason: "the lease vanished".into(),
    })
}

/// Takes so much of a balance, if that does not bring it above the ceiling, whatever was read before.
async fn take(
    transaction: &mut Transaction,
    row: &BalanceRow,
    wanted: NanoUsd,
    ceiling: NanoUsd,
) -> Result<bool, StoreError> {
    const TAKE: &str = "UPDATE budget_balances SET leased_nano_usd = leased_nano_usd + $4 \
        WHERE budget_id = $1 AND member = $2 AND window_start = $3 \
        AND spent_nano_usd + leased_nano_usd + $4 <= $5";
    if wanted <= NanoUsd::ZERO {
        return Ok(true);
    }
    let [budget_id, member, window_start] = row.values();
    let taken = transaction.execute(TAKE, values![budget_id, member, window_start, wanted, ceiling]).await?;
    Ok(taken == 1)
}

pub(super) async fn note(
    transaction: &mut Transaction,
    holder: LeaseHolder,
    row: &BalanceRow,
    sequence: u64,
    granted: NanoUsd,
    expires_at: UnixMicros,
) -> Result<(), StoreError> {
    const NOTE: &str = "UPDATE budget_leases SET sequence = $6, granted_nano_usd = $7, expires_at = $8 \
        WHERE instance_id = $1 AND epoch = $2 AND budget_id = $3 AND member = $4 AND window_start = $5";
    let LeaseHolder { instance_id, epoch } = holder;
    let [budget_id, member, window_start] = row.values();
    let arguments =
        values![instance_id, epoch, budget_id, member, window_start, sequence, granted, expires_at];
    transaction.execute(NOTE, arguments).await?;
    Ok(())
}

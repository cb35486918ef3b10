//! What becomes of the leases of runs that are over.

use std::collections::{BTreeMap, HashMap};

use tollgate_core::{InstanceId, NanoUsd, UnixMicros};

use tollgate_ledger::journal::Position;

use super::free;
use crate::database::{Query, Row, Transaction, values};
use crate::error::StoreError;
use crate::ledger::balance::BalanceRow;
use crate::store::Store;

const RELEASED_AT_ONCE: u32 = 500;

/// Money of a lease that was neither consumed nor given back.
#[derive(Debug, Clone)]
pub(in crate::ledger) struct Outstanding {
    pub(in crate::ledger) balance: BalanceRow,
    pub(in crate::ledger) epoch: u64,
    pub(in crate::ledger) amount: NanoUsd,
    pub(in crate::ledger) expires_at: UnixMicros,
}

impl Store {
    /// The runs of a process before this one are over and all that they wrote on these cores is shipped: what they had
    /// leased and did not spend returns, and they can lease nothing more.
    ///
    /// # Errors
    ///
    /// [`StoreError::PositionMismatch`] when the store does not stand in this run or later on each core, as after a
    /// failover that lost something: what is to be shipped again is not paid for by anybody else's lease.
    pub async fn system_end_epochs(
        &self,
        instance_id: InstanceId,
        before: u64,
        cores: &[u16],
    ) -> Result<(), StoreError> {
        // Waits for leases that are being granted to those runs.
        const FENCE: &str = "INSERT INTO instances (instance_id, epoch, started_at, seen_at) \
            VALUES ($1, $2, $3, $3) ON CONFLICT (instance_id) DO UPDATE SET epoch = excluded.epoch \
            WHERE instances.epoch < excluded.epoch";
        loop {
            let mut transaction = self.database.begin().await?;
            transaction.execute(FENCE, values![instance_id, before, self.now()]).await?;
            check_shipped(&mut transaction, instance_id, before, cores).await?;
            let leases = take_leases(&mut transaction, instance_id, Some(before), RELEASED_AT_ONCE).await?;
            release(&mut transaction, &leases).await?;
            transaction.commit().await?;
            if leases.len() < RELEASED_AT_ONCE as usize {
                return Ok(());
            }
        }
    }
}

async fn check_shipped(
    transaction: &mut Transaction,
    instance_id: InstanceId,
    before: u64,
    cores: &[u16],
) -> Result<(), StoreError> {
    const GET: &str = "SELECT core, epoch, stream_offset FROM shipping_positions WHERE instance_id = $1";
    let mut stored = HashMap::new();
    for row in transaction.rows(GET, values![instance_id]).await? {
        let position = Position { epoch: row.unsigned("epoch")?, offset: row.unsigned("stream_offset")? };
        stored.insert(row.unsigned::<u16>("core")?, position);
    }
    let positions = cores.iter().map(|core| stored.get(core).copied().unwrap_or(Position::START));
    match positions.into_iter().find(|position| position.epoch < before) {
        Some(stored) => Err(StoreError::PositionMismatch { stored }),
        None => Ok(()),
    }
}

/// Deletes up to `limit` leases of a process, of runs before `before` where it is given, and returns what was
/// outstanding of each.
pub(in crate::ledger) async fn take_leases(
    transaction: &mut Transaction,
    instance_id: InstanceId,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<Outstanding>, StoreError> {
    const DELETE: &str = "DELETE FROM budget_leases WHERE instance_id = $1 AND epoch = $2 AND budget_id = $3 \
        AND member = $4 AND window_start = $5";
    let mut query = Query::new(
        "SELECT budget_id, member, window_start, epoch, expires_at, \
         granted_nano_usd, consumed_nano_usd FROM budget_leases WHERE instance_id = ",
    );
    query.bind(instance_id).filter("epoch <", before);
    query.push(" ORDER BY epoch, budget_id, member, window_start LIMIT ").bind(limit);
    query.push(transaction.for_update());
    let mut taken = Vec::new();
    for row in transaction.rows(query.sql(), query.values()).await? {
        taken.push(Outstanding {
            balance: BalanceRow::read(&row)?,
            epoch: row.unsigned("epoch")?,
            amount: outstanding(&row)?,
            expires_at: row.time("expires_at")?,
        });
    }
    for lease in &taken {
        let [budget_id, member, window_start] = lease.balance.values();
        let arguments = values![instance_id, lease.epoch, budget_id, member, window_start];
        transaction.execute(DELETE, arguments).await?;
    }
    Ok(taken)
}

/// From the columns `granted_nano_usd` and `consumed_nano_usd`.
pub(in crate::ledger) fn outstanding(row: &Row) -> Result<NanoUsd, StoreError> {
    let (granted, consumed) = (row.get::<i64>("granted_nano_usd")?, row.get::<i64>("consumed_nano_usd")?);
    Ok(NanoUsd::new(granted.saturating_sub(consumed).max(0)))
}

/// Takes the money of these leases from what is leased of their balances.
pub(in crate::ledger) async fn release(
    transaction: &mut Transaction,
    leases: &[Outstanding],
) -> Result<(), StoreError> {
    let mut sums: BTreeMap<&BalanceRow, NanoUsd> = BTreeMap::new();
    for lease in leases {
        *sums.entry(&lease.balance).or_default() += lease.amount;
    }
    for (row, amount) in sums {
        free(transaction, row, amount).await?;
    }
    Ok(())
}

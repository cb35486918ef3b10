//! Which processes run.

use std::time::Duration;

use serde::Serialize;
use tollgate_core::{InstanceId, UnixMicros};

use crate::database::{Row, Transaction, values};
use crate::error::StoreError;
use crate::store::Store;

/// A process that said it was there, or its latest run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Instance {
    pub instance_id: InstanceId,
    pub epoch: u64,
    pub started_at: UnixMicros,
    pub seen_at: UnixMicros,
}

impl Store {
    /// Says that this run of a process is there, and returns how many processes were there within `window`, this one
    /// included.
    ///
    /// # Errors
    ///
    /// [`StoreError::Fenced`] when a later run of the same process was there, or this one was declared lost.
    pub async fn system_heartbeat(
        &self,
        instance_id: InstanceId,
        epoch: u64,
        window: Duration,
    ) -> Result<u32, StoreError> {
        let now = self.now();
        let mut transaction = self.database.begin().await?;
        register(&mut transaction, instance_id, epoch, now).await?;
        let live = live_since(&mut transaction, before(now, window)).await?;
        transaction.commit().await?;
        Ok(live)
    }

    /// All that were ever there, the last seen first.
    pub async fn system_instances(&self) -> Result<Vec<Instance>, StoreError> {
        const LIST: &str = "SELECT * FROM instances ORDER BY seen_at DESC, instance_id";
        self.database.rows(LIST, values![]).await?.iter().map(instance).collect()
    }
}

/// Notes that a run is there and refuses one that must not act any more.
pub(super) async fn register(
    transaction: &mut Transaction,
    instance_id: InstanceId,
    epoch: u64,
    now: UnixMicros,
) -> Result<(), StoreError> {
    const REGISTER: &str = "INSERT INTO instances (instance_id, epoch, started_at, seen_at) VALUES ($1, $2, $3, $3) \
        ON CONFLICT (instance_id) DO UPDATE SET \
        started_at = CASE WHEN instances.epoch < excluded.epoch THEN excluded.started_at ELSE instances.started_at END, \
        epoch = excluded.epoch, seen_at = excluded.seen_at \
        WHERE instances.epoch <= excluded.epoch \
        AND (instances.lost_epoch IS NULL OR instances.lost_epoch < excluded.epoch)";
    let changed = transaction.execute(REGISTER, values![instance_id, epoch, now]).await?;
    if changed == 1 { Ok(()) } else { Err(StoreError::Fenced { instance_id, epoch }) }
}

pub(super) async fn live_since(transaction: &mut Transaction, time: UnixMicros) -> Result<u32, StoreError> {
    const COUNT: &str = "SELECT COUNT(*) AS live FROM instances WHERE seen_at >= $1";
    transaction.row(COUNT, values![time]).await?.map_or(Ok(0), |row| row.unsigned("live"))
}

pub(super) fn before(now: UnixMicros, duration: Duration) -> UnixMicros {
    UnixMicros(now.0.saturating_sub(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
}

fn instance(row: &Row) -> Result<Instance, StoreError> {
    Ok(Instance {
        instance_id: row.id("instance_id")?,
        epoch: row.unsigned("epoch")?,
        started_at: row.time("started_at")?,
        seen_at: row.time("seen_at")?,
    })
}

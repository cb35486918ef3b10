//! From the journal into the database, exactly once.
//!
//! A shipment says where in the journal it begins and ends. It is applied only if the stored position is where it
//! begins, and the position moves in the same transaction; what a repeated journal contains again is recognised by its
//! ids and counted once.

mod bulk;
mod charges;
mod records;
mod rollup;
mod thresholds;

use std::collections::{HashMap, HashSet};

use tollgate_core::{FaultPoint, InstanceId, ModelId, RequestId, UnixMicros};
use tollgate_ledger::journal::Position;
use tollgate_ledger::record::Settlement;
use tollgate_ledger::shipper::{RecordStore, ShipError, ShipFuture, Shipment, Shipped, ShippingPosition};
use uuid::Uuid;

use crate::database::{Query, Transaction, values};
use crate::error::StoreError;
use crate::ledger::leases::LeaseHolder;
use crate::store::Store;
use bulk::insert;
use charges::Charges;
pub(crate) use rollup::{COST_CAP_NANOS_USD, DAY_US, HOUR_US, start_of};
use rollup::{DAILY, HOURLY, Rollup};

impl Store {
    /// How far each core's journal of an instance has been shipped; a core without an entry is at
    /// [`Position::START`].
    pub async fn system_shipping_positions(
        &self,
        instance_id: InstanceId,
    ) -> Result<Vec<ShippingPosition>, StoreError> {
        const LIST: &str = "SELECT * FROM shipping_positions WHERE instance_id = $1 ORDER BY core";
        let rows = self.database.rows(LIST, values![instance_id]).await?;
        rows.iter()
            .map(|row| {
                Ok(ShippingPosition {
                    core: row.unsigned("core")?,
                    position: Position {
                        epoch: row.unsigned("epoch")?,
                        offset: row.unsigned("stream_offset")?,
                    },
                    floor: Position {
                        epoch: row.unsigned("floor_epoch")?,
                        offset: row.unsigned("floor_offset")?,
                    },
                })
            })
            .collect()
    }

    /// Stores the records, their hourly and daily sums, what they charge to budgets, the alerts that this raises, and
    /// the new position, or nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::PositionMismatch`] when the stored position is not `from`.
    pub async fn system_ship(&self, shipment: &Shipment<'_>) -> Result<Shipped, StoreError> {
        let all: Vec<&Settlement> = shipment.settlements.iter().collect();
        if let Some(shipped) = self.try_ship(shipment, &all).await? {
            return Ok(shipped);
        }
        // Rare: the journal was repeated. Each record is looked up, under the same lock as the insertion.
        let mut transaction = self.database.begin().await?;
        self.move_position(&mut transaction, shipment).await?;
        let new = unknown_settlements(&mut transaction, &all).await?;
        let mut shipped = insert_all(&mut transaction, self.now(), shipment, &new).await?;
        shipped.duplicates = (all.len() - new.len()) as u64;
        transaction.commit().await?;
        Ok(shipped)
    }

    /// `None`, with nothing changed, when some of the requests were there already.
    async fn try_ship(
        &self,
        shipment: &Shipment<'_>,
        settlements: &[&Settlement],
    ) -> Result<Option<Shipped>, StoreError> {
        let mut transaction = self.database.begin().await?;
        self.move_position(&mut transaction, shipment).await?;
        let shipped = insert_all(&mut transaction, self.now(), shipment, settlements).await?;
        if shipped.requests < settlements.len() as u64 {
            return Ok(None);
        }
        FaultPoint::BeforeCommit.reach();
        transaction.commit().await?;
        Ok(Some(shipped))
    }

    async fn move_position(
        &self,
        transaction: &mut Transaction,
        shipment: &Shipment<'_>,
    ) -> Result<(), StoreError> {
        const MOVE: &str = "UPDATE shipping_positions SET epoch = $5, stream_offset = $6, floor_epoch = $7, \
            floor_offset = $8, shipped_at = $9 \
            WHERE instance_id = $1 AND core = $2 AND epoch = $3 AND stream_offset = $4";
        const FIRST: &str = "INSERT INTO shipping_positions (instance_id, core, epoch, stream_offset, floor_epoch, \
            floor_offset, shipped_at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
        const GET: &str =
            "SELECT epoch, stream_offset FROM shipping_positions WHERE instance_id = $1 AND core = $2";
        let Shipment { instance_id, core, from, to, floor, .. } = *shipment;
        let now = self.now();
        let arguments = values![
            instance_id,
            core,
            from.epoch,
            from.offset,
            to.epoch,
            to.offset,
            floor.epoch,
            floor.offset,
            now
        ];
        let mut moved = transaction.execute(MOVE, arguments).await?;
        if moved == 0 && from == Position::START {
            let arguments = values![instance_id, core, to.epoch, to.offset, floor.epoch, floor.offset, now];
            moved = transaction.execute(FIRST, arguments).await?;
        }
        if moved == 1 {
            return Ok(());
        }
        let stored = match transaction.row(GET, values![instance_id, core]).await? {
            Some(row) => Position { epoch: row.unsigned("epoch")?, offset: row.unsigned("stream_offset")? },
            None => Position::START,
        };
        Err(StoreError::PositionMismatch { stored })
    }
}

impl RecordStore for Store {
    fn positions(&self, instance_id: InstanceId) -> ShipFuture<'_, Vec<ShippingPosition>> {
        Box::pin(async move { Ok(self.system_shipping_positions(instance_id).await?) })
    }

    fn ship<'a>(&'a self, shipment: Shipment<'a>) -> ShipFuture<'a, Shipped> {
        Box::pin(async move { Ok(self.system_ship(&shipment).await?) })
    }

    fn end_epochs<'a>(
        &'a self,
        instance_id: InstanceId,
        before: u64,
        cores: &'a [u16],
    ) -> ShipFuture<'a, ()> {
        Box::pin(async move { Ok(self.system_end_epochs(instance_id, before, cores).await?) })
    }
}

impl From<StoreError> for ShipError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::PositionMismatch { stored } => Self::PositionMismatch { stored },
            error => Self::Failed { reason: error.to_string().into() },
        }
    }
}

/// The names of the models that stand for unproven names in the sums; a deleted model has none.
async fn configured_names(
    transaction: &mut Transaction,
    settlements: &[&Settlement],
) -> Result<HashMap<ModelId, String>, StoreError> {
    let ids = settlements.iter().filter_map(|settlement| rollup::unproven_model(&settlement.request));
    let mut names = HashMap::new();
    for id in ids.collect::<HashSet<_>>() {
        if let Some(row) = transaction.row("SELECT name FROM models WHERE id = $1", values![id]).await? {
            names.insert(id, row.get("name")?);
        }
    }
    Ok(names)
}

async fn insert_all(
    transaction: &mut Transaction,
    now: UnixMicros,
    shipment: &Shipment<'_>,
    settlements: &[&Settlement],
) -> Result<Shipped, StoreError> {
    let mut requests = Vec::with_capacity(settlements.len() * records::REQUESTS.columns.len());
    let mut attempts = Vec::with_capacity(settlements.len() * records::ATTEMPTS.columns.len());
    let names = configured_names(transaction, settlements).await?;
    let mut rollup = Rollup::new(&names);
    let mut charges = Charges::default();
    for settlement in settlements {
        records::push_request(&mut requests, settlement)?;
        for attempt in &settlement.attempts {
            records::push_attempt(&mut attempts, &settlement.request, attempt)?;
        }
        charges.add(settlement);
        rollup.add(settlement);
    }
    let requests = insert(transaction, &records::REQUESTS, requests).await?;
    if requests < settlements.len() as u64 {
        return Ok(Shipped { requests, ..Shipped::default() });
    }
    let attempts = insert(transaction, &records::ATTEMPTS, attempts).await?;
    let sums = rollup.into_rows();
    insert(transaction, &HOURLY, sums.hourly).await?;
    insert(transaction, &DAILY, sums.daily).await?;
    let mut objects = Vec::new();
    for object in shipment.provider_objects {
        records::push_provider_object(&mut objects, object);
    }
    insert(transaction, &records::PROVIDER_OBJECTS, objects).await?;
    let run = LeaseHolder { instance_id: shipment.instance_id, epoch: shipment.epoch };
    let charged = charges.apply(transaction, run, now).await?;
    thresholds::raise_alerts(transaction, now, &charged, settlements).await?;
    Ok(Shipped { requests, attempts, duplicates: 0 })
}

/// Those whose request is not stored yet, each once.
async fn unknown_settlements<'a>(
    transaction: &mut Transaction,
    settlements: &[&'a Settlement],
) -> Result<Vec<&'a Settlement>, StoreError> {
    const AT_ONCE: usize = 500;
    let mut known: HashSet<RequestId> = HashSet::new();
    for chunk in settlements.chunks(AT_ONCE) {
        let mut query = Query::new("SELECT request_id FROM request_records WHERE request_id IN (");
        for (index, settlement) in chunk.iter().enumerate() {
            query.push(if index == 0 { "" } else { ", " }).bind(settlement.request.request_id);
        }
        query.push(")");
        for row in transaction.rows(query.sql(), query.values()).await? {
            known.insert(RequestId::from_uuid(row.get::<Uuid>("request_id")?));
        }
    }
    Ok(settlements.iter().copied().filter(|settlement| known.insert(settlement.request.request_id)).collect())
}

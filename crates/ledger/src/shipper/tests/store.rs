//! A store in memory that fails on request.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tollgate_core::{InstanceId, RequestId};

use super::INSTANCE;
use crate::journal::Position;
use crate::record::{Outcome, ProviderObjectRecord, Settlement};
use crate::shipper::{RecordStore, ShipError, ShipFuture, Shipment, Shipped, ShippingPosition};

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Trouble {
    Unavailable,
    /// Stored, but nobody hears of it.
    AnswerLost,
}

/// What a transaction changes.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    pub(super) positions: BTreeMap<u16, (Position, Position)>,
    pub(super) requests: BTreeMap<RequestId, Settlement>,
    pub(super) objects: BTreeMap<Box<str>, ProviderObjectRecord>,
    /// By request: the epoch that its shipment named.
    pub(super) epochs: BTreeMap<RequestId, u64>,
    /// All before this one have ended.
    pub(super) ended_before: u64,
}

#[derive(Debug, Default)]
struct Inner {
    contents: Contents,
    troubles: VecDeque<Trouble>,
    down: bool,
    largest_shipment: usize,
    shipments: usize,
}

#[derive(Clone, Default)]
pub(super) struct MemoryStore(Arc<Mutex<Inner>>);

impl MemoryStore {
    pub(super) fn contents(&self) -> Contents {
        self.0.lock().contents.clone()
    }

    /// What a failover to a replica does that had not received everything.
    pub(super) fn rewind(&self, contents: Contents) {
        self.0.lock().contents = contents;
    }

    pub(super) fn trouble(&self, trouble: Trouble) {
        self.0.lock().troubles.push_back(trouble);
    }

    pub(super) fn heal(&self) {
        self.0.lock().troubles.clear();
    }

    pub(super) fn set_down(&self, down: bool) {
        self.0.lock().down = down;
    }

    pub(super) fn largest_shipment(&self) -> usize {
        self.0.lock().largest_shipment
    }

    pub(super) fn shipments(&self) -> usize {
        self.0.lock().shipments
    }

    pub(super) fn outcome(&self, request: u8) -> Option<Outcome> {
        let contents = self.contents();
        contents.requests.get(&super::request_id(request)).map(|stored| stored.request.outcome)
    }

    fn failure() -> ShipError {
        ShipError::Failed { reason: "the store is down".into() }
    }
}

impl Inner {
    fn apply(&mut self, shipment: &Shipment<'_>) -> Result<Shipped, ShipError> {
        let stored = self.contents.positions.get(&shipment.core).copied().unwrap_or_default().0;
        if stored != shipment.from {
            return Err(ShipError::PositionMismatch { stored });
        }
        assert!(shipment.from < shipment.to && shipment.floor <= shipment.to, "{shipment:?}");
        self.contents.positions.insert(shipment.core, (shipment.to, shipment.floor));
        self.largest_shipment = self.largest_shipment.max(shipment.settlements.len());
        self.shipments += 1;
        let mut shipped = Shipped::default();
        for settlement in shipment.settlements {
            let request_id = settlement.request.request_id;
            if self.contents.requests.contains_key(&request_id) {
                shipped.duplicates += 1;
                continue;
            }
            shipped.requests += 1;
            shipped.attempts += settlement.attempts.len() as u64;
            self.contents.epochs.insert(request_id, shipment.epoch);
            self.contents.requests.insert(request_id, settlement.clone());
        }
        for object in shipment.provider_objects {
            self.contents.objects.insert(object.object_id.clone(), object.clone());
        }
        Ok(shipped)
    }
}

impl RecordStore for MemoryStore {
    fn positions(&self, instance_id: InstanceId) -> ShipFuture<'_, Vec<ShippingPosition>> {
        assert_eq!(instance_id, INSTANCE);
        let inner = self.0.lock();
        let result = if inner.down {
            Err(Self::failure())
        } else {
            let positions = inner.contents.positions.iter();
            Ok(positions
                .map(|(core, (position, floor))| ShippingPosition {
                    core: *core,
                    position: *position,
                    floor: *floor,
                })
                .collect())
        };
        Box::pin(async move { result })
    }

    fn ship<'a>(&'a self, shipment: Shipment<'a>) -> ShipFuture<'a, Shipped> {
        let mut inner = self.0.lock();
        let result = match inner.troubles.pop_front() {
            _ if inner.down => Err(Self::failure()),
            Some(Trouble::Unavailable) => Err(Self::failure()),
            Some(Trouble::AnswerLost) => inner.apply(&shipment).and(Err(Self::failure())),
            None => inner.apply(&shipment),
        };
        Box::pin(async move { result })
    }

    fn end_epochs<'a>(
        &'a self,
        instance_id: InstanceId,
        before: u64,
        cores: &'a [u16],
    ) -> ShipFuture<'a, ()> {
        assert_eq!(instance_id, INSTANCE);
        let mut inner = self.0.lock();
        let stored =
            cores.iter().map(|core| inner.contents.positions.get(core).copied().unwrap_or_default().0);
        let behind = stored.into_iter().find(|stored| stored.epoch < before);
        let result = match behind {
            _ if inner.down => Err(Self::failure()),
            Some(stored) => Err(ShipError::PositionMismatch { stored }),
            None => Ok(()),
        };
        if result.is_ok() {
            inner.contents.ended_before = before;
        }
        Box::pin(async move { result })
    }
}

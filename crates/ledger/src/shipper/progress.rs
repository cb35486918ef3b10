//! One core's way from the journal into the store.

use tollgate_core::InstanceId;

use super::interrupted::OpenRequests;
use super::{PriceInterrupted, Shipment, ShipperOptions, ShipperStatus, ShippingPosition};
use crate::journal::{Damage, Entry, JournalError, JournalReader, Position};
use crate::record::{JournalRecord, ProviderObjectRecord, RecordError, Settlement};

/// Entries that are read at once, whatever they are, so that the runtime's other tasks get their turn.
const ENTRIES_AT_ONCE: usize = 4096;

pub(super) enum Filled {
    /// All that was written has been read.
    CaughtUp,
    /// There may be more.
    Full,
}

/// An entry of the journal, read and decoded. There is one at a time.
#[expect(clippy::large_enum_variant, reason = "a box for each record would cost more than the room")]
enum Read {
    Record { position: Position, record: Result<JournalRecord, RecordError> },
    Damage(Damage),
}

impl Read {
    const fn epoch(&self) -> u64 {
        match self {
            Self::Record { position, .. } => position.epoch,
            Self::Damage(damage) => damage.to.epoch,
        }
    }
}

pub(super) struct Progress {
    core: u16,
    /// What the store has.
    stored: Position,
    floor: Position,
    /// Up to where the journal was read; behind `stored` while open intents are looked for.
    read: Position,
    open: OpenRequests,
    settlements: Vec<Settlement>,
    /// The epoch that the settlements are of.
    settled_epoch: u64,
    /// The first entry of another epoch, read while settlements of the one before were waiting.
    held: Option<Read>,
    provider_objects: Vec<ProviderObjectRecord>,
    /// How many of the settlements are of interrupted requests.
    interrupted: u64,
}

impl Progress {
    pub(super) fn new(stored: ShippingPosition) -> Self {
        Self {
            core: stored.core,
            stored: stored.position,
            floor: stored.floor,
            read: stored.floor,
            open: OpenRequests::default(),
            settlements: Vec::new(),
            settled_epoch: stored.position.epoch,
            held: None,
            provider_objects: Vec::new(),
            interrupted: 0,
        }
    }

    /// Nothing before this is needed any more, by us or after a restart.
    pub(super) const fn floor(&self) -> Position {
        self.floor
    }

    pub(super) fn is_at(&self, stored: Position) -> bool {
        self.stored == stored
    }

    pub(super) const fn pending_settlements(&self) -> usize {
        self.settlements.len()
    }

    pub(super) fn open_requests(&self) -> usize {
        self.open.len()
    }

    pub(super) fn lag_bytes(&self, reader: &JournalReader) -> u64 {
        reader.lag_bytes(self.core, self.stored)
    }

    /// Adds to the batch what the journal has, up to a full batch. After an error the batch is still good.
    pub(super) fn fill(
        &mut self,
        reader: &mut JournalReader,
        options: &ShipperOptions,
        price: &PriceInterrupted,
        status: &ShipperStatus,
    ) -> Result<Filled, JournalError> {
        for _ in 0..ENTRIES_AT_ONCE {
            if self.settlements.len() >= options.batch_settlements {
                return Ok(Filled::Full);
            }
            let Some(entry) = self.next(reader)? else {
                self.end_history(options, price);
                return Ok(Filled::CaughtUp);
            };
            if entry.epoch() > self.read.epoch {
                self.interrupt_before(entry.epoch(), options, price);
                self.read = Position { epoch: entry.epoch(), offset: 0 };
            }
            if entry.epoch() != self.settled_epoch && !self.settlements.is_empty() {
                self.held = Some(entry);
                return Ok(Filled::Full);
            }
            match entry {
                Read::Record { position, record } => self.take(position, record, status),
                Read::Damage(damage) => self.skip(&damage, status),
            }
        }
        Ok(Filled::Full)
    }

    fn next(&mut self, reader: &mut JournalReader) -> Result<Option<Read>, JournalError> {
        if let Some(held) = self.held.take() {
            return Ok(Some(held));
        }
        Ok(reader.next(self.core)?.map(|entry| match entry {
            Entry::Record { position, payload } => {
                Read::Record { position, record: JournalRecord::decode(payload) }
            }
            Entry::Damage(damage) => Read::Damage(damage),
        }))
    }

    fn take(
        &mut self,
        position: Position,
        record: Result<JournalRecord, RecordError>,
        status: &ShipperStatus,
    ) {
        let before = self.read;
        self.read = position;
        let is_new = position > self.stored;
        match record {
            Ok(JournalRecord::Intent(intent)) => self.open.begin(intent, before, position.epoch),
            Ok(JournalRecord::HoldsChanged(change)) => self.open.hold(change),
            Ok(JournalRecord::Settled(settlement)) => {
                self.open.end(settlement.request.request_id);
                if is_new {
                    self.settled_epoch = position.epoch;
                    self.settlements.push(*settlement);
                }
            }
            Ok(JournalRecord::ProviderObject(object)) if is_new => self.provider_objects.push(object),
            Err(error) if is_new => {
                status.undecodable();
                let Position { epoch, offset } = position;
                tracing::error!(core = self.core, epoch, offset, %error, "journal record is lost");
            }
            Ok(JournalRecord::ProviderObject(_)) | Err(_) => {}
        }
    }

    /// Damage before the stored position was reported before the position was stored.
    fn skip(&mut self, damage: &Damage, status: &ShipperStatus) {
        self.read = damage.to;
        if damage.to <= self.stored {
            return;
        }
        let Damage { core, from, to } = damage;
        status.damaged();
        tracing::error!(
            core,
            epoch = to.epoch,
            from = from.offset,
            to = to.offset,
            "journal cannot be read here; the records between these offsets are lost"
        );
    }

    /// Ends the requests that epochs before this one left open; these epochs were read to the end.
    fn interrupt_before(&mut self, epoch: u64, options: &ShipperOptions, price: &PriceInterrupted) {
        let interrupted = self.open.interrupt_before(epoch, options.instance_id, price);
        if !interrupted.is_empty() {
            self.settled_epoch = self.read.epoch;
        }
        self.interrupted += interrupted.len() as u64;
        self.settlements.extend(interrupted);
    }

    /// All that earlier processes wrote was read. The position moves to the running epoch's begin even if nothing was
    /// written there yet: each shipment then has a position of its own, and torn tails are behind it.
    fn end_history(&mut self, options: &ShipperOptions, price: &PriceInterrupted) {
        if self.read.epoch < options.running_epoch {
            self.interrupt_before(options.running_epoch, options, price);
            self.read = Position { epoch: options.running_epoch, offset: 0 };
        }
    }

    /// What is to be shipped, if anything.
    pub(super) fn shipment(&self, instance_id: InstanceId) -> Option<Shipment<'_>> {
        let to = self.read.max(self.stored);
        if to == self.stored && self.settlements.is_empty() {
            return None;
        }
        Some(Shipment {
            instance_id,
            core: self.core,
            epoch: self.settled_epoch,
            from: self.stored,
            to,
            floor: self.open.floor().unwrap_or(self.read),
            settlements: &self.settlements,
            provider_objects: &self.provider_objects,
        })
    }

    /// The shipment was stored; returns how many of its requests were interrupted.
    pub(super) fn shipped(&mut self) -> u64 {
        self.stored = self.read.max(self.stored);
        self.floor = self.open.floor().unwrap_or(self.read);
        self.settlements.clear();
        self.provider_objects.clear();
        std::mem::take(&mut self.interrupted)
    }
}

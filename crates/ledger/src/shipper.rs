//! Moves the journal's records into the store, each exactly once in effect, and ends what a crash left open.
//!
//! Per core, records are read from the stored position on and shipped in batches; the position moves in the same
//! transaction, so that a batch is in the store as a whole or not at all. When the answer to a shipment was lost, the
//! store says where it stands and reading goes on from there.
//!
//! A request of an earlier process that has intents but no settlement can get none any more. Once its epoch was read
//! to the end it is shipped as interrupted. To find such requests again after a restart, the store also keeps a floor:
//! the place before the oldest intent that was open at the position.

mod interrupted;
mod progress;
mod status;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tollgate_core::{Clock, FaultPoint, InstanceId, NanoUsd, TokenUsage};

use crate::journal::{JournalError, JournalReader, Position};
use crate::record::{Intent, ProviderObjectRecord, Settlement};
use progress::{Filled, Progress};
pub use status::{ShipperFailure, ShipperReport, ShipperStatus};

/// Consecutive records of one core's journal.
#[derive(Debug, Clone, Copy)]
pub struct Shipment<'a> {
    /// Whose data directory the journal is in.
    pub instance_id: InstanceId,
    pub core: u16,
    /// The run of the process that wrote the settlements; a shipment never mixes two.
    pub epoch: u64,
    /// Where the records begin: the stored position.
    pub from: Position,
    /// Where they end, behind `from`: the position that is stored with them.
    pub to: Position,
    /// Before this, the journal has nothing that may still be needed.
    pub floor: Position,
    pub settlements: &'a [Settlement],
    pub provider_objects: &'a [ProviderObjectRecord],
}

/// What a shipment added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shipped {
    pub requests: u64,
    pub attempts: u64,
    /// Requests that were there already.
    pub duplicates: u64,
}

/// How far a core's journal has been shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShippingPosition {
    pub core: u16,
    pub position: Position,
    pub floor: Position,
}

/// Why a shipment was not stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ShipError {
    /// Also for failures that asking again may not change: the records stay in the journal and are tried again.
    #[error("{reason}")]
    Failed { reason: Arc<str> },
    /// The shipment does not begin where the store stands.
    #[error("the store stands at epoch {} offset {}, not where the shipment begins", stored.epoch, stored.offset)]
    PositionMismatch { stored: Position },
}

pub type ShipFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, ShipError>> + Send + 'a>>;

/// Where records go.
pub trait RecordStore: Send + Sync {
    /// How far each core's journal of an instance has been shipped; a core without an entry is at
    /// [`Position::START`].
    fn positions(&self, instance_id: InstanceId) -> ShipFuture<'_, Vec<ShippingPosition>>;

    /// Stores the records and the new position in one transaction, if the stored position is `from`. Requests that are
    /// there already stay as they are.
    fn ship<'a>(&'a self, shipment: Shipment<'a>) -> ShipFuture<'a, Shipped>;

    /// All that the epochs before this one wrote, on these cores, is shipped: nothing more comes from them. Said again
    /// after a restart. A store that does not stand there on each core has lost something, changes nothing, and answers
    /// with the position that it has.
    fn end_epochs<'a>(&'a self, instance_id: InstanceId, before: u64, cores: &'a [u16])
    -> ShipFuture<'a, ()>;
}

/// Says what an interrupted attempt with this usage is taken to have cost.
pub type PriceInterrupted = Box<dyn Fn(&Intent, &TokenUsage) -> Option<NanoUsd> + Send + Sync>;

/// How the shipper behaves.
#[derive(Debug, Clone)]
pub struct ShipperOptions {
    pub instance_id: InstanceId,
    /// The epoch of this process; what earlier ones left open is interrupted.
    pub running_epoch: u64,
    pub batch_settlements: usize,
    /// How long records gather before they are shipped, unless there are more than a batch.
    pub gather: Duration,
    /// How often to look for new cores while nothing happens.
    pub idle: Duration,
    pub first_retry: Duration,
    pub longest_retry: Duration,
    /// How long shipped segments are kept.
    pub keep_for: Duration,
    pub retire_interval: Duration,
}

impl ShipperOptions {
    pub fn new(instance_id: InstanceId, running_epoch: u64) -> Self {
        Self {
            instance_id,
            running_epoch,
            batch_settlements: 500,
            gather: Duration::from_millis(100),
            idle: Duration::from_secs(10),
            first_retry: Duration::from_millis(100),
            longest_retry: Duration::from_secs(5),
            keep_for: Duration::from_secs(24 * 3600),
            retire_interval: Duration::from_secs(60),
        }
    }
}

/// Ships the journals of all cores, one batch at a time.
pub struct Shipper {
    reader: JournalReader,
    store: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
    options: ShipperOptions,
    price: PriceInterrupted,
    status: Arc<ShipperStatus>,
    /// As the store last told; `None` until it was asked.
    stored: Option<Vec<ShippingPosition>>,
    cores: BTreeMap<u16, Progress>,
    retry: Duration,
    retire_at: Instant,
    /// Whether the store knows that the epochs before this one are shipped.
    epochs_ended: bool,
}

impl Shipper {
    /// Make it after the journal's writers: cores that appear later are noticed only when nothing else happens.
    pub fn new(
        reader: JournalReader,
        store: Arc<dyn RecordStore>,
        clock: Arc<dyn Clock>,
        options: ShipperOptions,
    ) -> Self {
        let status = ShipperStatus::default();
        status.current_as_of(clock.now());
        Self {
            reader,
            store,
            clock,
            price: Box::new(|_, _| None),
            status: Arc::new(status),
            stored: None,
            cores: BTreeMap::new(),
            retry: options.first_retry,
            retire_at: Instant::now(),
            epochs_ended: false,
            options,
        }
    }

    /// Gives interrupted attempts a cost; without it, theirs is unknown.
    #[must_use]
    pub fn with_price(mut self, price: PriceInterrupted) -> Self {
        self.price = price;
        self
    }

    pub fn status(&self) -> Arc<ShipperStatus> {
        self.status.clone()
    }

    /// Ships until `stop` resolves; then [`Self::drain`] ships the rest. Nothing is lost by dropping the future at any
    /// point: a shipment whose answer was not awaited is found out by its position.
    pub async fn run(&mut self, stop: impl Future<Output = ()>) {
        tokio::select! {
            () = stop => {}
            () = self.follow() => {}
        }
    }

    /// Ships all that was written, for at most `limit`; says whether that was enough.
    pub async fn drain(&mut self, limit: Duration) -> bool {
        let everything = async {
            loop {
                self.refresh();
                if self.pass().await {
                    return;
                }
                self.pause().await;
            }
        };
        timeout(limit, everything).await.is_ok()
    }

    async fn follow(&mut self) {
        self.refresh();
        loop {
            if !self.pass().await {
                self.pause().await;
            } else if self.reader.wait(self.options.idle).await {
                self.status.current_as_of(self.clock.now());
                sleep(self.options.gather).await;
            } else {
                self.refresh();
            }
        }
    }

    fn refresh(&mut self) {
        if let Err(error) = self.reader.refresh() {
            self.failed(&error.to_string());
        }
    }

    /// Ships what there is, all cores in turn; `false` when some of it could not be read or shipped.
    async fn pass(&mut self) -> bool {
        let begun = self.clock.now();
        if !self.know_positions().await {
            return false;
        }
        self.meet_cores();
        let mut healthy = true;
        let mut behind: Vec<u16> = self.cores.keys().copied().collect();
        while !behind.is_empty() {
            let mut still_behind = Vec::new();
            for core in behind {
                match self.advance(core).await {
                    Some(Filled::CaughtUp) => {}
                    Some(Filled::Full) => still_behind.push(core),
                    None => healthy = false,
                }
            }
            behind = still_behind;
            healthy &= self.retire().await;
        }
        healthy = healthy && self.end_epochs().await;
        if healthy {
            self.status.current_as_of(begun);
            self.recovered();
        }
        healthy
    }

    /// Every core was read and shipped beyond the epochs of earlier processes.
    async fn end_epochs(&mut self) -> bool {
        if self.epochs_ended {
            return true;
        }
        let ShipperOptions { instance_id, running_epoch, .. } = self.options;
        let cores: Vec<u16> = self.cores.keys().copied().collect();
        match self.store.end_epochs(instance_id, running_epoch, &cores).await {
            Ok(()) => self.epochs_ended = true,
            Err(error) => {
                if let ShipError::PositionMismatch { .. } = error {
                    self.cores.clear();
                    self.stored = None;
                }
                self.failed(&error.to_string());
            }
        }
        self.epochs_ended
    }

    async fn know_positions(&mut self) -> bool {
        if self.stored.is_some() {
            return true;
        }
        match self.store.positions(self.options.instance_id).await {
            Ok(stored) => self.stored = Some(stored),
            Err(error) => self.failed(&error.to_string()),
        }
        self.stored.is_some()
    }

    /// Begins with the cores that have no progress yet, where the store says.
    fn meet_cores(&mut self) {
        for core in self.reader.cores() {
            if self.cores.contains_key(&core) {
                continue;
            }
            let progress = Progress::new(position_of(self.stored.as_deref().unwrap_or_default(), core));
            self.reader.resume(core, progress.floor());
            self.cores.insert(core, progress);
        }
    }

    /// Reads one batch of a core and ships it. `None` when that failed; what was read is kept and shipped next time.
    async fn advance(&mut self, core: u16) -> Option<Filled> {
        let progress = self.cores.get_mut(&core)?;
        let filled = progress.fill(&mut self.reader, &self.options, &self.price, &self.status);
        let unread = filled.as_ref().err().map(JournalError::to_string);
        let shipment = progress.shipment(self.options.instance_id);
        let shipped = match shipment {
            Some(shipment) => {
                FaultPoint::BatchRead.reach();
                let shipped = self.store.ship(shipment).await;
                FaultPoint::BatchShipped.reach();
                shipped.map(Some)
            }
            None => Ok(None),
        };
        match shipped {
            Ok(shipped) => {
                if let Some(shipped) = shipped {
                    let interrupted = progress.shipped();
                    self.status.shipped(shipped, interrupted, self.clock.now());
                }
                self.measure();
                if let Some(unread) = unread {
                    self.failed(&unread);
                }
                filled.ok()
            }
            Err(error) => {
                if let ShipError::PositionMismatch { .. } = error {
                    self.cores.remove(&core);
                    self.stored = None;
                    self.epochs_ended = false;
                }
                self.measure();
                self.failed(&error.to_string());
                None
            }
        }
    }

    fn measure(&self) {
        let lag = self.cores.values().map(|progress| progress.lag_bytes(&self.reader)).sum();
        let pending = self.cores.values().map(Progress::pending_settlements).sum();
        let open = self.cores.values().map(Progress::open_requests).sum();
        self.status.measured(lag, pending, open);
    }

    /// Now and then, deletes what was shipped long ago. The store is asked first whether it still has it: a failover
    /// to a replica that was behind takes back what was stored. `false` when it did.
    async fn retire(&mut self) -> bool {
        if Instant::now() < self.retire_at {
            return true;
        }
        self.retire_at = Instant::now() + self.options.retire_interval;
        self.stored = None;
        if !self.know_positions().await {
            return false;
        }
        let known = self.cores.len();
        let stored = self.stored.as_deref().unwrap_or_default();
        self.cores.retain(|core, progress| {
            let still_there = progress.is_at(position_of(stored, *core).position);
            if !still_there {
                tracing::warn!(core, "the store lost records that were shipped; they are shipped again");
            }
            still_there
        });
        for (core, progress) in &self.cores {
            match self.reader.retire(*core, progress.floor(), self.options.keep_for, self.clock.as_ref()) {
                Ok(segments) => self.status.retired(segments),
                Err(error) => tracing::warn!(core, %error, "shipped journal segments could not be deleted"),
            }
        }
        let all_there = self.cores.len() == known;
        self.epochs_ended &= all_there;
        all_there
    }

    fn failed(&self, reason: &str) {
        if self.status.failed(reason, self.clock.now()) {
            tracing::warn!(reason, "the journal's records cannot be shipped; they are kept and tried again");
        }
    }

    fn recovered(&mut self) {
        self.retry = self.options.first_retry;
        if self.status.recovered() {
            tracing::info!("the journal's records are shipped again");
        }
    }

    async fn pause(&mut self) {
        sleep(self.retry).await;
        self.retry = (self.retry * 2).min(self.options.longest_retry);
    }
}

fn position_of(stored: &[ShippingPosition], core: u16) -> ShippingPosition {
    let start = ShippingPosition { core, position: Position::START, floor: Position::START };
    stored.iter().find(|stored| stored.core == core).copied().unwrap_or(start)
}

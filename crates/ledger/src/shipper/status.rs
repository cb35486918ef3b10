//! How the shipping goes, for other threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tollgate_core::UnixMicros;

use super::Shipped;

/// Shared by the shipper and whoever asks how it goes.
#[derive(Debug, Default)]
pub struct ShipperStatus {
    lag_bytes: AtomicU64,
    pending_settlements: AtomicU64,
    open_requests: AtomicU64,
    shipped_requests: AtomicU64,
    duplicate_requests: AtomicU64,
    interrupted_requests: AtomicU64,
    damaged_places: AtomicU64,
    undecodable_records: AtomicU64,
    retired_segments: AtomicU64,
    /// All that was written before this is in the store.
    current_as_of: AtomicI64,
    /// Zero before the first shipment.
    last_shipped_at: AtomicI64,
    failure: Mutex<Option<ShipperFailure>>,
}

/// Why nothing is shipped at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShipperFailure {
    pub reason: Arc<str>,
    pub since: UnixMicros,
}

/// One look at the status. Counts are since the process began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShipperReport {
    /// Bytes of the journal that are not in the store.
    pub lag_bytes: u64,
    /// All that was written before this is in the store.
    pub current_as_of: UnixMicros,
    /// Settlements that were read and are not in the store.
    pub pending_settlements: u64,
    /// Requests with an intent and no settlement yet.
    pub open_requests: u64,
    pub shipped_requests: u64,
    /// Requests that the store had already.
    pub duplicate_requests: u64,
    /// Requests that a dead process left open.
    pub interrupted_requests: u64,
    /// Places of the journal that could not be read; what they held is lost.
    pub damaged_places: u64,
    /// Whole records that this version cannot read; they are lost.
    pub undecodable_records: u64,
    pub retired_segments: u64,
    pub last_shipped_at: Option<UnixMicros>,
    pub failure: Option<ShipperFailure>,
}

impl ShipperReport {
    /// How old the oldest record is that is not in the store, at most.
    pub fn lag(&self, now: UnixMicros) -> Duration {
        if self.lag_bytes == 0 { Duration::ZERO } else { now.since(self.current_as_of) }
    }
}

impl ShipperStatus {
    pub fn report(&self) -> ShipperReport {
        let last_shipped_at = self.last_shipped_at.load(Relaxed);
        ShipperReport {
            lag_bytes: self.lag_bytes.load(Relaxed),
            current_as_of: UnixMicros(self.current_as_of.load(Relaxed)),
            pending_settlements: self.pending_settlements.load(Relaxed),
            open_requests: self.open_requests.load(Relaxed),
            shipped_requests: self.shipped_requests.load(Relaxed),
            duplicate_requests: self.duplicate_requests.load(Relaxed),
            interrupted_requests: self.interrupted_requests.load(Relaxed),
            damaged_places: self.damaged_places.load(Relaxed),
            undecodable_records: self.undecodable_records.load(Relaxed),
            retired_segments: self.retired_segments.load(Relaxed),
            last_shipped_at: (last_shipped_at != 0).then_some(UnixMicros(last_shipped_at)),
            failure: self.failure.lock().clone(),
        }
    }

    pub(super) fn measured(&self, lag_bytes: u64, pending_settlements: usize, open_requests: usize) {
        self.lag_bytes.store(lag_bytes, Relaxed);
        self.pending_settlements.store(pending_settlements as u64, Relaxed);
        self.open_requests.store(open_requests as u64, Relaxed);
    }

    pub(super) fn current_as_of(&self, time: UnixMicros) {
        self.current_as_of.store(time.0, Relaxed);
    }

    pub(super) fn shipped(&self, shipped: Shipped, interrupted: u64, now: UnixMicros) {
        self.shipped_requests.fetch_add(shipped.requests, Relaxed);
        self.duplicate_requests.fetch_add(shipped.duplicates, Relaxed);
        self.interrupted_requests.fetch_add(interrupted, Relaxed);
        self.last_shipped_at.store(now.0, Relaxed);
    }

    pub(super) fn damaged(&self) {
        self.damaged_places.fetch_add(1, Relaxed);
    }

    pub(super) fn undecodable(&self) {
        self.undecodable_records.fetch_add(1, Relaxed);
    }

    pub(super) fn retired(&self, segments: usize) {
        self.retired_segments.fetch_add(segments as u64, Relaxed);
    }

    /// Says whether this is news.
    pub(super) fn failed(&self, reason: &str, now: UnixMicros) -> bool {
        let mut failure = self.failure.lock();
        let since = failure.as_ref().map_or(now, |failure| failure.since);
        let is_news = failure.as_ref().is_none_or(|failure| *failure.reason != *reason);
        if is_news {
            *failure = Some(ShipperFailure { reason: reason.into(), since });
        }
        is_news
    }

    /// Says whether there had been a failure.
    pub(super) fn recovered(&self) -> bool {
        self.failure.lock().take().is_some()
    }
}

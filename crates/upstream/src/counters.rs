//! The numbers about a pool.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of one client, readable from any thread. Aligned so that two clients never share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct PoolCounters {
    pub(crate) opened: AtomicU64,
    pub(crate) reused: AtomicU64,
    pub(crate) replayed: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) idle: AtomicU64,
    pub(crate) in_use: AtomicU64,
}

/// A reading of [`PoolCounters`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolStatistics {
    /// Connections opened so far.
    pub opened: u64,
    /// Requests so far that found an idle connection.
    pub reused: u64,
    /// Requests so far whose idle connection turned out dead, sent again on a new one.
    pub replayed: u64,
    /// Requests so far that were refused because too many connections were open.
    pub refused: u64,
    /// Connections idle now.
    pub idle: u64,
    /// Connections in use or being opened now.
    pub in_use: u64,
}

impl PoolCounters {
    #[must_use]
    pub fn read(&self) -> PoolStatistics {
        PoolStatistics {
            opened: self.opened.load(Relaxed),
            reused: self.reused.load(Relaxed),
            replayed: self.replayed.load(Relaxed),
            refused: self.refused.load(Relaxed),
            idle: self.idle.load(Relaxed),
            in_use: self.in_use.load(Relaxed),
        }
    }
}

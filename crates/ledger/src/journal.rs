//! The append-only journal: what was promised and what was used, on local disk before anybody is told.
//!
//! Each core owns one stream of frames per epoch (one run of the process). A stream is cut into segment files
//! `<core>/<epoch>-<sequence>.journal`, but a [`Position`] counts the bytes of the *stream*, so that it keeps its
//! meaning when the writer has to abandon a file and write part of the stream again elsewhere. Each segment header
//! says where in the stream it starts; a reader therefore notices any missing byte, whatever the reason.
//!
//! What survives: a killed process loses nothing that [`JournalWriter::append`] reported as written, because the
//! bytes were handed to the kernel. Loss of power may take what was written since the last group sync (about 10 ms);
//! [`Durability::Power`] makes `append` wait for that sync.
//!
//! What happens on errors: the writer turns [`Health::Failed`], refuses intents and keeps the records of calls that
//! were already served in a bounded buffer. A probe repairs the torn tail and writes the kept records first. A file
//! whose sync failed is never trusted again: the kernel may have dropped its dirty pages and will report the next sync
//! as a success. Everything not known to be synced is still in memory and goes, byte for byte, to a new segment.

mod format;
mod process;
mod reader;
mod shared;
mod storage;
mod sync;
mod writer;

#[cfg(test)]
pub(crate) mod simulated;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tollgate_core::InstanceId;

pub use format::{MAX_PAYLOAD_BYTES, SegmentName};
pub use process::Journal;
pub use reader::{Damage, Entry, JournalReader};
pub use shared::Health;
pub use storage::{DiskStorage, SegmentFile, Storage};
pub use writer::{Append, JournalWriter};

/// A place in one core's journal: the end of a frame. Positions of one core are totally ordered; the shipper stores
/// the position of the last frame it shipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Which run of the process wrote it; grows with each start.
    pub epoch: u64,
    /// Bytes of frames in this epoch's stream up to here, headers of files not counted.
    pub offset: u64,
}

impl Position {
    /// Before everything that is still on disk.
    pub const START: Self = Self { epoch: 0, offset: 0 };
}

/// What an acknowledged record survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The process being killed; loss of power may cost the last few milliseconds.
    #[default]
    Process,
    /// Loss of power as well: `append` waits for the group sync.
    Power,
}

/// What a failing journal does with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordClass {
    /// Precedes work that has not begun: refused, so that the work does not begin.
    Intent,
    /// Accounts for work that was done: kept in memory until it can be written.
    Settle,
}

/// How the journal behaves; the defaults suit one machine with a local disk.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// Written into each segment header.
    pub instance_id: InstanceId,
    /// A new epoch is above this one. Pass the highest epoch the store has a shipping position for, so that a lost
    /// journal directory cannot make new records look as if they had been shipped.
    pub minimum_epoch: u64,
    /// A segment is closed when the next batch would make it longer than this.
    pub segment_bytes: u64,
    pub durability: Durability,
    /// How long unsynced bytes may gather before the sync begins; not used with [`Durability::Power`].
    pub sync_delay: Duration,
    /// How often a failed writer tries again.
    pub probe_interval: Duration,
    /// How much a failed writer keeps of settling records, and how much unsynced data each writer keeps to be able to
    /// write it again.
    pub backlog_bytes: usize,
    /// Intents are refused below this much free space; zero switches the check off.
    pub minimum_free_bytes: u64,
}

impl JournalOptions {
    pub fn new(instance_id: InstanceId) -> Self {
        Self {
            instance_id,
            minimum_epoch: 0,
            segment_bytes: 64 << 20,
            durability: Durability::Process,
            sync_delay: Duration::from_millis(5),
            probe_interval: Duration::from_millis(500),
            backlog_bytes: 8 << 20,
            minimum_free_bytes: 256 << 20,
        }
    }
}

/// Why a record was not written, or the journal not read. The first four come from appending.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// The record was refused and will not be written. With [`Durability::Power`] it may already be in the file, so an
    /// intent that gets this answer is to be voided.
    #[error("the journal cannot be written ({reason}); it recovers by itself once the disk does")]
    Failed { reason: Arc<str> },
    /// Only intents are refused for this.
    #[error(
        "the journal's disk has too little free space; free some, or lower the journal's minimum free space"
    )]
    LowSpace,
    /// The record is kept in memory and is written first when the journal recovers.
    #[error("the journal cannot be written ({reason}); the record is kept in memory until it can")]
    Deferred { reason: Arc<str> },
    /// The record is lost.
    #[error("the journal cannot be written and its backlog is full; the record is lost")]
    BacklogFull,
    #[error("a journal record of {length} bytes is longer than {MAX_PAYLOAD_BYTES}; make the record smaller")]
    TooLarge { length: usize },
    #[error("core {core} already has a journal writer in this process")]
    CoreTaken { core: u16 },
    #[error("cannot {action}: {source}")]
    Storage { action: &'static str, source: Arc<io::Error> },
    /// Bytes that were written cannot be read back and nothing after them can be reached yet.
    #[error("the journal of core {core} cannot be read at epoch {} offset {}; check the disk", position.epoch, position.offset)]
    Unreadable { core: u16, position: Position },
}

impl JournalError {
    fn storage(action: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Storage { action, source: Arc::new(source) }
    }
}

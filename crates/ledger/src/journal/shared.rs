//! What the threads around one journal share: writers on their cores, the sync thread, the reader.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use std::task::Waker;
use std::thread::Thread;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tollgate_core::{Clock, UnixMicros};

use super::format::SegmentName;
use super::storage::{SegmentFile, Storage};
use super::{JournalError, JournalOptions};

/// Whether the journal takes records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    Ok,
    /// Intents are refused, settling records are written.
    LowSpace,
    /// Intents are refused, settling records are kept in memory.
    Failed {
        reason: Arc<str>,
        since: UnixMicros,
    },
}

/// One per process.
pub(super) struct Process {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) options: JournalOptions,
    pub(super) epoch: u64,
    pub(super) cores: Mutex<Vec<Arc<CoreShared>>>,
    pub(super) low_space: AtomicBool,
    pub(super) stop: AtomicBool,
    /// Something was written that nobody has begun to sync.
    dirty: AtomicBool,
    sync_thread: std::sync::OnceLock<Thread>,
    /// The reader has gone to sleep and wants to be told.
    reader_waits: AtomicBool,
    pub(super) reader_wake: Notify,
}

impl Process {
    pub(super) fn new(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        options: JournalOptions,
        epoch: u64,
    ) -> Self {
        Self {
            storage,
            clock,
            options,
            epoch,
            cores: Mutex::new(Vec::new()),
            low_space: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            dirty: AtomicBool::new(false),
            sync_thread: std::sync::OnceLock::new(),
            reader_waits: AtomicBool::new(false),
            reader_wake: Notify::new(),
        }
    }

    pub(super) fn set_sync_thread(&self, thread: Thread) {
        let _ = self.sync_thread.set(thread);
    }

    pub(super) fn wake_sync_thread(&self) {
        if let Some(thread) = self.sync_thread.get() {
            thread.unpark();
        }
    }

    /// Called after bytes were published. The fence pairs with those in [`Self::begin_sync`] and
    /// [`Self::reader_will_wait`]: either they see the bytes, or we see that they want to hear of them.
    pub(super) fn announce(&self) {
        fence(Ordering::SeqCst);
        if !self.dirty.load(Ordering::Relaxed) && !self.dirty.swap(true, Ordering::AcqRel) {
            self.wake_sync_thread();
        }
        if self.reader_waits.load(Ordering::Relaxed) && self.reader_waits.swap(false, Ordering::AcqRel) {
            self.reader_wake.notify_one();
        }
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Acquire)
    }

    pub(super) fn begin_sync(&self) {
        self.dirty.store(false, Ordering::Release);
        fence(Ordering::SeqCst);
    }

    pub(super) fn reader_will_wait(&self) {
        self.reader_waits.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
    }
}

/// A segment that is being written or not yet synced.
pub(super) struct LiveSegment {
    pub(super) name: SegmentName,
    pub(super) file: Arc<dyn SegmentFile>,
    /// Stream offset of its first frame.
    pub(super) start: u64,
    /// Stream offset up to which it was written.
    pub(super) end: AtomicU64,
    pub(super) directory_synced: AtomicBool,
    /// Never to be synced again: success would mean nothing.
    pub(super) distrusted: AtomicBool,
}

struct Failure {
    reason: Arc<str>,
    since: UnixMicros,
}

/// One per core. Offsets are stream offsets of the process's epoch.
pub(super) struct CoreShared {
    pub(super) core: u16,
    /// What the reader may read.
    pub(super) published: AtomicU64,
    /// What survives loss of power.
    pub(super) synced: AtomicU64,
    /// The newest segment; stored before `published`, so that the reader never looks for bytes in an older file.
    pub(super) sequence: AtomicU32,
    /// Records that the backlog had no room for.
    pub(super) lost_records: AtomicU64,
    /// Segments with unsynced bytes, oldest first; the last is being written.
    pub(super) segments: Mutex<Vec<Arc<LiveSegment>>>,
    failed: AtomicBool,
    failure: Mutex<Option<Failure>>,
    /// The writer keeps more unsynced bytes than it wants to, and lets go of them when told of a sync.
    pub(super) keeps_much: AtomicBool,
    /// The sync thread has news for the flusher.
    sync_news: AtomicBool,
    flusher: Mutex<Option<Waker>>,
}

impl CoreShared {
    pub(super) fn new(core: u16, first: Arc<LiveSegment>) -> Self {
        Self {
            core,
            published: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            sequence: AtomicU32::new(first.name.sequence),
            lost_records: AtomicU64::new(0),
            segments: Mutex::new(vec![first]),
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
            keeps_much: AtomicBool::new(false),
            sync_news: AtomicBool::new(false),
            flusher: Mutex::new(None),
        }
    }

    pub(super) fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// The first reason stays until recovery.
    pub(super) fn fail(&self, reason: String, now: UnixMicros) {
        let mut failure = self.failure.lock();
        if failure.is_none() {
            tracing::error!(core = self.core, reason, "journal failed");
            *failure = Some(Failure { reason: reason.into(), since: now });
        }
        self.failed.store(true, Ordering::Release);
    }

    /// Refused while a segment that must be replaced is among the live ones.
    pub(super) fn recovered(&self) -> bool {
        let mut failure = self.failure.lock();
        if self.has_distrusted_segment() {
            return false;
        }
        *failure = None;
        self.failed.store(false, Ordering::Release);
        true
    }

    /// Marks the segment under the failure's lock, so that a recovery going on cannot overlook it.
    pub(super) fn distrust(&self, segment: &LiveSegment, reason: String, now: UnixMicros) {
        {
            let _guard = self.failure.lock();
            segment.distrusted.store(true, Ordering::Release);
        }
        self.fail(reason, now);
    }

    pub(super) fn has_distrusted_segment(&self) -> bool {
        self.segments.lock().iter().any(|segment| segment.distrusted.load(Ordering::Acquire))
    }

    pub(super) fn failure_reason(&self) -> Arc<str> {
        self.failure.lock().as_ref().map_or_else(|| "unknown".into(), |failure| failure.reason.clone())
    }

    pub(super) fn refusal(&self) -> JournalError {
        JournalError::Failed { reason: self.failure_reason() }
    }

    pub(super) fn health(&self, process: &Process) -> Health {
        if let Some(failure) = self.failure.lock().as_ref() {
            return Health::Failed { reason: failure.reason.clone(), since: failure.since };
        }
        if process.low_space.load(Ordering::Relaxed) { Health::LowSpace } else { Health::Ok }
    }

    pub(super) fn set_flusher(&self, waker: Option<Waker>) {
        *self.flusher.lock() = waker;
    }

    pub(super) fn tell_flusher(&self) {
        self.sync_news.store(true, Ordering::Release);
        if let Some(waker) = self.flusher.lock().as_ref() {
            waker.wake_by_ref();
        }
    }

    pub(super) fn has_sync_news(&self) -> bool {
        self.sync_news.load(Ordering::Acquire)
    }

    pub(super) fn take_sync_news(&self) -> bool {
        self.sync_news.load(Ordering::Relaxed) && self.sync_news.swap(false, Ordering::AcqRel)
    }
}

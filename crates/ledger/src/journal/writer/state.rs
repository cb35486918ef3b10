//! What a writer knows: the records in line, the file they go to, and what may have to be written again.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use super::segments::begin_segment;
use super::waiters::{Fate, Waiters};
use crate::journal::format::{HEADER_BYTES, MAX_PAYLOAD_BYTES, SegmentName, encode_frame};
use crate::journal::shared::{CoreShared, LiveSegment, Process};
use crate::journal::storage::write_all_at;
use crate::journal::{Durability, JournalError, Position, RecordClass};

/// Records in line beyond this are written at once instead of waiting for the flusher.
const LINE_BYTES: usize = 1 << 20;
/// Buffers that grew beyond this are given back.
pub(super) const KEPT_CAPACITY_BYTES: usize = 256 << 10;
const NO_SLOT: u32 = u32::MAX;

/// One record in line.
struct Mark {
    end: usize,
    class: RecordClass,
    slot: u32,
}

pub(super) struct State {
    pub(super) process: Arc<Process>,
    pub(super) shared: Arc<CoreShared>,
    pub(super) segment: Arc<LiveSegment>,
    pub(super) next_sequence: u32,
    /// Stream offset after the last written record.
    pub(super) end: u64,
    line: Vec<u8>,
    marks: Vec<Mark>,
    waiters: Waiters,
    /// Written, waiting for the sync (only with [`Durability::Power`]).
    awaiting_sync: VecDeque<(u64, u32)>,
    /// Settling records that could not be written.
    pub(super) backlog: Vec<u8>,
    /// Copy of the stream from `retained_start` to `end`, in case its file's sync fails.
    pub(super) retained: VecDeque<u8>,
    pub(super) retained_start: u64,
    woken: Vec<Waker>,
    flusher: Option<Waker>,
    flusher_running: bool,
    flusher_called: bool,
}

impl State {
    pub(super) fn open(process: Arc<Process>, core: u16) -> Result<(Self, Arc<CoreShared>), JournalError> {
        let mut cores = process.cores.lock();
        if cores.iter().any(|shared| shared.core == core) {
            return Err(JournalError::CoreTaken { core });
        }
        let name = SegmentName { core, epoch: process.epoch, sequence: 0 };
        let segment = begin_segment(&process, name, 0, 0)
            .and_then(|segment| {
                // The epoch's existence must be durable before any position in it can be stored elsewhere.
                segment.file.sync()?;
                process.storage.sync_directory(core)?;
                segment.directory_synced.store(true, Ordering::Release);
                Ok(segment)
            })
            .map_err(JournalError::storage("begin a journal segment"))?;
        let shared = Arc::new(CoreShared::new(core, segment.clone()));
        cores.push(shared.clone());
        drop(cores);
        let state = Self {
            process,
            shared: shared.clone(),
            segment,
            next_sequence: 1,
            end: 0,
            line: Vec::new(),
            marks: Vec::new(),
            waiters: Waiters::default(),
            awaiting_sync: VecDeque::new(),
            backlog: Vec::new(),
            retained: VecDeque::new(),
            retained_start: 0,
            woken: Vec::new(),
            flusher: None,
            flusher_running: false,
            flusher_called: false,
        };
        Ok((state, shared))
    }

    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Returns the slot to wait in; meaningless unless `wait`.
    pub(super) fn append(
        &mut self,
        class: RecordClass,
        payload: &[u8],
        wait: bool,
    ) -> Result<u32, JournalError> {
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(JournalError::TooLarge { length: payload.len() });
        }
        if self.shared.is_failed() {
            return Err(self.append_while_failed(class, payload));
        }
        if class == RecordClass::Intent && self.process.low_space.load(Ordering::Relaxed) {
            return Err(JournalError::LowSpace);
        }
        encode_frame(&mut self.line, payload);
        let slot = if wait { self.waiters.take_slot() } else { NO_SLOT };
        self.marks.push(Mark { end: self.line.len(), class, slot });
        if !self.flusher_running || self.line.len() > LINE_BYTES {
            self.flush();
        } else if !self.flusher_called {
            self.flusher_called = true;
            if let Some(flusher) = &self.flusher {
                flusher.wake_by_ref();
            }
        }
        Ok(slot)
    }

    fn append_while_failed(&mut self, class: RecordClass, payload: &[u8]) -> JournalError {
        // What was in line before the failure was noticed comes first.
        self.flush();
        let reason = self.shared.failure_reason();
        if class == RecordClass::Intent {
            return JournalError::Failed { reason };
        }
        let mut frame = Vec::new();
        encode_frame(&mut frame, payload);
        self.keep(&frame, reason)
    }

    fn keep(&mut self, frame: &[u8], reason: Arc<str>) -> JournalError {
        if self.backlog.len() + frame.len() > self.process.options.backlog_bytes {
            self.shared.lost_records.fetch_add(1, Ordering::Relaxed);
            return JournalError::BacklogFull;
        }
        self.backlog.extend_from_slice(frame);
        JournalError::Deferred { reason }
    }

    /// Writes the line, or decides the fate of its records if that is not possible.
    pub(super) fn flush(&mut self) {
        self.flusher_called = false;
        if self.line.is_empty() {
            return;
        }
        let line = std::mem::take(&mut self.line);
        if self.shared.is_failed() {
            self.reject(&line);
        } else {
            match self.write(&line) {
                Ok(()) => self.acknowledge(line.len() as u64),
                Err(error) => {
                    self.shared.fail(format!("write failed: {error}"), self.process.clock.now());
                    self.reject(&line);
                }
            }
        }
        self.line = line;
        self.line.clear();
        self.line.shrink_to(KEPT_CAPACITY_BYTES);
    }

    /// Hands `bytes`, whole frames, to the kernel at the end of the stream and publishes them.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.end - self.segment.start;
        if written > 0 && HEADER_BYTES + written + bytes.len() as u64 > self.process.options.segment_bytes {
            let next = self.begin_next(self.end)?;
            self.adopt(next);
        }
        let offset = HEADER_BYTES + self.end - self.segment.start;
        write_all_at(self.segment.file.as_ref(), bytes, offset)?;
        self.retain(bytes);
        self.end += bytes.len() as u64;
        self.segment.end.store(self.end, Ordering::Release);
        self.shared.published.store(self.end, Ordering::Release);
        self.process.announce();
        Ok(())
    }

    fn acknowledge(&mut self, length: u64) {
        let before = self.end - length;
        let epoch = self.process.epoch;
        let wait = self.process.options.durability == Durability::Power;
        for mark in self.marks.drain(..) {
            if mark.slot == NO_SLOT {
                continue;
            }
            let offset = before + mark.end as u64;
            if wait {
                self.awaiting_sync.push_back((offset, mark.slot));
            } else {
                self.waiters.resolve(mark.slot, Ok(Position { epoch, offset }), &mut self.woken);
            }
        }
    }

    fn reject(&mut self, line: &[u8]) {
        let reason = self.shared.failure_reason();
        let mut begin = 0;
        for mark in std::mem::take(&mut self.marks) {
            let error = match mark.class {
                RecordClass::Intent => JournalError::Failed { reason: reason.clone() },
                RecordClass::Settle => {
                    self.keep(line.get(begin..mark.end).unwrap_or_default(), reason.clone())
                }
            };
            begin = mark.end;
            if mark.slot != NO_SLOT {
                self.waiters.resolve(mark.slot, Err(error), &mut self.woken);
            }
        }
    }

    /// Takes notice of what the sync thread did: acknowledges what is durable, gives up waiting after a failure.
    pub(super) fn note_sync(&mut self) {
        if !self.shared.take_sync_news() {
            return;
        }
        self.forget_synced();
        let synced = self.shared.synced.load(Ordering::Acquire);
        let epoch = self.process.epoch;
        while let Some((offset, slot)) = self.awaiting_sync.pop_front_if(|waiting| waiting.0 <= synced) {
            self.waiters.resolve(slot, Ok(Position { epoch, offset }), &mut self.woken);
        }
        if self.shared.has_distrusted_segment() {
            let refusal = self.shared.refusal();
            for (_, slot) in self.awaiting_sync.drain(..) {
                self.waiters.resolve(slot, Err(refusal.clone()), &mut self.woken);
            }
        }
    }

    pub(super) fn has_work(&self) -> bool {
        !self.line.is_empty() || self.shared.has_sync_news()
    }

    pub(super) fn register_flusher(&mut self, waker: &Waker) {
        if !self.flusher.as_ref().is_some_and(|known| known.will_wake(waker)) {
            self.flusher = Some(waker.clone());
            self.shared.set_flusher(Some(waker.clone()));
        }
    }

    pub(super) fn set_flusher_running(&mut self, running: bool) {
        self.flusher_running = running;
        self.flusher = None;
        self.shared.set_flusher(None);
    }

    pub(super) fn poll_slot(&mut self, slot: u32, context: &mut Context<'_>) -> Poll<Fate> {
        self.waiters.poll(slot, context)
    }

    pub(super) fn abandon_slot(&mut self, slot: u32) {
        self.waiters.abandon(slot);
    }

    pub(super) fn take_woken(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.woken)
    }

    pub(super) fn return_woken(&mut self, woken: Vec<Waker>) {
        if self.woken.is_empty() {
            self.woken = woken;
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if self.shared.is_failed() {
            self.recover();
        }
        self.flush();
        if !self.backlog.is_empty() {
            tracing::error!(
                core = self.shared.core,
                bytes = self.backlog.len(),
                "journal closed with records that could not be written"
            );
        }
    }
}

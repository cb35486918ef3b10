//! The files behind a writer's stream, and what is kept of the stream in case one of them fails.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::state::{KEPT_CAPACITY_BYTES, State};
use crate::journal::format::{Header, SegmentName};
use crate::journal::shared::{LiveSegment, Process};
use crate::journal::storage::write_all_at;

impl State {
    /// Keeps a copy of what is about to count as written.
    pub(super) fn retain(&mut self, bytes: &[u8]) {
        self.forget_synced();
        if self.retained.len() + bytes.len() > self.process.options.backlog_bytes {
            self.retained = VecDeque::new();
            self.retained_start = self.end;
        }
        self.retained.extend(bytes);
        self.shared.keeps_much.store(self.retained.capacity() > KEPT_CAPACITY_BYTES, Ordering::Relaxed);
    }

    /// Lets go of what is synced. After a burst nothing may be written for a long time: then the sync asks for it.
    pub(super) fn forget_synced(&mut self) {
        let synced = self.shared.synced.load(Ordering::Acquire).saturating_sub(self.retained_start);
        if synced == 0 {
            return;
        }
        let gone = usize::try_from(synced).unwrap_or(usize::MAX).min(self.retained.len());
        self.retained.drain(..gone);
        self.retained_start += gone as u64;
        if self.retained.is_empty() {
            self.retained.shrink_to(KEPT_CAPACITY_BYTES);
        }
    }

    /// Makes the next file; its frames begin at stream offset `start`.
    pub(super) fn begin_next(&mut self, start: u64) -> io::Result<Arc<LiveSegment>> {
        let name = SegmentName { sequence: self.next_sequence, ..self.segment.name };
        // A name is never used twice, so that a half-made file cannot be in the way.
        self.next_sequence += 1;
        begin_segment(&self.process, name, start, self.end)
    }

    pub(super) fn adopt(&mut self, segment: Arc<LiveSegment>) {
        self.shared.segments.lock().push(segment.clone());
        self.shared.sequence.store(segment.name.sequence, Ordering::Release);
        self.segment = segment;
    }
}

pub(super) fn begin_segment(
    process: &Process,
    name: SegmentName,
    start: u64,
    stream_end: u64,
) -> io::Result<Arc<LiveSegment>> {
    let header = Header {
        name,
        instance_id: process.options.instance_id,
        start,
        stream_end,
        created: process.clock.now(),
    };
    let file = process.storage.create(name)?;
    if let Err(error) = write_all_at(file.as_ref(), &header.encode(), 0) {
        let _ = process.storage.remove(name);
        return Err(error);
    }
    Ok(Arc::new(LiveSegment {
        name,
        file,
        start,
        end: AtomicU64::new(start),
        directory_synced: AtomicBool::new(false),
        distrusted: AtomicBool::new(false),
    }))
}

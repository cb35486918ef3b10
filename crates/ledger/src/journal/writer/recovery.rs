//! Getting a failed writer to write again.

use std::io;
use std::sync::atomic::Ordering;

use super::state::State;
use crate::journal::format::HEADER_BYTES;
use crate::journal::storage::write_all_at;

/// What a probe writes when there is nothing kept to write: enough to need a block of its own.
const PROBE: [u8; 4096] = [0; 4096];

impl State {
    /// One attempt. Until it succeeds the writer stays failed and everything kept stays kept.
    pub(super) fn recover(&mut self) {
        // Records put in line before the failure was noticed go to the backlog first, to keep their order.
        self.flush();
        let recovered = if self.shared.has_distrusted_segment() {
            self.replace_distrusted()
        } else {
            self.cut_torn_tail()
        };
        match recovered.and_then(|()| self.write_kept()) {
            Ok(()) => {
                if self.shared.recovered() {
                    tracing::info!(core = self.shared.core, "journal recovered");
                }
            }
            Err(error) => tracing::warn!(core = self.shared.core, %error, "journal still failing"),
        }
    }

    /// Writes everything not known to be synced to a new file and makes sure that it is durable.
    fn replace_distrusted(&mut self) -> io::Result<()> {
        let synced = self.shared.synced.load(Ordering::Acquire);
        if self.retained_start > synced {
            tracing::error!(
                core = self.shared.core,
                bytes = self.retained_start - synced,
                "more was unsynced than memory kept: these bytes depend on a file whose sync failed"
            );
        }
        let segment = self.begin_next(self.retained_start)?;
        let rewritten = write_all_at(segment.file.as_ref(), self.retained.make_contiguous(), HEADER_BYTES)
            .and_then(|()| segment.file.sync())
            .and_then(|()| self.process.storage.sync_directory(self.shared.core));
        if let Err(error) = rewritten {
            let _ = self.process.storage.remove(segment.name);
            return Err(error);
        }
        segment.directory_synced.store(true, Ordering::Release);
        segment.end.store(self.end, Ordering::Release);
        self.shared.segments.lock().clear();
        self.adopt(segment);
        self.shared.synced.fetch_max(self.end, Ordering::AcqRel);
        Ok(())
    }

    /// Removes what a failed write left behind the last whole record, or leaves the file behind altogether.
    fn cut_torn_tail(&mut self) -> io::Result<()> {
        let length = HEADER_BYTES + self.end - self.segment.start;
        if self.segment.file.truncate(length).is_err() {
            let next = self.begin_next(self.end)?;
            self.adopt(next);
        }
        Ok(())
    }

    fn write_kept(&mut self) -> io::Result<()> {
        if self.backlog.is_empty() {
            let offset = HEADER_BYTES + self.end - self.segment.start;
            let probed = write_all_at(self.segment.file.as_ref(), &PROBE, offset);
            return probed.and(self.segment.file.truncate(offset));
        }
        let backlog = std::mem::take(&mut self.backlog);
        let written = self.write(&backlog);
        if written.is_err() {
            self.backlog = backlog;
        }
        written
    }
}

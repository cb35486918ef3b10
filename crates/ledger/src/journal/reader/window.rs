//! Reading ahead in one segment.

use std::ops::Range;
use std::sync::Arc;

use crate::journal::JournalError;
use crate::journal::format::{
    Decoded, FRAME_PREFIX_BYTES, HEADER_BYTES, MAX_PAYLOAD_BYTES, SegmentName, decode_frame,
};
use crate::journal::storage::{SegmentFile, Storage, read_full_at};

const WINDOW_BYTES: usize = 256 << 10;

/// A segment with a valid header.
pub(super) struct Segment {
    pub(super) name: SegmentName,
    pub(super) start: u64,
    pub(super) stream_end: u64,
    /// Stream offset of the file's end when it was found, a torn tail included. Final unless the epoch is live.
    pub(super) end: u64,
}

/// Bytes of the stream that were read ahead.
#[derive(Default)]
pub(super) struct Window {
    pub(super) epoch: u64,
    pub(super) start: u64,
    pub(super) bytes: Vec<u8>,
    /// The file that was read last.
    file: Option<(SegmentName, Arc<dyn SegmentFile>)>,
}

pub(super) enum Found {
    /// Where in the window the frame is.
    Frame(Range<usize>),
    Damaged {
        length: u64,
    },
    Nothing,
}

impl Window {
    pub(super) fn frame_at(&self, offset: u64) -> Found {
        let Some(skip) = offset.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok()) else {
            return Found::Nothing;
        };
        match self.bytes.get(skip..).map(decode_frame) {
            Some(Decoded::Frame { length }) => Found::Frame(skip + FRAME_PREFIX_BYTES..skip + length),
            Some(Decoded::Damaged { length }) => Found::Damaged { length: length as u64 },
            _ => Found::Nothing,
        }
    }

    /// Reads ahead from `offset`, at least one whole frame if the file has it before `cap`.
    pub(super) fn fill(
        &mut self,
        storage: &dyn Storage,
        segment: &Segment,
        offset: u64,
        cap: u64,
    ) -> Result<(), JournalError> {
        let failed = JournalError::storage("read a journal segment");
        let file = match self.file.take().filter(|(name, _)| *name == segment.name) {
            Some((_, file)) => file,
            None => storage.open(segment.name).map_err(&failed)?,
        };
        self.file = Some((segment.name, file.clone()));
        self.epoch = segment.name.epoch;
        self.start = offset;
        let mut wanted = WINDOW_BYTES;
        loop {
            let allowed = usize::try_from(cap - offset).unwrap_or(usize::MAX);
            self.bytes.resize(wanted.min(allowed), 0);
            let at = HEADER_BYTES + offset - segment.start;
            let read = read_full_at(file.as_ref(), &mut self.bytes, at).map_err(&failed)?;
            self.bytes.truncate(read);
            match decode_frame(&self.bytes) {
                Decoded::Incomplete { needed } if needed > wanted && read == wanted => {
                    wanted = FRAME_PREFIX_BYTES + MAX_PAYLOAD_BYTES;
                }
                // The frame after a damaged one decides whether it is a lone fault.
                Decoded::Damaged { length }
                    if length + FRAME_PREFIX_BYTES > wanted / 2 && wanted == WINDOW_BYTES =>
                {
                    wanted = 2 * (FRAME_PREFIX_BYTES + MAX_PAYLOAD_BYTES);
                }
                _ => return Ok(()),
            }
        }
    }
}

//! One core's journal: its epochs, their segments, and how far it was read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::window::{Found, Segment, Window};
use super::{Damage, Entry, Live};
use crate::journal::format::{FRAME_PREFIX_BYTES, HEADER_BYTES, Header, SegmentName};
use crate::journal::shared::CoreShared;
use crate::journal::storage::{Storage, read_full_at};
use crate::journal::{JournalError, Position};

pub(super) struct Set {
    core: u16,
    position: Position,
    /// Nothing is known about what came before `position`: what is missing was retired.
    from_oldest: bool,
    epochs: BTreeMap<u64, Vec<Segment>>,
    live: Option<Live>,
    window: Window,
}

impl Set {
    pub(super) fn new(core: u16) -> Self {
        Self {
            core,
            position: Position::START,
            from_oldest: true,
            epochs: BTreeMap::new(),
            live: None,
            window: Window::default(),
        }
    }

    pub(super) fn set_live(&mut self, live: Option<(u64, Arc<CoreShared>)>) {
        self.live = live.map(|(epoch, shared)| Live { epoch, shared });
    }

    pub(super) fn resume(&mut self, position: Position) {
        self.position = position;
        self.from_oldest = position == Position::START;
        self.window = Window::default();
    }

    /// Learns of segments that appeared. A file without a valid header holds nothing: its first write never finished.
    pub(super) fn rescan(&mut self, storage: &dyn Storage) -> Result<(), JournalError> {
        let failed = JournalError::storage("read a journal segment's header");
        let mut names = storage.list().map_err(JournalError::storage("list the journal's segments"))?;
        names.retain(|name| name.core == self.core);
        names.sort_unstable();
        for name in names {
            let segments = self.epochs.entry(name.epoch).or_default();
            if segments.iter().any(|segment| segment.name == name) {
                continue;
            }
            let file = storage.open(name).map_err(&failed)?;
            let mut bytes = [0; HEADER_BYTES as usize];
            let read = read_full_at(file.as_ref(), &mut bytes, 0).map_err(&failed)?;
            if let Some(header) = Header::decode(name, bytes.get(..read).unwrap_or_default()) {
                let length = file.length().map_err(&failed)?;
                let end = header.start + length.saturating_sub(HEADER_BYTES);
                segments.push(Segment { name, start: header.start, stream_end: header.stream_end, end });
                segments.sort_unstable_by_key(|segment| segment.name);
            }
        }
        Ok(())
    }

    pub(super) fn next(&mut self, storage: &dyn Storage) -> Result<Option<Entry<'_>>, JournalError> {
        loop {
            let Some(limit) = self.limit(storage)? else {
                return Ok(None);
            };
            match self.find(storage, limit)? {
                Found::Frame(range) => {
                    self.position.offset += (range.len() + FRAME_PREFIX_BYTES) as u64;
                    self.from_oldest = false;
                    let payload = self.window.bytes.get(range).unwrap_or_default();
                    return Ok(Some(Entry::Record { position: self.position, payload }));
                }
                Found::Damaged { length } => return Ok(Some(self.skip_to(self.position.offset + length))),
                Found::Nothing => {}
            }
            let resumed = self.next_start();
            match resumed {
                Some(offset) if self.from_oldest => self.position.offset = offset,
                Some(offset) => return Ok(Some(self.skip_to(offset))),
                None if self.live_epoch() == Some(self.position.epoch) => {
                    return Err(JournalError::Unreadable { core: self.core, position: self.position });
                }
                None => {
                    if !self.next_epoch() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn skip_to(&mut self, offset: u64) -> Entry<'static> {
        let from = self.position;
        self.position.offset = offset;
        Entry::Damage(Damage { core: self.core, from, to: self.position })
    }

    fn live_epoch(&self) -> Option<u64> {
        self.live.as_ref().map(|live| live.epoch)
    }

    /// Up to where the current epoch may be read; `None` when all of it was.
    fn limit(&mut self, storage: &dyn Storage) -> Result<Option<u64>, JournalError> {
        let Some(live) = self.live.as_ref().filter(|live| live.epoch == self.position.epoch) else {
            return Ok(Some(u64::MAX));
        };
        let published = live.published();
        if self.position.offset >= published {
            return Ok(None);
        }
        // Read after `published`: bytes that are published are in a file we then know of.
        let newest = live.shared.sequence.load(Ordering::Acquire);
        let known = self.epochs.get(&self.position.epoch).and_then(|segments| segments.last());
        if known.is_none_or(|segment| segment.name.sequence < newest) {
            self.rescan(storage)?;
        }
        Ok(Some(published))
    }

    /// Looks for a frame at the position: in the window, then in each file that may hold it, newest first.
    fn find(&mut self, storage: &dyn Storage, limit: u64) -> Result<Found, JournalError> {
        let Position { epoch, offset } = self.position;
        if self.window.epoch == epoch
            && let Found::Frame(range) = self.window.frame_at(offset)
        {
            return Ok(Found::Frame(range));
        }
        let Some(segments) = self.epochs.get(&epoch) else {
            return Ok(Found::Nothing);
        };
        let mut cap = limit;
        let mut damaged = None;
        for segment in segments.iter().rev() {
            // A file that nobody writes has no more than was found; a live one has what was published.
            let readable = if limit == u64::MAX { cap.min(segment.end) } else { cap };
            if segment.start <= offset && offset < readable {
                self.window.fill(storage, segment, offset, readable)?;
                match self.window.frame_at(offset) {
                    Found::Frame(range) => return Ok(Found::Frame(range)),
                    Found::Damaged { length } => {
                        let follows = matches!(self.window.frame_at(offset + length), Found::Frame(_));
                        damaged = damaged.or(follows.then_some(length));
                    }
                    Found::Nothing => {}
                }
            }
            cap = cap.min(segment.stream_end);
        }
        self.window = Window::default();
        Ok(damaged.map_or(Found::Nothing, |length| Found::Damaged { length }))
    }

    /// Where the stream of this epoch goes on after the position.
    fn next_start(&self) -> Option<u64> {
        let segments = self.epochs.get(&self.position.epoch)?;
        segments.iter().map(|segment| segment.start).filter(|start| *start > self.position.offset).min()
    }

    fn next_epoch(&mut self) -> bool {
        let next = self.epochs.range(self.position.epoch + 1..).next().map(|(epoch, _)| *epoch);
        if let Some(epoch) = next {
            self.position = Position { epoch, offset: 0 };
        }
        next.is_some()
    }

    pub(super) fn has_unread(&self) -> bool {
        self.live.as_ref().is_some_and(|live| {
            let end = Position { epoch: live.epoch, offset: live.published() };
            end.offset > 0 && self.position < end
        })
    }

    pub(super) fn lag_bytes(&self, position: Position) -> u64 {
        let mut lag = 0;
        for (epoch, segments) in self.epochs.range(position.epoch..) {
            let end = match &self.live {
                Some(live) if live.epoch == *epoch => live.published(),
                _ => segments.iter().map(|segment| segment.end).max().unwrap_or(0),
            };
            let oldest = segments.first().map_or(0, |segment| segment.start);
            let from = if *epoch == position.epoch { position.offset.max(oldest) } else { oldest };
            lag += end.saturating_sub(from);
        }
        lag
    }

    /// Segments without anything after `shipped`, oldest first, the newest of all left out.
    pub(super) fn wholly_before(&self, shipped: Position) -> Vec<SegmentName> {
        let all: Vec<&Segment> = self.epochs.values().flatten().collect();
        let before = |pair: &&[&Segment]| {
            let [segment, next] = pair else { return false };
            segment.name.epoch < shipped.epoch
                || (segment.name.epoch == next.name.epoch
                    && segment.name.epoch == shipped.epoch
                    && next.start.max(next.stream_end) <= shipped.offset)
        };
        all.windows(2)
            .take_while(before)
            .filter_map(|pair| pair.first())
            .map(|segment| segment.name)
            .collect()
    }

    pub(super) fn forget(&mut self, name: SegmentName) {
        if let Some(segments) = self.epochs.get_mut(&name.epoch) {
            segments.retain(|segment| segment.name != name);
            if segments.is_empty() {
                self.epochs.remove(&name.epoch);
            }
        }
    }
}

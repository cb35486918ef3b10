//! Server-sent events: finding them in chunks that are cut anywhere, and writing our own.
//!
//! The format is the event stream of the HTML standard. Identifiers and retry times are not used by any dialect and
//! are left in the raw bytes.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

mod boundary;
mod encode;

pub(crate) use boundary::Boundary;
pub use encode::{encode_comment, encode_event};

/// The longest event that is accepted, from the end of the previous one to its blank line.
pub const MAX_EVENT_BYTES: usize = 1 << 20;

/// Why an event stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    #[error("an event of the stream is longer than {limit} bytes")]
    EventTooLarge { limit: usize },
}

/// One block of an event stream: an event, or comments and blank lines only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent {
    /// The `event:` line's value.
    pub name: Option<Bytes>,
    /// The joined `data:` lines; `None` for comments and blank lines. Shares the chunk's memory unless there were
    /// several lines.
    pub data: Option<Bytes>,
    /// All bytes up to and including the blank line. The raw bytes of all blocks are the stream.
    pub raw: Bytes,
}

impl SseEvent {
    fn parse(raw: Bytes, is_first: bool) -> Self {
        let fields = Fields::parse(&raw, is_first);
        let name = fields.name.map(|name| raw.slice_ref(name));
        let data = fields.data.map(|data| match data {
            Cow::Borrowed(line) => raw.slice_ref(line),
            Cow::Owned(joined) => joined.into(),
        });
        Self { name, data, raw }
    }
}

/// The fields of one block.
#[derive(Debug, Default)]
pub(crate) struct Fields<'block> {
    pub(crate) name: Option<&'block [u8]>,
    pub(crate) data: Option<Cow<'block, [u8]>>,
}

impl<'block> Fields<'block> {
    pub(crate) fn parse(block: &'block [u8], is_first: bool) -> Self {
        let mut fields = Self::default();
        let mut rest = block;
        if is_first {
            rest = rest.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(rest);
        }
        while !rest.is_empty() {
            let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let (line, after) = rest.split_at(end);
            // An empty line between CR and LF says nothing, so the pair needs no care here.
            rest = after.get(1..).unwrap_or_default();
            if let Some(value) = field_value(line, b"data") {
                match &mut fields.data {
                    None => fields.data = Some(Cow::Borrowed(value)),
                    Some(lines) => {
                        let lines = lines.to_mut();
                        lines.push(b'\n');
                        lines.extend_from_slice(value);
                    }
                }
            } else if let Some(value) = field_value(line, b"event") {
                fields.name = Some(value);
            }
        }
        fields
    }
}

fn field_value<'line>(line: &'line [u8], name: &[u8]) -> Option<&'line [u8]> {
    let value = line.strip_prefix(name)?;
    match value {
        [] => Some(value),
        [b':', b' ', rest @ ..] | [b':', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// Reads events from chunks; copies only the events that are cut between two chunks.
#[derive(Debug)]
pub struct SseReader {
    boundary: Boundary,
    /// The start of an event whose end has not come yet.
    partial: BytesMut,
    max_event_bytes: usize,
    is_first: bool,
    failed: bool,
}

impl Default for SseReader {
    fn default() -> Self {
        Self::new(MAX_EVENT_BYTES)
    }
}

impl SseReader {
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            boundary: Boundary::default(),
            partial: BytesMut::new(),
            max_event_bytes,
            is_first: true,
            failed: false,
        }
    }

    /// The blocks that end in `chunk`. What is not iterated over is lost; after an error nothing more comes.
    pub fn push(&mut self, chunk: Bytes) -> Events<'_> {
        Events { reader: self, chunk, at: 0 }
    }

    /// What came after the last blank line. The standard drops it; it is returned because some providers leave out
    /// the last blank line.
    pub fn finish(&mut self) -> Option<SseEvent> {
        if self.partial.is_empty() || self.failed {
            return None;
        }
        Some(SseEvent::parse(self.partial.split().freeze(), self.is_first))
    }

    fn too_large(&mut self) -> SseError {
        self.failed = true;
        self.partial = BytesMut::new();
        SseError::EventTooLarge { limit: self.max_event_bytes }
    }
}

/// The events of one chunk.
#[derive(Debug)]
pub struct Events<'reader> {
    reader: &'reader mut SseReader,
    chunk: Bytes,
    at: usize,
}

impl Iterator for Events<'_> {
    type Item = Result<SseEvent, SseError>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = &mut *self.reader;
        if reader.failed || self.at >= self.chunk.len() {
            return None;
        }
        let end = reader.boundary.next_end(&self.chunk, self.at);
        let part = self.chunk.slice(self.at..end.unwrap_or(self.chunk.len()));
        self.at += part.len();
        if reader.partial.len() + part.len() > reader.max_event_bytes {
            return Some(Err(reader.too_large()));
        }
        if end.is_none() {
            reader.partial.extend_from_slice(&part);
            return None;
        }
        let raw = if reader.partial.is_empty() {
            part
        } else {
            reader.partial.extend_from_slice(&part);
            reader.partial.split().freeze()
        };
        Some(Ok(SseEvent::parse(raw, std::mem::take(&mut reader.is_first))))
    }
}

#[cfg(test)]
mod tests;

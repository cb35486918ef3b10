//! A bounded copy of content events.

use tollgate_core::Dialect;

use crate::produced;
use crate::sse::{Boundary, Fields};

#[derive(Debug)]
pub(super) struct Tee {
    kept: Vec<u8>,
    limit: usize,
    seen_bytes: u64,
}

impl Tee {
    pub(super) const fn new(limit: usize) -> Self {
        Self { kept: Vec::new(), limit, seen_bytes: 0 }
    }

    #[inline]
    pub(super) fn push(&mut self, block: &[u8]) {
        self.seen_bytes += block.len() as u64;
        if self.kept.len() + block.len() <= self.limit {
            self.kept.extend_from_slice(block);
        } else {
            // Later events must not slip in: the kept text stays a beginning.
            self.limit = 0;
        }
    }

    pub(super) fn extrapolation_factor(&self) -> f64 {
        if self.kept.is_empty() { 1.0 } else { self.seen_bytes as f64 / self.kept.len() as f64 }
    }

    pub(super) fn text(&self, dialect: Dialect) -> String {
        let mut text = String::new();
        let mut boundary = Boundary::default();
        let mut at = 0;
        while let Some(end) = boundary.next_end(&self.kept, at) {
            if let Some(data) = Fields::parse(self.kept.get(at..end).unwrap_or_default(), false).data {
                produced::event_text(dialect, &data, &mut text);
            }
            at = end;
        }
        text
    }
}

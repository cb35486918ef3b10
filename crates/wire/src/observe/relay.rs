//! What to send on of a chunk.

use bytes::Bytes;

/// The pieces to relay, in order; nearly always one, and then nothing was allocated.
#[derive(Debug, Default)]
pub struct Relay {
    first: Bytes,
    rest: Vec<Bytes>,
}

impl From<Bytes> for Relay {
    fn from(whole: Bytes) -> Self {
        Self { first: whole, rest: Vec::new() }
    }
}

impl Relay {
    pub(super) fn push(&mut self, part: Bytes) {
        if part.is_empty() {
        } else if self.first.is_empty() {
            self.first = part;
        } else {
            self.rest.push(part);
        }
    }

    /// Nothing to send now.
    pub const fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// The one piece, where there is at most one.
    pub fn single(&self) -> Option<&Bytes> {
        self.rest.is_empty().then_some(&self.first)
    }
}

impl IntoIterator for Relay {
    type Item = Bytes;
    type IntoIter = std::iter::Chain<std::option::IntoIter<Bytes>, std::vec::IntoIter<Bytes>>;

    fn into_iter(self) -> Self::IntoIter {
        let first = (!self.first.is_empty()).then_some(self.first);
        first.into_iter().chain(self.rest)
    }
}

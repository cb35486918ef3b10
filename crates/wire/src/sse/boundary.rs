//! Where events end.

use memchr::memchr2;

/// Finds the blank lines that end events, across chunks cut anywhere.
#[derive(Debug, Default)]
pub(crate) struct Boundary {
    /// The current line has bytes already.
    in_line: bool,
    /// The last byte was a CR: a LF that follows belongs to it.
    after_cr: bool,
}

impl Boundary {
    /// How many bytes at the start of `chunk` complete the CRLF that the chunk before ended within: 0 or 1.
    #[inline]
    pub(crate) fn take_line_feed(&mut self, chunk: &[u8]) -> usize {
        let Some(first) = chunk.first() else { return 0 };
        usize::from(std::mem::take(&mut self.after_cr) && *first == b'\n')
    }

    /// The position after the next blank line at or after `from`. A LF whose CR ended an event in the chunk before
    /// counts to the next block.
    #[inline]
    pub(crate) fn next_end(&mut self, chunk: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        if self.after_cr {
            at += self.take_line_feed(chunk.get(from..).unwrap_or_default());
        }
        loop {
            let rest = chunk.get(at..).unwrap_or_default();
            let Some(length) = memchr2(b'\n', b'\r', rest) else {
                self.in_line |= !rest.is_empty();
                return None;
            };
            let blank = length == 0 && !self.in_line;
            self.in_line = false;
            let is_cr = rest.get(length) == Some(&b'\r');
            at += length + 1;
            if is_cr {
                match chunk.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            if blank {
                return Some(at);
            }
        }
    }
}

//! The inside of strings, where nearly all bytes of a body are.

use memchr::memchr2;

use super::{Scanner, Syntax};

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;
/// Words looked at one by one before the vector search, which pays off only in long strings.
const SHORT_WORDS: usize = 4;

const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

/// Marks, in the high bit of each byte, quotes, backslashes and control characters. Marks above the lowest may be
/// false (borrows travel upwards), so only the lowest is used.
const fn special_bytes(word: u64) -> u64 {
    let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
    zero_bytes(word ^ (ONES * b'"' as u64)) | zero_bytes(word ^ (ONES * b'\\' as u64)) | control
}

/// The first quote, backslash or control character at or after `from`; the length when there is none.
#[inline]
fn find_special(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let mut at = from;
    let (words, _) = rest.as_chunks::<8>();
    for word in words.iter().take(SHORT_WORDS) {
        let marks = special_bytes(u64::from_le_bytes(*word));
        if marks != 0 {
            return at + (marks.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    find_special_far(bytes, at)
}

fn find_special_far(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let length = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
    let plain = rest.get(..length).unwrap_or_default();
    // Folding every byte instead of stopping at the first lets the compiler use vectors.
    if plain.iter().fold(false, |found, byte| found | (*byte < b' ')) {
        return from + plain.iter().position(|byte| *byte < b' ').unwrap_or(length);
    }
    from + length
}

impl Scanner<'_> {
    /// From after the opening quote to after the closing one; says whether there were escapes.
    #[inline]
    pub(super) fn string_rest(&mut self) -> Result<bool, Syntax> {
        let mut escaped = false;
        loop {
            self.at = find_special(self.bytes, self.at);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return self.fail("a control character in a string must be escaped"),
                None => return self.fail("a string has no end"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Syntax> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => self.unicode_escape(),
            _ => self.fail("an unknown escape"),
        }
    }

    fn unicode_escape(&mut self) -> Result<(), Syntax> {
        match self.hex4(self.at)? {
            0xD800..=0xDBFF => match self.hex4(self.at + 6) {
                Ok(0xDC00..=0xDFFF) => {
                    self.at += 12;
                    Ok(())
                }
                _ => self.fail("a lone surrogate"),
            },
            0xDC00..=0xDFFF => self.fail("a lone surrogate"),
            _ => {
                self.at += 6;
                Ok(())
            }
        }
    }

    /// The value of the `\uXXXX` that starts at `at`.
    fn hex4(&self, at: usize) -> Result<u32, Syntax> {
        let Some([b'\\', b'u', digits @ ..]) = self.bytes.get(at..at + 6) else {
            return self.fail("an incomplete escape");
        };
        digits.iter().try_fold(0, |value, byte| match char::from(*byte).to_digit(16) {
            Some(digit) => Ok(value * 16 + digit),
            None => self.fail("an escape needs four hexadecimal digits"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_special_byte_wherever_it_is() {
        for length in 0..80 {
            let plain = vec![b'a'; length];
            assert_eq!(find_special(&plain, 0), length);
            for special in [b'"', b'\\', 0x00, 0x1f, b'\n'] {
                for place in 0..length {
                    let mut text = vec![0xC3u8; length];
                    text[place] = special;
                    text[place + 1..].fill(b'"');
                    assert_eq!(find_special(&text, 0), place);
                }
            }
        }
    }
}

//! One pass over JSON text without a tree: the scanner that everything on the hot path shares.
//!
//! The caller checks that the bytes are UTF-8; the scanner checks all the rest of RFC 8259. It accepts what
//! `serde_json` accepts, and also numbers that are too large for a 64-bit float, because such bytes are forwarded
//! and never computed with.

use std::borrow::Cow;

mod string;

/// How deep arrays and objects may nest: what `serde_json` reads, so that no later reader fails on an accepted body.
pub(crate) const MAX_DEPTH: u32 = 127;

/// Where and why text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub(crate) struct Syntax {
    pub(crate) at: usize,
    pub(crate) what: &'static str,
}

/// A string as it is written, quotes included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawText<'text> {
    pub(crate) quoted: &'text [u8],
    pub(crate) escaped: bool,
}

impl<'text> RawText<'text> {
    /// What stands between the quotes.
    pub(crate) fn inner(&self) -> &'text [u8] {
        self.quoted.get(1..self.quoted.len().saturating_sub(1)).unwrap_or_default()
    }

    pub(crate) fn decode(&self) -> Cow<'text, str> {
        if self.escaped { decode_quoted(self.quoted) } else { String::from_utf8_lossy(self.inner()) }
    }

    /// The start of the text, at most `max_chars` characters: for names and messages from a provider.
    pub(crate) fn excerpt(&self, max_chars: usize) -> Box<str> {
        self.decode().chars().take(max_chars).collect()
    }
}

/// Decodes a valid JSON string, quotes included.
pub(crate) fn decode_quoted(quoted: &[u8]) -> Cow<'_, str> {
    serde_json::from_slice::<String>(quoted).map(Cow::Owned).unwrap_or_default()
}

/// A position in JSON text.
#[derive(Debug)]
pub(crate) struct Scanner<'text> {
    bytes: &'text [u8],
    at: usize,
    depth: u32,
}

impl<'text> Scanner<'text> {
    pub(crate) fn new(bytes: &'text [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The bytes from a place that was passed up to here.
    pub(crate) fn since(&self, start: usize) -> &'text [u8] {
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    fn fail<T>(&self, what: &'static str) -> Result<T, Syntax> {
        let what = if self.at >= self.bytes.len() { "the text ends too early" } else { what };
        Err(Syntax { at: self.at, what })
    }

    /// The first byte of the next token, not consumed; 0 at the end of the text (no token starts with NUL).
    #[inline]
    pub(crate) fn token(&mut self) -> u8 {
        while let Some(&byte) = self.bytes.get(self.at) {
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return byte;
            }
            self.at += 1;
        }
        0
    }

    /// Accepts nothing but white space up to the end of the text.
    pub(crate) fn finish(&mut self) -> Result<(), Syntax> {
        self.token();
        if self.at == self.bytes.len() {
            return Ok(());
        }
        Err(Syntax { at: self.at, what: "something follows the JSON value" })
    }

    #[inline]
    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Syntax> {
        if self.token() == byte {
            self.at += 1;
            return Ok(());
        }
        self.fail(what)
    }

    #[inline]
    pub(crate) fn string(&mut self) -> Result<RawText<'text>, Syntax> {
        self.expect(b'"', "expected a string")?;
        let start = self.at - 1;
        let escaped = self.string_rest()?;
        Ok(RawText { quoted: self.bytes.get(start..self.at).unwrap_or_default(), escaped })
    }

    fn digits(&mut self) -> Result<(), Syntax> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start { self.fail("expected a digit") } else { Ok(()) }
    }

    pub(crate) fn number(&mut self) -> Result<&'text [u8], Syntax> {
        self.token();
        let start = self.at;
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
            if self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
                return self.fail("a number has a leading zero");
            }
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(self.bytes.get(start..self.at).unwrap_or_default())
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), Syntax> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            return Ok(());
        }
        self.fail("expected a JSON value")
    }

    /// Passes over one value and returns its bytes.
    pub(crate) fn skip(&mut self) -> Result<&'text [u8], Syntax> {
        self.skip_with(&mut |_, _| {})
    }

    /// Passes over one value, showing each string value with the last key read before it, and each other scalar
    /// not at all. Does not recurse: the open arrays and objects are bits of one integer.
    pub(crate) fn skip_with(
        &mut self,
        on_text: &mut impl FnMut(RawText<'text>, RawText<'text>),
    ) -> Result<&'text [u8], Syntax> {
        self.skip_under(RawText { quoted: b"\"\"", escaped: false }, on_text)
    }

    /// As [`Self::skip_with`], of a value whose key was read before it.
    pub(crate) fn skip_under(
        &mut self,
        mut key: RawText<'text>,
        on_text: &mut impl FnMut(RawText<'text>, RawText<'text>),
    ) -> Result<&'text [u8], Syntax> {
        self.token();
        let start = self.at;
        let base = self.depth;
        let mut objects = 0u128;
        loop {
            match self.token() {
                b'"' => {
                    let text = self.string()?;
                    on_text(key, text);
                }
                open @ (b'{' | b'[') => {
                    let is_object = open == b'{';
                    self.enter()?;
                    objects = objects << 1 | u128::from(is_object);
                    if self.token() != open + 2 {
                        if is_object {
                            key = self.key()?;
                        }
                        continue;
                    }
                }
                b'-' | b'0'..=b'9' => {
                    self.number()?;
                }
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                b'n' => self.literal(b"null")?,
                _ => return self.fail("expected a JSON value"),
            }
            loop {
                if self.depth == base {
                    return Ok(self.bytes.get(start..self.at).unwrap_or_default());
                }
                let in_object = objects & 1 == 1;
                match (self.token(), in_object) {
                    (b',', _) => {
                        self.at += 1;
                        if in_object {
                            key = self.key()?;
                        }
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        self.at += 1;
                        self.depth -= 1;
                        objects >>= 1;
                    }
                    (_, true) => return self.fail("expected `,` or `}`"),
                    (_, false) => return self.fail("expected `,` or `]`"),
                }
            }
        }
    }

    #[inline]
    fn key(&mut self) -> Result<RawText<'text>, Syntax> {
        let key = self.string()?;
        self.expect(b':', "expected `:`")?;
        Ok(key)
    }

    #[inline]
    fn enter(&mut self) -> Result<(), Syntax> {
        if self.depth == MAX_DEPTH {
            return self.fail("nested deeper than 127 levels");
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Reads one object; `on_member` must consume each member's value.
    pub(crate) fn members<E: From<Syntax>>(
        &mut self,
        mut on_member: impl FnMut(&mut Self, RawText<'text>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.token() != b'{' {
            return Ok(self.fail("expected `{`")?);
        }
        self.enter()?;
        if self.token() != b'}' {
            loop {
                let key = self.key()?;
                on_member(self, key)?;
                if self.token() != b',' {
                    break;
                }
                self.at += 1;
            }
        }
        self.expect(b'}', "expected `,` or `}`")?;
        self.depth -= 1;
        Ok(())
    }

    /// Reads one array; `on_element` must consume each element.
    pub(crate) fn elements<E: From<Syntax>>(
        &mut self,
        mut on_element: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.token() != b'[' {
            return Ok(self.fail("expected `[`")?);
        }
        self.enter()?;
        if self.token() != b']' {
            loop {
                on_element(self)?;
                if self.token() != b',' {
                    break;
                }
                self.at += 1;
            }
        }
        self.expect(b']', "expected `,` or `]`")?;
        self.depth -= 1;
        Ok(())
    }
}

/// Decodes an unsigned integer without sign, fraction or exponent.
pub(crate) fn parse_digits(number: &[u8]) -> Option<u64> {
    let digits = |total: u64, byte: &u8| match byte {
        b'0'..=b'9' => total.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    };
    number.iter().try_fold(0u64, digits)
}

//! Whether something that a provider said tells the secret that it was called with.

use std::borrow::Cow;
use std::fmt;

use memchr::memmem::Finder;

/// Anything shorter is found in ordinary words: it is a placeholder of a provider that asks for no secret.
const SHORTEST_SECRET_BYTES: usize = 8;
/// Text within text within text is escaped so often; nobody escapes deeper.
const MOST_ESCAPED: usize = 3;

/// A provider's secret, to be looked for.
pub(super) struct Secrecy(Option<Finder<'static>>);

impl Secrecy {
    pub(super) fn of(secret: Option<&str>) -> Self {
        let secret = secret.map(str::trim).filter(|secret| secret.len() >= SHORTEST_SECRET_BYTES);
        Self(secret.map(|secret| Finder::new(secret.as_bytes()).into_owned()))
    }

    /// Whether `bytes` hold the secret, as they are or once what JSON escapes is read.
    pub(super) fn is_told_by(&self, bytes: &[u8]) -> bool {
        let Some(secret) = &self.0 else { return false };
        let mut text = Cow::Borrowed(bytes);
        for _ in 0..MOST_ESCAPED {
            if secret.find(&text).is_some() {
                return true;
            }
            if memchr::memchr(b'\\', &text).is_none() {
                return false;
            }
            text = Cow::Owned(unescaped(&text));
        }
        secret.find(&text).is_some()
    }

    /// As [`Self::is_told_by`], for text that may have been cut within the secret.
    pub(super) fn is_told_by_excerpt(&self, text: &str) -> bool {
        let Some(secret) = self.0.as_ref().map(Finder::needle) else { return false };
        let shown = text.trim_end_matches('…').as_bytes();
        let starts = (SHORTEST_SECRET_BYTES..secret.len()).filter_map(|length| secret.get(..length));
        self.is_told_by(text.as_bytes()) || starts.into_iter().any(|start| shown.ends_with(start))
    }
}

/// The secret itself is never printed.
impl fmt::Debug for Secrecy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secrecy")
    }
}

/// JSON's escapes read wherever they are; what is no escape stays.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut read = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(at);
        read.extend_from_slice(plain);
        let (character, length) = match escape.get(1) {
            Some(b'u') => match unicode(escape) {
                Some(character) => (character, 6),
                None => ('\\', 1),
            },
            Some(b'n') => ('\n', 2),
            Some(b't') => ('\t', 2),
            Some(b'r') => ('\r', 2),
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(other @ (b'"' | b'\\' | b'/')) => (char::from(*other), 2),
            _ => ('\\', 1),
        };
        read.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        rest = escape.get(length..).unwrap_or_default();
    }
    read.extend_from_slice(rest);
    read
}

/// `\u0041`; a half of a surrogate pair is no character, and no header can carry what needs one.
fn unicode(escape: &[u8]) -> Option<char> {
    let digits = str::from_utf8(escape.get(2..6)?).ok()?;
    char::from_u32(u32::from_str_radix(digits, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_however_it_is_written() {
        let secrecy = Secrecy::of(Some("sk/secret-0123"));
        for told in [
            "the key sk/secret-0123 is wrong",
            r"sk\/secret-0123",
            r"\u0073k\u002Fsecret\u002d0123",
            r#"{\"inner\":\"sk\\/secret-0123\"}"#,
            r"\\u0073k/secret-0123",
        ] {
            assert!(secrecy.is_told_by(told.as_bytes()), "{told}");
        }
        for silent in ["sk/secret-012", r"\", r"\u", r"\u00", r"\uzzzz", r"\ud800", r"\x", ""] {
            assert!(!secrecy.is_told_by(silent.as_bytes()), "{silent}");
        }
    }

    #[test]
    fn an_excerpt_that_ends_within_the_secret_tells_it() {
        let secrecy = Secrecy::of(Some("sk/secret-0123"));
        assert!(secrecy.is_told_by_excerpt("wrong key sk/secret…"));
        assert!(secrecy.is_told_by_excerpt("wrong key sk/secret-0"));
        assert!(!secrecy.is_told_by_excerpt("wrong key sk…"));
    }

    #[test]
    fn placeholders_are_no_secrets() {
        assert!(!Secrecy::of(Some("ollama")).is_told_by(b"ollama"));
        assert!(!Secrecy::of(None).is_told_by(b""));
        assert!(!format!("{:?}", Secrecy::of(Some("sk/secret-0123"))).contains("secret-"));
    }
}

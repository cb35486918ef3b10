//! What the gateway needs to know of a request body, read in one pass without a tree or a copy.
//!
//! The body is checked completely (JSON, UTF-8, depth), so that what is forwarded means the same to every reader.
//! A key that the gateway reads must be written exactly once and exactly as documented: readers differ on which of
//! two spellings wins, and a policy decided on one of them would not hold for the other.

use std::borrow::Cow;

use bytes::Bytes;
use tollgate_core::Dialect;

use crate::objects::NamedObject;
use crate::scan::{RawText, Scanner, Syntax, decode_quoted, parse_digits};

mod beyond_text;
mod bound;
mod field;
mod value;

pub use beyond_text::{Beyond, BeyondText};
pub use bound::{TOKENS_PER_REFERENCE, input_bound_tokens};
pub use field::Field;

/// Why a body is refused. Always a 400.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadBody {
    /// The field at fault, with dots for nested ones; `None` when the body as a whole is.
    pub field: Option<&'static str>,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl BadBody {
    fn about(field: Field, problem: impl std::fmt::Display) -> Self {
        Self { field: Some(field.name()), message: format!("`{}` {problem}", field.name()) }
    }

    fn whole(message: impl Into<String>) -> Self {
        Self { field: None, message: message.into() }
    }
}

impl From<Syntax> for BadBody {
    fn from(syntax: Syntax) -> Self {
        Self::whole(format!("the body is not valid JSON: {syntax}"))
    }
}

/// A range of the body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    /// Exclusive.
    pub end: u32,
}

impl Span {
    fn new(start: usize, end: usize) -> Self {
        // Bodies beyond 4 GiB are refused before the first span is made.
        Self { start: start as u32, end: end as u32 }
    }

    pub const fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }

    pub(crate) const fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A checked request body and where the fields are that the gateway reads.
#[derive(Debug, Clone)]
pub struct Peeked {
    dialect: Dialect,
    body: Bytes,
    spans: [Span; Field::COUNT],
    /// One bit per field that was given as `null`.
    nulls: u32,
    /// One bit per text field that contains escapes.
    escaped: u32,
    /// The position after the root's opening brace.
    root_start: u32,
    root_is_empty: bool,
    stream_options_is_empty: bool,
    references: u32,
    /// Prompts of a completion; each has its own answers.
    prompts: u32,
    beyond_text: BeyondText,
    objects: Vec<NamedObject>,
}

/// Checks `body` and finds the fields that a request of `dialect` is governed by.
///
/// # Errors
/// [`BadBody`] when the body is not one JSON object in UTF-8, nests deeper than 127 levels, or has a field that the
/// gateway reads with a wrong type or range, twice, or in another spelling.
pub fn peek(dialect: Dialect, body: Bytes) -> Result<Peeked, BadBody> {
    if u32::try_from(body.len()).is_err() {
        return Err(BadBody::whole("the body is larger than 4 GiB"));
    }
    if let Err(error) = simdutf8::basic::from_utf8(&body).or_else(|_| simdutf8::compat::from_utf8(&body)) {
        return Err(BadBody::whole(format!(
            "the body is not valid UTF-8: bad byte at {}",
            error.valid_up_to()
        )));
    }
    let text = body.clone();
    let mut scanner = Scanner::new(&text);
    if scanner.token() != b'{' {
        scanner.skip()?;
        return Err(BadBody::whole("the body must be a JSON object"));
    }
    let mut peeked = Peeked {
        dialect,
        body,
        spans: [Span::default(); Field::COUNT],
        nulls: 0,
        escaped: 0,
        root_start: scanner.at() as u32 + 1,
        root_is_empty: true,
        stream_options_is_empty: true,
        references: 0,
        prompts: 1,
        beyond_text: BeyondText::default(),
        objects: Vec::new(),
    };
    let known = Field::top_level(dialect);
    scanner.members(|scanner, key| {
        peeked.root_is_empty = false;
        match find_field(&key, known)? {
            Some(field) => peeked.read(scanner, field),
            None => {
                let value = scanner.skip()?;
                peeked.beyond_text.note_option(&key, value);
                Ok(())
            }
        }
    })?;
    scanner.finish()?;
    Ok(peeked)
}

/// The field that `key` spells, or an error when it spells one in another way than documented.
fn find_field(key: &RawText<'_>, known: &[Field]) -> Result<Option<Field>, BadBody> {
    let inner = key.inner();
    let similar = |text: &[u8]| {
        known.iter().copied().find(|field| {
            let name = field.key().as_bytes();
            name.len() == text.len() && name.eq_ignore_ascii_case(text)
        })
    };
    let found = if is_plain(key) { similar(inner) } else { similar(folded(key).as_bytes()) };
    match found {
        Some(field) if field.key().as_bytes() != inner => {
            let written = String::from_utf8_lossy(inner);
            let problem = format!("is spelled `{written}`; write the key exactly as documented");
            Err(BadBody::about(field, problem))
        }
        found => Ok(found),
    }
}

/// A key as the most lenient reader sees it, but for the case of ASCII: readers that fold case by Unicode take the long
/// s and the Kelvin sign for `s` and `k`.
pub(crate) fn folded<'text>(key: &RawText<'text>) -> Cow<'text, str> {
    if is_plain(key) {
        return String::from_utf8_lossy(key.inner());
    }
    key.decode().chars().map(fold).collect::<String>().into()
}

fn is_plain(key: &RawText<'_>) -> bool {
    !key.escaped && key.inner().is_ascii()
}

const fn fold(character: char) -> char {
    match character {
        '\u{17F}' => 's',
        '\u{212A}' => 'k',
        other => other,
    }
}

impl Peeked {
    pub const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The whole body, as it came.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Where a field's value is, `null` included; `None` when the field is absent.
    pub fn span(&self, field: Field) -> Option<Span> {
        self.spans.get(field as usize).copied().filter(|span| !span.is_empty())
    }

    /// Whether a field is given, with another value than `null`.
    pub fn has(&self, field: Field) -> bool {
        self.present(field).is_some()
    }

    /// A text field's value, decoded.
    pub fn text(&self, field: Field) -> Option<Cow<'_, str>> {
        let span = self.present(field).filter(|_| field.is_text())?;
        let quoted = self.body.get(span.range())?;
        if self.escaped & field.bit() != 0 {
            return Some(decode_quoted(quoted));
        }
        quoted.get(1..quoted.len().saturating_sub(1)).map(String::from_utf8_lossy)
    }

    /// A yes-or-no field's value.
    pub fn flag(&self, field: Field) -> Option<bool> {
        let span = self.present(field).filter(|_| field.is_flag())?;
        self.body.get(span.range()).map(|bytes| bytes == b"true")
    }

    /// A counting field's value: output caps, `n`, `best_of`.
    pub fn count(&self, field: Field) -> Option<u64> {
        let span = self.present(field).filter(|_| field.is_count())?;
        self.body.get(span.range()).and_then(parse_digits)
    }

    /// The requested model as written.
    pub fn model(&self) -> Option<Cow<'_, str>> {
        self.text(Field::Model)
    }

    /// Whether the client asked for a stream.
    pub fn is_stream(&self) -> bool {
        self.flag(Field::Stream) == Some(true)
    }

    /// Whether the client itself asked for the usage chunk of a stream.
    pub fn wants_usage(&self) -> bool {
        self.flag(Field::IncludeUsage) == Some(true)
    }

    /// The largest number of output tokens of one choice that the client allowed.
    pub fn output_cap(&self) -> Option<u64> {
        Field::CAPS.iter().filter_map(|field| self.count(*field)).max()
    }

    /// How many answers the provider makes, and bills, for one request.
    pub fn choices(&self) -> u64 {
        let of_each = self.count(Field::N).unwrap_or(1).max(self.count(Field::BestOf).unwrap_or(1));
        of_each.saturating_mul(u64::from(self.prompts))
    }

    /// What the request asks for that its bytes and its output cap do not bound.
    pub const fn beyond_text(&self) -> BeyondText {
        self.beyond_text
    }

    /// Content that the body only points at (images by URL, files by id): its tokens cannot be told from bytes.
    pub const fn references(&self) -> u32 {
        self.references
    }

    /// What the body names inside its content and tools that a provider keeps, each id once.
    pub fn objects(&self) -> &[NamedObject] {
        &self.objects
    }

    pub(crate) const fn root_start(&self) -> u32 {
        self.root_start
    }

    pub(crate) const fn root_is_empty(&self) -> bool {
        self.root_is_empty
    }

    pub(crate) const fn stream_options_is_empty(&self) -> bool {
        self.stream_options_is_empty
    }

    pub(crate) fn present(&self, field: Field) -> Option<Span> {
        self.span(field).filter(|_| self.nulls & field.bit() == 0)
    }
}

#[cfg(test)]
mod tests;

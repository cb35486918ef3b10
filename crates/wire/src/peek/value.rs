//! Reads the value of one field and checks its type and range.

use tollgate_core::Dialect;

use super::beyond_text::{Beyond, Media, may_be_media};
use super::field::Kind;
use super::{BadBody, Field, Peeked, Span, find_field};
use crate::objects::{NamedObjects, Place, may_name};
use crate::scan::{RawText, Scanner, parse_digits};

/// Larger integers are not exact in the readers that use floats.
const MAX_CAP_TOKENS: u64 = 1 << 53;
const MAX_CHOICES: u64 = 1_024;

impl Peeked {
    /// Reads and records the value of `field`.
    pub(super) fn read(&mut self, scanner: &mut Scanner<'_>, field: Field) -> Result<(), BadBody> {
        if self.span(field).is_some() {
            return Err(BadBody::about(field, "is given twice; write it once"));
        }
        let token = scanner.token();
        let start = scanner.at();
        if token == b'n' {
            scanner.skip()?;
            self.nulls |= field.bit();
        } else {
            match field.kind() {
                Kind::Text => self.read_text(scanner, field, token)?,
                Kind::Flag => read_flag(scanner, field, token)?,
                Kind::Cap => read_count(scanner, field, 0, MAX_CAP_TOKENS)?,
                Kind::Choices => read_count(scanner, field, 1, MAX_CHOICES)?,
                Kind::Content => self.read_content(scanner, field)?,
                Kind::StreamOptions | Kind::Metadata | Kind::Thinking => {
                    self.read_object(scanner, field, token)?;
                }
                Kind::StoredObject => self.read_stored_object(scanner, field, token)?,
            }
        }
        self.place(field, start, scanner.at());
        Ok(())
    }

    fn place(&mut self, field: Field, start: usize, end: usize) {
        if let Some(span) = self.spans.get_mut(field as usize) {
            *span = Span::new(start, end);
        }
    }

    fn read_text(&mut self, scanner: &mut Scanner<'_>, field: Field, token: u8) -> Result<(), BadBody> {
        if token != b'"' {
            return Err(wrong_type(scanner, field, "a string"));
        }
        if scanner.string()?.escaped {
            self.escaped |= field.bit();
        }
        Ok(())
    }

    fn read_object(&mut self, scanner: &mut Scanner<'_>, field: Field, token: u8) -> Result<(), BadBody> {
        if token != b'{' {
            return Err(wrong_type(scanner, field, "an object"));
        }
        scanner.members(|scanner, key| {
            if field == Field::StreamOptions {
                self.stream_options_is_empty = false;
            }
            match find_field(&key, field.nested())? {
                Some(nested) => self.read(scanner, nested),
                None => Ok(scanner.skip().map(drop)?),
            }
        })
    }

    /// `"id"` and `{"id": "id"}` mean the same.
    fn read_stored_object(
        &mut self,
        scanner: &mut Scanner<'_>,
        field: Field,
        token: u8,
    ) -> Result<(), BadBody> {
        if token != b'"' {
            return self.read_object(scanner, field, token);
        }
        match field.nested() {
            [id] => self.read(scanner, *id),
            _ => Ok(scanner.skip().map(drop)?),
        }
    }

    fn read_content(&mut self, scanner: &mut Scanner<'_>, field: Field) -> Result<(), BadBody> {
        let place = place(self.dialect, field);
        let (walks, ids_count) = (place.is_some(), matches!(place, Some(Place::Items | Place::StoredPrompt)));
        let (mut names_objects, mut has_media) = (false, false);
        let mut on_text = |key: RawText<'_>, _: RawText<'_>| {
            has_media |= may_be_media(&key);
            names_objects |= walks && may_name(&key, ids_count);
        };
        let token = scanner.token();
        let start = scanner.at();
        match (field, token) {
            (Field::Tools, b'[') => {
                scanner.elements(|scanner| self.beyond_text.read_tool(scanner, &mut on_text))?;
            }
            (Field::Prompt, b'[') if self.dialect == Dialect::OpenaiCompletions => {
                self.prompts = read_prompts(scanner)?;
            }
            _ => drop(scanner.skip_with(&mut on_text)?),
        }
        let content = scanner.since(start);
        if has_media {
            let mut media = Media {
                beyond_text: &mut self.beyond_text,
                references: &mut self.references,
                are_blocks: self.dialect == Dialect::AnthropicMessages,
            };
            media.walk(&mut Scanner::new(content), &RawText { quoted: b"", escaped: false })?;
        }
        if let Some(place) = place.filter(|_| names_objects) {
            NamedObjects::new(&mut self.objects, field.name()).walk(&mut Scanner::new(content), place)?;
            if !self.objects.is_empty() {
                self.beyond_text.add(Beyond::Referenced);
            }
        }
        Ok(())
    }
}

/// How many prompts a list holds: texts or lists of tokens; bare tokens are one.
fn read_prompts(scanner: &mut Scanner<'_>) -> Result<u32, BadBody> {
    let mut prompts = 0_u32;
    scanner.elements(|scanner| {
        prompts = prompts.saturating_add(u32::from(matches!(scanner.token(), b'"' | b'[' | b'{')));
        Ok::<_, BadBody>(scanner.skip().map(drop)?)
    })?;
    Ok(prompts.max(1))
}

/// Where a field of content may name objects that a provider keeps.
const fn place(dialect: Dialect, field: Field) -> Option<Place> {
    match (dialect, field) {
        (Dialect::OpenaiResponses, Field::Input) => Some(Place::Items),
        (Dialect::OpenaiResponses, Field::Prompt) => Some(Place::StoredPrompt),
        (Dialect::OpenaiResponses, Field::Tools) | (Dialect::OpenaiChat, Field::Messages | Field::Tools) => {
            Some(Place::Plain)
        }
        (Dialect::AnthropicMessages, Field::Messages | Field::System | Field::Tools) => Some(Place::Blocks),
        _ => None,
    }
}

fn read_flag(scanner: &mut Scanner<'_>, field: Field, token: u8) -> Result<(), BadBody> {
    if !matches!(token, b't' | b'f') {
        return Err(wrong_type(scanner, field, "true or false"));
    }
    Ok(scanner.skip().map(drop)?)
}

fn read_count(scanner: &mut Scanner<'_>, field: Field, min: u64, max: u64) -> Result<(), BadBody> {
    if !matches!(scanner.token(), b'-' | b'0'..=b'9') {
        return Err(wrong_type(scanner, field, "a whole number"));
    }
    let number = scanner.number()?;
    let negative = number.starts_with(b"-");
    let fractional = number.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    match parse_digits(number) {
        Some(value) if (min..=max).contains(&value) => Ok(()),
        _ if fractional => Err(BadBody::about(field, "must be a whole number, written with digits only")),
        _ if negative => Err(BadBody::about(field, "must not be negative")),
        _ => Err(BadBody::about(field, format_args!("must be between {min} and {max}"))),
    }
}

/// A body that is not even JSON is reported as such, not as a wrong type.
fn wrong_type(scanner: &mut Scanner<'_>, field: Field, expected: &str) -> BadBody {
    match scanner.skip() {
        Err(syntax) => syntax.into(),
        Ok(_) => BadBody::about(field, format_args!("must be {expected}")),
    }
}

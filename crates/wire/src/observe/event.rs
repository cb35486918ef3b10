//! Reads one event of a stream with the scanner.

use tollgate_core::Dialect;

use super::StreamError;
use crate::objects::{self, HandedOut};
use crate::scan::{RawText, Scanner, Syntax};
use crate::usage::ReportedUsage;

/// Longest name, id or message that is kept of a provider's words.
const MAX_CHARS: usize = 256;

/// What one event tells.
#[derive(Debug, Default)]
pub(super) struct EventFacts {
    pub(super) content: bool,
    pub(super) terminator: bool,
    pub(super) finish_reason: Option<Box<str>>,
    pub(super) model: Option<Box<str>>,
    pub(super) id: Option<Box<str>>,
    pub(super) error: Option<StreamError>,
    pub(super) handed_out: Vec<HandedOut>,
    pub(super) usage: ReportedUsage,
    /// The usage is that of a stream's start.
    pub(super) usage_is_early: bool,
    /// `choices` is there and empty.
    no_choices: bool,
}

impl EventFacts {
    pub(super) fn is_only_usage(&self) -> bool {
        self.no_choices && self.usage.seen && self.error.is_none()
    }
}

pub(super) fn read(dialect: Dialect, name: Option<&[u8]>, data: &[u8]) -> Result<EventFacts, Syntax> {
    let mut scanner = Scanner::new(data);
    let facts = match dialect {
        Dialect::AnthropicMessages => anthropic(&mut scanner, name)?,
        Dialect::OpenaiResponses => responses(&mut scanner, name)?,
        _ => chat(&mut scanner)?,
    };
    scanner.finish()?;
    Ok(facts)
}

/// A string member; other types say nothing.
pub(crate) fn text(scanner: &mut Scanner<'_>) -> Result<Option<Box<str>>, Syntax> {
    if scanner.token() != b'"' {
        return scanner.skip().map(|_| None);
    }
    let text = scanner.string()?;
    Ok((text.quoted.len() > 2).then(|| text.excerpt(MAX_CHARS)))
}

/// Reads an object's members, or passes over anything else.
pub(crate) fn members_of<'text>(
    scanner: &mut Scanner<'text>,
    on_member: impl FnMut(&mut Scanner<'text>, RawText<'text>) -> Result<(), Syntax>,
) -> Result<(), Syntax> {
    if scanner.token() == b'{' { scanner.members(on_member) } else { scanner.skip().map(drop) }
}

/// `{"message", "type", "code"}`, or a bare text; `null` is no error.
pub(crate) fn error(scanner: &mut Scanner<'_>) -> Result<Option<StreamError>, Syntax> {
    let mut error = StreamError::default();
    match scanner.token() {
        b'n' => return scanner.skip().map(|_| None),
        b'"' => error.message = text(scanner)?,
        _ => members_of(scanner, |scanner, key| {
            match key.inner() {
                b"message" => error.message = text(scanner)?,
                b"type" => error.kind = text(scanner)?,
                b"code" if scanner.token() == b'"' => error.code = text(scanner)?,
                b"code" => {
                    let number = scanner.skip()?;
                    error.code = (number != b"null").then(|| String::from_utf8_lossy(number).into());
                }
                _ => drop(scanner.skip()?),
            }
            Ok(())
        })?,
    }
    Ok(Some(error))
}

/// Whether a value is neither empty nor a bare scalar.
fn is_content(scanner: &mut Scanner<'_>) -> Result<bool, Syntax> {
    Ok(match scanner.token() {
        b'"' => scanner.string()?.quoted.len() > 2,
        b'{' | b'[' => {
            scanner.skip()?.iter().any(|byte| !byte.is_ascii_whitespace() && !b"{}[]".contains(byte))
        }
        _ => {
            scanner.skip()?;
            false
        }
    })
}

/// Whether a delta carries anything but its role and type. New kinds of content count without being known.
fn delta_is_content(scanner: &mut Scanner<'_>) -> Result<bool, Syntax> {
    let mut content = false;
    members_of(scanner, |scanner, key| {
        match key.inner() {
            b"role" | b"type" | b"stop_reason" | b"stop_sequence" => drop(scanner.skip()?),
            _ => content |= is_content(scanner)?,
        }
        Ok(())
    })?;
    Ok(content)
}

fn chat(scanner: &mut Scanner<'_>) -> Result<EventFacts, Syntax> {
    let mut facts = EventFacts::default();
    let mut inner_usage = ReportedUsage::default();
    members_of(scanner, |scanner, key| {
        match key.inner() {
            b"id" => facts.id = text(scanner)?,
            b"model" => facts.model = text(scanner)?,
            b"usage" => facts.usage.read(scanner)?,
            b"error" => facts.error = error(scanner)?,
            // Groq repeats the usage in its own object, and some of its models give it only there.
            b"x_groq" => members_of(scanner, |scanner, key| match key.inner() {
                b"usage" => inner_usage.read(scanner),
                _ => scanner.skip().map(drop),
            })?,
            b"choices" if scanner.token() == b'[' => {
                facts.no_choices = true;
                scanner.elements(|scanner| {
                    facts.no_choices = false;
                    chat_choice(scanner, &mut facts)
                })?;
            }
            _ => drop(scanner.skip()?),
        }
        Ok::<_, Syntax>(())
    })?;
    if !facts.usage.seen {
        facts.usage = inner_usage;
    }
    if facts.finish_reason.as_deref() == Some("error") {
        facts.error.get_or_insert_default();
    }
    Ok(facts)
}

fn chat_choice(scanner: &mut Scanner<'_>, facts: &mut EventFacts) -> Result<(), Syntax> {
    members_of(scanner, |scanner, key| {
        match key.inner() {
            b"delta" => facts.content |= delta_is_content(scanner)?,
            b"text" => facts.content |= is_content(scanner)?,
            b"finish_reason" => facts.finish_reason = text(scanner)?.or(facts.finish_reason.take()),
            _ => drop(scanner.skip()?),
        }
        Ok(())
    })
}

fn anthropic(scanner: &mut Scanner<'_>, name: Option<&[u8]>) -> Result<EventFacts, Syntax> {
    let mut facts = EventFacts::default();
    let (mut kind, mut block_kind) = (None, None);
    let mut delta_content = false;
    members_of(scanner, |scanner, key| {
        match key.inner() {
            b"type" => kind = text(scanner)?,
            b"error" => facts.error = error(scanner)?,
            b"usage" => facts.usage.read(scanner)?,
            b"message" => members_of(scanner, |scanner, key| {
                match key.inner() {
                    b"id" => facts.id = text(scanner)?,
                    b"model" => facts.model = text(scanner)?,
                    b"container" => facts.handed_out.extend(objects::container(scanner)?),
                    b"usage" => {
                        facts.usage_is_early = true;
                        facts.usage.read(scanner)?;
                    }
                    _ => drop(scanner.skip()?),
                }
                Ok(())
            })?,
            b"content_block" => members_of(scanner, |scanner, key| {
                match key.inner() {
                    b"type" => block_kind = text(scanner)?,
                    _ => drop(scanner.skip()?),
                }
                Ok(())
            })?,
            b"delta" => members_of(scanner, |scanner, key| {
                match key.inner() {
                    b"stop_reason" => facts.finish_reason = text(scanner)?,
                    b"container" => facts.handed_out.extend(objects::container(scanner)?),
                    b"type" | b"stop_sequence" => drop(scanner.skip()?),
                    _ => delta_content |= is_content(scanner)?,
                }
                Ok(())
            })?,
            _ => drop(scanner.skip()?),
        }
        Ok::<_, Syntax>(())
    })?;
    let kind = name.or(kind.as_deref().map(str::as_bytes)).unwrap_or_default();
    facts.terminator = kind == b"message_stop";
    facts.content = kind == b"content_block_delta" && delta_content
        || kind == b"content_block_start"
            && !matches!(block_kind.as_deref(), None | Some("text" | "thinking"));
    if kind == b"error" {
        facts.error.get_or_insert_default();
    }
    Ok(facts)
}

fn responses(scanner: &mut Scanner<'_>, name: Option<&[u8]>) -> Result<EventFacts, Syntax> {
    let mut facts = EventFacts::default();
    let (mut kind, mut status, mut reason) = (None, None, None);
    let (mut flat, mut delta_content) = (StreamError::default(), false);
    members_of(scanner, |scanner, key| {
        match key.inner() {
            b"type" => kind = text(scanner)?,
            b"error" => facts.error = error(scanner)?,
            b"message" => flat.message = text(scanner)?,
            b"code" => flat.code = text(scanner)?,
            b"delta" => delta_content = is_content(scanner)?,
            b"response" => members_of(scanner, |scanner, key| {
                match key.inner() {
                    b"id" => facts.id = text(scanner)?,
                    b"model" => facts.model = text(scanner)?,
                    b"status" => status = text(scanner)?,
                    b"output" => facts.handed_out = objects::of_output(scanner.skip()?)?,
                    b"usage" => facts.usage.read(scanner)?,
                    b"error" => facts.error = error(scanner)?,
                    b"incomplete_details" => members_of(scanner, |scanner, key| {
                        match key.inner() {
                            b"reason" => reason = text(scanner)?,
                            _ => drop(scanner.skip()?),
                        }
                        Ok(())
                    })?,
                    _ => drop(scanner.skip()?),
                }
                Ok(())
            })?,
            _ => drop(scanner.skip()?),
        }
        Ok::<_, Syntax>(())
    })?;
    let kind = name.or(kind.as_deref().map(str::as_bytes)).unwrap_or_default();
    facts.terminator = matches!(kind, b"response.completed" | b"response.incomplete" | b"response.failed");
    if facts.terminator {
        facts.finish_reason = reason.or(status);
    }
    facts.content = kind.ends_with(b".delta") && delta_content
        || kind.ends_with(b".done")
        || kind.ends_with(b".partial_image");
    if matches!(kind, b"error" | b"response.failed") {
        facts.error.get_or_insert(flat);
    }
    Ok(facts)
}

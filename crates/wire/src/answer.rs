//! What the gateway needs to know of a non-streamed answer, read in one pass without a tree.

use tollgate_core::{Dialect, TokenUsage};

use crate::objects::{self, HandedOut};
use crate::observe::{StreamError, read_error, read_members, read_text};
use crate::scan::{RawText, Scanner, Syntax};
use crate::usage::{ReportedUsage, UsageProblem};
use crate::{dialect_inclusion, produced};

/// An answer's body is not what its dialect says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the provider's answer is not valid JSON: {0}")]
pub struct BadAnswer(String);

impl From<Syntax> for BadAnswer {
    fn from(syntax: Syntax) -> Self {
        Self(syntax.to_string())
    }
}

/// What an answer tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The model that the provider says has answered.
    pub model: Option<Box<str>>,
    pub id: Option<Box<str>>,
    /// An error in the body, whatever the status said.
    pub error: Option<StreamError>,
    /// The provider's word for why the answer ended: that of the last choice.
    pub finish_reason: Option<Box<str>>,
    /// Bytes of produced text as written in the JSON.
    pub text_bytes: u64,
    /// Ids beside [`Self::id`] that later requests may refer to.
    pub handed_out: Vec<HandedOut>,
    usage: ReportedUsage,
    dialect: Option<Dialect>,
}

impl Answer {
    /// Usage as reported; `None` when the provider has not told.
    ///
    /// # Errors
    /// [`UsageProblem`] when it cannot be true.
    pub fn usage(&self) -> Result<Option<TokenUsage>, UsageProblem> {
        self.usage.meters(dialect_inclusion(self.dialect.unwrap_or(Dialect::OpenaiChat)))
    }
}

/// Reads an answer's body. Bodies of error answers can be read too.
///
/// # Errors
/// [`BadAnswer`] when the body is not JSON in UTF-8. A value other than an object tells nothing.
pub fn read_answer(dialect: Dialect, body: &[u8]) -> Result<Answer, BadAnswer> {
    if simdutf8::basic::from_utf8(body).is_err() {
        return Err(BadAnswer("it is not UTF-8".into()));
    }
    let mut answer = Answer { dialect: Some(dialect), ..Answer::default() };
    let mut inner_usage = ReportedUsage::default();
    let (mut status, mut reason) = (None, None);
    let mut scanner = Scanner::new(body);
    if scanner.token() != b'{' {
        return Err(BadAnswer("it is not a JSON object".into()));
    }
    read_members(&mut scanner, |scanner, key| {
        match key.inner() {
            b"id" => answer.id = read_text(scanner)?,
            b"model" => answer.model = read_text(scanner)?,
            b"usage" => answer.usage.read(scanner)?,
            b"error" => answer.error = read_error(scanner)?,
            b"input_tokens" if !answer.usage.seen => inner_usage.read_input(scanner)?,
            b"x_groq" => read_members(scanner, |scanner, key| match key.inner() {
                b"usage" => inner_usage.read(scanner),
                _ => scanner.skip().map(drop),
            })?,
            b"stop_reason" => answer.finish_reason = read_text(scanner)?,
            b"status" => status = read_text(scanner)?,
            b"incomplete_details" => read_members(scanner, |scanner, key| {
                match key.inner() {
                    b"reason" => reason = read_text(scanner)?,
                    _ => drop(scanner.skip()?),
                }
                Ok(())
            })?,
            b"choices" if scanner.token() == b'[' => {
                scanner.elements(|scanner| read_choice(scanner, &mut answer))?;
            }
            b"output" if dialect == Dialect::OpenaiResponses => {
                let output = read_produced(scanner, &mut answer.text_bytes)?;
                answer.handed_out = objects::of_output(output)?;
            }
            b"container" => answer.handed_out.extend(objects::container(scanner)?),
            b"content" | b"output" => drop(read_produced(scanner, &mut answer.text_bytes)?),
            _ => drop(scanner.skip()?),
        }
        Ok(())
    })?;
    scanner.finish()?;
    if !answer.usage.seen {
        answer.usage = inner_usage;
    }
    if dialect == Dialect::OpenaiResponses {
        answer.finish_reason = reason.or(status);
    }
    Ok(answer)
}

fn read_choice(scanner: &mut Scanner<'_>, answer: &mut Answer) -> Result<(), Syntax> {
    read_members(scanner, |scanner, key| {
        match key.inner() {
            b"finish_reason" => answer.finish_reason = read_text(scanner)?.or(answer.finish_reason.take()),
            b"message" => drop(read_produced(scanner, &mut answer.text_bytes)?),
            b"text" if scanner.token() == b'"' => {
                answer.text_bytes += scanner.string()?.inner().len() as u64;
            }
            _ => drop(scanner.skip()?),
        }
        Ok(())
    })
}

fn read_produced<'text>(scanner: &mut Scanner<'text>, total: &mut u64) -> Result<&'text [u8], Syntax> {
    let mut count = |key: RawText<'_>, text: RawText<'_>| {
        if !is_label(key.inner()) {
            *total += text.inner().len() as u64;
        }
    };
    scanner.skip_with(&mut count)
}

/// Texts beside the produced ones.
fn is_label(key: &[u8]) -> bool {
    matches!(
        key,
        b"id"
            | b"type"
            | b"role"
            | b"status"
            | b"call_id"
            | b"tool_use_id"
            | b"signature"
            | b"encrypted_content"
            | b"data"
            | b"object"
            | b"url"
    )
}

/// The text of a whole answer, for counting tokens when the provider did not. Builds a tree.
pub fn produced_text(dialect: Dialect, body: &[u8]) -> String {
    produced::answer_text(dialect, body)
}

#[cfg(test)]
mod tests;

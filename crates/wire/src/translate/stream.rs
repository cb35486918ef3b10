//! Streams between dialects, one event at a time.

use tollgate_core::Dialect;

use super::carry::Carry;
use super::error::TranslateError;
use super::{anthropic, openai_chat, openai_responses};
use crate::canonical::{ApiError, ApiErrorKind, BlockKind, StreamEvent};

/// Turns the events of an upstream's stream into the client's dialect. Keeps the state of the open block
/// only, but for dialects whose end repeats the whole answer: those keep a bounded one.
#[derive(Debug)]
pub struct StreamTranslator {
    reader: Reader,
    writer: Writer,
    carry: Carry,
    events: Vec<StreamEvent>,
    state: StreamState,
}

/// How far a translated stream has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamState {
    Open,
    /// The client has its dialect's terminator.
    Complete,
    /// The client has its dialect's error event; nothing more is written.
    Failed(ApiError),
}

#[derive(Debug)]
enum Reader {
    OpenaiChat(openai_chat::StreamReader),
    OpenaiResponses(openai_responses::StreamReader),
    Anthropic(anthropic::StreamReader),
}

#[derive(Debug)]
enum Writer {
    OpenaiChat(openai_chat::StreamWriter),
    OpenaiResponses(Box<openai_responses::StreamWriter>),
    Anthropic(anthropic::StreamWriter),
}

impl StreamTranslator {
    /// `from` is the upstream's dialect, `to` the client's.
    ///
    /// # Errors
    /// `Unsupported` when one of the dialects has no stream that is translated.
    pub fn new(from: Dialect, to: Dialect, carry: Carry) -> Result<Self, TranslateError> {
        let unsupported = TranslateError::Unsupported { from, to };
        let reader = match from {
            Dialect::OpenaiChat => Reader::OpenaiChat(openai_chat::StreamReader::default()),
            Dialect::OpenaiResponses => Reader::OpenaiResponses(openai_responses::StreamReader::default()),
            Dialect::AnthropicMessages => Reader::Anthropic(anthropic::StreamReader::default()),
            _ => return Err(unsupported),
        };
        let writer = match to {
            Dialect::OpenaiChat => Writer::OpenaiChat(openai_chat::StreamWriter::new(&carry)),
            Dialect::OpenaiResponses => {
                Writer::OpenaiResponses(Box::new(openai_responses::StreamWriter::new(&carry)))
            }
            Dialect::AnthropicMessages => Writer::Anthropic(anthropic::StreamWriter::new(&carry)),
            _ => return Err(unsupported),
        };
        Ok(Self { reader, writer, carry, events: Vec::new(), state: StreamState::Open })
    }

    pub const fn state(&self) -> &StreamState {
        &self.state
    }

    /// Translates one server-sent event: its `event:` name, if it had one, and its data. Appends whole events to
    /// `out`, or nothing.
    ///
    /// An error that the upstream reports in its stream is written to `out` and shows in [`Self::state`].
    ///
    /// # Errors
    /// `Response` when the event breaks the upstream's dialect. Nothing of the event was written; call
    /// [`Self::fail`] to tell the client.
    pub fn event(
        &mut self,
        name: Option<&str>,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), TranslateError> {
        if self.state != StreamState::Open {
            return Ok(());
        }
        self.events.clear();
        match &mut self.reader {
            Reader::OpenaiChat(reader) => reader.event(data, &mut self.events)?,
            Reader::OpenaiResponses(reader) => reader.event(name, data, &mut self.events)?,
            Reader::Anthropic(reader) => reader.event(name, data, &mut self.events)?,
        }
        self.write_events(out);
        Ok(())
    }

    /// The upstream closed its stream. Writes the client's terminator if it is still missing.
    ///
    /// # Errors
    /// `Response` when the upstream closed before its dialect's end; call [`Self::fail`] to tell the client.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), TranslateError> {
        if self.state != StreamState::Open {
            return Ok(());
        }
        self.events.clear();
        match &mut self.reader {
            Reader::OpenaiChat(reader) => reader.finish(&mut self.events)?,
            Reader::OpenaiResponses(reader) => reader.finish()?,
            Reader::Anthropic(reader) => reader.finish()?,
        }
        self.write_events(out);
        Ok(())
    }

    /// Ends the client's stream with its dialect's error event. Does nothing after an end or another error.
    ///
    /// The kind tells clients whether to try again; the code is ours, if there is one.
    pub fn fail(&mut self, kind: ApiErrorKind, code: Option<&str>, message: &str, out: &mut Vec<u8>) {
        if self.state != StreamState::Open {
            return;
        }
        let code = code.map(str::to_owned);
        let error = ApiError { kind, message: message.to_owned(), code, parameter: None };
        match &mut self.writer {
            Writer::OpenaiChat(writer) => writer.error(&error, out),
            Writer::OpenaiResponses(writer) => writer.error(&error, out),
            Writer::Anthropic(writer) => writer.error(&error, out),
        }
        self.state = StreamState::Failed(error);
    }

    fn write_events(&mut self, out: &mut Vec<u8>) {
        for mut event in self.events.drain(..) {
            match &mut event {
                StreamEvent::BlockStart(BlockKind::ToolCall { name, .. }) => {
                    *name = self.carry.client_tool_name(std::mem::take(name));
                }
                StreamEvent::End => self.state = StreamState::Complete,
                StreamEvent::Error(error) => self.state = StreamState::Failed(error.clone()),
                _ => {}
            }
            match &mut self.writer {
                Writer::OpenaiChat(writer) => writer.write(event, out),
                Writer::OpenaiResponses(writer) => writer.write(event, out),
                Writer::Anthropic(writer) => writer.write(event, out),
            }
        }
        if let Writer::OpenaiResponses(writer) = &self.writer
            && writer.is_too_long()
        {
            self.fail(ApiErrorKind::Server, None, "the answer is too long to be translated", out);
        }
    }
}

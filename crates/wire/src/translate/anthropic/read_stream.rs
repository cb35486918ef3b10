//! Events of a message stream to canonical events.

use super::read_response::proof;
use super::usage::Counters;
use super::{api_error, read_stop_reason};
use crate::canonical::{BlockKind, StreamEvent};
use crate::translate::error::{Side, TranslateError};
use crate::translate::read::Object;

type Events = Vec<StreamEvent>;

#[derive(Debug, Default)]
pub(in crate::translate) struct StreamReader {
    started: bool,
    open: Option<Open>,
    counters: Counters,
    stopped: bool,
    ended: bool,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    index: u64,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
    ToolCall,
    Opaque,
    /// A kind that only its provider knows; its deltas are left out with it.
    Unknown,
}

impl StreamReader {
    pub(in crate::translate) fn event(
        &mut self,
        name: Option<&str>,
        data: &[u8],
        events: &mut Events,
    ) -> Result<(), TranslateError> {
        let mut event = Object::parse(data, Side::Response)?;
        let kind = event.text("type")?.or_else(|| name.map(str::to_owned)).unwrap_or_default();
        match kind.as_str() {
            "ping" => events.push(StreamEvent::KeepAlive),
            "error" => {
                let error = event.require("error")?;
                events.push(StreamEvent::Error(api_error::read_error_node(&error)));
            }
            "message_start" => self.message_start(&mut event, events)?,
            "content_block_start"
            | "content_block_delta"
            | "content_block_stop"
            | "message_delta"
            | "message_stop"
                if !self.started =>
            {
                return Err(TranslateError::response(format!("{kind} before message_start")));
            }
            "content_block_start" => self.block_start(&mut event, events)?,
            "content_block_delta" => self.block_delta(&mut event, events)?,
            "content_block_stop" => self.block_stop(&mut event, events)?,
            "message_delta" => self.message_delta(&mut event, events)?,
            "message_stop" => self.message_stop(events)?,
            // The dialect asks its readers to pass over events that they do not know.
            _ => {}
        }
        Ok(())
    }

    pub(in crate::translate) fn finish(&self) -> Result<(), TranslateError> {
        if self.ended {
            return Ok(());
        }
        Err(TranslateError::response("the stream ended without message_stop"))
    }

    fn message_start(&mut self, event: &mut Object<'_>, events: &mut Events) -> Result<(), TranslateError> {
        if self.started {
            return Err(TranslateError::response("message_start twice"));
        }
        self.started = true;
        let mut message = event.require("message")?.object()?;
        if let Some(usage) = message.object("usage")? {
            self.counters.merge(usage)?;
        }
        let id = message.text("id")?.unwrap_or_default();
        let model = message.text("model")?.unwrap_or_default();
        events.push(StreamEvent::Start { id, model });
        events.push(StreamEvent::Usage(self.counters.usage()));
        Ok(())
    }

    fn block_start(&mut self, event: &mut Object<'_>, events: &mut Events) -> Result<(), TranslateError> {
        if self.open.is_some() {
            return Err(TranslateError::response("a content block starts inside another"));
        }
        if self.stopped {
            return Err(TranslateError::response("content arrived after the stop reason"));
        }
        let index = event.require("index")?.unsigned()?;
        let mut block = event.require("content_block")?.object()?;
        let (kind, start) = match block.require("type")?.text()?.as_str() {
            "text" => (Kind::Text, Some(BlockKind::Text)),
            "thinking" => (Kind::Reasoning, Some(BlockKind::Reasoning)),
            "redacted_thinking" => {
                let data = block.require("data")?.text()?;
                (Kind::Opaque, Some(BlockKind::RedactedReasoning { data }))
            }
            "tool_use" => {
                let id = block.require("id")?.text()?;
                let name = block.require("name")?.text()?;
                (Kind::ToolCall, Some(BlockKind::ToolCall { id, name }))
            }
            _ => (Kind::Unknown, None),
        };
        self.open = Some(Open { index, kind });
        events.extend(start.map(StreamEvent::BlockStart));
        // Compatible servers put the beginning, or the whole, into the start.
        match kind {
            Kind::Text => text_delta(block.text("text")?, events),
            Kind::Reasoning => {
                text_delta(block.text("thinking")?, events);
                let signature = block.text("signature")?.and_then(proof);
                events.extend(signature.map(StreamEvent::Signature));
            }
            Kind::ToolCall => {
                let input = block.take("input").map(|input| input.json());
                let whole = input.filter(|input| input.is_object() && input.as_str() != "{}");
                events.extend(whole.map(|input| StreamEvent::ToolInputDelta(input.as_str().to_owned())));
            }
            Kind::Opaque | Kind::Unknown => {}
        }
        Ok(())
    }

    fn block_delta(&mut self, event: &mut Object<'_>, events: &mut Events) -> Result<(), TranslateError> {
        let open = self.opened(event)?;
        let mut delta = event.require("delta")?.object()?;
        let kind = delta.require("type")?.text()?;
        match (kind.as_str(), open.kind) {
            (_, Kind::Unknown) => {}
            ("text_delta", Kind::Text) => text_delta(Some(delta.require("text")?.text()?), events),
            ("thinking_delta", Kind::Reasoning) => {
                text_delta(Some(delta.require("thinking")?.text()?), events);
            }
            ("signature_delta", Kind::Reasoning) => {
                let signature = proof(delta.require("signature")?.text()?);
                events.extend(signature.map(StreamEvent::Signature));
            }
            ("input_json_delta", Kind::ToolCall) => {
                let more = delta.require("partial_json")?.text()?;
                if !more.is_empty() {
                    events.push(StreamEvent::ToolInputDelta(more));
                }
            }
            ("text_delta" | "thinking_delta" | "signature_delta" | "input_json_delta", _) => {
                return Err(TranslateError::response(format!("{kind} in a block of another kind")));
            }
            // Citations and whatever comes next are notes on the content.
            _ => {}
        }
        Ok(())
    }

    fn opened(&self, event: &mut Object<'_>) -> Result<Open, TranslateError> {
        let index = event.require("index")?.unsigned()?;
        self.open
            .filter(|open| open.index == index)
            .ok_or_else(|| TranslateError::response(format!("content block {index} is not open")))
    }

    fn block_stop(&mut self, event: &mut Object<'_>, events: &mut Events) -> Result<(), TranslateError> {
        let open = self.opened(event)?;
        self.open = None;
        if open.kind != Kind::Unknown {
            events.push(StreamEvent::BlockEnd);
        }
        Ok(())
    }

    fn message_delta(&mut self, event: &mut Object<'_>, events: &mut Events) -> Result<(), TranslateError> {
        if let Some(usage) = event.object("usage")? {
            self.counters.merge(usage)?;
            events.push(StreamEvent::Usage(self.counters.usage()));
        }
        let mut delta = event.require("delta")?.object()?;
        let Some(reason) = delta.text("stop_reason")? else { return Ok(()) };
        if self.open.is_some() {
            return Err(TranslateError::response("a stop reason inside a content block"));
        }
        if !self.stopped {
            self.stopped = true;
            let stop_sequence = delta.text("stop_sequence")?;
            events.push(StreamEvent::Stop { reason: read_stop_reason(reason), stop_sequence });
        }
        Ok(())
    }

    fn message_stop(&mut self, events: &mut Events) -> Result<(), TranslateError> {
        if !self.stopped {
            return Err(TranslateError::response("message_stop without a stop reason"));
        }
        if !self.ended {
            self.ended = true;
            events.push(StreamEvent::End);
        }
        Ok(())
    }
}

fn text_delta(text: Option<String>, events: &mut Events) {
    events.extend(text.filter(|text| !text.is_empty()).map(StreamEvent::TextDelta));
}

//! Chat completion chunks to canonical events.

use super::{api_error, missing_call_id, read_content, read_stop_reason, usage};
use crate::canonical::{BlockKind, StopReason, StreamEvent};
use crate::translate::error::{Side, TranslateError};
use crate::translate::read::{Node, Object};

/// How much of a call's input may arrive before its name.
const UNNAMED_INPUT_LIMIT_BYTES: usize = 64 * 1024;

type Events = Vec<StreamEvent>;

#[derive(Debug, Default)]
pub(in crate::translate) struct StreamReader {
    started: bool,
    id: String,
    open: Open,
    calls: usize,
    refused: bool,
    stopped: bool,
    ended: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    Text,
    Reasoning,
    Refusal,
    Call {
        index: Option<u64>,
        id: String,
    },
    /// A call whose name has not arrived.
    Unnamed {
        index: Option<u64>,
        id: String,
        input: String,
    },
}

impl StreamReader {
    pub(in crate::translate) fn event(
        &mut self,
        data: &[u8],
        events: &mut Events,
    ) -> Result<(), TranslateError> {
        if data.trim_ascii() == b"[DONE]" {
            return self.end(events);
        }
        let mut chunk = Object::parse(data, Side::Response)?;
        if let Some(error) = chunk.take("error") {
            events.push(StreamEvent::Error(api_error::read_error_node(&error)));
            return Ok(());
        }
        if !self.started {
            self.started = true;
            self.id = chunk.text("id")?.unwrap_or_default();
            let model = chunk.text("model")?.unwrap_or_default();
            events.push(StreamEvent::Start { id: self.id.clone(), model });
        }
        // Only one answer was asked for; empty choices carry usage or filter results.
        if let Some(node) = chunk.array("choices")?.first() {
            self.choice(node, events)?;
        }
        if let Some(usage) = chunk.object("usage")? {
            events.push(StreamEvent::Usage(usage::read_usage(usage)?));
        }
        Ok(())
    }

    /// The upstream closed; servers that send no `[DONE]` have at least given a finish reason.
    pub(in crate::translate) fn finish(&mut self, events: &mut Events) -> Result<(), TranslateError> {
        if self.ended { Ok(()) } else { self.end(events) }
    }

    fn end(&mut self, events: &mut Events) -> Result<(), TranslateError> {
        if !self.stopped {
            return Err(TranslateError::response("the stream ended without a finish reason"));
        }
        if !self.ended {
            self.ended = true;
            events.push(StreamEvent::End);
        }
        Ok(())
    }

    fn choice(&mut self, node: &Node<'_>, events: &mut Events) -> Result<(), TranslateError> {
        let mut choice = node.object()?;
        if let Some(mut delta) = choice.object("delta")? {
            let alias = delta.take("reasoning").filter(Node::is_text).map(|node| node.text()).transpose()?;
            let reasoning = delta.text("reasoning_content")?.or(alias);
            self.text(Open::Reasoning, reasoning, events)?;
            self.content(delta.take("content"), events)?;
            let refusal = delta.text("refusal")?;
            self.text(Open::Refusal, refusal, events)?;
            for call in delta.array("tool_calls")? {
                self.tool_call(&call, events)?;
            }
        }
        if let Some(reason) = choice.text("finish_reason")?
            && !self.stopped
        {
            self.stop(&reason, events)?;
        }
        Ok(())
    }

    /// `content` is a string, or at some servers an array of text and thinking parts.
    fn content(&mut self, content: Option<Node<'_>>, events: &mut Events) -> Result<(), TranslateError> {
        let Some(content) = content else { return Ok(()) };
        if content.is_text() {
            return self.text(Open::Text, Some(content.text()?), events);
        }
        for node in content.array_or_text()? {
            let mut part = node.object()?;
            if let Some(thinking) = read_content::read_thinking_part(&mut part)? {
                self.text(Open::Reasoning, Some(thinking), events)?;
            }
            let text = part.text("text")?;
            self.text(Open::Text, text, events)?;
        }
        Ok(())
    }

    fn stop(&mut self, reason: &str, events: &mut Events) -> Result<(), TranslateError> {
        self.close(events)?;
        let mut reason = read_stop_reason(reason, self.calls > 0);
        if reason == StopReason::Other("error".to_owned()) {
            return Err(TranslateError::response("the provider stopped with an error"));
        }
        if self.refused && reason == StopReason::EndTurn {
            reason = StopReason::Refusal;
        }
        self.stopped = true;
        events.push(StreamEvent::Stop { reason, stop_sequence: None });
        Ok(())
    }

    fn text(&mut self, kind: Open, text: Option<String>, events: &mut Events) -> Result<(), TranslateError> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(()) };
        self.refuse_after_stop()?;
        if self.open != kind {
            self.close(events)?;
            events.push(StreamEvent::BlockStart(match kind {
                Open::Reasoning => BlockKind::Reasoning,
                Open::Refusal => BlockKind::Refusal,
                _ => BlockKind::Text,
            }));
            self.refused |= kind == Open::Refusal;
            self.open = kind;
        }
        events.push(StreamEvent::TextDelta(text));
        Ok(())
    }

    fn refuse_after_stop(&self) -> Result<(), TranslateError> {
        if self.stopped {
            return Err(TranslateError::response("content arrived after the finish reason"));
        }
        Ok(())
    }

    fn tool_call(&mut self, node: &Node<'_>, events: &mut Events) -> Result<(), TranslateError> {
        let mut call = node.object()?;
        let index = call.unsigned("index")?;
        let id = call.text("id")?.unwrap_or_default();
        let (mut name, mut input) = (String::new(), String::new());
        if let Some(mut function) = call.object("function")? {
            name = function.text("name")?.unwrap_or_default();
            input = match function.take("arguments") {
                None => String::new(),
                Some(node) if node.is_text() => node.text()?,
                Some(node) => node.json().as_str().to_owned(),
            };
        }
        self.refuse_after_stop()?;
        if self.is_new_call(index, &id) {
            if id.is_empty() && name.is_empty() && input.is_empty() {
                return Ok(());
            }
            if id.is_empty() && name.is_empty() && self.calls > 0 {
                return Err(node.error("continues a tool call that is already complete"));
            }
            self.close(events)?;
            self.open = Open::Unnamed { index, id, input: String::new() };
        }
        self.continue_call(&name, &input, events)
    }

    /// A call is new by its index; servers that number every call 0, or none, tell them apart by id.
    fn is_new_call(&self, index: Option<u64>, id: &str) -> bool {
        match &self.open {
            Open::Call { index: open_index, id: open_id }
            | Open::Unnamed { index: open_index, id: open_id, .. } => {
                let other_index = index.is_some() && index != *open_index;
                other_index || (!id.is_empty() && !open_id.is_empty() && id != open_id)
            }
            _ => true,
        }
    }

    fn continue_call(&mut self, name: &str, more: &str, events: &mut Events) -> Result<(), TranslateError> {
        if let Open::Unnamed { index, id, input } = &mut self.open {
            if input.len().saturating_add(more.len()) > UNNAMED_INPUT_LIMIT_BYTES {
                return Err(TranslateError::response("a tool call has input but no name"));
            }
            input.push_str(more);
            if name.is_empty() {
                return Ok(());
            }
            let id = if id.is_empty() { missing_call_id(&self.id, self.calls) } else { std::mem::take(id) };
            let input = std::mem::take(input);
            self.open = Open::Call { index: *index, id: id.clone() };
            self.calls += 1;
            events.push(StreamEvent::BlockStart(BlockKind::ToolCall { id, name: name.to_owned() }));
            if !input.is_empty() {
                events.push(StreamEvent::ToolInputDelta(input));
            }
        } else if !more.is_empty() {
            events.push(StreamEvent::ToolInputDelta(more.to_owned()));
        }
        Ok(())
    }

    fn close(&mut self, events: &mut Events) -> Result<(), TranslateError> {
        match std::mem::take(&mut self.open) {
            Open::Nothing => {}
            Open::Unnamed { .. } => return Err(TranslateError::response("a tool call has no name")),
            _ => events.push(StreamEvent::BlockEnd),
        }
        Ok(())
    }
}

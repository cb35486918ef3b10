//! Canonical events to a response stream.
//!
//! Order: `response.created`, `response.in_progress`; for each item `output_item.added`, its part and deltas, their
//! `done` events and `output_item.done`; one of `response.completed`, `.incomplete` and `.failed` with everything.

use tollgate_core::TokenUsage;

use super::answer::{self, Stage};
use super::incomplete_reason;
use super::item_writer::Item;
use super::stream_item::{Events, OpenItem};
use crate::canonical::{ApiError, BlockKind, StopReason, StreamEvent};
use crate::translate::carry::Carry;
use crate::translate::openai_chat;

/// How much of an answer is kept for the events that repeat it.
const MAXIMUM_KEPT_BYTES: usize = 32 << 20;

#[derive(Debug)]
pub(in crate::translate) struct StreamWriter {
    carry: Carry,
    id: String,
    model: String,
    sequence_number: u64,
    open: Option<OpenItem>,
    /// Finished items.
    items: Vec<Vec<u8>>,
    kept_bytes: usize,
    refused: bool,
    stop: Option<StopReason>,
    usage: TokenUsage,
}

impl StreamWriter {
    pub(in crate::translate) fn new(carry: &Carry) -> Self {
        Self {
            carry: carry.clone(),
            id: answer::response_id(""),
            model: carry.model.clone(),
            sequence_number: 0,
            open: None,
            items: Vec::new(),
            kept_bytes: 0,
            refused: false,
            stop: None,
            usage: TokenUsage::default(),
        }
    }

    pub(in crate::translate) const fn is_too_long(&self) -> bool {
        self.kept_bytes > MAXIMUM_KEPT_BYTES
    }

    pub(in crate::translate) fn write(&mut self, event: StreamEvent, out: &mut Vec<u8>) {
        let mut events = Events { out, sequence_number: &mut self.sequence_number };
        match (event, &mut self.open) {
            (StreamEvent::Start { id, model }, _) => self.start(&id, model, out),
            (StreamEvent::BlockStart(kind), _) => self.begin(kind, out),
            (StreamEvent::TextDelta(text), Some(open)) => {
                self.kept_bytes += text.len();
                open.text(&text, &mut events);
            }
            (StreamEvent::ToolInputDelta(input), Some(open)) => {
                self.kept_bytes += input.len();
                open.tool_input(&input, &mut events);
            }
            (StreamEvent::Signature(more), Some(open)) => {
                self.kept_bytes += more.len();
                open.sign(&more);
            }
            (StreamEvent::BlockEnd, Some(open)) => open.block_ended(),
            (StreamEvent::Stop { reason, .. }, _) => {
                let is_cut = incomplete_reason(&reason).is_some() && !self.refused;
                self.end_item(if is_cut { "incomplete" } else { "completed" }, out);
                self.stop = Some(reason);
            }
            (StreamEvent::Usage(usage), _) => self.usage = usage,
            (StreamEvent::End, _) => self.end(out),
            (StreamEvent::KeepAlive, _) => out.extend_from_slice(b": ping\n\n"),
            (StreamEvent::Error(error), _) => self.error(&error, out),
            // Outside a block there is nothing to add to.
            _ => {}
        }
    }

    /// An `error` event, at which SDKs raise, then the failed answer, from which agents learn whether to try again.
    pub(in crate::translate) fn error(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        let mut events = Events { out, sequence_number: &mut self.sequence_number };
        events.write("error", |out| openai_chat::write_stream_error(out, error));
        self.answer("response.failed", Stage::Failed(error), out);
    }

    fn start(&mut self, id: &str, model: String, out: &mut Vec<u8>) {
        self.id = answer::response_id(id);
        if !model.is_empty() {
            self.model = model;
        }
        self.answer("response.created", Stage::InProgress, out);
        self.answer("response.in_progress", Stage::InProgress, out);
    }

    fn begin(&mut self, kind: BlockKind, out: &mut Vec<u8>) {
        self.end_item("completed", out);
        let item = match kind {
            BlockKind::Text => Item::Text,
            BlockKind::Refusal => Item::Refusal,
            BlockKind::Reasoning => Item::Reasoning,
            BlockKind::RedactedReasoning { data } => Item::RedactedReasoning { data },
            BlockKind::ToolCall { id, name } => Item::call(id, name, &self.carry),
        };
        let mut events = Events { out, sequence_number: &mut self.sequence_number };
        let open = OpenItem::begin(item, &self.id, self.items.len(), &mut events);
        self.refused |= open.is_refusal();
        self.open = Some(open);
    }

    fn end_item(&mut self, status: &str, out: &mut Vec<u8>) {
        let Some(open) = self.open.take() else { return };
        let mut events = Events { out, sequence_number: &mut self.sequence_number };
        let item = open.end(status, &mut events);
        self.kept_bytes += item.len();
        self.items.push(item);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.end_item("completed", out);
        let usage = self.usage;
        // A model that says why it declines has answered.
        match self.stop.as_ref().and_then(incomplete_reason).filter(|_| !self.refused) {
            Some(reason) => self.answer("response.incomplete", Stage::Incomplete(reason, &usage), out),
            None => self.answer("response.completed", Stage::Completed(&usage), out),
        }
    }

    fn answer(&mut self, kind: &str, stage: Stage<'_>, out: &mut Vec<u8>) {
        let mut events = Events { out, sequence_number: &mut self.sequence_number };
        events.write(kind, |out| {
            out.object("response", |out| {
                answer::write_answer(out, (&self.id, &self.model), &self.carry, stage, &self.items);
            });
        });
    }
}

//! Canonical events to a message stream.

use tollgate_core::TokenUsage;

use super::{UNSIGNED, api_error, message_id, stop_reason_text, usage};
use crate::canonical::{ApiError, BlockKind, StopReason, StreamEvent};
use crate::translate::carry::Carry;
use crate::translate::write::{self, ObjectWriter};

#[derive(Debug)]
pub(in crate::translate) struct StreamWriter {
    public_model: String,
    index: u64,
    block: Option<Block>,
    signed: bool,
    stop: Option<(StopReason, Option<String>)>,
    usage: TokenUsage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Text,
    Reasoning,
    Redacted,
    ToolCall,
}

impl StreamWriter {
    pub(in crate::translate) fn new(carry: &Carry) -> Self {
        Self {
            public_model: carry.model.clone(),
            index: 0,
            block: None,
            signed: false,
            stop: None,
            usage: TokenUsage::default(),
        }
    }

    pub(in crate::translate) fn write(&mut self, event: StreamEvent, out: &mut Vec<u8>) {
        match event {
            StreamEvent::Start { id, model } => self.start(&id, &model, out),
            StreamEvent::BlockStart(kind) => self.block_start(&kind, out),
            StreamEvent::TextDelta(text) if self.block == Some(Block::Reasoning) => {
                self.delta(out, "thinking_delta", "thinking", &text);
            }
            StreamEvent::TextDelta(text) => self.delta(out, "text_delta", "text", &text),
            StreamEvent::Signature(signature) => {
                self.signed = true;
                self.delta(out, "signature_delta", "signature", &signature);
            }
            StreamEvent::ToolInputDelta(input) => {
                self.delta(out, "input_json_delta", "partial_json", &input);
            }
            StreamEvent::BlockEnd => self.block_end(out),
            StreamEvent::Stop { reason, stop_sequence } => self.stop = Some((reason, stop_sequence)),
            StreamEvent::Usage(usage) => self.usage = usage,
            StreamEvent::End => self.end(out),
            StreamEvent::KeepAlive => event_line(out, "ping", |_| {}),
            StreamEvent::Error(error) => self.error(&error, out),
        }
    }

    pub(in crate::translate) fn error(&self, error: &ApiError, out: &mut Vec<u8>) {
        event_line(out, "error", |out| api_error::write_inner(out, error));
    }

    /// Usage of an upstream that counts at the end is not known yet; clients take it from `message_delta`.
    fn start(&self, id: &str, model: &str, out: &mut Vec<u8>) {
        event_line(out, "message_start", |out| {
            out.object("message", |message| {
                message.text("id", &message_id(id));
                message.text("type", "message");
                message.text("role", "assistant");
                message.text("model", if model.is_empty() { &self.public_model } else { model });
                message.array("content", |_| {});
                message.null("stop_reason");
                message.null("stop_sequence");
                message.object("usage", |usage| {
                    usage.number("input_tokens", 0);
                    usage.number("output_tokens", 0);
                });
            });
        });
        event_line(out, "ping", |_| {});
    }

    fn block_start(&mut self, kind: &BlockKind, out: &mut Vec<u8>) {
        self.signed = false;
        self.block = Some(match kind {
            BlockKind::Text | BlockKind::Refusal => Block::Text,
            BlockKind::Reasoning => Block::Reasoning,
            BlockKind::RedactedReasoning { .. } => Block::Redacted,
            BlockKind::ToolCall { .. } => Block::ToolCall,
        });
        event_line(out, "content_block_start", |out| {
            out.number("index", self.index);
            out.object("content_block", |block| match kind {
                BlockKind::Text | BlockKind::Refusal => {
                    block.text("type", "text");
                    block.text("text", "");
                }
                BlockKind::Reasoning => {
                    block.text("type", "thinking");
                    block.text("thinking", "");
                    block.text("signature", "");
                }
                BlockKind::RedactedReasoning { data } => {
                    block.text("type", "redacted_thinking");
                    block.text("data", data);
                }
                BlockKind::ToolCall { id, name } => {
                    block.text("type", "tool_use");
                    block.text("id", id);
                    block.text("name", name);
                    block.object("input", |_| {});
                }
            });
        });
    }

    fn delta(&self, out: &mut Vec<u8>, kind: &str, field: &str, text: &str) {
        event_line(out, "content_block_delta", |out| {
            out.number("index", self.index);
            out.object("delta", |delta| {
                delta.text("type", kind);
                delta.text(field, text);
            });
        });
    }

    fn block_end(&mut self, out: &mut Vec<u8>) {
        if self.block == Some(Block::Reasoning) && !self.signed {
            self.delta(out, "signature_delta", "signature", UNSIGNED);
        }
        self.block = None;
        event_line(out, "content_block_stop", |out| out.number("index", self.index));
        self.index += 1;
    }

    fn end(&self, out: &mut Vec<u8>) {
        event_line(out, "message_delta", |out| {
            out.object("delta", |delta| {
                let reason = self.stop.as_ref().map(|(reason, _)| stop_reason_text(reason));
                delta.value("stop_reason", &reason);
                delta.value("stop_sequence", &self.stop.as_ref().and_then(|(_, sequence)| sequence.clone()));
            });
            usage::write_usage(out, &self.usage);
        });
        event_line(out, "message_stop", |_| {});
    }
}

/// One event with its name twice, as the dialect has it: clients dispatch on the line, others on the field.
fn event_line(out: &mut Vec<u8>, kind: &str, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    write::object(out, |out| {
        out.text("type", kind);
        fill(out);
    });
    out.extend_from_slice(b"\n\n");
}

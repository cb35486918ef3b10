//! Canonical events to chat completion chunks.

use tollgate_core::TokenUsage;

use super::write_response::completion_id;
use super::{api_error, stop_reason_text, usage};
use crate::canonical::{ApiError, BlockKind, StreamEvent};
use crate::translate::carry::Carry;
use crate::translate::write::{self, ObjectWriter};

#[derive(Debug)]
pub(in crate::translate) struct StreamWriter {
    id: String,
    model: String,
    created_unix_s: u64,
    include_usage: bool,
    block: Option<Block>,
    /// Reasoning blocks before the open one, by which clients join their pieces.
    thinking_index: u64,
    calls: u64,
    call_has_input: bool,
    usage: TokenUsage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Text,
    Refusal,
    Reasoning,
    ToolCall,
}

impl StreamWriter {
    pub(in crate::translate) fn new(carry: &Carry) -> Self {
        Self {
            id: String::new(),
            model: carry.model.clone(),
            created_unix_s: carry.created_unix_s,
            include_usage: carry.include_usage,
            block: None,
            thinking_index: 0,
            calls: 0,
            call_has_input: false,
            usage: TokenUsage::default(),
        }
    }

    pub(in crate::translate) fn write(&mut self, event: StreamEvent, out: &mut Vec<u8>) {
        match event {
            StreamEvent::Start { id, model } => {
                self.id = completion_id(&id);
                if !model.is_empty() {
                    self.model = model;
                }
                self.delta(out, |delta| {
                    delta.text("role", "assistant");
                    delta.text("content", "");
                });
            }
            StreamEvent::BlockStart(kind) => self.block_start(kind, out),
            StreamEvent::TextDelta(text) => self.text_delta(&text, out),
            StreamEvent::Signature(signature) => self.delta(out, |delta| {
                self.thinking_block(delta, "thinking", |block| block.text("signature", &signature));
            }),
            StreamEvent::ToolInputDelta(input) => self.tool_input(&input, out),
            StreamEvent::BlockEnd => self.block_end(out),
            StreamEvent::Stop { reason, .. } => self.chunk(out, |out, _| {
                out.array("choices", |choices| {
                    choices.object(|choice| {
                        choice.number("index", 0);
                        choice.object("delta", |_| {});
                        choice.text("finish_reason", stop_reason_text(&reason));
                    });
                });
            }),
            StreamEvent::Usage(usage) => self.usage = usage,
            StreamEvent::End => self.end(out),
            StreamEvent::KeepAlive => out.extend_from_slice(b": ping\n\n"),
            StreamEvent::Error(error) => self.error(&error, out),
        }
    }

    pub(in crate::translate) fn error(&self, error: &ApiError, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        api_error::write_error_body(error, out);
        out.extend_from_slice(b"\n\n");
    }

    fn text_delta(&self, text: &str, out: &mut Vec<u8>) {
        self.delta(out, |delta| match self.block {
            Some(Block::Reasoning) => {
                delta.text("reasoning_content", text);
                // Again beside its signature: a signed block is worth nothing without its exact text.
                self.thinking_block(delta, "thinking", |block| block.text("thinking", text));
            }
            Some(Block::Refusal) => delta.text("refusal", text),
            _ => delta.text("content", text),
        });
    }

    fn tool_input(&mut self, input: &str, out: &mut Vec<u8>) {
        self.call_has_input = true;
        self.tool_call(out, self.calls.saturating_sub(1), |call| {
            call.object("function", |function| function.text("arguments", input));
        });
    }

    fn block_end(&mut self, out: &mut Vec<u8>) {
        match self.block.take() {
            // Clients parse the arguments, and nothing is no JSON.
            Some(Block::ToolCall) if !self.call_has_input => self.tool_input("{}", out),
            Some(Block::Reasoning) => self.thinking_index += 1,
            _ => {}
        }
    }

    fn block_start(&mut self, kind: BlockKind, out: &mut Vec<u8>) {
        self.block = Some(match kind {
            BlockKind::Text => Block::Text,
            BlockKind::Refusal => Block::Refusal,
            BlockKind::Reasoning => Block::Reasoning,
            BlockKind::RedactedReasoning { data } => {
                self.delta(out, |delta| {
                    self.thinking_block(delta, "redacted_thinking", |block| block.text("data", &data));
                });
                Block::Reasoning
            }
            BlockKind::ToolCall { id, name } => {
                let index = self.calls;
                self.calls += 1;
                self.call_has_input = false;
                self.tool_call(out, index, |call| {
                    call.text("id", &id);
                    call.text("type", "function");
                    call.object("function", |function| {
                        function.text("name", &name);
                        function.text("arguments", "");
                    });
                });
                Block::ToolCall
            }
        });
    }

    fn end(&self, out: &mut Vec<u8>) {
        if self.include_usage {
            self.chunk(out, |out, with_usage| {
                out.array("choices", |_| {});
                *with_usage = true;
            });
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn thinking_block(
        &self,
        delta: &mut ObjectWriter<'_>,
        kind: &str,
        fill: impl FnOnce(&mut ObjectWriter<'_>),
    ) {
        delta.array("thinking_blocks", |blocks| {
            blocks.object(|block| {
                block.number("index", self.thinking_index);
                block.text("type", kind);
                fill(block);
            });
        });
    }

    fn tool_call(&self, out: &mut Vec<u8>, index: u64, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.delta(out, |delta| {
            delta.array("tool_calls", |calls| {
                calls.object(|call| {
                    call.number("index", index);
                    fill(call);
                });
            });
        });
    }

    fn delta(&self, out: &mut Vec<u8>, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.chunk(out, |out, _| {
            out.array("choices", |choices| {
                choices.object(|choice| {
                    choice.number("index", 0);
                    choice.object("delta", fill);
                    choice.null("finish_reason");
                });
            });
        });
    }

    /// One chunk; `fill` may ask for the usage instead of its placeholder.
    fn chunk(&self, out: &mut Vec<u8>, fill: impl FnOnce(&mut ObjectWriter<'_>, &mut bool)) {
        out.extend_from_slice(b"data: ");
        write::object(out, |out| {
            out.text("id", &self.id);
            out.text("object", "chat.completion.chunk");
            out.number("created", self.created_unix_s);
            out.text("model", &self.model);
            let mut with_usage = false;
            fill(out, &mut with_usage);
            if with_usage {
                usage::write_usage(out, &self.usage);
            } else if self.include_usage {
                out.null("usage");
            }
        });
        out.extend_from_slice(b"\n\n");
    }
}

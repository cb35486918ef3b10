//! Canonical assistant turns to chat messages: text first, then calls.

use super::TOOL_NAME_LIMIT;
use super::write_messages::{Messages, call_id};
use crate::canonical::{Content, Message, ToolCall};
use crate::translate::names;
use crate::translate::write::{ArrayWriter, ObjectWriter};

impl Messages<'_> {
    pub(super) fn assistant(&mut self, messages: &mut ArrayWriter<'_>, message: &Message) {
        let turn = AssistantTurn::collect(message);
        for block in &message.blocks {
            self.note_cache(block);
        }
        if turn.interleaved {
            self.losses.changed("messages[*].content", "text between tool calls was moved before them");
        }
        if turn.has_signed_reasoning {
            self.losses.dropped("messages[*].content[*].thinking", "only its own provider can read it back");
        }
        let replay = self.capabilities.replay_reasoning && !turn.reasoning.is_empty();
        if !replay && !turn.reasoning.is_empty() {
            self.losses
                .dropped("messages[*].content[*].thinking", "the model takes no reasoning of earlier turns");
        }
        messages.object(|out| {
            out.text("role", "assistant");
            if turn.text.is_empty() && (!turn.calls.is_empty() || !turn.refusal.is_empty()) {
                out.null("content");
            } else {
                out.text("content", &turn.text);
            }
            if !turn.refusal.is_empty() {
                out.text("refusal", &turn.refusal);
            }
            if replay {
                out.text("reasoning_content", &turn.reasoning);
            }
            if !turn.calls.is_empty() {
                out.array("tool_calls", |calls| {
                    for call in &turn.calls {
                        calls.object(|out| write_call(out, call));
                    }
                });
            }
        });
    }
}

#[derive(Default)]
struct AssistantTurn<'m> {
    text: String,
    refusal: String,
    reasoning: String,
    calls: Vec<&'m ToolCall>,
    has_signed_reasoning: bool,
    interleaved: bool,
}

impl<'m> AssistantTurn<'m> {
    fn collect(message: &'m Message) -> Self {
        let mut turn = Self::default();
        for block in &message.blocks {
            match &block.content {
                Content::Text(text) => {
                    if !turn.calls.is_empty() && !turn.text.is_empty() {
                        turn.text.push_str("\n\n");
                    }
                    turn.interleaved |= !turn.calls.is_empty();
                    turn.text.push_str(text);
                }
                Content::Refusal(text) => turn.refusal.push_str(text),
                Content::Reasoning(reasoning) if reasoning.signature.is_none() => {
                    turn.reasoning.push_str(&reasoning.text);
                }
                Content::Reasoning(_) | Content::RedactedReasoning { .. } => turn.has_signed_reasoning = true,
                Content::ToolCall(call) => turn.calls.push(call),
                Content::Image(_) | Content::Document(_) | Content::ToolResult(_) => {}
            }
        }
        turn
    }
}

fn write_call(out: &mut ObjectWriter<'_>, call: &ToolCall) {
    out.text("id", &call_id(&call.id));
    out.text("type", "function");
    out.object("function", |function| {
        function.text("name", &names::fit(&call.name, TOOL_NAME_LIMIT));
        function.text("arguments", call.input.as_str());
    });
}

//! Canonical form to chat completion.

use super::{stop_reason_text, usage};
use crate::canonical::{Block, Content, Losses, Response};
use crate::translate::carry::Carry;
use crate::translate::write::{self, ObjectWriter};

/// The upstream's id, recognizable as a chat completion's.
pub(super) fn completion_id(id: &str) -> String {
    if id.starts_with("chatcmpl") { id.to_owned() } else { format!("chatcmpl-{id}") }
}

pub(in crate::translate) fn write_response(
    response: &Response,
    carry: &Carry,
    losses: &mut Losses,
) -> Vec<u8> {
    if response.stop_sequence.is_some() {
        losses.dropped("stop_sequence", "the chat dialect does not say which stop sequence was met");
    }
    let mut body = Vec::new();
    write::object(&mut body, |out| {
        out.text("id", &completion_id(&response.id));
        out.text("object", "chat.completion");
        out.number("created", carry.created_unix_s);
        out.text("model", if response.model.is_empty() { &carry.model } else { &response.model });
        out.array("choices", |choices| {
            choices.object(|choice| {
                choice.number("index", 0);
                choice.object("message", |message| write_message(message, &response.blocks));
                choice.null("logprobs");
                choice.text("finish_reason", stop_reason_text(&response.stop));
            });
        });
        usage::write_usage(out, &response.usage);
    });
    body
}

fn write_message(out: &mut ObjectWriter<'_>, blocks: &[Block]) {
    let (mut text, mut refusal, mut reasoning) = (None::<String>, None::<String>, String::new());
    for block in blocks {
        match &block.content {
            Content::Text(more) => text.get_or_insert_default().push_str(more),
            Content::Refusal(more) => refusal.get_or_insert_default().push_str(more),
            Content::Reasoning(more) => reasoning.push_str(&more.text),
            _ => {}
        }
    }
    let has_calls = blocks.iter().any(|block| matches!(block.content, Content::ToolCall(_)));
    if text.is_none() && refusal.is_none() && !has_calls {
        text = Some(String::new());
    }
    out.text("role", "assistant");
    out.value("content", &text);
    out.value("refusal", &refusal);
    if !reasoning.is_empty() {
        out.text("reasoning_content", &reasoning);
    }
    write_thinking_blocks(out, blocks);
    if has_calls {
        out.array("tool_calls", |calls| {
            for block in blocks {
                let Content::ToolCall(call) = &block.content else { continue };
                calls.object(|out| {
                    out.text("id", &call.id);
                    out.text("type", "function");
                    out.object("function", |function| {
                        function.text("name", &call.name);
                        function.text("arguments", call.input.as_str());
                    });
                });
            }
        });
    }
}

/// Reasoning that must come back unchanged on the next turn, beside the readable text.
fn write_thinking_blocks(out: &mut ObjectWriter<'_>, blocks: &[Block]) {
    let opaque = |block: &&Block| match &block.content {
        Content::Reasoning(reasoning) => reasoning.signature.is_some(),
        Content::RedactedReasoning { .. } => true,
        _ => false,
    };
    if !blocks.iter().any(|block| opaque(&block)) {
        return;
    }
    out.array("thinking_blocks", |list| {
        for block in blocks.iter().filter(opaque) {
            list.object(|out| match &block.content {
                Content::Reasoning(reasoning) => {
                    out.text("type", "thinking");
                    out.text("thinking", &reasoning.text);
                    out.optional("signature", reasoning.signature.as_deref());
                }
                Content::RedactedReasoning { data } => {
                    out.text("type", "redacted_thinking");
                    out.text("data", data);
                }
                _ => {}
            });
        }
    });
}

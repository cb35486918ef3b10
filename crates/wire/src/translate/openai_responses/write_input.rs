//! Canonical turns to items.

use std::collections::{BTreeMap, BTreeSet};

use super::TOOL_NAME_LIMIT;
use super::write_parts::input_text;
use super::write_tools::write_name;
use crate::canonical::{
    Block, Content, Losses, Message, OutputFormat, Request, Role, Tool, ToolCall, ToolResult,
};
use crate::translate::carry::Capabilities;
use crate::translate::error::TranslateError;
use crate::translate::write::{ArrayWriter, ObjectWriter};
use crate::translate::{names, openai_chat, reasoning_proof, structured_output, tool_input};

pub(super) fn write_input(
    out: &mut ObjectWriter<'_>,
    request: &Request,
    capabilities: &Capabilities,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    let mut writer = Items::new(request, losses);
    let instructions = writer.instructions(request, capabilities);
    if !instructions.is_empty() {
        out.text("instructions", &instructions);
    }
    out.array("input", |items| {
        for message in &request.messages {
            writer.turn(items, message);
        }
    });
    if request.messages.last().is_some_and(|last| last.role == Role::Assistant) {
        writer
            .losses
            .changed("messages", "the provider answers after an assistant turn instead of continuing it");
    }
    writer.error.map_or(Ok(()), Err)
}

pub(super) struct Items<'r> {
    tools: BTreeMap<&'r str, &'r Tool>,
    /// Calls of tools that take plain text.
    free_text_calls: BTreeSet<&'r str>,
    pub(super) losses: &'r mut Losses,
    /// The first thing that cannot be expressed at all.
    pub(super) error: Option<TranslateError>,
}

impl<'r> Items<'r> {
    fn new(request: &'r Request, losses: &'r mut Losses) -> Self {
        let tools: BTreeMap<_, _> = request.tools.iter().map(|tool| (tool.name.as_str(), tool)).collect();
        let is_free_text = |name: &str| tools.get(name).is_some_and(|tool| tool.free_text.is_some());
        let blocks = request.messages.iter().flat_map(|message| &message.blocks);
        let free_text_calls = blocks
            .filter_map(|block| match &block.content {
                Content::ToolCall(call) if is_free_text(&call.name) => Some(call.id.as_str()),
                _ => None,
            })
            .collect();
        Self { tools, free_text_calls, losses, error: None }
    }

    fn instructions(&mut self, request: &Request, capabilities: &Capabilities) -> String {
        let mut texts = Vec::new();
        for block in &request.system {
            self.note_cache(block);
            match &block.content {
                Content::Text(text) if openai_chat::is_billing_note(text) => {
                    self.losses.dropped("system[*]", "a billing note for another provider");
                }
                Content::Text(text) if !text.is_empty() => texts.push(text.clone()),
                _ => {}
            }
        }
        if let Some(OutputFormat::JsonSchema { schema, .. }) = &request.output_format
            && !capabilities.native_structured_output
        {
            self.losses.emulated("output_config.format", "the schema is part of the instructions");
            texts.push(structured_output::instruction(Some(schema)));
        }
        texts.join("\n\n")
    }

    fn note_cache(&mut self, block: &Block) {
        if block.cache.is_some() {
            self.losses.dropped("cache_control", "the provider decides itself what it caches");
        }
    }

    /// Words that follow one another are one message; everything else is an item of its own, in order.
    fn turn(&mut self, items: &mut ArrayWriter<'_>, message: &Message) {
        let is_words = |block: &Block| {
            matches!(
                block.content,
                Content::Text(_) | Content::Refusal(_) | Content::Image(_) | Content::Document(_)
            )
        };
        for block in &message.blocks {
            self.note_cache(block);
        }
        for group in message.blocks.chunk_by(|one, other| is_words(one) && is_words(other)) {
            match group {
                [first, ..] if is_words(first) => self.message(items, message.role, group),
                other => other.iter().for_each(|block| self.item(items, &block.content)),
            }
        }
    }

    fn message(&mut self, items: &mut ArrayWriter<'_>, role: Role, blocks: &[Block]) {
        items.object(|item| {
            item.text("type", "message");
            item.text(
                "role",
                match role {
                    Role::System => "system",
                    Role::User => "user",
                    Role::Assistant => "assistant",
                },
            );
            if role == Role::Assistant {
                item.text("status", "completed");
            }
            item.array("content", |parts| self.parts(parts, role, blocks));
        });
    }

    fn item(&mut self, items: &mut ArrayWriter<'_>, content: &Content) {
        match content {
            Content::ToolCall(call) => items.object(|item| self.call(item, call)),
            Content::ToolResult(result) => items.object(|item| self.result(item, result)),
            Content::Reasoning(reasoning) => {
                let Some((id, sealed)) = reasoning.signature.as_deref().and_then(reasoning_proof::as_item)
                else {
                    self.losses.dropped(
                        "messages[*].content[*].thinking",
                        "the provider takes back only reasoning that it made itself",
                    );
                    return;
                };
                items.object(|item| {
                    item.text("type", "reasoning");
                    item.text("id", &id);
                    item.array("summary", |summary| {
                        if !reasoning.text.is_empty() {
                            summary.object(|part| {
                                part.text("type", "summary_text");
                                part.text("text", &reasoning.text);
                            });
                        }
                    });
                    item.text("encrypted_content", sealed);
                });
            }
            Content::RedactedReasoning { .. } => {
                self.losses
                    .dropped("messages[*].content[*].redacted_thinking", "only its own provider can read it");
            }
            _ => {}
        }
    }

    fn call(&self, item: &mut ObjectWriter<'_>, call: &ToolCall) {
        let tool = self.tools.get(call.name.as_str());
        let is_free_text = tool.is_some_and(|tool| tool.free_text.is_some());
        item.text("type", if is_free_text { "custom_tool_call" } else { "function_call" });
        item.text("call_id", &call_id(&call.id));
        write_name(item, &call.name, tool.and_then(|tool| tool.namespace.as_deref()));
        if is_free_text {
            item.text("input", &tool_input::free_text(call.input.as_str()));
        } else {
            item.text("arguments", call.input.as_str());
        }
        item.text("status", "completed");
    }

    fn result(&mut self, item: &mut ObjectWriter<'_>, result: &ToolResult) {
        let is_free_text = self.free_text_calls.contains(result.call_id.as_str());
        item.text("type", if is_free_text { "custom_tool_call_output" } else { "function_call_output" });
        item.text("call_id", &call_id(&result.call_id));
        if result.is_error {
            self.losses.emulated("messages[*].content[*].is_error", "the result starts with `Error:`");
        }
        let prefix = if result.is_error { "Error: " } else { "" };
        match result.content.as_slice() {
            [] => item.text("output", prefix),
            [Block { content: Content::Text(text), .. }] => item.text("output", &format!("{prefix}{text}")),
            blocks => item.array("output", |parts| {
                if result.is_error {
                    input_text(parts, prefix.trim_end());
                }
                self.parts(parts, Role::User, blocks);
            }),
        }
    }
}

/// Ids are opaque but for their length.
fn call_id(id: &str) -> std::borrow::Cow<'_, str> {
    if id.len() <= TOOL_NAME_LIMIT { id.into() } else { names::fit(id, TOOL_NAME_LIMIT) }
}

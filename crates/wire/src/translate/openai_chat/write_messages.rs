//! Canonical turns to chat messages.

use super::CALL_ID_LIMIT;
use crate::canonical::{
    Block, Content, Document, Image, Losses, MediaSource, Message, OutputFormat, Request, Role, ToolResult,
};
use crate::translate::carry::Capabilities;
use crate::translate::error::TranslateError;
use crate::translate::write::{ArrayWriter, ObjectWriter};
use crate::translate::{media, names, structured_output};

/// Claude Code's first system block; it addresses Anthropic's billing and would only confuse another model.
const BILLING_PREFIX: &str = "x-anthropic-billing-header";

/// Whether a system text addresses a provider's billing and says nothing to a model.
pub(in crate::translate) fn is_billing_note(text: &str) -> bool {
    text.starts_with(BILLING_PREFIX)
}

pub(super) fn write_messages(
    out: &mut ObjectWriter<'_>,
    request: &Request,
    capabilities: &Capabilities,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    let mut writer = Messages { capabilities, losses, error: None };
    out.array("messages", |messages| {
        let instructions = writer.instructions(request);
        if !instructions.is_empty() {
            writer.text_message(messages, "system", &instructions);
        }
        let mut waiting = Vec::new();
        for (position, message) in request.messages.iter().enumerate() {
            match message.role {
                Role::System => {
                    waiting.push(joined_text(&message.blocks));
                    // Tool results must follow their calls at once; instructions between them come after.
                    if results_follow(&request.messages, position) {
                        continue;
                    }
                }
                Role::User => writer.user(messages, message),
                Role::Assistant => writer.assistant(messages, message),
            }
            for text in waiting.drain(..) {
                writer.text_message(messages, "system", &text);
            }
        }
    });
    let ends_with_assistant = request.messages.last().is_some_and(|last| last.role == Role::Assistant);
    if ends_with_assistant {
        writer
            .losses
            .changed("messages", "the provider answers after an assistant turn instead of continuing it");
    }
    writer.error.map_or(Ok(()), Err)
}

pub(super) struct Messages<'r> {
    pub(super) capabilities: &'r Capabilities,
    pub(super) losses: &'r mut Losses,
    /// The first thing that cannot be expressed at all.
    error: Option<TranslateError>,
}

impl Messages<'_> {
    fn instructions(&mut self, request: &Request) -> String {
        let mut texts = Vec::new();
        for block in &request.system {
            self.note_cache(block);
            match &block.content {
                Content::Text(text) if is_billing_note(text) => {
                    self.losses.dropped("system[*]", "a billing note for another provider");
                }
                Content::Text(text) if !text.is_empty() => texts.push(text.clone()),
                _ => {}
            }
        }
        if let Some(OutputFormat::JsonSchema { schema, .. }) = &request.output_format
            && !self.capabilities.native_structured_output
        {
            self.losses.emulated("output_config.format", "the schema is part of the instructions");
            texts.push(structured_output::instruction(Some(schema)));
        }
        texts.join("\n\n")
    }

    fn text_message(&mut self, messages: &mut ArrayWriter<'_>, role: &str, text: &str) {
        messages.object(|message| {
            message.text("role", role);
            message.text("content", text);
        });
    }

    pub(super) fn note_cache(&mut self, block: &Block) {
        if block.cache.is_some() {
            self.losses.dropped("cache_control", "the provider decides itself what it caches");
        }
    }

    /// Tool results first, as tool messages; then what they cannot hold and the user's own content.
    fn user(&mut self, messages: &mut ArrayWriter<'_>, message: &Message) {
        let mut parts: Vec<&Block> = Vec::new();
        let mut has_results = false;
        for block in &message.blocks {
            if let Content::ToolResult(result) = &block.content {
                has_results = true;
                self.note_cache(block);
                self.tool_result(messages, result);
                let media = result.content.iter().filter(|inner| is_media(&inner.content));
                parts.extend(media.inspect(|_| {
                    self.losses.changed(
                        "messages[*].content[*].content",
                        "images of a tool result follow as user content",
                    );
                }));
            }
        }
        parts.extend(message.blocks.iter().filter(|block| !matches!(block.content, Content::ToolResult(_))));
        if parts.is_empty() && has_results {
            return;
        }
        messages.object(|out| {
            out.text("role", "user");
            if let [Block { content: Content::Text(text), .. }] = parts.as_slice() {
                out.text("content", text);
            } else if parts.is_empty() {
                out.text("content", "");
            } else {
                out.array("content", |content| {
                    for part in &parts {
                        self.user_part(content, part);
                    }
                });
            }
        });
        for part in &parts {
            self.note_cache(part);
        }
    }

    fn tool_result(&mut self, messages: &mut ArrayWriter<'_>, result: &ToolResult) {
        let mut text = joined_lines(&result.content);
        if result.is_error {
            self.losses.emulated("messages[*].content[*].is_error", "the result starts with `Error:`");
            text.insert_str(0, "Error: ");
        }
        messages.object(|message| {
            message.text("role", "tool");
            message.text("tool_call_id", &call_id(&result.call_id));
            message.text("content", &text);
        });
    }

    fn user_part(&mut self, content: &mut ArrayWriter<'_>, block: &Block) {
        match &block.content {
            Content::Text(text) | Content::Refusal(text) => content.object(|part| {
                part.text("type", "text");
                part.text("text", text);
            }),
            Content::Image(image) => self.image(content, image),
            Content::Document(document) => self.document(content, document),
            _ => self.losses.dropped("messages[*].content[*]", "has no place in a user turn"),
        }
    }

    fn image(&mut self, content: &mut ArrayWriter<'_>, image: &Image) {
        let url = match &image.source {
            MediaSource::Base64 { media_type, data } => media::data_url(media_type, data),
            MediaSource::Url(url) => url.clone(),
            MediaSource::File(_) | MediaSource::Text(_) => {
                return self
                    .refuse("source", "an image kept at another provider cannot be sent; send its data");
            }
        };
        content.object(|part| {
            part.text("type", "image_url");
            part.object("image_url", |out| {
                out.text("url", &url);
                out.optional("detail", image.detail.as_deref());
            });
        });
    }

    fn document(&mut self, content: &mut ArrayWriter<'_>, document: &Document) {
        if document.context.is_some() {
            self.losses.dropped("messages[*].content[*].context", "documents have no context field");
        }
        match &document.source {
            MediaSource::Text(_) => content.object(|part| {
                part.text("type", "text");
                part.text("text", &document_text(document).unwrap_or_default());
            }),
            MediaSource::Base64 { media_type, data } => content.object(|part| {
                part.text("type", "file");
                part.object("file", |file| {
                    file.text("filename", document.title.as_deref().unwrap_or("document.pdf"));
                    file.text("file_data", &media::data_url(media_type, data));
                });
            }),
            MediaSource::Url(_) => {
                self.refuse("source", "documents by url cannot be sent to this model; send base64");
            }
            MediaSource::File(_) => {
                self.refuse("source", "a file kept at another provider cannot be sent; send its data");
            }
        }
    }

    fn refuse(&mut self, field: &str, problem: &str) {
        let error = TranslateError::request(format!("messages[*].content[*].{field}"), problem);
        self.error.get_or_insert(error);
    }
}

/// Ids are opaque to OpenAI but for their length.
pub(super) fn call_id(id: &str) -> std::borrow::Cow<'_, str> {
    if id.len() <= CALL_ID_LIMIT { id.into() } else { names::fit(id, CALL_ID_LIMIT) }
}

fn results_follow(messages: &[Message], position: usize) -> bool {
    let next = messages.iter().skip(position).find(|message| message.role != Role::System);
    next.is_some_and(|next| next.blocks.iter().any(|block| matches!(block.content, Content::ToolResult(_))))
}

fn is_media(content: &Content) -> bool {
    match content {
        Content::Image(_) => true,
        Content::Document(document) => document_text(document).is_none(),
        _ => false,
    }
}

fn document_text(document: &Document) -> Option<String> {
    let MediaSource::Text(text) = &document.source else { return None };
    Some(match &document.title {
        Some(title) => format!("{title}\n\n{text}"),
        None => text.clone(),
    })
}

fn joined_text(blocks: &[Block]) -> String {
    joined_with(blocks, "\n\n")
}

fn joined_lines(blocks: &[Block]) -> String {
    joined_with(blocks, "\n")
}

fn joined_with(blocks: &[Block], separator: &str) -> String {
    let texts: Vec<String> = blocks
        .iter()
        .filter_map(|block| match &block.content {
            Content::Text(text) | Content::Refusal(text) => Some(text.clone()),
            Content::Document(document) => document_text(document),
            _ => None,
        })
        .collect();
    texts.join(separator)
}

//! Content blocks to the messages dialect, for requests.

use super::write_request::write_cache_control;
use super::{NAME_LIMIT, UNSIGNED};
use crate::canonical::{Block, Content, Document, Image, Json, MediaSource, ToolResult};
use crate::translate::error::TranslateError;
use crate::translate::names;
use crate::translate::write::{ArrayWriter, ObjectWriter};

type Result = std::result::Result<(), TranslateError>;

/// Writes `content`: a plain string where that says it all.
pub(super) fn write_blocks(out: &mut ObjectWriter<'_>, blocks: &[Block]) -> Result {
    if let [Block { content: Content::Text(text), cache: None }] = blocks {
        out.text("content", text);
        return Ok(());
    }
    let mut result = Ok(());
    out.array("content", |list| {
        for block in blocks {
            let written = write_block(list, block);
            if result.is_ok() {
                result = written;
            }
        }
    });
    result
}

pub(super) fn write_block(list: &mut ArrayWriter<'_>, block: &Block) -> Result {
    let mut result = Ok(());
    list.object(|out| {
        match &block.content {
            Content::Text(text) | Content::Refusal(text) => write_text(out, text),
            Content::Image(image) => result = write_image(out, image),
            Content::Document(document) => result = write_document(out, document),
            Content::ToolCall(call) => {
                let (id, name) = (names::fit(&call.id, NAME_LIMIT), names::fit(&call.name, NAME_LIMIT));
                write_tool_use(out, &id, &name, &call.input);
            }
            Content::ToolResult(tool_result) => result = write_tool_result(out, tool_result),
            Content::Reasoning(reasoning) => {
                out.text("type", "thinking");
                out.text("thinking", &reasoning.text);
                out.text("signature", reasoning.signature.as_deref().unwrap_or(UNSIGNED));
            }
            Content::RedactedReasoning { data } => {
                out.text("type", "redacted_thinking");
                out.text("data", data);
            }
        }
        // Reasoning must come back exactly as it was made.
        if !matches!(block.content, Content::Reasoning(_) | Content::RedactedReasoning { .. }) {
            write_cache_control(out, block.cache);
        }
    });
    result
}

pub(super) fn write_tool_use(out: &mut ObjectWriter<'_>, id: &str, name: &str, input: &Json) {
    out.text("type", "tool_use");
    out.text("id", id);
    out.text("name", name);
    out.json("input", input);
}

fn write_text(out: &mut ObjectWriter<'_>, text: &str) {
    out.text("type", "text");
    out.text("text", text);
}

fn write_image(out: &mut ObjectWriter<'_>, image: &Image) -> Result {
    out.text("type", "image");
    write_source(out, &image.source)
}

fn write_document(out: &mut ObjectWriter<'_>, document: &Document) -> Result {
    out.text("type", "document");
    out.optional("title", document.title.as_deref());
    out.optional("context", document.context.as_deref());
    write_source(out, &document.source)
}

fn write_source(out: &mut ObjectWriter<'_>, source: &MediaSource) -> Result {
    if let MediaSource::File(_) = source {
        return Err(TranslateError::request(
            "messages[*].content[*].file.file_id",
            "a file kept at another provider cannot be sent; send file_data",
        ));
    }
    out.object("source", |out| match source {
        MediaSource::Base64 { media_type, data } => {
            out.text("type", "base64");
            out.text("media_type", media_type);
            out.text("data", data);
        }
        MediaSource::Url(url) => {
            out.text("type", "url");
            out.text("url", url);
        }
        MediaSource::Text(text) => {
            out.text("type", "text");
            out.text("media_type", "text/plain");
            out.text("data", text);
        }
        MediaSource::File(_) => {}
    });
    Ok(())
}

fn write_tool_result(out: &mut ObjectWriter<'_>, result: &ToolResult) -> Result {
    out.text("type", "tool_result");
    out.text("tool_use_id", &names::fit(&result.call_id, NAME_LIMIT));
    if result.is_error {
        out.value("is_error", &true);
    }
    if result.content.is_empty() { Ok(()) } else { write_blocks(out, &result.content) }
}

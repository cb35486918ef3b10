//! Content blocks of the messages dialect, shared by requests and answers.

use super::UNSIGNED;
use super::read_request::read_blocks;
use crate::canonical::{
    Block, CacheHint, Content, Document, Image, Losses, MediaSource, ReasoningText, ToolCall, ToolResult,
};
use crate::translate::error::TranslateError;
use crate::translate::read::{Node, Object};

type Result<T> = std::result::Result<T, TranslateError>;

pub(super) fn read_cache_control(fields: &mut Object<'_>) -> Result<Option<CacheHint>> {
    let Some(mut control) = fields.object("cache_control")? else { return Ok(None) };
    let long = control.text("ttl")?.is_some_and(|ttl| ttl == "1h");
    Ok(Some(CacheHint { long }))
}

/// `content` of a message, of a tool result, or `system`: a string or an array of blocks.
pub(super) fn read_content(node: &Node<'_>, losses: &mut Losses) -> Result<Vec<Block>> {
    if node.is_text() {
        return Ok(vec![Block::text(node.text()?)]);
    }
    read_blocks(&node.array_or_text()?, losses)
}

pub(super) fn read_block(node: &Node<'_>, losses: &mut Losses) -> Result<Option<Block>> {
    let mut fields = node.object()?;
    let cache = read_cache_control(&mut fields)?;
    let content = match fields.require("type")?.text()?.as_str() {
        "text" => {
            // Citations are notes on the text; the text is complete without them.
            Content::Text(fields.require("text")?.text()?)
        }
        "image" => Content::Image(Image { source: read_source(&mut fields)?, detail: None }),
        "document" => read_document(&mut fields)?,
        "search_result" => read_search_result(&mut fields, losses)?,
        "tool_use" => Content::ToolCall(read_tool_use(&mut fields)?),
        "tool_result" => read_tool_result(&mut fields, losses)?,
        "thinking" => Content::Reasoning(ReasoningText {
            text: fields.text("thinking")?.unwrap_or_default(),
            signature: fields.text("signature")?.filter(|proof| !proof.is_empty() && proof != UNSIGNED),
        }),
        "redacted_thinking" => Content::RedactedReasoning { data: fields.require("data")?.text()? },
        "tool_reference" => {
            let name = fields.require("tool_name")?.text()?;
            losses.emulated(node.path(), "a reference to a tool became text");
            Content::Text(format!("Tool available: {name}"))
        }
        _ => {
            losses.dropped(node.path(), "this kind of content exists at its own provider only");
            return Ok(None);
        }
    };
    fields.ignore_value("citations", &["{\"enabled\":false}", "[]"]);
    fields.report_rest(losses);
    Ok(Some(Block { content, cache }))
}

pub(super) fn read_tool_use(fields: &mut Object<'_>) -> Result<ToolCall> {
    let input = fields.require("input")?;
    let json = input.json();
    if !json.is_object() {
        return Err(input.error("must be an object"));
    }
    fields.ignore(&["caller"]);
    Ok(ToolCall { id: fields.require("id")?.text()?, name: fields.require("name")?.text()?, input: json })
}

fn read_source(fields: &mut Object<'_>) -> Result<MediaSource> {
    let mut source = fields.require("source")?.object()?;
    Ok(match source.require("type")?.text()?.as_str() {
        "base64" => MediaSource::Base64 {
            media_type: source.require("media_type")?.text()?,
            data: source.require("data")?.text()?,
        },
        "url" => MediaSource::Url(source.require("url")?.text()?),
        "file" => MediaSource::File(source.require("file_id")?.text()?),
        "text" => MediaSource::Text(source.require("data")?.text()?),
        "content" => {
            let content = source.require("content")?;
            MediaSource::Text(if content.is_text() { content.text()? } else { text_of(&content)? })
        }
        _ => return Err(source.error("type", "must be base64, url, file, text or content")),
    })
}

/// The text of an array of blocks that may hold nothing else.
fn text_of(content: &Node<'_>) -> Result<String> {
    let mut texts = Vec::new();
    for node in content.array()? {
        let mut block = node.object()?;
        if block.require("type")?.text()? != "text" {
            return Err(block.error("type", "must be text; send images as blocks of their own"));
        }
        texts.push(block.require("text")?.text()?);
    }
    Ok(texts.join("\n"))
}

fn read_document(fields: &mut Object<'_>) -> Result<Content> {
    Ok(Content::Document(Document {
        source: read_source(fields)?,
        title: fields.text("title")?,
        context: fields.text("context")?,
    }))
}

fn read_search_result(fields: &mut Object<'_>, losses: &mut Losses) -> Result<Content> {
    losses.emulated(&fields.path_of("type"), "a search result became a text document");
    let content = fields.require("content")?;
    let source = fields.text("source")?;
    let title = fields.text("title")?;
    let text = text_of(&content)?;
    Ok(Content::Document(Document {
        source: MediaSource::Text(text),
        title: title.or_else(|| source.clone()),
        context: source,
    }))
}

fn read_tool_result(fields: &mut Object<'_>, losses: &mut Losses) -> Result<Content> {
    let content = match fields.take("content") {
        None => Vec::new(),
        Some(node) if node.is_text() => vec![Block::text(node.text()?)],
        Some(node) => read_result_blocks(&node, losses)?,
    };
    Ok(Content::ToolResult(ToolResult {
        call_id: fields.require("tool_use_id")?.text()?,
        content,
        is_error: fields.boolean("is_error")?.unwrap_or(false),
    }))
}

/// Blocks inside a result; results inside results are refused, which also bounds the depth.
fn read_result_blocks(node: &Node<'_>, losses: &mut Losses) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    for inner in node.array()? {
        if inner.object()?.text("type")?.is_some_and(|kind| kind == "tool_result") {
            return Err(inner.error("must not be a tool result inside a tool result"));
        }
        blocks.extend(read_block(&inner, losses)?);
    }
    Ok(blocks)
}

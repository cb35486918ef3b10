//! Messages of the chat dialect to content blocks, shared by requests and answers.

use crate::canonical::{
    Block, CacheHint, Content, Document, Image, Json, Losses, MediaSource, ReasoningText, ToolCall,
    ToolResult,
};
use crate::translate::error::TranslateError;
use crate::translate::read::{Node, Object};
use crate::translate::{media, tool_input};

type Result<T> = std::result::Result<T, TranslateError>;

/// Takes `cache_control` or `prompt_cache_breakpoint`, by which compatible providers mark cache breakpoints.
pub(super) fn read_cache_hint(part: &mut Object<'_>) -> Result<Option<CacheHint>> {
    let anthropic = part.object("cache_control")?;
    let Some(mut hint) = part.object("prompt_cache_breakpoint")?.or(anthropic) else { return Ok(None) };
    let long = hint.text("ttl")?.is_some_and(|ttl| matches!(ttl.as_str(), "1h" | "12h" | "24h"));
    Ok(Some(CacheHint { long }))
}

/// `content` that may only be text: a string or an array of text parts.
pub(super) fn read_text_blocks(message: &mut Object<'_>, losses: &mut Losses) -> Result<Vec<Block>> {
    let Some(content) = message.take("content") else { return Ok(Vec::new()) };
    if content.is_text() {
        return Ok(vec![Block::text(content.text()?)]);
    }
    let mut blocks = Vec::new();
    for node in content.array_or_text()? {
        let mut part = node.object()?;
        if part.require("type")?.text()? != "text" {
            return Err(part.error("type", "must be text in this role"));
        }
        blocks.push(read_text_part(part, losses)?);
    }
    Ok(blocks)
}

fn read_text_part(mut part: Object<'_>, losses: &mut Losses) -> Result<Block> {
    let content = Content::Text(part.require("text")?.text()?);
    let block = Block { content, cache: read_cache_hint(&mut part)? };
    part.report_rest(losses);
    Ok(block)
}

pub(super) fn read_user(message: &mut Object<'_>, losses: &mut Losses) -> Result<Vec<Block>> {
    let content = message.require("content")?;
    if content.is_text() {
        return Ok(vec![Block::text(content.text()?)]);
    }
    content.array_or_text()?.iter().map(|node| read_user_part(node, losses)).collect()
}

fn read_user_part(node: &Node<'_>, losses: &mut Losses) -> Result<Block> {
    let mut part = node.object()?;
    let content = match part.require("type")?.text()?.as_str() {
        "text" => return read_text_part(part, losses),
        "image_url" => read_image(&mut part)?,
        "file" => read_file(&mut part, losses)?,
        "input_audio" => {
            return Err(part.error("type", "audio cannot be sent to this model; send a transcript"));
        }
        _ => return Err(part.error("type", "must be text, image_url or file")),
    };
    let block = Block { content, cache: read_cache_hint(&mut part)? };
    part.report_rest(losses);
    Ok(block)
}

fn read_image(part: &mut Object<'_>) -> Result<Content> {
    let node = part.require("image_url")?;
    // Some clients send the url itself instead of an object around it.
    let (url, detail) = if node.is_text() {
        (node, None)
    } else {
        let mut image = node.object()?;
        (image.require("url")?, image.text("detail")?)
    };
    let source = media::parse_url(&url.text()?)
        .ok_or_else(|| url.error("must be an http(s) url or a data uri with a media type and base64"))?;
    Ok(Content::Image(Image { source, detail: detail.filter(|detail| detail != "auto") }))
}

fn read_file(part: &mut Object<'_>, losses: &mut Losses) -> Result<Content> {
    let mut file = part.require("file")?.object()?;
    let title = file.text("filename")?;
    let source = if let Some(data) = file.take("file_data") {
        let text = data.text()?;
        if text.starts_with("data:") {
            media::parse_document(&text)
                .ok_or_else(|| data.error("must be a data uri with a media type and base64"))?
        } else {
            MediaSource::Base64 { media_type: "application/pdf".to_owned(), data: text }
        }
    } else {
        MediaSource::File(file.require("file_id")?.text()?)
    };
    file.report_rest(losses);
    Ok(Content::Document(Document { source, title, context: None }))
}

pub(super) fn read_tool_result(message: &mut Object<'_>, losses: &mut Losses) -> Result<Block> {
    let call_id = message.require("tool_call_id")?.text()?;
    let cache = read_cache_hint(message)?;
    let content = match message.take("content") {
        None => Vec::new(),
        Some(node) if node.is_text() => vec![Block::text(node.text()?)],
        Some(node) => node
            .array_or_text()?
            .iter()
            .map(|part| read_user_part(part, losses))
            .collect::<Result<Vec<_>>>()?,
    };
    message.ignore(&["name"]);
    Ok(Block { content: Content::ToolResult(ToolResult { call_id, content, is_error: false }), cache })
}

/// An assistant turn of a request: reasoning, text and refusal, then tool calls.
pub(super) fn read_assistant(message: &mut Object<'_>, losses: &mut Losses) -> Result<Vec<Block>> {
    let mut blocks = read_reasoning(message)?;
    blocks.extend(read_assistant_text(message, losses)?);
    if message.take("function_call").is_some() {
        return Err(message.error("function_call", "is not translated for this model; use tool_calls"));
    }
    for node in message.array("tool_calls")? {
        let (call, arguments) = read_tool_call(&node)?;
        let input = tool_input::from_arguments(&arguments).unwrap_or_else(|| {
            losses.changed(
                &format!("{}.function.arguments", node.path()),
                "was no json object and is quoted in one",
            );
            tool_input::quoted(&arguments)
        });
        blocks.push(Block::new(Content::ToolCall(ToolCall { input, ..call })));
    }
    message.ignore(&["annotations"]);
    if let Some(cache) = read_cache_hint(message)?
        && let Some(last) = blocks.last_mut()
    {
        last.cache = Some(cache);
    }
    Ok(blocks)
}

pub(super) fn read_assistant_text(message: &mut Object<'_>, losses: &mut Losses) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    match message.take("content") {
        None => {}
        Some(node) if node.is_text() => blocks.push(Block::text(node.text()?)),
        Some(node) => {
            for part in node.array_or_text()? {
                blocks.extend(read_assistant_part(&part, losses)?);
            }
        }
    }
    if let Some(refusal) = message.text("refusal")? {
        blocks.push(Block::new(Content::Refusal(refusal)));
    }
    blocks.retain(|block| !matches!(&block.content, Content::Text(text) if text.is_empty()));
    Ok(blocks)
}

fn read_assistant_part(node: &Node<'_>, losses: &mut Losses) -> Result<Option<Block>> {
    let mut part = node.object()?;
    if let Some(text) = read_thinking_part(&mut part)? {
        return Ok(Some(Block::new(Content::Reasoning(ReasoningText { text, signature: None }))));
    }
    Ok(match part.require("type")?.text()?.as_str() {
        "text" => Some(read_text_part(part, losses)?),
        "refusal" => Some(Block::new(Content::Refusal(part.require("refusal")?.text()?))),
        _ => {
            losses.dropped(node.path(), "only text and refusal parts of an assistant turn can be translated");
            None
        }
    })
}

/// The text of `{"type":"thinking","thinking":[{"type":"text","text"}]}`, Mistral's form of reasoning.
pub(super) fn read_thinking_part(part: &mut Object<'_>) -> Result<Option<String>> {
    let Some(thinking) = part.take("thinking") else { return Ok(None) };
    if thinking.is_text() {
        return thinking.text().map(Some);
    }
    let mut text = String::new();
    for node in thinking.array()? {
        text.push_str(&node.object()?.text("text")?.unwrap_or_default());
    }
    Ok(Some(text))
}

/// Reasoning that an earlier answer carried: signed blocks in `thinking_blocks`, else plain text.
pub(super) fn read_reasoning(message: &mut Object<'_>) -> Result<Vec<Block>> {
    let alias = message.take("reasoning").filter(Node::is_text).map(|node| node.text()).transpose()?;
    let plain = message.text("reasoning_content")?.or(alias).filter(|text| !text.is_empty());
    let mut blocks = Vec::new();
    for node in message.array("thinking_blocks")? {
        let mut block = node.object()?;
        let content = match block.require("type")?.text()?.as_str() {
            "redacted_thinking" => Content::RedactedReasoning { data: block.require("data")?.text()? },
            "thinking" => Content::Reasoning(ReasoningText {
                text: block.text("thinking")?.unwrap_or_default(),
                signature: block.text("signature")?.filter(|signature| !signature.is_empty()),
            }),
            _ => return Err(block.error("type", "must be thinking or redacted_thinking")),
        };
        blocks.push(Block::new(content));
    }
    let Some(plain) = plain else { return Ok(blocks) };
    // Some clients keep the text as `reasoning_content` and only the proof as a block.
    match blocks.as_mut_slice() {
        [] => blocks.push(Block::new(Content::Reasoning(ReasoningText { text: plain, signature: None }))),
        [Block { content: Content::Reasoning(only), .. }] if only.text.is_empty() => only.text = plain,
        _ => {}
    }
    Ok(blocks)
}

/// The call with an empty input, and its arguments as they were written.
pub(super) fn read_tool_call(node: &Node<'_>) -> Result<(ToolCall, String)> {
    let mut call = node.object()?;
    if call.text("type")?.is_some_and(|kind| kind != "function") {
        return Err(call.error("type", "must be function; other kinds of tool call are not translated"));
    }
    let mut function = call.require("function")?.object()?;
    let arguments = match function.take("arguments") {
        None => String::new(),
        Some(node) if node.is_text() => node.text()?,
        // Some compatible servers send the object itself.
        Some(node) => node.json().as_str().to_owned(),
    };
    let id = call.text("id")?.unwrap_or_default();
    let name = function.require("name")?.text()?;
    Ok((ToolCall { id, name, input: Json::empty_object() }, arguments))
}

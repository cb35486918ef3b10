//! Items that a model makes, shared by histories, answers and streams.

use super::NAMESPACE_SEPARATOR;
use super::read_content::read_parts;
use crate::canonical::{Block, Content, Json, Losses, ToolCall};
use crate::translate::error::TranslateError;
use crate::translate::read::{Node, Object};
use crate::translate::{reasoning_proof, tool_input};

type Result<T> = std::result::Result<T, TranslateError>;

/// Reads what the assistant made, or gives `None` for items of other kinds.
pub(super) fn read_made(
    kind: &str,
    item: &mut Object<'_>,
    losses: &mut Losses,
) -> Result<Option<Vec<Block>>> {
    item.ignore(&["id", "status"]);
    Ok(Some(match kind {
        "message" => {
            item.ignore(&["role"]);
            let mut blocks = read_parts(&item.require("content")?, losses)?;
            blocks.retain(|block| !matches!(&block.content, Content::Text(text) if text.is_empty()));
            blocks
        }
        "function_call" => {
            let (call, arguments) = read_function_call(item)?;
            let input = tool_input::from_arguments(&arguments).unwrap_or_else(|| {
                losses.changed(&item.path_of("arguments"), "was no json object and is quoted in one");
                tool_input::quoted(&arguments)
            });
            vec![Block::new(Content::ToolCall(ToolCall { input, ..call }))]
        }
        "custom_tool_call" => {
            let input = tool_input::from_free_text(&item.require("input")?.text()?);
            vec![Block::new(Content::ToolCall(ToolCall { input, ..read_call_head(item)? }))]
        }
        _ => return Ok(None),
    }))
}

/// The call with an empty input, and its arguments as they were written.
pub(super) fn read_function_call(item: &mut Object<'_>) -> Result<(ToolCall, String)> {
    let arguments = match item.take("arguments") {
        None => String::new(),
        Some(node) if node.is_text() => node.text()?,
        // Some compatible servers send the object itself.
        Some(node) => node.json().as_str().to_owned(),
    };
    Ok((read_call_head(item)?, arguments))
}

/// A call's id and name. The name begins with the namespace, if there is one.
pub(super) fn read_call_head(item: &mut Object<'_>) -> Result<ToolCall> {
    let name = item.require("name")?.text()?;
    let name = match item.text("namespace")? {
        Some(namespace) => qualified(&namespace, &name),
        None => name,
    };
    Ok(ToolCall { id: item.require("call_id")?.text()?, name, input: Json::empty_object() })
}

/// The name of a tool in a group, for dialects without groups.
pub(super) fn qualified(namespace: &str, name: &str) -> String {
    format!("{namespace}{NAMESPACE_SEPARATOR}{name}")
}

/// A reasoning item; `None` when there is nothing in it.
pub(super) fn read_reasoning(item: &mut Object<'_>, losses: &mut Losses) -> Result<Option<Block>> {
    item.ignore(&["status"]);
    let id = item.text("id")?.unwrap_or_default();
    let summary = read_texts(&item.array("summary")?, "\n\n")?;
    let content = read_texts(&item.array("content")?, "")?;
    let text = if summary.is_empty() { content } else { summary };
    let sealed = item.text("encrypted_content")?;
    if text.is_empty() && sealed.is_none() {
        return Ok(None);
    }
    match reasoning_proof::read(&id, text, sealed.as_deref()) {
        Ok(content) => Ok(Some(Block::new(content))),
        Err(reasoning_proof::Altered) => {
            losses.dropped(&item.path_of("summary"), "the text is not the one that its provider signed");
            Ok(None)
        }
    }
}

fn read_texts(parts: &[Node<'_>], separator: &str) -> Result<String> {
    let mut texts = Vec::with_capacity(parts.len());
    for part in parts {
        texts.push(part.object()?.text("text")?.unwrap_or_default());
    }
    Ok(texts.join(separator))
}

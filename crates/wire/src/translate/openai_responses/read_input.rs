//! `input` of a request to turns.

use super::conversation::Conversation;
use super::read_content::read_parts;
use super::read_item::{read_made, read_reasoning};
use super::read_tools::read_tool;
use crate::canonical::{Block, Content, Losses, Request, ToolResult};
use crate::translate::error::TranslateError;
use crate::translate::read::{Node, Object};

pub(super) fn read_input(
    node: &Node<'_>,
    request: &mut Request,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    let mut conversation = Conversation::default();
    if node.is_text() {
        conversation.user(vec![Block::text(node.text()?)]);
    } else {
        for item in node.array_or_text()? {
            read_item(&item, &mut conversation, request, losses)?;
        }
    }
    request.messages = conversation.into_messages();
    Ok(())
}

fn read_item(
    node: &Node<'_>,
    conversation: &mut Conversation,
    request: &mut Request,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    let mut item = node.object()?;
    let kind = item.text("type")?.unwrap_or_else(|| "message".to_owned());
    match kind.as_str() {
        "message" => read_message(&mut item, conversation, request, losses)?,
        "reasoning" => conversation.assistant(read_reasoning(&mut item, losses)?.into_iter().collect()),
        "function_call" | "custom_tool_call" => {
            for call in read_made(&kind, &mut item, losses)?.into_iter().flatten() {
                conversation.call(call);
            }
        }
        "function_call_output" | "custom_tool_call_output" => {
            conversation.result(read_result(&mut item, losses)?);
        }
        "additional_tools" => {
            item.ignore(&["id", "status", "role"]);
            for tool in item.array("tools")? {
                read_tool(&tool, &mut request.tools, losses)?;
            }
        }
        // What another agent has said to this one.
        "agent_message" => {
            losses.emulated(node.path(), "a message of another agent became one of the user");
            item.ignore(&["id", "status"]);
            let blocks = read_parts(&item.require("content")?, losses)?;
            conversation.user(blocks);
        }
        "item_reference" => {
            return Err(
                item.error("type", "items that a provider keeps cannot be sent to this model; send them")
            );
        }
        "compaction" | "compaction_summary" => {
            let problem =
                "a compacted history can be read by its own provider only; send the items themselves";
            return Err(item.error("type", problem));
        }
        _ => {
            losses.dropped(
                &format!("{}({kind})", node.path()),
                "this kind of item exists at its own provider only",
            );
            return Ok(());
        }
    }
    item.report_rest(losses);
    Ok(())
}

fn read_message(
    item: &mut Object<'_>,
    conversation: &mut Conversation,
    request: &mut Request,
    losses: &mut Losses,
) -> Result<(), TranslateError> {
    let role = item.require("role")?.text()?;
    if role == "assistant" {
        let blocks = read_made("message", item, losses)?.unwrap_or_default();
        conversation.assistant(blocks);
        return Ok(());
    }
    item.ignore(&["id", "status"]);
    let blocks = read_parts(&item.require("content")?, losses)?;
    match role.as_str() {
        "system" | "developer" => {
            if blocks.iter().any(|block| !matches!(block.content, Content::Text(_))) {
                return Err(item.error("content", "must be text in this role"));
            }
            conversation.instructions(blocks, request);
        }
        "user" => conversation.user(blocks),
        _ => return Err(item.error("role", "must be user, assistant, system or developer")),
    }
    Ok(())
}

fn read_result(item: &mut Object<'_>, losses: &mut Losses) -> Result<ToolResult, TranslateError> {
    item.ignore(&["id", "status", "name", "namespace"]);
    let call_id = item.require("call_id")?.text()?;
    let content = match item.take("output") {
        None => Vec::new(),
        Some(output) => read_parts(&output, losses)?,
    };
    Ok(ToolResult { call_id, content, is_error: false })
}

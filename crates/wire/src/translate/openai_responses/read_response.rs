//! Response object to canonical form.

use super::read_item::{read_function_call, read_made, read_reasoning};
use super::{api_error, read_stop_reason, usage};
use crate::canonical::{Block, Content, Losses, Response, ToolCall};
use crate::translate::error::{Side, TranslateError};
use crate::translate::read::{Node, Object};
use crate::translate::tool_input;

pub(in crate::translate) fn read_response(
    body: &[u8],
    losses: &mut Losses,
) -> Result<Response, TranslateError> {
    let mut fields = Object::parse(body, Side::Response)?;
    let status = fields.text("status")?.unwrap_or_else(|| "completed".to_owned());
    if fields.peek("error").is_some() || !matches!(status.as_str(), "completed" | "incomplete") {
        let message = api_error::read_failure(&mut fields).message;
        return Err(TranslateError::response(format!("the answer is {status}: {message}")));
    }
    let reason = read_incomplete_reason(&mut fields)?;
    let mut blocks = Vec::new();
    for node in fields.require("output")?.array()? {
        blocks.extend(read_output_item(&node, status == "incomplete", losses)?);
    }
    let has = |matches: fn(&Content) -> bool| blocks.iter().any(|block| matches(&block.content));
    let has_calls = has(|content| matches!(content, Content::ToolCall(_)));
    let refused = has(|content| matches!(content, Content::Refusal(_)));
    Ok(Response {
        id: fields.text("id")?.unwrap_or_default(),
        model: fields.text("model")?.unwrap_or_default(),
        stop: read_stop_reason(&status, reason.as_deref(), has_calls, refused),
        blocks,
        stop_sequence: None,
        usage: fields.object("usage")?.map(usage::read_usage).transpose()?.unwrap_or_default(),
    })
}

pub(super) fn read_incomplete_reason(answer: &mut Object<'_>) -> Result<Option<String>, TranslateError> {
    answer.object("incomplete_details")?.map_or(Ok(None), |mut details| details.text("reason"))
}

/// The blocks of a finished item. A call that was cut off is left out of an answer that is not whole.
pub(super) fn read_output_item(
    node: &Node<'_>,
    may_be_cut: bool,
    losses: &mut Losses,
) -> Result<Vec<Block>, TranslateError> {
    let mut item = node.object()?;
    let kind = item.require("type")?.text()?;
    if kind == "reasoning" {
        return Ok(read_reasoning(&mut item, losses)?.into_iter().collect());
    }
    if kind == "function_call" {
        let (call, arguments) = read_function_call(&mut item)?;
        let Some(input) = tool_input::from_arguments(&arguments) else {
            if may_be_cut {
                losses.dropped(node.path(), "the call was cut off by the output limit");
                return Ok(Vec::new());
            }
            return Err(node.error("has arguments that are no json object"));
        };
        return Ok(vec![Block::new(Content::ToolCall(ToolCall { input, ..call }))]);
    }
    let Some(blocks) = read_made(&kind, &mut item, losses)? else {
        losses.dropped(
            &format!("{}({kind})", node.path()),
            "this kind of item exists at its own provider only",
        );
        return Ok(Vec::new());
    };
    Ok(blocks)
}

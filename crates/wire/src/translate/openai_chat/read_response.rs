//! Chat completion to canonical form.

use super::read_content::{read_assistant_text, read_reasoning, read_tool_call};
use super::{api_error, read_stop_reason, usage};
use crate::canonical::{Block, Content, Losses, Response, StopReason, ToolCall};
use crate::translate::error::{Side, TranslateError};
use crate::translate::read::{Node, Object};
use crate::translate::tool_input;

pub(in crate::translate) fn read_response(
    body: &[u8],
    losses: &mut Losses,
) -> Result<Response, TranslateError> {
    let mut fields = Object::parse(body, Side::Response)?;
    if let Some(error) = fields.take("error") {
        return Err(TranslateError::response(api_error::read_error_node(&error).message));
    }
    let choices = fields.require("choices")?.array()?;
    let first = choices.first().ok_or_else(|| fields.error("choices", "is empty"))?;
    let mut choice = first.object()?;
    let mut message = choice.require("message")?.object()?;
    let reason = choice.require("finish_reason")?.text()?;
    let mut blocks = read_reasoning(&mut message)?;
    blocks.extend(read_assistant_text(&mut message, losses)?);
    let id = fields.text("id")?.unwrap_or_default();
    let calls = read_calls(&message.array("tool_calls")?, &reason, &id, losses)?;
    let mut stop = read_stop_reason(&reason, !calls.is_empty());
    let refused = blocks.iter().any(|block| matches!(block.content, Content::Refusal(_)));
    if refused && stop == StopReason::EndTurn {
        stop = StopReason::Refusal;
    }
    if stop == StopReason::Other("error".to_owned()) {
        return Err(TranslateError::response("the provider stopped with an error"));
    }
    blocks.extend(calls);
    message.ignore(&["role", "annotations"]);
    message.report_rest(losses);
    choice.ignore(&["index", "native_finish_reason"]);
    choice.report_rest(losses);
    Ok(Response {
        id,
        model: fields.text("model")?.unwrap_or_default(),
        blocks,
        stop,
        stop_sequence: None,
        usage: fields.object("usage")?.map(usage::read_usage).transpose()?.unwrap_or_default(),
    })
}

fn read_calls(
    nodes: &[Node<'_>],
    reason: &str,
    response_id: &str,
    losses: &mut Losses,
) -> Result<Vec<Block>, TranslateError> {
    let mut calls = Vec::new();
    for (position, node) in nodes.iter().enumerate() {
        let (call, arguments) = read_tool_call(node)?;
        let Some(input) = tool_input::from_arguments(&arguments) else {
            if reason == "length" {
                losses.dropped(node.path(), "the call was cut off by the output limit");
                continue;
            }
            return Err(node.error("has arguments that are no json object"));
        };
        let id = if call.id.is_empty() { super::missing_call_id(response_id, position) } else { call.id };
        calls.push(Block::new(Content::ToolCall(ToolCall { id, input, name: call.name })));
    }
    Ok(calls)
}

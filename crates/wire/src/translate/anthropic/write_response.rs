//! Canonical form to message.

use super::write_content::{write_block, write_tool_use};
use super::{message_id, stop_reason_text, usage};
use crate::canonical::{Content, Losses, Response, StopReason};
use crate::translate::carry::Carry;
use crate::translate::error::TranslateError;
use crate::translate::write;

pub(in crate::translate) fn write_response(
    response: &Response,
    carry: &Carry,
    losses: &mut Losses,
) -> Result<Vec<u8>, TranslateError> {
    if let StopReason::Other(_) = response.stop {
        losses.changed("finish_reason", "is not known to the messages dialect and became end_turn");
    }
    let mut body = Vec::new();
    let mut result = Ok(());
    write::object(&mut body, |out| {
        out.text("id", &message_id(&response.id));
        out.text("type", "message");
        out.text("role", "assistant");
        out.text("model", if response.model.is_empty() { &carry.model } else { &response.model });
        out.array("content", |list| {
            for block in &response.blocks {
                let written = match &block.content {
                    Content::Text(text) if text.is_empty() => Ok(()),
                    // The client's own name and the upstream's own id, whatever characters they have.
                    Content::ToolCall(call) => {
                        list.object(|out| write_tool_use(out, &call.id, &call.name, &call.input));
                        Ok(())
                    }
                    _ => write_block(list, block),
                };
                if result.is_ok() {
                    result = written;
                }
            }
        });
        out.text("stop_reason", stop_reason_text(&response.stop));
        out.value("stop_sequence", &response.stop_sequence);
        usage::write_usage(out, &response.usage);
    });
    result.map(|()| body)
}

//! The OpenAI chat completions dialect.

mod api_error;
mod read_content;
mod read_request;
mod read_response;
mod read_stream;
mod usage;
mod write_assistant;
mod write_messages;
mod write_request;
mod write_response;
mod write_stream;

pub(super) use api_error::{read_error, read_error_fields, read_error_node, write_error, write_stream_error};
pub(super) use read_request::read_request;
pub(super) use read_response::read_response;
pub(super) use read_stream::StreamReader;
pub(super) use write_messages::is_billing_note;
pub(super) use write_request::write_request;
pub(super) use write_response::write_response;
pub(super) use write_stream::StreamWriter;

use crate::canonical::StopReason;

/// Longest tool name and call id that OpenAI takes.
pub(super) const TOOL_NAME_LIMIT: usize = 64;
const CALL_ID_LIMIT: usize = 40;

fn read_stop_reason(reason: &str, has_tool_calls: bool) -> StopReason {
    match reason {
        // A forced call and several compatible servers answer `stop` although there are calls to run.
        "stop" if has_tool_calls => StopReason::ToolCall,
        "stop" => StopReason::EndTurn,
        "length" => StopReason::MaxTokens,
        "tool_calls" | "function_call" => StopReason::ToolCall,
        "content_filter" => StopReason::Refusal,
        other => StopReason::Other(other.to_owned()),
    }
}

/// An id for a call to which the server gave none; ids must not repeat within a conversation.
fn missing_call_id(response_id: &str, position: usize) -> String {
    format!("call_{response_id}_{position}")
}

fn stop_reason_text(reason: &StopReason) -> &str {
    match reason {
        StopReason::EndTurn | StopReason::StopSequence => "stop",
        // A paused answer is unfinished, which is what `length` tells a client.
        StopReason::MaxTokens | StopReason::ContextFull | StopReason::Pause => "length",
        StopReason::ToolCall => "tool_calls",
        StopReason::Refusal => "content_filter",
        StopReason::Other(other) => other,
    }
}

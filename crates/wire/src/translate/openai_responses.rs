//! The OpenAI responses dialect. Source: the API reference and the types of openai-python and openai-node.

mod answer;
mod api_error;
mod conversation;
mod followed;
mod item_writer;
mod read_content;
mod read_input;
mod read_item;
mod read_request;
mod read_response;
mod read_stream;
mod read_tools;
mod stream_item;
mod usage;
mod write_input;
mod write_parts;
mod write_request;
mod write_response;
mod write_stream;
mod write_tools;

pub(super) use read_request::read_request;
pub(super) use read_response::read_response;
pub(super) use read_stream::StreamReader;
pub(super) use write_request::write_request;
pub(super) use write_response::write_response;
pub(super) use write_stream::StreamWriter;

use crate::canonical::StopReason;

/// Longest tool name and call id.
pub(super) const TOOL_NAME_LIMIT: usize = 64;

/// Between a namespace and the tool's own name, where the target has no namespaces.
const NAMESPACE_SEPARATOR: &str = "__";

/// The reason in `incomplete_details` for an answer that is not whole.
const fn incomplete_reason(stop: &StopReason) -> Option<&'static str> {
    match stop {
        // A paused answer is unfinished; no reason of the dialect says so better.
        StopReason::MaxTokens | StopReason::ContextFull | StopReason::Pause => Some("max_output_tokens"),
        StopReason::Refusal => Some("content_filter"),
        StopReason::EndTurn | StopReason::StopSequence | StopReason::ToolCall | StopReason::Other(_) => None,
    }
}

/// Why an answer with this status ended.
fn read_stop_reason(status: &str, incomplete: Option<&str>, has_calls: bool, refused: bool) -> StopReason {
    match (status, incomplete) {
        ("incomplete", Some("content_filter")) => StopReason::Refusal,
        ("incomplete", _) => StopReason::MaxTokens,
        _ if has_calls => StopReason::ToolCall,
        _ if refused => StopReason::Refusal,
        _ => StopReason::EndTurn,
    }
}

//! The Anthropic messages dialect.

mod api_error;
mod read_content;
mod read_request;
mod read_response;
mod read_stream;
mod thinking;
mod turns;
mod usage;
mod write_content;
mod write_request;
mod write_response;
mod write_stream;
mod write_tools;

pub(super) use api_error::{read_error, write_error};
pub(super) use read_request::read_request;
pub(super) use read_response::read_response;
pub(super) use read_stream::StreamReader;
pub(super) use write_request::write_request;
pub(super) use write_response::write_response;
pub(super) use write_stream::StreamWriter;

use crate::canonical::StopReason;

/// Longest tool name and call id.
pub(super) const NAME_LIMIT: usize = 128;

/// Stands where a signature must be when the reasoning came from a provider that does not sign. Clients replay it
/// verbatim, so that such reasoning is recognized and never sent to a provider that would verify it.
const UNSIGNED: &str = "tollgate-unsigned-reasoning";

fn read_stop_reason(reason: String) -> StopReason {
    match reason.as_str() {
        "end_turn" => StopReason::EndTurn,
        "stop_sequence" => StopReason::StopSequence,
        "max_tokens" => StopReason::MaxTokens,
        "model_context_window_exceeded" => StopReason::ContextFull,
        "tool_use" => StopReason::ToolCall,
        "refusal" => StopReason::Refusal,
        "pause_turn" => StopReason::Pause,
        _ => StopReason::Other(reason),
    }
}

const fn stop_reason_text(reason: &StopReason) -> &'static str {
    match reason {
        StopReason::EndTurn => "end_turn",
        StopReason::StopSequence => "stop_sequence",
        StopReason::MaxTokens => "max_tokens",
        StopReason::ContextFull => "model_context_window_exceeded",
        StopReason::ToolCall => "tool_use",
        StopReason::Refusal => "refusal",
        StopReason::Pause => "pause_turn",
        // The dialect's clients take a closed set; the answer is complete as far as anyone said.
        StopReason::Other(_) => "end_turn",
    }
}

/// The upstream's id, recognizable as a message's.
fn message_id(id: &str) -> String {
    if id.starts_with("msg_") { id.to_owned() } else { format!("msg_{id}") }
}

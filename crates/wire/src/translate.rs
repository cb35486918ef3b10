//! Translation between dialects through the canonical form: one reader and one writer per dialect.
//!
//! Nothing here does I/O or reads a clock. The depth of a document is bounded, because readers look at one level at
//! a time and carry tool inputs and schemas as text.

mod anthropic;
mod carry;
mod error;
mod foreign_error;
mod media;
mod names;
mod openai_chat;
mod openai_responses;
mod read;
mod reasoning_proof;
mod schema;
mod stream;
mod structured_output;
mod tool_input;
mod write;

use tollgate_core::Dialect;

pub use carry::{Capabilities, Carry, RequestContext};
pub use error::TranslateError;
pub use stream::{StreamState, StreamTranslator};

use crate::canonical::{Content, Loss, Losses, Response};

/// A request in the upstream's dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranslatedRequest {
    pub body: Vec<u8>,
    /// What the upstream's dialect cannot say; strict callers refuse the request when there is any.
    pub losses: Vec<Loss>,
    /// What the way back needs.
    pub carry: Carry,
}

/// An answer in the client's dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranslatedResponse {
    pub body: Vec<u8>,
    pub losses: Vec<Loss>,
}

/// Translates a request from the client's dialect into the upstream's.
///
/// # Errors
/// `Request` names the field that the caller must change; `Unsupported` when the dialects have no translation.
pub fn translate_request(
    from: Dialect,
    to: Dialect,
    body: &[u8],
    context: &RequestContext<'_>,
) -> Result<TranslatedRequest, TranslateError> {
    let unsupported = || TranslateError::Unsupported { from, to };
    let mut losses = Losses::default();
    let mut request = match from {
        Dialect::OpenaiChat => openai_chat::read_request(body, &mut losses)?,
        Dialect::OpenaiResponses => openai_responses::read_request(body, &mut losses)?,
        Dialect::AnthropicMessages => anthropic::read_request(body, &mut losses)?,
        _ => return Err(unsupported()),
    };
    if let Some(cap) = context.output_cap_tokens {
        // Anthropic's dialect has no request without a cap.
        let unasked = if to == Dialect::AnthropicMessages { context.default_max_output_tokens } else { cap };
        request.max_output_tokens = Some(request.max_output_tokens.unwrap_or(unasked).min(cap));
    }
    let name_limit = match to {
        Dialect::OpenaiChat => openai_chat::TOOL_NAME_LIMIT,
        Dialect::OpenaiResponses => openai_responses::TOOL_NAME_LIMIT,
        Dialect::AnthropicMessages => anthropic::NAME_LIMIT,
        _ => return Err(unsupported()),
    };
    let carry = Carry::of(&request, name_limit);
    let body = match to {
        Dialect::OpenaiChat => openai_chat::write_request(&request, context, &mut losses)?,
        Dialect::OpenaiResponses => openai_responses::write_request(&request, context, &mut losses)?,
        _ => anthropic::write_request(request, context, &mut losses)?,
    };
    Ok(TranslatedRequest { body, losses: losses.into_vec(), carry })
}

/// Translates a complete answer from the upstream's dialect into the client's.
///
/// # Errors
/// `Response` when the body is not what the upstream's dialect promises.
pub fn translate_response(
    from: Dialect,
    to: Dialect,
    body: &[u8],
    carry: &Carry,
) -> Result<TranslatedResponse, TranslateError> {
    let mut losses = Losses::default();
    let mut response = match from {
        Dialect::OpenaiChat => openai_chat::read_response(body, &mut losses)?,
        Dialect::OpenaiResponses => openai_responses::read_response(body, &mut losses)?,
        Dialect::AnthropicMessages => anthropic::read_response(body, &mut losses)?,
        _ => return Err(TranslateError::Unsupported { from, to }),
    };
    restore_tool_names(&mut response, carry);
    let body = match to {
        Dialect::OpenaiChat => openai_chat::write_response(&response, carry, &mut losses),
        Dialect::OpenaiResponses => openai_responses::write_response(&response, carry, &mut losses),
        Dialect::AnthropicMessages => anthropic::write_response(&response, carry, &mut losses)?,
        _ => return Err(TranslateError::Unsupported { from, to }),
    };
    Ok(TranslatedResponse { body, losses: losses.into_vec() })
}

fn restore_tool_names(response: &mut Response, carry: &Carry) {
    for block in &mut response.blocks {
        if let Content::ToolCall(call) = &mut block.content {
            call.name = carry.client_tool_name(std::mem::take(&mut call.name));
        }
    }
}

/// Translates an error answer. The provider's code and message are kept; the status changes only where the client's
/// dialect means something else by it.
pub fn translate_error(from: Dialect, to: Dialect, status: u16, body: &[u8]) -> (u16, Vec<u8>) {
    // The chat dialect's errors are those of the responses dialect.
    let error = match from {
        Dialect::AnthropicMessages => anthropic::read_error(status, body),
        _ => openai_chat::read_error(status, body),
    };
    match to {
        Dialect::AnthropicMessages => anthropic::write_error(status, &error),
        _ => openai_chat::write_error(status, &error),
    }
}

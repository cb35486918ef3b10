//! Errors inside an answer. Error bodies are those of the chat dialect.

use crate::canonical::{ApiError, ApiErrorKind};
use crate::translate::openai_chat;
use crate::translate::read::Object;

/// The error of a failed answer, or of an `error` event, whose members may stand at its top.
pub(super) fn read_failure(fields: &mut Object<'_>) -> ApiError {
    if let Some(error) = fields.take("error") {
        return openai_chat::read_error_node(&error);
    }
    openai_chat::read_error_fields(fields)
}

/// The code of a failed answer. Clients decide by it whether to shorten the prompt, to wait, or to give up.
pub(super) fn failure_code(error: &ApiError) -> &'static str {
    match error.kind {
        ApiErrorKind::ContextLength => "context_length_exceeded",
        ApiErrorKind::Billing => "insufficient_quota",
        ApiErrorKind::RateLimit => "rate_limit_exceeded",
        ApiErrorKind::Overloaded => "server_is_overloaded",
        ApiErrorKind::InvalidRequest | ApiErrorKind::TooLarge | ApiErrorKind::NotFound => "invalid_prompt",
        ApiErrorKind::Authentication
        | ApiErrorKind::Permission
        | ApiErrorKind::Timeout
        | ApiErrorKind::Server => "server_error",
    }
}

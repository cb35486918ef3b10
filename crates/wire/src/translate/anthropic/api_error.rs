//! Errors of the messages dialect: `{"type":"error","error":{"type","message"},"request_id"}`.

use crate::canonical::{ApiError, ApiErrorKind};
use crate::translate::error::Side;
use crate::translate::read::{Node, Object};
use crate::translate::write::ObjectWriter;
use crate::translate::{foreign_error, write};

/// The words by which Anthropic's clients recognize a prompt that does not fit, and shorten it.
const PROMPT_TOO_LONG: &str = "prompt is too long";

pub(in crate::translate) fn read_error(status: u16, body: &[u8]) -> ApiError {
    let inner = Object::parse(body, Side::Response).ok().and_then(|mut document| document.take("error"));
    let mut error = inner.as_ref().map_or_else(|| foreign_error::from_text(body), read_inner);
    error.kind = kind(&error, ApiErrorKind::from_status(status));
    if error.message.is_empty() {
        error.message = format!("the provider answered with status {status}");
    }
    error
}

/// The error inside a stream, where no status tells its kind.
pub(super) fn read_error_node(node: &Node<'_>) -> ApiError {
    let mut error = read_inner(node);
    error.kind = kind(&error, ApiErrorKind::Server);
    if error.message.is_empty() {
        "the provider failed".clone_into(&mut error.message);
    }
    error
}

fn read_inner(node: &Node<'_>) -> ApiError {
    let mut error =
        ApiError { kind: ApiErrorKind::Server, message: String::new(), code: None, parameter: None };
    let Ok(mut fields) = node.object() else {
        error.message = node.text().unwrap_or_default();
        return error;
    };
    error.message = fields.text("message").ok().flatten().unwrap_or_default();
    error.code = fields.text("type").ok().flatten();
    error
}

fn kind(error: &ApiError, otherwise: ApiErrorKind) -> ApiErrorKind {
    match error.code.as_deref() {
        Some("invalid_request_error" | "request_too_large") if is_too_long(&error.message) => {
            ApiErrorKind::ContextLength
        }
        Some("invalid_request_error") => ApiErrorKind::InvalidRequest,
        Some("authentication_error") => ApiErrorKind::Authentication,
        Some("billing_error") => ApiErrorKind::Billing,
        Some("permission_error") => ApiErrorKind::Permission,
        Some("not_found_error") => ApiErrorKind::NotFound,
        Some("request_too_large") => ApiErrorKind::TooLarge,
        Some("rate_limit_error") => ApiErrorKind::RateLimit,
        Some("overloaded_error") => ApiErrorKind::Overloaded,
        Some("timeout_error") => ApiErrorKind::Timeout,
        Some("api_error") => ApiErrorKind::Server,
        _ => otherwise,
    }
}

fn is_too_long(message: &str) -> bool {
    message.to_ascii_lowercase().contains(PROMPT_TOO_LONG)
}

pub(in crate::translate) fn write_error(status: u16, error: &ApiError) -> (u16, Vec<u8>) {
    let mut body = Vec::new();
    write::object(&mut body, |out| {
        out.text("type", "error");
        write_inner(out, error);
    });
    // Clients retry every 429, which cannot help an account without credit.
    (if error.kind == ApiErrorKind::Billing { 402 } else { status }, body)
}

pub(super) fn write_inner(out: &mut ObjectWriter<'_>, error: &ApiError) {
    let wording = error.kind == ApiErrorKind::ContextLength && !is_too_long(&error.message);
    let message =
        if wording { format!("{PROMPT_TOO_LONG}: {}", error.message) } else { error.message.clone() };
    out.object("error", |out| {
        out.text("type", type_text(error.kind));
        out.text("message", &message);
        // No field of the dialect, and ignored by its clients: kept so that nothing the provider said is lost.
        out.optional("code", error.code.as_deref());
        out.optional("param", error.parameter.as_deref());
    });
}

const fn type_text(kind: ApiErrorKind) -> &'static str {
    match kind {
        ApiErrorKind::InvalidRequest | ApiErrorKind::ContextLength => "invalid_request_error",
        ApiErrorKind::Authentication => "authentication_error",
        ApiErrorKind::Billing => "billing_error",
        ApiErrorKind::Permission => "permission_error",
        ApiErrorKind::NotFound => "not_found_error",
        ApiErrorKind::TooLarge => "request_too_large",
        ApiErrorKind::RateLimit => "rate_limit_error",
        ApiErrorKind::Overloaded => "overloaded_error",
        ApiErrorKind::Timeout => "timeout_error",
        ApiErrorKind::Server => "api_error",
    }
}

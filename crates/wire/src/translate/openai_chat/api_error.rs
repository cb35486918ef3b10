//! Errors of the chat dialect: `{"error":{"message","type","param","code"}}` and what compatible servers make of it.

use crate::canonical::{ApiError, ApiErrorKind};
use crate::translate::error::Side;
use crate::translate::read::{Node, Object};
use crate::translate::write::ObjectWriter;
use crate::translate::{foreign_error, write};

pub(in crate::translate) fn read_error(status: u16, body: &[u8]) -> ApiError {
    let parsed = Node::parse(body, Side::Response).ok().and_then(|node| read_document(&node));
    let mut error = parsed.unwrap_or_else(|| foreign_error::from_text(body));
    error.kind = kind(status, error.code.as_deref());
    if error.message.is_empty() {
        error.message = format!("the provider answered with status {status}");
    }
    error
}

/// The error inside a stream, where no status tells its kind.
pub(in crate::translate) fn read_error_node(node: &Node<'_>) -> ApiError {
    with_kind(read_inner(node))
}

/// The error whose members stand in `fields`.
pub(in crate::translate) fn read_error_fields(fields: &mut Object<'_>) -> ApiError {
    with_kind(read_fields(fields))
}

fn with_kind(mut error: ApiError) -> ApiError {
    error.kind = kind(500, error.code.as_deref());
    if error.message.is_empty() {
        "the provider failed".clone_into(&mut error.message);
    }
    error
}

fn read_document(node: &Node<'_>) -> Option<ApiError> {
    let mut document = node.object().ok()?;
    if let Some(error) = document.take("error") {
        return Some(read_inner(&error));
    }
    // Mistral, FastAPI and text-generation servers put the message at the top.
    Some(read_fields(&mut document))
}

fn read_inner(node: &Node<'_>) -> ApiError {
    if node.is_text() {
        let message = node.text().unwrap_or_default();
        return ApiError { kind: ApiErrorKind::Server, message, code: None, parameter: None };
    }
    node.object().map_or_else(
        |_| ApiError { kind: ApiErrorKind::Server, message: String::new(), code: None, parameter: None },
        |mut fields| read_fields(&mut fields),
    )
}

fn read_fields(fields: &mut Object<'_>) -> ApiError {
    let mut text = |key: &str| {
        let node = fields.take(key)?;
        // Codes are numbers at some servers, `detail` is an array at others.
        if node.is_text() { node.text().ok() } else { Some(node.json().as_str().to_owned()) }
    };
    let message = text("message").or_else(|| text("detail")).unwrap_or_default();
    let kind = text("type");
    let code = text("code").or(kind);
    ApiError { kind: ApiErrorKind::Server, message, code, parameter: text("param") }
}

fn kind(status: u16, code: Option<&str>) -> ApiErrorKind {
    match code {
        Some("context_length_exceeded") => ApiErrorKind::ContextLength,
        Some("insufficient_quota") => ApiErrorKind::Billing,
        Some("rate_limit_exceeded" | "rate_limit_error" | "429") => ApiErrorKind::RateLimit,
        Some("overloaded" | "overloaded_error" | "server_overloaded" | "503") => ApiErrorKind::Overloaded,
        Some("invalid_request_error") if status == 500 => ApiErrorKind::InvalidRequest,
        _ => ApiErrorKind::from_status(status),
    }
}

pub(in crate::translate) fn write_error(status: u16, error: &ApiError) -> (u16, Vec<u8>) {
    let mut body = Vec::new();
    write_error_body(error, &mut body);
    // 529 is known to Anthropic's clients only.
    (if status == 529 { 503 } else { status }, body)
}

pub(super) fn write_error_body(error: &ApiError, out: &mut Vec<u8>) {
    write::object(out, |out| out.object("error", |out| write_members(out, error)));
}

/// Members of an `error` event of the responses dialect: flat as its schema has them, and nested, by which SDKs know it.
pub(in crate::translate) fn write_stream_error(out: &mut ObjectWriter<'_>, error: &ApiError) {
    out.value("code", &code(error));
    out.text("message", &error.message);
    out.value("param", &error.parameter);
    out.object("error", |out| write_members(out, error));
}

fn write_members(out: &mut ObjectWriter<'_>, error: &ApiError) {
    out.text("message", &error.message);
    out.text("type", type_text(error.kind));
    out.value("param", &error.parameter);
    out.value("code", &code(error));
}

fn code(error: &ApiError) -> Option<&str> {
    match error.kind {
        ApiErrorKind::ContextLength => Some("context_length_exceeded"),
        _ => error.code.as_deref(),
    }
}

const fn type_text(kind: ApiErrorKind) -> &'static str {
    match kind {
        ApiErrorKind::Authentication => "authentication_error",
        ApiErrorKind::Permission => "permission_error",
        ApiErrorKind::Billing => "insufficient_quota",
        ApiErrorKind::RateLimit => "rate_limit_error",
        ApiErrorKind::Overloaded | ApiErrorKind::Timeout | ApiErrorKind::Server => "server_error",
        ApiErrorKind::InvalidRequest
        | ApiErrorKind::ContextLength
        | ApiErrorKind::NotFound
        | ApiErrorKind::TooLarge => "invalid_request_error",
    }
}

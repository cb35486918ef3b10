use bytes::Bytes;
use serde_json::json;
use tollgate_core::{Dialect, TokenUsage};

use super::{Canned, data, event};

/// The dialect's error body for a status, with the type and code that go with it.
pub fn error(dialect: Dialect, status: u16) -> Canned {
    let message = format!("scripted error {status}");
    let body = if dialect == Dialect::AnthropicMessages {
        json!({
            "type": "error",
            "error": {"type": anthropic_type(status), "message": message},
            "request_id": "req_scripted0001",
        })
    } else {
        let (kind, code) = openai_type(status);
        json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
    };
    Canned::json(dialect, status, &body, TokenUsage::default())
}

/// The dialect's way to report a failure inside a stream that has begun.
pub fn error_event(dialect: Dialect) -> Bytes {
    let message = "scripted error in the stream";
    match dialect {
        Dialect::AnthropicMessages => {
            event(&json!({"type": "error", "error": {"type": "overloaded_error", "message": message}}))
        }
        Dialect::OpenaiResponses => event(&json!({
            "type": "error",
            "code": "server_error",
            "message": message,
            "param": null,
            "sequence_number": 5,
        })),
        _ => {
            data(&json!({"error": {"message": message, "type": "server_error", "param": null, "code": null}}))
        }
    }
}

fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

fn openai_type(status: u16) -> (&'static str, Option<&'static str>) {
    match status {
        401 => ("authentication_error", Some("invalid_api_key")),
        403 => ("permission_error", None),
        404 => ("invalid_request_error", Some("model_not_found")),
        429 => ("rate_limit_error", Some("rate_limit_exceeded")),
        400..=499 => ("invalid_request_error", None),
        _ => ("server_error", None),
    }
}

use std::time::Duration;

use http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

use super::{ask::Surface, json as json_response, models::MODELS, paced::PacedBody};

pub(super) fn not_found(path: &str) -> Response<PacedBody> {
    let message = format!(
        "there is nothing at {path}; this simulated provider serves /v1/chat/completions, /v1/messages and others"
    );
    error(Surface::Chat, StatusCode::NOT_FOUND, &message)
}

pub(super) fn unknown_model(surface: Surface, body: &Value) -> Response<PacedBody> {
    let asked = body.get("model").and_then(Value::as_str).unwrap_or_default();
    let names: Vec<_> = MODELS.iter().map(|model| model.name).collect();
    let message = format!("the model '{asked}' does not exist; there are {}", names.join(", "));
    error(surface, StatusCode::NOT_FOUND, &message)
}

pub(super) fn error(surface: Surface, status: StatusCode, message: &str) -> Response<PacedBody> {
    delayed(surface, status, message, Duration::ZERO)
}

/// One of the failures that providers have now and then.
pub(super) fn fault(surface: Surface, status: StatusCode, after: Duration) -> Response<PacedBody> {
    let message = match status.as_u16() {
        429 => "the simulated provider has had enough requests for now",
        529 => "the simulated provider is overloaded",
        _ => "the simulated provider had an internal error",
    };
    let mut response = delayed(surface, status, message, after / 4);
    if status == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn delayed(surface: Surface, status: StatusCode, message: &str, after: Duration) -> Response<PacedBody> {
    let (anthropic_type, openai_type, code) = match status.as_u16() {
        404 => ("not_found_error", "invalid_request_error", Some("model_not_found")),
        413 => ("request_too_large", "invalid_request_error", None),
        429 => ("rate_limit_error", "rate_limit_error", Some("rate_limit_exceeded")),
        529 => ("overloaded_error", "server_error", None),
        500.. => ("api_error", "server_error", None),
        _ => ("invalid_request_error", "invalid_request_error", None),
    };
    let body = if surface.is_anthropic() {
        json!({"type": "error", "error": {"type": anthropic_type, "message": message}})
    } else {
        json!({"error": {"message": message, "type": openai_type, "param": null, "code": code}})
    };
    json_response(status, &body, after)
}

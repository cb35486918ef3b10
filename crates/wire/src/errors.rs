//! Error answers in the caller's dialect.

use bytes::{Bytes, BytesMut};
use serde_json::json;
use tollgate_core::Dialect;

use crate::sse::encode_event;

/// What went wrong, in terms that every dialect can express.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    InvalidRequest,
    Authentication,
    Permission,
    NotFound,
    RequestTooLarge,
    RateLimited,
    BudgetExceeded,
    /// Too much load here or at the provider; the same request may work later.
    Overloaded,
    /// The provider failed or answered nonsense.
    UpstreamError,
    /// The provider did not answer in time.
    Timeout,
    Internal,
    /// Something that Tollgate depends on is down.
    Unavailable,
    /// Valid, but not possible with this model or deployment.
    NotSupported,
}

impl ErrorKind {
    pub const ALL: [Self; 13] = [
        Self::InvalidRequest,
        Self::Authentication,
        Self::Permission,
        Self::NotFound,
        Self::RequestTooLarge,
        Self::RateLimited,
        Self::BudgetExceeded,
        Self::Overloaded,
        Self::UpstreamError,
        Self::Timeout,
        Self::Internal,
        Self::Unavailable,
        Self::NotSupported,
    ];

    /// A stable name for logs and metrics, and the default `code` of the OpenAI dialects.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Authentication => "invalid_api_key",
            Self::Permission => "permission_denied",
            Self::NotFound => "not_found",
            Self::RequestTooLarge => "request_too_large",
            Self::RateLimited => "rate_limit_exceeded",
            Self::BudgetExceeded => "budget_exceeded",
            Self::Overloaded => "overloaded",
            Self::UpstreamError => "upstream_error",
            Self::Timeout => "timeout",
            Self::Internal => "internal_error",
            Self::Unavailable => "unavailable",
            Self::NotSupported => "not_supported",
        }
    }

    /// The HTTP status. Only Anthropic's dialect has 529 for overload.
    pub const fn status(self, dialect: Dialect) -> u16 {
        match self {
            Self::InvalidRequest | Self::NotSupported => 400,
            Self::Authentication => 401,
            Self::Permission => 403,
            Self::NotFound => 404,
            Self::RequestTooLarge => 413,
            Self::RateLimited | Self::BudgetExceeded => 429,
            Self::Internal => 500,
            Self::UpstreamError => 502,
            Self::Unavailable => 503,
            Self::Overloaded => match dialect {
                Dialect::AnthropicMessages => 529,
                _ => 503,
            },
            Self::Timeout => 504,
        }
    }

    /// The dialect's own `type`.
    pub const fn type_name(self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::AnthropicMessages => self.anthropic_type(),
            _ => self.openai_type(),
        }
    }

    const fn openai_type(self) -> &'static str {
        match self {
            Self::InvalidRequest | Self::NotFound | Self::RequestTooLarge | Self::NotSupported => {
                "invalid_request_error"
            }
            Self::Authentication => "authentication_error",
            Self::Permission => "permission_error",
            Self::RateLimited => "rate_limit_error",
            Self::BudgetExceeded => "budget_exceeded",
            Self::Overloaded | Self::UpstreamError | Self::Timeout | Self::Internal | Self::Unavailable => {
                "server_error"
            }
        }
    }

    const fn anthropic_type(self) -> &'static str {
        match self {
            Self::InvalidRequest | Self::NotSupported => "invalid_request_error",
            Self::Authentication => "authentication_error",
            Self::Permission => "permission_error",
            Self::NotFound => "not_found_error",
            Self::RequestTooLarge => "request_too_large",
            Self::RateLimited => "rate_limit_error",
            Self::BudgetExceeded => "budget_exceeded",
            Self::Overloaded => "overloaded_error",
            Self::Timeout => "timeout_error",
            Self::UpstreamError | Self::Internal | Self::Unavailable => "api_error",
        }
    }
}

/// One error for a caller.
#[derive(Debug, Clone, Copy)]
pub struct ErrorBody<'text> {
    pub kind: ErrorKind,
    /// What was wrong and what to change.
    pub message: &'text str,
    /// The request field at fault.
    pub param: Option<&'text str>,
    /// A more exact code than the kind's own, for example `model_not_found`.
    pub code: Option<&'text str>,
    /// Put into Anthropic's bodies; the OpenAI dialects carry it in a header only.
    pub request_id: Option<&'text str>,
}

impl ErrorBody<'_> {
    fn openai_error(&self, dialect: Dialect) -> serde_json::Value {
        json!({
            "message": self.message,
            "type": self.kind.type_name(dialect),
            "param": self.param,
            "code": self.code.unwrap_or(self.kind.as_str()),
        })
    }

    fn value(&self, dialect: Dialect) -> serde_json::Value {
        match dialect {
            Dialect::AnthropicMessages => json!({
                "type": "error",
                "error": { "type": self.kind.type_name(dialect), "message": self.message },
                "request_id": self.request_id,
            }),
            _ => json!({ "error": self.openai_error(dialect) }),
        }
    }
}

/// The body of an error answer; its content type is `application/json`.
pub fn error_body(dialect: Dialect, error: &ErrorBody<'_>) -> Bytes {
    error.value(dialect).to_string().into()
}

/// The event that ends a stream which cannot go on. No success terminator follows it. `sequence_number` continues the
/// numbering of a Responses stream; other dialects have none.
pub fn stream_error_event(dialect: Dialect, error: &ErrorBody<'_>, sequence_number: u64) -> Bytes {
    let mut out = BytesMut::new();
    match dialect {
        Dialect::AnthropicMessages => {
            encode_event(&mut out, Some("error"), &error.value(dialect).to_string());
        }
        Dialect::OpenaiResponses => {
            let details = error.openai_error(dialect);
            // OpenAI's SDKs read the flat members, others the nested object.
            let event = json!({
                "type": "error",
                "sequence_number": sequence_number,
                "code": details["code"],
                "message": details["message"],
                "param": details["param"],
                "error": details,
            });
            encode_event(&mut out, Some("error"), &event.to_string());
        }
        _ => encode_event(&mut out, None, &error.value(dialect).to_string()),
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: ErrorBody<'static> = ErrorBody {
        kind: ErrorKind::Overloaded,
        message: "say \"please\"\nlater",
        param: None,
        code: None,
        request_id: Some("req_1"),
    };

    fn parse(bytes: &[u8]) -> serde_json::Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn bodies_have_the_shape_of_their_dialect() {
        let anthropic = parse(&error_body(Dialect::AnthropicMessages, &ERROR));
        assert_eq!(
            anthropic,
            json!({"type": "error", "request_id": "req_1",
                "error": {"type": "overloaded_error", "message": "say \"please\"\nlater"}})
        );
        let chat = parse(&error_body(Dialect::OpenaiChat, &ERROR));
        assert_eq!(
            chat,
            json!({"error": {"type": "server_error", "code": "overloaded", "param": null,
                "message": "say \"please\"\nlater"}})
        );
    }

    #[test]
    fn statuses_agree_with_the_kind() {
        for kind in ErrorKind::ALL {
            assert!((400..=599).contains(&kind.status(Dialect::OpenaiChat)));
            assert!(!kind.type_name(Dialect::AnthropicMessages).is_empty());
        }
        assert_eq!(ErrorKind::Overloaded.status(Dialect::AnthropicMessages), 529);
        assert_eq!(ErrorKind::Overloaded.status(Dialect::OpenaiChat), 503);
    }

    #[test]
    fn stream_events_are_one_event_each() {
        for dialect in [Dialect::OpenaiChat, Dialect::OpenaiResponses, Dialect::AnthropicMessages] {
            let event = stream_error_event(dialect, &ERROR, 7);
            let text = str::from_utf8(&event).unwrap();
            assert!(text.ends_with("\n\n") && text.matches("\n\n").count() == 1, "{text}");
            let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
            assert!(parse(data.as_bytes())["error"]["message"].is_string());
            assert_eq!(text.starts_with("event: error\n"), dialect != Dialect::OpenaiChat);
        }
    }
}

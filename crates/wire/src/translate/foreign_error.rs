//! Error bodies that follow no dialect: a proxy's HTML page, plain text, nothing.

use crate::canonical::{ApiError, ApiErrorKind};

const MESSAGE_LIMIT_CHARACTERS: usize = 500;

pub(crate) fn from_text(body: &[u8]) -> ApiError {
    let text = String::from_utf8_lossy(body.get(..4 * MESSAGE_LIMIT_CHARACTERS).unwrap_or(body));
    let text = text.trim();
    let message = if text.starts_with('<') { "" } else { text };
    ApiError {
        kind: ApiErrorKind::Server,
        message: message.chars().take(MESSAGE_LIMIT_CHARACTERS).collect(),
        code: None,
        parameter: None,
    }
}

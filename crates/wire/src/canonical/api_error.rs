//! A provider's error, apart from the dialect it was written in.

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub kind: ApiErrorKind,
    /// The provider's words.
    pub message: String,
    /// The provider's machine-readable code or type, as it was spelled.
    pub code: Option<String>,
    /// The request field that is at fault, where the dialect names one.
    pub parameter: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiErrorKind {
    InvalidRequest,
    /// The prompt does not fit the model; clients shorten it and try again.
    ContextLength,
    Authentication,
    /// The account has no credit left; a retry cannot help.
    Billing,
    Permission,
    NotFound,
    TooLarge,
    RateLimit,
    Overloaded,
    Timeout,
    Server,
}

impl ApiErrorKind {
    /// The kind that an HTTP status alone tells.
    pub const fn from_status(status: u16) -> Self {
        match status {
            401 => Self::Authentication,
            402 => Self::Billing,
            403 => Self::Permission,
            404 => Self::NotFound,
            413 => Self::TooLarge,
            429 => Self::RateLimit,
            408 | 504 => Self::Timeout,
            503 | 529 => Self::Overloaded,
            400..=499 => Self::InvalidRequest,
            _ => Self::Server,
        }
    }
}

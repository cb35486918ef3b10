//! Errors of the admin API: problem details after RFC 9457, with a list of wrong fields.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::Serialize;
use tollgate_access::authorize::Denied;
use tollgate_store::{ObjectKind, StoreError};

use crate::connection::OpenError;

/// The body of every error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Problem {
    /// `urn:tollgate:problem:` and a code that does not change.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong and what to do.
    pub detail: String,
    /// The fields that are wrong, if it is about fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// One wrong field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FieldError {
    /// The path of the field in the body or query, for example `deployments[0].weight`.
    pub field: String,
    pub message: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:tollgate:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    pub(crate) fn unauthenticated(detail: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub(crate) fn conflict(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// One wrong field.
    pub(crate) fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid_fields(vec![FieldError { field: field.into(), message: message.into() }])
    }

    pub(crate) fn invalid_fields(errors: Vec<FieldError>) -> Self {
        let listed: Vec<_> =
            errors.iter().map(|error| format!("`{}` {}", error.field, error.message)).collect();
        let detail = listed.join("; ");
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail) }
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    /// The cause is logged, not shown.
    pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "an admin API call failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Tollgate failed; its log says why")
    }

    /// Something that the body names does not exist: the body's mistake, not the address's.
    pub(crate) fn of_reference(error: StoreError, referred: &[(ObjectKind, &str)]) -> Self {
        match &error {
            StoreError::NotFound { kind, id } => match referred.iter().find(|(known, _)| known == kind) {
                Some((_, field)) => {
                    Self::invalid(*field, format!("names a {kind} that does not exist: {id}"))
                }
                None => error.into(),
            },
            _ => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable { .. } => {
                tracing::warn!(%error, "the store is unavailable");
                Self::unavailable("the store is unavailable; try again")
            }
            StoreError::NotFound { .. } => Self::not_found(error.to_string()),
            StoreError::NameTaken { .. } => Self::conflict("name_taken", error.to_string()),
            StoreError::OwnedByFiles { .. } | StoreError::OwnedByApi { .. } => {
                Self::conflict("owned_elsewhere", error.to_string())
            }
            StoreError::InUse { .. } => Self::conflict("in_use", error.to_string()),
            StoreError::Revoked { .. } => Self::conflict("revoked", error.to_string()),
            StoreError::Immutable { .. } => Self::conflict("immutable", error.to_string()),
            StoreError::LeasesInUse { .. } => Self::conflict("leases_in_use", error.to_string()),
            StoreError::Invalid { field, reason } => Self::invalid(*field, reason),
            _ => Self::internal(&error),
        }
    }
}

impl From<OpenError> for Problem {
    fn from(error: OpenError) -> Self {
        if error.is_unavailable() {
            return Self::unavailable("the store is unavailable; try again");
        }
        Self::internal(&error)
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", denied.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tollgate\""));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

//! How starting and publishing can end.

use schemars::JsonSchema;
use serde::Serialize;
use tollgate_access::token::PepperRing;
use tollgate_state::build::Problem;

use super::LastKnownGoodError;
use crate::connection::OpenError;

/// Why something was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The configuration in the store is inconsistent; what was published before stays.
    #[error("the configuration cannot be used: {}", .0.join("; "))]
    Refused(Vec<String>),
    #[error("no data plane is connected yet")]
    NotConnected,
}

impl From<tollgate_store::StoreError> for PublishError {
    fn from(error: tollgate_store::StoreError) -> Self {
        Self::Open(OpenError::Store(error))
    }
}

impl From<tollgate_access::SealError> for PublishError {
    fn from(error: tollgate_access::SealError) -> Self {
        Self::Open(OpenError::Seal(error))
    }
}

impl From<Vec<Problem>> for PublishError {
    fn from(problems: Vec<Problem>) -> Self {
        Self::Refused(problems.iter().map(ToString::to_string).collect())
    }
}

/// Why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("{cause}; and there is no usable last-known-good configuration: {file}")]
    NothingToStartFrom { cause: String, file: LastKnownGoodError },
}

/// What the process started with.
#[derive(Debug)]
pub struct Boot {
    /// Recognises the keys of what was published.
    pub peppers: PepperRing,
    pub version: u64,
    /// Why what the store holds was not used, if it was not.
    pub from_last_known_good: Option<String>,
}

/// How publishing is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PublishStatus {
    /// The version of the configuration that requests see.
    pub published_version: u64,
    /// Active credentials that requests can use.
    pub credentials: usize,
    /// Why the newest configuration is not published. Requests see the one before.
    pub problems: Vec<String>,
    /// Why the store cannot be asked for changes.
    pub store_problem: Option<String>,
    /// Whether the configuration came from the last-known-good file, because the store was down or its
    /// configuration could not be used.
    pub from_last_known_good: bool,
}

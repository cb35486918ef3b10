//! What the control plane gives to the data plane and asks of it, without knowing it. The binary connects the two.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use tollgate_core::{DeploymentId, UnixMicros};
use tollgate_state::Snapshot;

/// Takes new snapshots.
pub trait SnapshotSink: Send + Sync {
    /// Makes the snapshot the one that new requests see, or says why it cannot be used; then the old one stays.
    fn publish(&self, snapshot: Arc<Snapshot>) -> Result<(), Vec<String>>;
}

/// How a deployment has been doing since the process began, as its data plane saw it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct DeploymentHealth {
    pub deployment_id: DeploymentId,
    /// Whether it is a candidate now.
    pub available: bool,
    /// Attempts that succeeded, or failed by the provider's fault.
    pub attempts: u64,
    /// Attempts that failed by the provider's fault.
    pub failures: u64,
    /// Smoothed time to the first byte of the answer.
    pub first_byte_mean_us: Option<u64>,
    /// The provider asked not to be called before this time.
    pub rate_limited_until: Option<UnixMicros>,
    /// The breaker lets nothing through before this time.
    pub open_until: Option<UnixMicros>,
}

/// How far the journal is ahead of the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct JournalStatus {
    /// Whether billable calls are accepted: false when the journal cannot be written.
    pub writable: bool,
    /// Bytes that are written but not shipped.
    pub lag_bytes: u64,
    /// Age of the oldest record that is not shipped.
    pub lag_ms: u64,
    /// What the last write or shipment failed with.
    pub problem: Option<String>,
}

/// What the control plane shows of the data plane.
pub trait DataPlaneView: Send + Sync {
    /// Deployments without an entry were not called yet.
    fn deployments(&self) -> Vec<DeploymentHealth>;

    fn journal(&self) -> JournalStatus;

    /// Requests being answered now.
    fn requests_in_flight(&self) -> u64;

    /// Whether the process has been asked to stop.
    fn is_draining(&self) -> bool;
}

/// Files of the console, embedded in the binary.
pub trait Assets: Send + Sync {
    /// The file at an absolute path such as `/` or `/assets/app.js`.
    fn find(&self, path: &str) -> Option<Asset>;
}

/// One embedded file.
#[derive(Debug, Clone)]
pub struct Asset {
    pub content_type: &'static str,
    pub content: bytes::Bytes,
    /// The name changes with the content, so it may be kept for ever.
    pub immutable: bool,
}

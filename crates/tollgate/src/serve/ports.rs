//! The short list of what passes between the planes, connected.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tollgate_control::ports::{DataPlaneView, DeploymentHealth, JournalStatus, SnapshotSink};
use tollgate_gateway::Gateway;
use tollgate_gateway::health::{Availability, HealthView};
use tollgate_ledger::journal::{Health, Journal};
use tollgate_state::Snapshot;

use super::shipping::Shipping;

/// Hands snapshots to the gateway.
pub(crate) struct GatewaySink(pub(crate) Arc<Gateway>);

impl SnapshotSink for GatewaySink {
    fn publish(&self, snapshot: Arc<Snapshot>) -> Result<(), Vec<String>> {
        let problems = self.0.publish(snapshot);
        problems.map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }
}

/// Shows the gateway and the journal to the control plane.
pub(crate) struct GatewayView {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) shipping: Arc<Shipping>,
}

impl DataPlaneView for GatewayView {
    fn deployments(&self) -> Vec<DeploymentHealth> {
        let views = self.gateway.health.views(self.gateway.clock.now());
        let asked =
            |view: &HealthView| view.successes + view.failures > 0 || view.rate_limited_until.is_some();
        let seen = views.into_iter().filter(|(_, view)| asked(view));
        let shown = seen.map(|(deployment_id, view)| DeploymentHealth {
            deployment_id,
            available: view.availability == Availability::Available,
            attempts: view.successes + view.failures,
            failures: view.failures,
            first_byte_mean_us: Some(view.first_byte_mean_us).filter(|mean_us| *mean_us > 0),
            rate_limited_until: view.rate_limited_until,
            open_until: view.open_until,
        });
        shown.collect()
    }

    fn journal(&self) -> JournalStatus {
        let health = self.journal.health();
        let problem = match &health {
            Health::Ok => self.shipping.problem(),
            Health::LowSpace => Some("too little free disk space".to_owned()),
            Health::Failed { reason, .. } => Some(reason.to_string()),
        };
        let (lag_bytes, lag_ms) = self.shipping.lag();
        JournalStatus { writable: health == Health::Ok, lag_bytes, lag_ms, problem }
    }

    fn requests_in_flight(&self) -> u64 {
        u64::try_from(self.gateway.metrics.requests_in_flight.load(Ordering::Relaxed)).unwrap_or(0)
    }

    fn is_draining(&self) -> bool {
        self.gateway.is_draining()
    }
}

//! From the journal into the store, while the process runs and at its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tollgate_catalog::ServiceTier;
use tollgate_control::Connection;
use tollgate_core::{Clock, InstanceId, SystemClock};
use tollgate_gateway::Gateway;
use tollgate_ledger::journal::{Journal, JournalError};
use tollgate_ledger::shipper::{
    RecordStore, ShipError, ShipFuture, Shipment, Shipped, Shipper, ShipperOptions, ShipperReport,
    ShipperStatus, ShippingPosition,
};

/// How long the end of the process waits for the store to take the rest; what it does not take is shipped at the next
/// start.
const LAST_SHIPMENTS: Duration = Duration::from_secs(10);

/// The store, which may not have been reached yet.
struct Reached(Arc<Connection>);

fn unreachable(error: impl ToString) -> ShipError {
    ShipError::Failed { reason: error.to_string().into() }
}

impl RecordStore for Reached {
    fn positions(&self, instance_id: InstanceId) -> ShipFuture<'_, Vec<ShippingPosition>> {
        Box::pin(async move {
            let installation = self.0.open().await.map_err(unreachable)?;
            installation.store.positions(instance_id).await
        })
    }

    fn ship<'a>(&'a self, shipment: Shipment<'a>) -> ShipFuture<'a, Shipped> {
        Box::pin(async move {
            let installation = self.0.open().await.map_err(unreachable)?;
            installation.store.ship(shipment).await
        })
    }

    fn end_epochs<'a>(
        &'a self,
        instance_id: InstanceId,
        before: u64,
        cores: &'a [u16],
    ) -> ShipFuture<'a, ()> {
        Box::pin(async move {
            let installation = self.0.open().await.map_err(unreachable)?;
            installation.store.end_epochs(instance_id, before, cores).await
        })
    }
}

/// Makes the shipper, which reads what earlier processes left and what this one writes.
pub(crate) fn shipper(
    journal: &Journal,
    connection: Arc<Connection>,
    instance_id: InstanceId,
) -> Result<Shipper, JournalError> {
    let options = ShipperOptions::new(instance_id, journal.epoch());
    Ok(Shipper::new(journal.reader()?, Arc::new(Reached(connection)), Arc::new(SystemClock), options))
}

/// Gives requests that a dead process left open the price that they were admitted at, as long as it still holds. The
/// tier is not in the journal; the standard one is what nearly all calls use.
pub(crate) fn priced(shipper: Shipper, gateway: Arc<Gateway>) -> Shipper {
    shipper.with_price(Box::new(move |intent, usage| {
        let published = gateway.published();
        let mut deployments = published.targets.iter().map(|target| &target.deployment);
        let deployment = deployments.find(|deployment| deployment.id == intent.deployment_id)?;
        let prices = deployment.prices(&intent.upstream_model);
        if intent.price_version != Some(prices.version().get()) {
            return None;
        }
        let cost = prices.cost(usage, ServiceTier::Standard, intent.started_at).ok()?;
        Some(cost.amount_nano_usd)
    }))
}

/// Ships on the current runtime until `stopped`, then the rest. The task ends by itself and says whether all was
/// shipped.
pub(crate) fn start(mut shipper: Shipper, mut stopped: watch::Receiver<bool>) -> JoinHandle<bool> {
    tokio::spawn(async move {
        let ending = async { drop(stopped.wait_for(|stopped| *stopped).await) };
        shipper.run(ending).await;
        let is_complete = shipper.drain(LAST_SHIPMENTS).await;
        if !is_complete {
            tracing::warn!("the store did not take all records; the rest is shipped at the next start");
        }
        is_complete
    })
}

/// The shipper's state, for those who show it.
#[derive(Debug)]
pub(crate) struct Shipping(Arc<ShipperStatus>);

impl Shipping {
    pub(crate) const fn new(status: Arc<ShipperStatus>) -> Self {
        Self(status)
    }

    pub(crate) fn report(&self) -> ShipperReport {
        self.0.report()
    }

    /// Bytes that are not yet in the store, and the age of the oldest in milliseconds.
    pub(crate) fn lag(&self) -> (u64, u64) {
        let report = self.0.report();
        let age_ms = report.lag(SystemClock.now()).as_millis();
        (report.lag_bytes, u64::try_from(age_ms).unwrap_or(u64::MAX))
    }

    /// Why nothing can be shipped at the moment.
    pub(crate) fn problem(&self) -> Option<String> {
        self.0.report().failure.map(|failure| failure.reason.to_string())
    }
}

//! All that `/metrics` shows: the data plane's own metrics, and those that other parts count.

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tollgate_ledger::journal::{Health, Journal};
use tollgate_telemetry::metrics::MetricsCollector;
use tollgate_telemetry::names;
use tollgate_telemetry::{CallCounters, Metrics, Sources};
use tollgate_upstream::{PoolCounters, PoolStatistics};

use super::shipping::Shipping;

/// What is counted outside of the data plane.
pub(crate) struct Counted {
    pub(crate) pools: Vec<Arc<PoolCounters>>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) shipping: Arc<Shipping>,
    pub(crate) calls: Arc<CallCounters>,
}

pub(crate) fn registry(metrics: &Arc<Metrics>, counted: Counted) -> Registry {
    let Counted { pools, journal, shipping, calls } = counted;
    let sources =
        Sources::default().with_process().with_calls(&calls).with_build_info(env!("CARGO_PKG_VERSION"));
    let sources = with_journal(with_pools(sources, &pools), &journal, &shipping);
    let mut registry = Registry::default();
    registry.register_collector(Box::new(MetricsCollector(Arc::clone(metrics))));
    registry.register_collector(Box::new(sources));
    registry
}

fn with_pools(sources: Sources, pools: &[Arc<PoolCounters>]) -> Sources {
    let read = |choose: fn(PoolStatistics) -> u64| {
        let pools = pools.to_vec();
        move || pools.iter().map(|pool| choose(pool.read())).sum::<u64>() as f64
    };
    sources
        .with(names::UPSTREAM_CONNECTIONS_OPENED, read(|pool| pool.opened))
        .with(names::UPSTREAM_CONNECTIONS_REUSED, read(|pool| pool.reused))
        .with(names::UPSTREAM_REQUESTS_REPLAYED, read(|pool| pool.replayed))
        .with(names::UPSTREAM_REQUESTS_REFUSED, read(|pool| pool.refused))
        .with(names::UPSTREAM_CONNECTIONS_IDLE, read(|pool| pool.idle))
        .with(names::UPSTREAM_CONNECTIONS_IN_USE, read(|pool| pool.in_use))
}

fn with_journal(sources: Sources, journal: &Arc<Journal>, shipping: &Arc<Shipping>) -> Sources {
    let of_journal = |choose: fn(&Journal) -> f64| {
        let journal = Arc::clone(journal);
        move || choose(&journal)
    };
    let of_shipping = |choose: fn(&Shipping) -> f64| {
        let shipping = Arc::clone(shipping);
        move || choose(&shipping)
    };
    sources
        .with(
            names::JOURNAL_WRITABLE,
            of_journal(|journal| f64::from(u8::from(journal.health() == Health::Ok))),
        )
        .with(names::JOURNAL_RECORDS_LOST, of_journal(|journal| journal.lost_records() as f64))
        .with(names::JOURNAL_LAG_BYTES, of_shipping(|shipping| shipping.lag().0 as f64))
        .with(names::JOURNAL_LAG_SECONDS, of_shipping(|shipping| shipping.lag().1 as f64 / 1e3))
        .with(
            names::SHIPPER_REQUESTS_SHIPPED,
            of_shipping(|shipping| shipping.report().shipped_requests as f64),
        )
        .with(
            names::SHIPPER_REQUESTS_INTERRUPTED,
            of_shipping(|shipping| shipping.report().interrupted_requests as f64),
        )
        .with(
            names::SHIPPER_RECORDS_UNREADABLE,
            of_shipping(|shipping| {
                let report = shipping.report();
                (report.damaged_places + report.undecodable_records) as f64
            }),
        )
}

//! All that `/metrics` shows: the data plane's own metrics, and those that other parts count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::registry::Registry;
use tollgate_control::alerts::DeliveryCounts;
use tollgate_ledger::budget::{BudgetBook, BudgetCounts};
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
    pub(crate) budgets: Arc<BudgetBook>,
    pub(crate) deliveries: Arc<DeliveryCounts>,
    /// Balances that differed at the last nightly look.
    pub(crate) ledger_differences: Arc<AtomicU64>,
}

pub(crate) fn registry(metrics: &Arc<Metrics>, counted: Counted) -> Registry {
    let Counted { pools, journal, shipping, calls, budgets, deliveries, ledger_differences } = counted;
    let sources =
        Sources::default().with_process().with_calls(&calls).with_build_info(env!("CARGO_PKG_VERSION"));
    let sources = with_journal(with_pools(sources, &pools), &journal, &shipping);
    let sources = with_budgets(sources, &budgets);
    let sources = with_alerts(sources, &deliveries, ledger_differences);
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

fn with_budgets(sources: Sources, book: &Arc<BudgetBook>) -> Sources {
    let read = |choose: fn(BudgetCounts) -> u64| {
        let book = Arc::clone(book);
        move || choose(book.counts()) as f64
    };
    sources
        .with(names::BUDGET_RESERVATIONS, read(|counts| counts.reservations))
        .with(names::BUDGET_REFUSALS, read(|counts| counts.refusals))
        .with(names::BUDGET_UNAVAILABLE, read(|counts| counts.unavailable))
        .with(names::BUDGET_EXTENSIONS, read(|counts| counts.extensions))
        .with(names::BUDGET_EXTENSION_REFUSALS, read(|counts| counts.extension_refusals))
        .with(names::BUDGET_VOIDS, read(|counts| counts.voids))
        .with(names::BUDGET_CORRECTIONS, read(|counts| counts.corrections))
        .with(names::BUDGET_OVERRUNS, read(|counts| counts.overruns))
        .with(names::BUDGET_VIOLATIONS, read(|counts| counts.violations))
        .with(names::BUDGET_CUSTOMERS_CROWDED_OUT, read(|counts| counts.crowded_out))
}

fn with_alerts(sources: Sources, deliveries: &Arc<DeliveryCounts>, differences: Arc<AtomicU64>) -> Sources {
    let read = |choose: fn(&DeliveryCounts) -> u64| {
        let deliveries = Arc::clone(deliveries);
        move || choose(&deliveries) as f64
    };
    sources
        .with(names::LEDGER_DIFFERENCES, move || differences.load(Ordering::Relaxed) as f64)
        .with(names::ALERTS_LOGGED, read(DeliveryCounts::alerts))
        .with(names::WEBHOOK_DELIVERIES, read(DeliveryCounts::delivered))
        .with(names::WEBHOOK_FAILURES, read(DeliveryCounts::failed))
        .with(names::WEBHOOK_GIVEN_UP, read(DeliveryCounts::given_up))
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

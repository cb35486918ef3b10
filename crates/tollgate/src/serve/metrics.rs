//! Metrics of the process beside those of the data plane: upstream connections, journal, memory.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tollgate_ledger::journal::{Health, Journal};
use tollgate_telemetry::Metrics;
use tollgate_telemetry::metrics::MetricsCollector;
use tollgate_upstream::{PoolCounters, PoolStatistics};

use super::shipping::Shipping;

/// All that `/metrics` shows.
pub(crate) fn registry(
    metrics: &Arc<Metrics>,
    pools: Vec<Arc<PoolCounters>>,
    journal: Arc<Journal>,
    shipping: Arc<Shipping>,
) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(MetricsCollector(Arc::clone(metrics))));
    registry.register_collector(Box::new(ProcessCollector { pools, journal, shipping }));
    registry
}

struct ProcessCollector {
    pools: Vec<Arc<PoolCounters>>,
    journal: Arc<Journal>,
    shipping: Arc<Shipping>,
}

impl std::fmt::Debug for ProcessCollector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ProcessCollector(…)")
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let pool = self.pools.iter().map(|pool| pool.read()).fold(PoolStatistics::default(), sum);
        let (lag_bytes, lag_ms) = self.shipping.lag();
        let shipped = self.shipping.report();
        let counters = [
            ("tollgate_upstream_connections_opened", "Connections opened to providers.", pool.opened),
            ("tollgate_upstream_connections_reused", "Requests that found an idle connection.", pool.reused),
            (
                "tollgate_upstream_requests_replayed",
                "Requests whose idle connection was dead.",
                pool.replayed,
            ),
            (
                "tollgate_upstream_requests_refused",
                "Requests refused because too many connections were open.",
                pool.refused,
            ),
            (
                "tollgate_journal_records_lost",
                "Records lost because the disk failed for too long.",
                self.journal.lost_records(),
            ),
            (
                "tollgate_shipper_requests_shipped",
                "Request records brought into the store.",
                shipped.shipped_requests,
            ),
            (
                "tollgate_shipper_requests_interrupted",
                "Requests that a dead process left open.",
                shipped.interrupted_requests,
            ),
            (
                "tollgate_shipper_records_unreadable",
                "Places and records of the journal that could not be read.",
                shipped.damaged_places + shipped.undecodable_records,
            ),
        ];
        for (name, help, value) in counters {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value).encode(metric)?;
        }
        let writable = u64::from(self.journal.health() == Health::Ok);
        let gauges = [
            ("tollgate_upstream_connections_idle", "Idle connections to providers.", pool.idle),
            ("tollgate_upstream_connections_in_use", "Connections to providers in use.", pool.in_use),
            ("tollgate_journal_writable", "1 while the journal takes records, else 0.", writable),
            ("tollgate_journal_lag_bytes", "Journal bytes that are not yet in the store.", lag_bytes),
            (
                "tollgate_journal_lag_milliseconds",
                "Age of the oldest record that is not yet in the store.",
                lag_ms,
            ),
            ("process_resident_memory_bytes", "Resident memory.", resident_bytes()),
        ];
        for (name, help, value) in gauges {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(metric)?;
        }
        Ok(())
    }
}

fn sum(left: PoolStatistics, right: PoolStatistics) -> PoolStatistics {
    PoolStatistics {
        opened: left.opened + right.opened,
        reused: left.reused + right.reused,
        replayed: left.replayed + right.replayed,
        refused: left.refused + right.refused,
        idle: left.idle + right.idle,
        in_use: left.in_use + right.in_use,
    }
}

/// Zero where the system does not tell.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

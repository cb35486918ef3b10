//! Metrics that somebody else counts: read when they are asked for, through plain functions.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::call::CallCounters;
use crate::metrics::describe;
use crate::names::{self, Kind, Metric};
use crate::process;

/// Reads the present value of a counter or gauge.
pub type Source = Box<dyn Fn() -> f64 + Send + Sync>;

/// Counters and gauges with where they come from, for a [`prometheus_client::registry::Registry`].
#[derive(Default)]
pub struct Sources {
    sources: Vec<(Metric, Source)>,
    version: Option<Box<str>>,
}

impl Sources {
    /// Adds a counter or gauge without labels. Histograms have no single value and are left out.
    #[must_use]
    pub fn with(mut self, metric: Metric, read: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        if metric.kind != Kind::Histogram {
            self.sources.push((metric, Box::new(read)));
        }
        self
    }

    /// Adds what the operating system knows of this process.
    #[must_use]
    pub fn with_process(self) -> Self {
        self.with(names::PROCESS_RESIDENT_MEMORY, process::resident_memory_bytes)
            .with(names::PROCESS_CPU, process::cpu_seconds)
            .with(names::PROCESS_OPEN_FILES, process::open_files)
    }

    /// Adds what became of spans and lines of the access log.
    #[must_use]
    pub fn with_calls(self, counters: &Arc<CallCounters>) -> Self {
        let read = |choose: fn(&CallCounters) -> &AtomicU64| {
            let counters = Arc::clone(counters);
            move || choose(&counters).load(Ordering::Relaxed) as f64
        };
        self.with(names::SPANS_EXPORTED, read(|counters| &counters.spans_exported))
            .with(names::SPANS_DROPPED, read(|counters| &counters.spans_dropped))
            .with(names::ACCESS_LOG_LINES_DROPPED, read(|counters| &counters.access_log_lines_dropped))
    }

    /// Adds which version is running.
    #[must_use]
    pub fn with_build_info(mut self, version: &str) -> Self {
        self.version = Some(version.into());
        self
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.sources.iter().map(|(metric, _)| metric.name)).finish()
    }
}

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (metric, read) in &self.sources {
            let encoder = describe(&mut encoder, metric)?;
            match metric.kind {
                Kind::Counter => ConstCounter::new(read()).encode(encoder)?,
                Kind::Gauge | Kind::Histogram => ConstGauge::new(read()).encode(encoder)?,
            }
        }
        if let Some(version) = &self.version {
            let mut family = describe(&mut encoder, &names::BUILD_INFO)?;
            ConstGauge::new(1i64).encode(family.encode_family(&[("version", &**version)])?)?;
        }
        Ok(())
    }
}

impl From<Kind> for MetricType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter,
            Kind::Gauge => Self::Gauge,
            Kind::Histogram => Self::Histogram,
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::metrics::exposition;

    #[test]
    fn sources_are_read_when_asked_for() {
        let counters = Arc::<CallCounters>::default();
        let sources = Sources::default()
            .with(names::JOURNAL_LAG_SECONDS, || 1.5)
            .with_calls(&counters)
            .with_process()
            .with_build_info("1.2.3");
        let mut registry = Registry::default();
        registry.register_collector(Box::new(sources));
        counters.spans_dropped.store(7, Ordering::Relaxed);
        let text = exposition(&registry).unwrap();
        for line in [
            "# TYPE tollgate_journal_lag_seconds gauge",
            "tollgate_journal_lag_seconds 1.5",
            "tollgate_spans_dropped_total 7",
            r#"tollgate_build_info{version="1.2.3"} 1"#,
            "# TYPE process_cpu_seconds counter",
        ] {
            assert!(text.lines().any(|found| found.starts_with(line)), "{line} is missing in\n{text}");
        }
        #[cfg(target_os = "linux")]
        for name in ["process_resident_memory_bytes", "process_open_fds"] {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            assert!(line.split_once(' ').unwrap().1.parse::<f64>().unwrap() > 0.0, "{line}");
        }
    }
}

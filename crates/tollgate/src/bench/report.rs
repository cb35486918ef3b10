//! What was measured, for people and for programs.

use serde::Serialize;

use super::load::Outcome;
use crate::cli::output::{Table, line};

/// One target under one load.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) scenario: String,
    /// `direct`, `tollgate`, or the name of what it is compared with.
    pub(super) target: String,
    pub(super) requests: u64,
    pub(super) failures: u64,
    pub(super) requests_per_second: f64,
    /// CPU of what handles requests (for Tollgate: the data-plane threads); absent where nothing stands between.
    pub(super) cpu_us_per_request: Option<f64>,
    /// CPU of the whole process.
    pub(super) process_cpu_us_per_request: Option<f64>,
    pub(super) p50_us: Option<f64>,
    pub(super) p99_us: Option<f64>,
    pub(super) first_byte_p50_us: Option<f64>,
    pub(super) first_byte_p99_us: Option<f64>,
    /// Beyond the direct call under the same load.
    pub(super) added_p50_us: Option<f64>,
    pub(super) added_p99_us: Option<f64>,
    pub(super) added_first_byte_p50_us: Option<f64>,
    /// Streams only: CPU of what handles requests, by event.
    pub(super) cpu_us_per_event: Option<f64>,
}

/// One installation over the whole run.
#[derive(Debug, Serialize)]
pub(super) struct Installed {
    pub(super) keys: usize,
    pub(super) ready_ms: f64,
    pub(super) idle_resident_bytes: u64,
    pub(super) loaded_resident_bytes: u64,
    pub(super) settled_resident_bytes: u64,
    /// How long after the last request.
    pub(super) settled_after_seconds: u64,
    /// From the end of the load until everything was in the store; absent when it was not within the time to settle.
    pub(super) shipped_after_ms: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) version: &'static str,
    pub(super) debug_build: bool,
    pub(super) seconds: u64,
    pub(super) rows: Vec<Row>,
    pub(super) installations: Vec<Installed>,
}

/// CPU time in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cpu {
    pub(super) handling: u64,
    pub(super) process: u64,
}

fn percentile(sorted: &[u64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = (last as f64 * share).round() as usize;
    sorted.get(position).map(|value| *value as f64)
}

impl Row {
    pub(super) fn new(
        scenario: &str,
        target: &str,
        outcome: &Outcome,
        seconds: f64,
        cpu: Option<Cpu>,
        events: Option<usize>,
    ) -> Self {
        let sorted = |value: fn(&super::connection::Timing) -> u64| {
            let mut values: Vec<u64> = outcome.timings.iter().map(value).collect();
            values.sort_unstable();
            values
        };
        let (total, first) = (sorted(|timing| timing.total_us), sorted(|timing| timing.first_byte_us));
        let requests = outcome.timings.len() as u64;
        let each = |nanos: u64| nanos as f64 / 1e3 / (requests.max(1)) as f64;
        let handling = cpu.map(|cpu| each(cpu.handling));
        Self {
            scenario: scenario.to_owned(),
            target: target.to_owned(),
            requests,
            failures: outcome.failures,
            requests_per_second: requests as f64 / seconds,
            cpu_us_per_request: handling,
            process_cpu_us_per_request: cpu.map(|cpu| each(cpu.process)),
            p50_us: percentile(&total, 0.5),
            p99_us: percentile(&total, 0.99),
            first_byte_p50_us: percentile(&first, 0.5),
            first_byte_p99_us: percentile(&first, 0.99),
            added_p50_us: None,
            added_p99_us: None,
            added_first_byte_p50_us: None,
            cpu_us_per_event: events.and_then(|events| Some(handling? / events as f64)),
        }
    }

    /// Relates it to the direct call.
    pub(super) fn relate_to(&mut self, direct: &Self) {
        let added = |own: Option<f64>, other: Option<f64>| Some(own? - other?);
        self.added_p50_us = added(self.p50_us, direct.p50_us);
        self.added_p99_us = added(self.p99_us, direct.p99_us);
        self.added_first_byte_p50_us = added(self.first_byte_p50_us, direct.first_byte_p50_us);
    }
}

impl Report {
    pub(super) fn print(&self) -> anyhow::Result<()> {
        let figure = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.1}"));
        let headings = [
            "LOAD",
            "TARGET",
            "CPU µs",
            "PROCESS µs",
            "p50 µs",
            "p99 µs",
            "ADDED p50",
            "ADDED p99",
            "TTFB p50",
            "REQ/s",
            "FAILED",
        ];
        let mut table = Table::new(&headings).numbers_from(2);
        for row in &self.rows {
            table.row(vec![
                row.scenario.clone(),
                row.target.clone(),
                figure(row.cpu_us_per_request),
                figure(row.process_cpu_us_per_request),
                figure(row.p50_us),
                figure(row.p99_us),
                figure(row.added_p50_us),
                figure(row.added_p99_us),
                figure(row.first_byte_p50_us),
                format!("{:.0}", row.requests_per_second),
                row.failures.to_string(),
            ]);
        }
        table.print("nothing was measured")?;
        line("")?;
        let mebibytes = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
        let mut table =
            Table::new(&["KEYS", "READY ms", "IDLE MiB", "LOADED MiB", "SETTLED MiB", "SHIPPED AFTER ms"])
                .numbers_from(0);
        for one in &self.installations {
            table.row(vec![
                one.keys.to_string(),
                figure(Some(one.ready_ms)),
                mebibytes(one.idle_resident_bytes),
                mebibytes(one.loaded_resident_bytes),
                mebibytes(one.settled_resident_bytes),
                figure(one.shipped_after_ms),
            ]);
        }
        table.print("")?;
        for row in self.rows.iter().filter(|row| row.cpu_us_per_event.is_some()) {
            let event = figure(row.cpu_us_per_event);
            line(format!("{}, {}: {event} µs CPU per event", row.scenario, row.target))?;
        }
        if self.debug_build {
            line("this is a debug build: its figures say nothing about a release")?;
        }
        Ok(())
    }
}

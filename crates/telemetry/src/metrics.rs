//! The data plane's metrics. Handles are resolved when a configuration is published; a request only adds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::gauge::ConstGauge;
use tollgate_core::{Fault, NanoUsd, Operation, TokenUsage};

use crate::histogram::{Histogram, LATENCY_BOUNDS_US, OVERHEAD_BOUNDS_US};
use crate::names::{self, Metric};

/// What tells one series from another. The model is the configured name or pattern, never what a caller wrote.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesLabels {
    pub model: Box<str>,
    pub provider: Box<str>,
    pub deployment: Box<str>,
}

/// A request that came to its end, as far as metrics care.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    pub operation: Operation,
    /// `None` when it was answered well.
    pub fault: Option<Fault>,
    pub usage: TokenUsage,
    pub cost: Option<NanoUsd>,
    pub latency_us: u64,
    pub time_to_first_token_us: Option<u64>,
    pub attempts: u16,
}

/// Counters of one deployment of one model.
#[derive(Debug)]
pub struct Series {
    labels: SeriesLabels,
    requests: [AtomicU64; Operation::ALL.len()],
    /// Client, gateway, provider.
    errors: [AtomicU64; 3],
    retries: AtomicU64,
    /// Input, cache read, cache write, output, reasoning.
    tokens: [AtomicU64; 5],
    cost_nanos_usd: AtomicU64,
    unknown_cost_requests: AtomicU64,
    latency: Histogram,
    time_to_first_token: Histogram,
}

const FAULTS: [Fault; 3] = [Fault::Client, Fault::Gateway, Fault::Provider];
const METERS: [&str; 5] = ["input", "cache_read", "cache_write", "output", "reasoning"];

impl Series {
    fn new(labels: SeriesLabels) -> Self {
        Self {
            labels,
            requests: Default::default(),
            errors: Default::default(),
            retries: AtomicU64::new(0),
            tokens: Default::default(),
            cost_nanos_usd: AtomicU64::new(0),
            unknown_cost_requests: AtomicU64::new(0),
            latency: Histogram::new(&LATENCY_BOUNDS_US),
            time_to_first_token: Histogram::new(&LATENCY_BOUNDS_US),
        }
    }

    /// Adds a finished request.
    pub fn finished(&self, request: &Finished) {
        add(&self.requests[request.operation as usize], 1);
        if let Some(fault) = request.fault {
            add(&self.errors[fault as usize], 1);
        }
        add(&self.retries, u64::from(request.attempts.saturating_sub(1)));
        let usage = &request.usage;
        let written = usage.cache_write.saturating_add(usage.cache_write_long);
        let counts = [usage.input, usage.cache_read, written, usage.output, usage.reasoning];
        for (counter, count) in self.tokens.iter().zip(counts) {
            add(counter, count);
        }
        match request.cost {
            Some(cost) => add(&self.cost_nanos_usd, u64::try_from(cost.get()).unwrap_or(0)),
            None => add(&self.unknown_cost_requests, 1),
        }
        self.latency.observe_us(request.latency_us);
        if let Some(time_us) = request.time_to_first_token_us {
            self.time_to_first_token.observe_us(time_us);
        }
    }
}

fn add(counter: &AtomicU64, amount: u64) {
    if amount > 0 {
        counter.fetch_add(amount, Ordering::Relaxed);
    }
}

/// All metrics of the data plane.
#[derive(Debug)]
pub struct Metrics {
    /// Locked when a configuration is published and when metrics are read, never by a request.
    series: Mutex<BTreeMap<SeriesLabels, Arc<Series>>>,
    /// Refusals before a deployment was chosen, by kind. Kinds come from code: the map is bounded.
    refusals: Mutex<BTreeMap<&'static str, Arc<AtomicU64>>>,
    pub overhead: Histogram,
    pub requests_in_flight: AtomicI64,
    pub connections: AtomicI64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            series: Mutex::default(),
            refusals: Mutex::default(),
            overhead: Histogram::new(&OVERHEAD_BOUNDS_US),
            requests_in_flight: AtomicI64::new(0),
            connections: AtomicI64::new(0),
        }
    }
}

impl Metrics {
    /// The handle of a series; the same one for the same labels, so that counters survive every publish.
    pub fn series(&self, labels: &SeriesLabels) -> Arc<Series> {
        let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let series = all.entry(labels.clone()).or_insert_with(|| Arc::new(Series::new(labels.clone())));
        Arc::clone(series)
    }

    /// Counts a request that was refused before a deployment was chosen.
    pub fn refused(&self, kind: &'static str) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        add(refusals.entry(kind).or_default(), 1);
    }
}

/// One histogram of a series.
type Choose = fn(&Series) -> &Histogram;
type Value = fn(&Series) -> Vec<(&'static str, &'static str, f64)>;

/// Counter families of a series, and their values with one more label each.
const COUNTERS: [(Metric, Value); 6] = [
    (names::REQUESTS, |series| {
        let operations = Operation::ALL.into_iter().map(Operation::as_str);
        let counts = operations.zip(&series.requests).map(|(name, count)| ("operation", name, load(count)));
        // A model does one or two of the operations; the others would only be noise.
        counts.filter(|(.., count)| *count > 0.0).collect()
    }),
    (names::ERRORS, |series| {
        FAULTS
            .into_iter()
            .zip(&series.errors)
            .map(|(fault, count)| ("fault", fault.as_str(), load(count)))
            .collect()
    }),
    (names::RETRIES, |series| vec![("", "", load(&series.retries))]),
    (names::TOKENS, |series| {
        METERS.into_iter().zip(&series.tokens).map(|(meter, count)| ("meter", meter, load(count))).collect()
    }),
    (names::COST, |series| vec![("", "", load(&series.cost_nanos_usd) / 1e9)]),
    (names::UNKNOWN_COST_REQUESTS, |series| vec![("", "", load(&series.unknown_cost_requests))]),
];

fn load(counter: &AtomicU64) -> f64 {
    counter.load(Ordering::Relaxed) as f64
}

/// Lets a [`prometheus_client::registry::Registry`] read the metrics.
#[derive(Debug)]
pub struct MetricsCollector(pub Arc<Metrics>);

impl Collector for MetricsCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let metrics = &*self.0;
        let series: Vec<_> = {
            let all = metrics.series.lock().unwrap_or_else(PoisonError::into_inner);
            all.values().cloned().collect()
        };
        for (metric, value) in COUNTERS {
            let mut family = describe(&mut encoder, &metric)?;
            for one in &series {
                for (label, text, number) in value(one) {
                    encode_labelled(&mut family, one, (label, text), |mut encoder| {
                        encoder.encode_counter::<NoLabelSet, _, u64>(&number, None)
                    })?;
                }
            }
        }
        let histograms: [(Metric, Choose); 2] = [
            (names::REQUEST_DURATION, |one| &one.latency),
            (names::TIME_TO_FIRST_TOKEN, |one| &one.time_to_first_token),
        ];
        for (metric, histogram) in histograms {
            let mut family = describe(&mut encoder, &metric)?;
            for one in &series {
                encode_labelled(&mut family, one, ("", ""), |encoder| {
                    encode_histogram(encoder, histogram(one))
                })?;
            }
        }
        encode_process(metrics, &mut encoder)
    }
}

fn encode_labelled(
    family: &mut MetricEncoder<'_>,
    series: &Series,
    (label, text): (&str, &str),
    encode: impl FnOnce(MetricEncoder<'_>) -> std::fmt::Result,
) -> std::fmt::Result {
    let labels = &series.labels;
    let mut pairs =
        vec![("model", &*labels.model), ("provider", &*labels.provider), ("deployment", &*labels.deployment)];
    if !label.is_empty() {
        pairs.push((label, text));
    }
    encode(family.encode_family(&pairs)?)
}

fn encode_histogram(mut encoder: MetricEncoder<'_>, histogram: &Histogram) -> std::fmt::Result {
    let (sum, count, buckets) = histogram.read();
    encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
}

fn encode_process(metrics: &Metrics, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
    let refusals: Vec<_> = {
        let all = metrics.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(kind, count)| (*kind, load(count))).collect()
    };
    let mut family = describe(encoder, &names::REFUSALS)?;
    for (kind, count) in refusals {
        family.encode_family(&[("error_kind", kind)])?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
    }
    encode_histogram(describe(encoder, &names::OVERHEAD)?, &metrics.overhead)?;
    for (metric, gauge) in
        [(names::REQUESTS_IN_FLIGHT, &metrics.requests_in_flight), (names::CONNECTIONS, &metrics.connections)]
    {
        let value = ConstGauge::new(gauge.load(Ordering::Relaxed));
        value.encode(describe(encoder, &metric)?)?;
    }
    Ok(())
}

/// Begins a metric under its name.
pub(crate) fn describe<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    metric: &Metric,
) -> Result<MetricEncoder<'a>, std::fmt::Error> {
    encoder.encode_descriptor(metric.name, metric.help, None, metric.kind.into())
}

/// The text exposition of a registry, as scrapers read it.
pub fn exposition(registry: &prometheus_client::registry::Registry) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn what_was_counted_is_exposed() {
        let metrics = Arc::new(Metrics::default());
        let labels =
            SeriesLabels { model: "gpt-*".into(), provider: "openai".into(), deployment: "depl_1".into() };
        let usage = TokenUsage { input: 7, output: 5, ..Default::default() };
        metrics.series(&labels).finished(&Finished {
            operation: Operation::Chat,
            fault: Some(Fault::Provider),
            usage,
            cost: Some(NanoUsd::new(1_500_000_000)),
            latency_us: 3_000,
            time_to_first_token_us: None,
            attempts: 3,
        });
        metrics.refused("model_not_found");
        let mut registry = Registry::default();
        registry.register_collector(Box::new(MetricsCollector(Arc::clone(&metrics))));
        let text = exposition(&registry).unwrap();
        let common = r#"model="gpt-*",provider="openai",deployment="depl_1""#;
        for line in [
            format!(r#"tollgate_requests_total{{{common},operation="chat"}} 1"#),
            format!(r#"tollgate_errors_total{{{common},fault="provider"}} 1"#),
            format!(r#"tollgate_retries_total{{{common}}} 2"#),
            format!(r#"tollgate_tokens_total{{{common},meter="input"}} 7"#),
            format!(r#"tollgate_cost_usd_total{{{common}}} 1.5"#),
            r#"tollgate_refusals_total{error_kind="model_not_found"} 1"#.to_owned(),
            format!(r#"tollgate_request_duration_seconds_count{{{common}}} 1"#),
        ] {
            assert!(text.contains(&line), "{line} is missing in\n{text}");
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, labels) = line.split_once('{').unwrap_or((line, ""));
            // The longest, because some names begin with another one.
            let named = names::ALL.iter().filter(|metric| name.starts_with(metric.name));
            let metric = named.max_by_key(|metric| metric.name.len()).expect("a documented metric");
            let labels = labels.split_once('}').map_or("", |(labels, _)| labels).split(',');
            let labels =
                labels.filter_map(|pair| Some(pair.split_once('=')?.0)).filter(|label| *label != "le");
            assert_eq!(labels.collect::<Vec<_>>(), metric.labels, "{line}");
        }
    }
}

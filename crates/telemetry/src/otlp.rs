//! Export of spans by OTLP over HTTP, in batches, beside the traffic and never in its way.
//!
//! The exporter opens no connection: it hands encoded requests to a [`SpanSink`], which posts them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::call::{CallCounters, CallReceiver};
use crate::genai::Convention;
use crate::spans::spans;

/// The path below a collector's base URL that takes traces.
pub const TRACES_PATH: &str = "/v1/traces";
/// What a request's `content-type` must say.
pub const CONTENT_TYPE: &str = "application/x-protobuf";

const MAX_BATCH_SPANS: usize = 512;
const MAX_BATCH_AGE: Duration = Duration::from_secs(5);
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Waits before sending a batch again; meanwhile the queue fills and then drops.
const BACKOFF: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(8)];

/// Why a collector did not take a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The same batch may be taken later: no connection, a time-out, 429, 502, 503, 504.
    #[error("{0}")]
    Temporary(String),
    /// It will not be taken: any other status.
    #[error("{0}")]
    Permanent(String),
}

impl SinkError {
    /// What an HTTP status of a collector means; `None` when it took the batch.
    pub fn from_status(status: u16) -> Option<Self> {
        match status {
            200..=299 => None,
            429 | 502 | 503 | 504 => Some(Self::Temporary(format!("the collector answered {status}"))),
            _ => Some(Self::Permanent(format!("the collector answered {status}"))),
        }
    }
}

/// What [`SpanSink::send`] returns.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send + 'a>>;

/// Posts an encoded `ExportTraceServiceRequest` to [`TRACES_PATH`] of a collector, as [`CONTENT_TYPE`].
pub trait SpanSink: Send + Sync {
    /// One try; the exporter bounds its time and repeats it.
    fn send(&self, body: Bytes) -> Sending<'_>;
}

/// What the exported spans say about their origin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExporterSettings {
    pub convention: Convention,
    /// Attributes of the resource, for example `service.name`, `service.version`, `service.instance.id`.
    pub resource: Vec<(String, String)>,
}

/// Turns finished calls into spans and sends them.
pub struct Exporter {
    settings: ExporterSettings,
    sink: Arc<dyn SpanSink>,
    counters: Arc<CallCounters>,
    failing: bool,
}

impl Exporter {
    pub fn new(settings: ExporterSettings, sink: Arc<dyn SpanSink>, counters: Arc<CallCounters>) -> Self {
        Self { settings, sink, counters, failing: false }
    }

    /// Exports until `stop` is ready or all senders are gone, and then what is left, once.
    pub async fn run(mut self, mut calls: CallReceiver, stop: impl Future<Output = ()>) {
        let mut stop = Stop { future: std::pin::pin!(stop), reached: false };
        let mut waiting = Vec::new();
        loop {
            let open = self.collect(&mut calls, &mut waiting, &mut stop).await;
            while !waiting.is_empty() {
                let rest = waiting.split_off(waiting.len().min(MAX_BATCH_SPANS));
                let batch = std::mem::replace(&mut waiting, rest);
                self.deliver(batch, &mut stop).await;
            }
            if !open {
                return;
            }
        }
    }

    /// Waits for a batch that is full or old enough; false when there will be no more calls.
    async fn collect<F: Future<Output = ()>>(
        &self,
        calls: &mut CallReceiver,
        waiting: &mut Vec<Span>,
        stop: &mut Stop<'_, F>,
    ) -> bool {
        let mut deadline = None;
        while waiting.len() < MAX_BATCH_SPANS {
            let next = async {
                match deadline {
                    Some(deadline) => timeout_at(deadline, calls.recv()).await.map_err(drop),
                    None => Ok(calls.recv().await),
                }
            };
            let received = tokio::select! {
                received = next => received,
                () = stop.wait() => {
                    calls.close();
                    continue;
                }
            };
            match received {
                Ok(Some(call)) => {
                    waiting.extend(spans(&call, self.settings.convention));
                    deadline.get_or_insert_with(|| Instant::now() + MAX_BATCH_AGE);
                }
                Ok(None) => return false,
                Err(()) => return true,
            }
        }
        true
    }

    async fn deliver<F: Future<Output = ()>>(&mut self, batch: Vec<Span>, stop: &mut Stop<'_, F>) {
        let count = batch.len() as u64;
        let body = encode(&self.settings, batch);
        let mut waits = BACKOFF.iter();
        let problem = loop {
            let problem = match timeout(SEND_TIMEOUT, self.sink.send(body.clone())).await {
                Ok(Ok(())) => {
                    self.counters.spans_exported.fetch_add(count, Ordering::Relaxed);
                    self.note(None);
                    return;
                }
                Ok(Err(problem)) => problem,
                Err(_) => SinkError::Temporary("the collector did not answer in time".to_owned()),
            };
            let may_repeat = matches!(problem, SinkError::Temporary(_)) && !stop.reached;
            let Some(wait) = waits.next().filter(|_| may_repeat) else { break problem };
            tokio::select! {
                () = sleep(*wait) => {}
                () = stop.wait() => {}
            }
        };
        self.counters.spans_dropped.fetch_add(count, Ordering::Relaxed);
        self.note(Some(&problem));
    }

    /// Logs when exporting begins to fail and when it works again, not each batch between.
    fn note(&mut self, problem: Option<&SinkError>) {
        match problem {
            Some(problem) if !self.failing => {
                tracing::warn!(%problem, "spans cannot be exported and are dropped; check the trace collector");
            }
            None if self.failing => tracing::info!("spans are exported again"),
            _ => {}
        }
        self.failing = problem.is_some();
    }
}

/// A future that may be waited for again after it was ready; then it never is.
struct Stop<'a, F> {
    future: Pin<&'a mut F>,
    reached: bool,
}

impl<F: Future<Output = ()>> Stop<'_, F> {
    async fn wait(&mut self) {
        if self.reached {
            std::future::pending::<()>().await;
        }
        self.future.as_mut().await;
        self.reached = true;
    }
}

fn encode(settings: &ExporterSettings, spans: Vec<Span>) -> Bytes {
    let attributes = settings.resource.iter().map(|(name, value)| KeyValue {
        key: name.clone(),
        value: Some(AnyValue { value: Some(Value::StringValue(value.clone())) }),
        ..KeyValue::default()
    });
    let resource = Resource { attributes: attributes.collect(), ..Resource::default() };
    let scope = InstrumentationScope {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, schema_url: String::new() }];
    let resource_spans =
        vec![ResourceSpans { resource: Some(resource), scope_spans, schema_url: String::new() }];
    Bytes::from(ExportTraceServiceRequest { resource_spans }.encode_to_vec())
}

#[cfg(test)]
mod tests;

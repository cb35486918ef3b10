//! Traces and the access log: finished calls leave the data plane here and are written on the control runtime.

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tollgate_core::InstanceId;
use tollgate_telemetry::genai::Convention;
use tollgate_telemetry::otlp::{self, Exporter, ExporterSettings, Sending, SinkError, SpanSink};
use tollgate_telemetry::{CallCounters, CallSink, Sampler, access_log};
use tollgate_upstream::{Egress, OneShot, Origin, Timeouts, fetch};

use super::settings::Chosen;

/// Calls that may wait; more are counted and forgotten.
const WAITING_CALLS: usize = 4_096;
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// How long the end of the process waits for the last spans and lines.
const LAST_MOMENTS: Duration = Duration::from_secs(3);
const CONVENTION_VARIABLE: &str = "OTEL_SEMCONV_STABILITY_OPT_IN";

/// What listens to finished calls.
pub(crate) struct Observing {
    /// Absent when nobody does.
    pub(crate) sink: Option<CallSink>,
    pub(crate) counters: Arc<CallCounters>,
    tasks: Vec<JoinHandle<()>>,
}

impl Observing {
    /// Starts what is switched on, on the current runtime, until `stopped`.
    pub(crate) fn start(
        chosen: &Chosen,
        tls: &Arc<rustls::ClientConfig>,
        instance_id: InstanceId,
        stopped: &watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let counters = Arc::<CallCounters>::default();
        let mut sink = CallSink::new(Arc::clone(&counters));
        let mut tasks = Vec::new();
        if let Some(settings) = &chosen.otlp {
            let origin = Origin::parse(settings.endpoint.trim_end_matches('/'), Egress::Internal)
                .map_err(|error| anyhow!("otlp.endpoint cannot be used: {error}"))?;
            let collector = Arc::new(Collector { origin: Arc::new(origin), tls: Arc::clone(tls) });
            let exporter = Exporter::new(exporter_settings(instance_id), collector, Arc::clone(&counters));
            let (next, calls) = sink.with_traces(Sampler::new(settings.sample_ratio), WAITING_CALLS);
            sink = next;
            tasks.push(tokio::spawn(exporter.run(calls, ending(stopped.clone()))));
        }
        if chosen.log.access == Some(true) {
            let (next, calls) = sink.with_access_log(WAITING_CALLS);
            sink = next;
            tasks.push(tokio::spawn(access_log::run(calls, ending(stopped.clone()))));
        }
        let sink = if tasks.is_empty() { None } else { Some(sink) };
        Ok(Self { sink, counters, tasks })
    }

    /// Waits until the last calls have been written, or for a few seconds.
    pub(crate) async fn finish(self) {
        drop(self.sink);
        let _ = tokio::time::timeout(LAST_MOMENTS, async {
            for task in self.tasks {
                let _ = task.await;
            }
        })
        .await;
    }
}

async fn ending(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

fn exporter_settings(instance_id: InstanceId) -> ExporterSettings {
    let opt_in = std::env::var(CONVENTION_VARIABLE).unwrap_or_default();
    let resource = [
        ("service.name", "tollgate".to_owned()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", instance_id.to_string()),
    ];
    let resource = resource.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    ExporterSettings { convention: Convention::from_opt_in(&opt_in), resource }
}

/// A trace collector that takes OTLP over HTTP.
struct Collector {
    origin: Arc<Origin>,
    tls: Arc<rustls::ClientConfig>,
}

impl SpanSink for Collector {
    fn send(&self, body: Bytes) -> Sending<'_> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(otlp::CONTENT_TYPE));
        let call = OneShot {
            origin: Arc::clone(&self.origin),
            tls: Arc::clone(&self.tls),
            method: Method::POST,
            path: format!("{}{}", self.origin.path_prefix(), otlp::TRACES_PATH),
            headers,
            body,
            timeouts: Timeouts::default(),
            max_response_bytes: MAX_ANSWER_BYTES,
        };
        Box::pin(async move {
            let answer = fetch(call).await.map_err(|error| SinkError::Temporary(error.to_string()))?;
            SinkError::from_status(answer.status.as_u16()).map_or(Ok(()), Err)
        })
    }
}

//! A call that came to its end, as traces and the access log show it, and the lossy way to both.
//!
//! Nothing here holds content: no prompt, no answer, no header and no credential of a caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use tollgate_core::{
    DeploymentId, Dialect, Fault, InstanceId, KeyId, NanoUsd, Operation, OrganizationId, ProjectId,
    ProviderId, RequestId, TeamId, TokenUsage, UnixMicros,
};

use crate::trace_context::{Sampler, TraceContext};

/// A call of a known caller, answered or not.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedCall {
    pub request_id: RequestId,
    pub instance_id: InstanceId,
    pub started_at: UnixMicros,
    /// The caller's span, where it sent a `traceparent`.
    pub caller: Option<TraceContext>,
    pub operation: Operation,
    pub client_dialect: Dialect,
    /// As asked for; text of the caller.
    pub model: Box<str>,
    /// Whether that is a model of ours. Else it may be anything, and names nothing.
    pub model_is_known: bool,
    pub stream: bool,
    /// What the client got.
    pub status: u16,
    /// `completed`, `refused`, `failed`, `client_gone`.
    pub outcome: &'static str,
    pub fault: Option<Fault>,
    pub error_kind: Option<Box<str>>,
    pub finish_reason: Option<Box<str>>,
    pub organization_id: OrganizationId,
    pub team_id: Option<TeamId>,
    pub project_id: Option<ProjectId>,
    pub key_id: Option<KeyId>,
    /// Sum over the attempts.
    pub usage: TokenUsage,
    /// Sum over the attempts; `None` when a price is unknown.
    pub cost: Option<NanoUsd>,
    pub latency_us: u64,
    pub time_to_first_token_us: Option<u64>,
    pub overhead_us: u64,
    pub attempts: Vec<FinishedAttempt>,
}

/// One call to one deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct FinishedAttempt {
    /// The provider's kind as configurations name it, for example `openai`, where still known.
    pub provider_kind: Option<Box<str>>,
    pub provider_id: ProviderId,
    pub deployment_id: DeploymentId,
    pub region: Option<Box<str>>,
    pub upstream_model: Box<str>,
    pub started_at: UnixMicros,
    /// 0 when there was no answer.
    pub status: u16,
    pub outcome: &'static str,
    /// A short code, for example `connect_timeout` or `http_429`.
    pub error_kind: Option<Box<str>>,
    /// Whether the client's answer came from it.
    pub served: bool,
    pub usage: TokenUsage,
    pub cost: Option<NanoUsd>,
    pub latency_us: u64,
    pub time_to_first_token_us: Option<u64>,
    /// The provider's own id of the exchange.
    pub upstream_request_id: Option<Box<str>>,
}

/// What became of calls on their way out. Shared with whatever shows it.
#[derive(Debug, Default)]
pub struct CallCounters {
    pub spans_exported: AtomicU64,
    /// Because the queue was full, or because the collector did not take them.
    pub spans_dropped: AtomicU64,
    pub access_log_lines_dropped: AtomicU64,
}

/// Finished calls, in the order in which they were sent.
pub type CallReceiver = mpsc::Receiver<Arc<FinishedCall>>;

/// Where the data plane leaves finished calls. It never waits: what finds no room is counted and forgotten.
#[derive(Debug, Clone, Default)]
pub struct CallSink {
    traces: Option<(Sampler, mpsc::Sender<Arc<FinishedCall>>)>,
    access_log: Option<mpsc::Sender<Arc<FinishedCall>>>,
    counters: Arc<CallCounters>,
}

impl CallSink {
    /// A sink that wants nothing yet.
    pub fn new(counters: Arc<CallCounters>) -> Self {
        Self { counters, ..Self::default() }
    }

    /// Sends sampled calls to the receiver, of which at most `capacity` may wait.
    pub fn with_traces(mut self, sampler: Sampler, capacity: usize) -> (Self, CallReceiver) {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        self.traces = Some((sampler, sender));
        (self, receiver)
    }

    /// Sends every call to the receiver, of which at most `capacity` may wait.
    pub fn with_access_log(mut self, capacity: usize) -> (Self, CallReceiver) {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        self.access_log = Some(sender);
        (self, receiver)
    }

    /// Whether a call is traced.
    pub fn samples(&self, request_id: RequestId, caller: Option<&TraceContext>) -> bool {
        self.traces.as_ref().is_some_and(|(sampler, _)| sampler.samples(request_id, caller))
    }

    /// Whether anybody wants to hear of a call; asked before a [`FinishedCall`] is made.
    pub const fn wants(&self, sampled: bool) -> bool {
        sampled || self.access_log.is_some()
    }

    /// Passes a finished call on to whoever wants it.
    pub fn send(&self, call: FinishedCall, sampled: bool) {
        let call = Arc::new(call);
        if let Some(sender) = &self.access_log
            && sender.try_send(Arc::clone(&call)).is_err()
        {
            self.counters.access_log_lines_dropped.fetch_add(1, Ordering::Relaxed);
        }
        if let Some((_, sender)) = self.traces.as_ref().filter(|_| sampled) {
            let spans = call.attempts.len() as u64 + 1;
            if sender.try_send(call).is_err() {
                self.counters.spans_dropped.fetch_add(spans, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A call of the chat model `fast` that was served by its second attempt.
    pub(crate) fn finished_call() -> FinishedCall {
        let usage = TokenUsage {
            input: 100,
            cache_read: 40,
            cache_write: 8,
            cache_write_long: 2,
            output: 20,
            reasoning: 5,
        };
        let failed = FinishedAttempt {
            provider_kind: Some("openai".into()),
            provider_id: ProviderId::from_bytes([5; 16]),
            deployment_id: DeploymentId::from_bytes([6; 16]),
            region: Some("eu-west-1".into()),
            upstream_model: "gpt-fast".into(),
            started_at: UnixMicros(1_000_100),
            status: 429,
            outcome: "failed",
            error_kind: Some("http_429".into()),
            served: false,
            usage: TokenUsage::ZERO,
            cost: Some(NanoUsd::ZERO),
            latency_us: 10_000,
            time_to_first_token_us: None,
            upstream_request_id: None,
        };
        let served = FinishedAttempt {
            provider_kind: Some("xai".into()),
            provider_id: ProviderId::from_bytes([8; 16]),
            upstream_model: "grok-fast".into(),
            started_at: UnixMicros(1_010_200),
            status: 200,
            outcome: "completed",
            error_kind: None,
            served: true,
            usage,
            cost: Some(NanoUsd::new(1_250_000)),
            latency_us: 480_000,
            time_to_first_token_us: Some(250_000),
            upstream_request_id: Some("up-1".into()),
            ..failed.clone()
        };
        FinishedCall {
            request_id: RequestId::from_bytes([1; 16]),
            instance_id: InstanceId::from_bytes([2; 16]),
            started_at: UnixMicros(1_000_000),
            caller: None,
            operation: Operation::Chat,
            client_dialect: Dialect::OpenaiChat,
            model: "fast".into(),
            model_is_known: true,
            stream: true,
            status: 200,
            outcome: "completed",
            fault: None,
            error_kind: None,
            finish_reason: Some("stop".into()),
            organization_id: OrganizationId::from_bytes([3; 16]),
            team_id: Some(TeamId::from_bytes([4; 16])),
            project_id: None,
            key_id: Some(KeyId::from_bytes([9; 16])),
            usage,
            cost: Some(NanoUsd::new(1_250_000)),
            latency_us: 500_000,
            time_to_first_token_us: Some(260_000),
            overhead_us: 60,
            attempts: vec![failed, served],
        }
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let counters = Arc::<CallCounters>::default();
        let (sink, mut traces) = CallSink::new(Arc::clone(&counters)).with_traces(Sampler::new(1.0), 2);
        let (sink, mut lines) = sink.with_access_log(1);
        for _ in 0..5 {
            sink.send(finished_call(), true);
        }
        sink.send(finished_call(), false);
        assert_eq!(counters.spans_dropped.load(Ordering::Relaxed), 3 * 3);
        assert_eq!(counters.access_log_lines_dropped.load(Ordering::Relaxed), 5);
        assert!(traces.try_recv().is_ok() && traces.try_recv().is_ok() && traces.try_recv().is_err());
        assert!(lines.try_recv().is_ok() && lines.try_recv().is_err());
    }

    #[test]
    fn a_sink_says_what_it_wants() {
        let sink = CallSink::default();
        assert!(!sink.wants(false) && !sink.samples(RequestId::generate(), None));
        let (sink, _lines) = sink.with_access_log(1);
        assert!(sink.wants(false) && !sink.samples(RequestId::generate(), None));
    }
}

//! What leaves an account for traces and the access log. A call that nobody watches costs a branch.

use std::mem::take;

use http::{HeaderMap, HeaderName, HeaderValue};
use tollgate_core::DeploymentId;
use tollgate_ledger::record::{TraceParent, UsageRecord};
use tollgate_telemetry::{FinishedAttempt, FinishedCall, TraceContext};

use super::{Account, Open};
use crate::answer::{DEPLOYMENT, MODEL};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

impl Account {
    /// Tells the provider the span of the attempt under way, where the call is traced.
    ///
    /// Else nothing is added, and what the caller sent stays as it is: a span that is never exported is no parent.
    pub fn name_attempt(&self, headers: &mut HeaderMap) {
        let Some(open) = self.open.as_deref().filter(|open| open.sampled) else { return };
        let request = &open.settlement.request;
        let caller = request.trace.map(context);
        let attempt = u16::try_from(open.settlement.attempts.len()).unwrap_or(u16::MAX);
        let header = TraceContext::of_attempt(request.request_id, caller.as_ref(), attempt).header();
        if let Ok(value) = HeaderValue::try_from(header) {
            headers.insert(TRACEPARENT, value);
        }
        if caller.is_none() {
            // The state of a trace that we do not continue.
            headers.remove(TRACESTATE);
        }
    }
}

impl Account {
    /// Tells the client which model it asked for, once that is known to exist, and which deployment was tried last.
    pub fn name_model_and_deployment(&self, headers: &mut HeaderMap) {
        let Some(request) = self.request().filter(|request| request.model_id.is_some()) else { return };
        if let Ok(model) = HeaderValue::try_from(&*request.model) {
            headers.insert(MODEL, model);
        }
        if let Some(deployment) = self.deployment_header() {
            headers.insert(DEPLOYMENT, deployment);
        }
    }
}

const fn context(trace: TraceParent) -> TraceContext {
    TraceContext { trace_id: trace.trace_id, span_id: trace.span_id, sampled: trace.sampled }
}

impl Open {
    /// Decides whether the call is traced, once its caller's place in a trace is known.
    pub(super) fn decide_sampling(&mut self) {
        if let Some(sink) = &self.core.gateway.call_sink {
            let request = &self.settlement.request;
            self.sampled = sink.samples(request.request_id, request.trace.map(context).as_ref());
        }
    }

    /// Leaves the finished call for whoever watches. Takes the texts of the record, which is written by then.
    pub(super) fn observe(&mut self) {
        let core = std::rc::Rc::clone(&self.core);
        let Some(sink) = core.gateway.call_sink.as_ref().filter(|sink| sink.wants(self.sampled)) else {
            return;
        };
        let attempts = take(&mut self.settlement.attempts);
        let attempts = attempts.into_iter().map(|attempt| self.finished_attempt(attempt)).collect();
        let request = &mut self.settlement.request;
        let payer = request.principal.payer;
        let call = FinishedCall {
            request_id: request.request_id,
            instance_id: request.instance_id,
            started_at: request.started_at,
            caller: request.trace.map(context),
            operation: request.operation,
            client_dialect: request.client_dialect,
            model: take(&mut request.model),
            model_is_known: request.model_id.is_some(),
            stream: request.stream,
            status: request.status,
            outcome: request.outcome.as_str(),
            fault: request.fault,
            error_kind: request.error_kind.take(),
            finish_reason: request.finish_reason.take(),
            organization_id: payer.organization_id,
            team_id: payer.team_id,
            project_id: payer.project_id,
            key_id: request.principal.key_id,
            usage: request.usage,
            cost: request.cost,
            latency_us: request.latency_us,
            time_to_first_token_us: request.time_to_first_token_us,
            overhead_us: request.overhead_us,
            attempts,
        };
        sink.send(call, self.sampled);
    }

    fn finished_attempt(&self, attempt: UsageRecord) -> FinishedAttempt {
        FinishedAttempt {
            // Only spans tell it; finding it for every line of an access log would be dear.
            provider_kind: self.sampled.then(|| self.provider_kind(attempt.deployment_id)).flatten(),
            provider_id: attempt.provider_id,
            deployment_id: attempt.deployment_id,
            region: attempt.region,
            upstream_model: attempt.upstream_model,
            started_at: attempt.started_at,
            status: attempt.status,
            outcome: attempt.outcome.as_str(),
            error_kind: attempt.error_kind,
            served: attempt.served,
            usage: attempt.usage,
            cost: attempt.cost,
            latency_us: attempt.latency_us,
            time_to_first_token_us: attempt.time_to_first_token_us,
            upstream_request_id: attempt.upstream_request_id,
        }
    }

    fn provider_kind(&self, id: DeploymentId) -> Option<Box<str>> {
        let published = self.core.gateway.published();
        let target = published.targets.iter().find(|target| target.deployment.id == id)?;
        Some(target.deployment.provider.kind.clone())
    }
}

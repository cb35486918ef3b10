//! The attempts within an account: each begins with an intent in the journal and ends in a usage record.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use tollgate_catalog::{PriceList, ServiceTier};
use tollgate_core::{DeploymentId, Dialect, FaultPoint, Operation, TokenUsage, UnixMicros};
use tollgate_ledger::budget::Settled;
use tollgate_ledger::journal::{Append, RecordClass};
use tollgate_ledger::record::{Candidate, Intent, JournalEntry, Outcome, UsageRecord, UsageSource, Verdict};

use super::{Account, Measured, Open, micros_since};
use crate::estimate::bytes_as_tokens;
use crate::reservation::Reservation;
use crate::targets::Target;

/// What is about to be tried.
#[derive(Debug)]
pub struct AttemptPlan {
    pub target: Arc<Target>,
    pub dialect: Dialect,
    pub upstream_model: Box<str>,
    pub prices: Arc<PriceList>,
    pub tier: Option<ServiceTier>,
    pub input_bound_tokens: u64,
    /// What it holds of budgets and limits.
    pub reservation: Reservation,
}

/// How an attempt ended.
#[derive(Debug)]
pub struct AttemptEnd {
    /// The provider's status; 0 when there was none.
    pub status: u16,
    pub outcome: Outcome,
    pub error_kind: Option<Box<str>>,
    /// Whether the client's answer comes from it.
    pub served: bool,
    pub measured: Measured,
    pub upstream_request_id: Option<Box<str>>,
}

pub(super) struct Pending {
    pub(super) plan: AttemptPlan,
    started: Instant,
    started_at: UnixMicros,
    first_token_us: Option<u64>,
    /// Whether the provider may have seen the request, so that an unknown end may have cost something.
    dispatched: bool,
}

impl Account {
    /// Begins an attempt: its intent is in line for the journal, and must be written before anything is sent.
    pub fn begin_attempt(&mut self, plan: AttemptPlan) -> Option<Append> {
        self.with(|open| open.begin(plan))
    }

    /// The request is about to be sent.
    pub fn dispatched(&mut self) {
        self.with(|open| {
            let overhead_us = micros_since(open.started);
            let first = open.settlement.attempts.is_empty();
            if let Some(pending) = &mut open.pending {
                pending.dispatched = true;
                pending.started = Instant::now();
                if first {
                    open.settlement.request.overhead_us = overhead_us;
                }
            }
        });
    }

    /// The first content of the attempt's answer has come.
    pub fn first_token(&mut self) {
        self.with(|open| {
            if let Some(pending) = &mut open.pending
                && pending.first_token_us.is_none()
            {
                pending.first_token_us = Some(micros_since(pending.started));
                open.settlement.request.time_to_first_token_us = Some(micros_since(open.started));
            }
        });
    }

    /// Ends the attempt that is under way.
    pub fn end_attempt(&mut self, end: AttemptEnd) {
        self.with(|open| open.end(end));
    }

    /// The deployment of the attempt under way, or of the last one.
    pub fn serving_deployment(&self) -> Option<DeploymentId> {
        let open = self.open.as_deref()?;
        let pending = open.pending.as_ref().map(|pending| pending.plan.target.deployment.id);
        pending.or(open.settlement.request.deployment_id)
    }

    /// The same as a header value.
    pub fn deployment_header(&self) -> Option<HeaderValue> {
        let open = self.open.as_deref()?;
        match &open.pending {
            Some(pending) => Some(pending.plan.target.id_header.clone()),
            None => HeaderValue::try_from(open.settlement.request.deployment_id?.to_string()).ok(),
        }
    }

    /// Output tokens that the attempt under way may have made without showing them.
    pub fn unseen_output_tokens(&self) -> u64 {
        self.open.as_deref().map_or(0, Open::unseen_output_tokens)
    }

    /// Time since the attempt under way was dispatched.
    pub fn attempt_elapsed_us(&self) -> u64 {
        let pending = self.open.as_deref().and_then(|open| open.pending.as_ref());
        pending.map_or(0, |pending| micros_since(pending.started))
    }
}

impl Open {
    fn begin(&mut self, plan: AttemptPlan) -> Append {
        let request = &self.settlement.request;
        let started_at = self.core.gateway.clock.now();
        let attempt = u16::try_from(self.settlement.attempts.len()).unwrap_or(u16::MAX);
        let deployment = &plan.target.deployment;
        let intent = Intent {
            request_id: request.request_id,
            attempt,
            started_at,
            principal: request.principal,
            operation: request.operation,
            client_dialect: request.client_dialect,
            stream: request.stream,
            model: request.model.clone(),
            model_id: request.model_id.unwrap_or_else(|| tollgate_core::ModelId::from_bytes([0; 16])),
            deployment_id: deployment.id,
            provider_id: deployment.provider.id,
            upstream_model: plan.upstream_model.clone(),
            price_version: Some(plan.prices.version().get()),
            input_bound_tokens: plan.input_bound_tokens,
            holds: plan.reservation.holds(),
        };
        let mut buffer = self.core.scratch.take();
        buffer.clear();
        // An intent holds bounded text only; encoding into memory cannot fail, and an empty record is harmless.
        if let Err(error) = JournalEntry::Intent(&intent).encode_into(&mut buffer) {
            tracing::error!(%error, "an intent could not be encoded");
        }
        let append = self.core.journal.append(RecordClass::Intent, &buffer);
        self.core.scratch.replace(buffer);
        self.series = Some(Arc::clone(&plan.target.series));
        self.settlement.request.upstream_dialect = Some(plan.dialect);
        self.pending = Some(Pending {
            plan,
            started: Instant::now(),
            started_at,
            first_token_us: None,
            dispatched: false,
        });
        append
    }

    fn end(&mut self, end: AttemptEnd) {
        let Some(pending) = self.pending.take() else { return };
        let plan = pending.plan;
        let is_billed = end.served && self.settlement.request.operation != Operation::CountTokens;
        let usage = &end.measured.usage;
        let cost = plan.prices.charge(usage, is_billed, plan.tier, pending.started_at);
        let now = self.core.gateway.clock.now();
        let settled = plan.reservation.settle(now, usage, cost);
        let charges = settled.as_ref().map(Settled::charges).unwrap_or_default();
        self.settled.extend(settled);
        let deployment = &plan.target.deployment;
        let verdict = if end.served { Verdict::Served } else { Verdict::Failed };
        let request = &mut self.settlement.request;
        request.decision.candidates.push(Candidate { deployment_id: deployment.id, verdict });
        request.deployment_id = Some(deployment.id);
        request.provider_id = Some(deployment.provider.id);
        request.region.clone_from(&deployment.provider.region);
        request.price_version = Some(plan.prices.version().get());
        add(&mut request.usage, &end.measured.usage);
        request.usage_source = worse(request.usage_source, end.measured.source);
        request.cost = match (request.cost, cost) {
            (Some(sum), Some(cost)) => sum.checked_add(cost),
            _ => None,
        };
        self.settlement.attempts.push(UsageRecord {
            attempt: u16::try_from(self.settlement.attempts.len()).unwrap_or(u16::MAX),
            deployment_id: deployment.id,
            provider_id: deployment.provider.id,
            upstream_model: plan.upstream_model,
            region: deployment.provider.region.clone(),
            started_at: pending.started_at,
            status: end.status,
            outcome: end.outcome,
            error_kind: end.error_kind,
            served: end.served,
            usage: end.measured.usage,
            usage_source: end.measured.source,
            cost,
            price_version: Some(plan.prices.version().get()),
            latency_us: micros_since(pending.started),
            time_to_first_token_us: pending.first_token_us,
            upstream_request_id: end.upstream_request_id,
            charges,
        });
        FaultPoint::AttemptEnded.reach();
    }

    /// What the attempt under way may have made without showing it: until now, or until its first content.
    pub(super) fn unseen_output_tokens(&self) -> u64 {
        let Some(pending) = &self.pending else { return 0 };
        let hidden_for =
            pending.first_token_us.map_or_else(|| pending.started.elapsed(), Duration::from_micros);
        pending.plan.reservation.unseen_tokens(hidden_for, self.settlement.request.stream)
    }

    /// Ends an attempt whose answer nobody waited for, from what is known without it: its prompt.
    pub(super) fn abandon(&mut self) {
        let Some(pending) = &self.pending else { return };
        let measured = if pending.dispatched {
            let bound = pending.plan.input_bound_tokens;
            let input = bytes_as_tokens(self.prompt_bytes).min(bound.max(1));
            let output = self.unseen_output_tokens();
            Measured::estimated(TokenUsage { input, output, ..TokenUsage::default() })
        } else {
            Measured::nothing()
        };
        let end = AttemptEnd {
            status: 0,
            outcome: Outcome::ClientGone,
            error_kind: Some("client_gone".into()),
            served: false,
            measured,
            upstream_request_id: None,
        };
        self.end(end);
    }
}

const fn add(sum: &mut TokenUsage, more: &TokenUsage) {
    sum.input = sum.input.saturating_add(more.input);
    sum.cache_read = sum.cache_read.saturating_add(more.cache_read);
    sum.cache_write = sum.cache_write.saturating_add(more.cache_write);
    sum.cache_write_long = sum.cache_write_long.saturating_add(more.cache_write_long);
    sum.output = sum.output.saturating_add(more.output);
    sum.reasoning = sum.reasoning.saturating_add(more.reasoning);
}

/// A sum is only as certain as its least certain part.
const fn worse(one: UsageSource, other: UsageSource) -> UsageSource {
    match (one, other) {
        (UsageSource::Quarantined, _) | (_, UsageSource::Quarantined) => UsageSource::Quarantined,
        (UsageSource::Estimated, _) | (_, UsageSource::Estimated) => UsageSource::Estimated,
        (UsageSource::Reported, _) | (_, UsageSource::Reported) => UsageSource::Reported,
        (UsageSource::Nothing, UsageSource::Nothing) => UsageSource::Nothing,
    }
}

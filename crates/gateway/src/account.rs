//! The account of one call: opened when its caller is known, closed exactly once in the journal.
//!
//! It lives with whatever carries the answer. When the client leaves, that is dropped, and the account closes itself
//! with what is known by then.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use http::HeaderMap;
use tollgate_core::{Dialect, Fault, FaultPoint, NanoUsd, TokenUsage};
use tollgate_ledger::budget::Settled;
use tollgate_ledger::journal::{JournalError, RecordClass};
use tollgate_ledger::record::{
    Candidate, DecisionRecord, JournalEntry, Outcome, ProviderObjectRecord, RequestRecord, Settlement,
    UsageSource,
};
use tollgate_state::{ActiveCredential, Model};
use tollgate_telemetry::{Finished, Series};
use tollgate_wire::{Field, Peeked};

mod attempts;
mod bounds;
mod caller;
mod holds;
mod measure;
mod observe;

pub use attempts::{AttemptEnd, AttemptPlan};
pub use bounds::Bounds;
pub use holds::{Closing, is_kept};
pub use measure::Measured;

use crate::core::Core;
use crate::journey::accept::Accepted;
use crate::problem::Problem;
use crate::throttling::Taking;
use attempts::Pending;

/// The open account. Dropping it closes it as "the client has gone".
pub struct Account {
    open: Option<Box<Open>>,
}

struct Open {
    core: Rc<Core>,
    settlement: Settlement,
    started: Instant,
    /// The attempt that is under way.
    pending: Option<Pending>,
    /// Of the attempt that served, or of the last one.
    series: Option<Arc<Series>>,
    /// What the provider keeps for the caller.
    objects: Vec<ProviderObjectRecord>,
    prompt_bytes: u64,
    /// Whether the call is traced.
    sampled: bool,
    /// Limits that hold for the whole call, whatever its attempts.
    taking: Taking,
    /// Reservations of attempts that have ended, until the journal has what they were charged.
    settled: Vec<Settled>,
}

impl Account {
    /// Opens the account of an identified caller.
    pub fn open(core: &Rc<Core>, accepted: &Accepted, credential: &ActiveCredential, version: u64) -> Self {
        core.gateway.metrics.requests_in_flight.fetch_add(1, Ordering::Relaxed);
        let request = RequestRecord {
            request_id: accepted.request_id,
            instance_id: core.gateway.instance_id,
            parent_id: None,
            started_at: accepted.started_at,
            principal: credential.principal,
            customer: None,
            tags: Vec::new(),
            operation: accepted.operation,
            client_dialect: accepted.route.dialect,
            upstream_dialect: None,
            model: "".into(),
            model_id: None,
            deployment_id: None,
            provider_id: None,
            region: None,
            status: 0,
            outcome: Outcome::ClientGone,
            fault: None,
            error_kind: None,
            stream: false,
            finish_reason: None,
            usage: TokenUsage::default(),
            usage_source: UsageSource::Nothing,
            cost: Some(NanoUsd::ZERO),
            price_version: None,
            latency_us: 0,
            time_to_first_token_us: None,
            overhead_us: 0,
            served_from: None,
            refused_by: None,
            decision: DecisionRecord { snapshot_version: version, ..Default::default() },
            trace: None,
        };
        let settlement = Settlement { request, attempts: Vec::new() };
        let open = Open {
            core: Rc::clone(core),
            settlement,
            started: accepted.started,
            pending: None,
            series: None,
            objects: Vec::new(),
            prompt_bytes: 0,
            sampled: false,
            taking: Taking::default(),
            settled: Vec::new(),
        };
        Self { open: Some(Box::new(open)) }
    }

    fn with<T>(&mut self, change: impl FnOnce(&mut Open) -> T) -> Option<T> {
        self.open.as_deref_mut().map(change)
    }

    /// Notes what the body and headers say about the call itself.
    pub fn understood(&mut self, peeked: &Peeked, headers: &HeaderMap) {
        self.with(|open| {
            let request = &mut open.settlement.request;
            request.stream = peeked.is_stream();
            request.customer = caller::customer(peeked, headers);
            request.tags = caller::tags(headers);
            request.trace = caller::trace_parent(headers);
            if let Some(model) = peeked.text(Field::Model) {
                request.model = caller::bounded(&model, 128);
            }
            open.prompt_bytes = peeked.body().len() as u64;
            open.decide_sampling();
        });
    }

    /// Notes the model that the name resolved to.
    pub fn resolved(&mut self, model: &Model, name: &str) {
        self.with(|open| {
            open.settlement.request.model = name.into();
            open.settlement.request.model_id = Some(model.id);
        });
    }

    /// Notes a deployment that was looked at, and what became of it.
    pub fn considered(&mut self, candidate: Candidate) {
        self.with(|open| open.settlement.request.decision.candidates.push(candidate));
    }

    /// Notes what a translation changed.
    pub fn translated(&mut self, upstream: Dialect, losses: impl Iterator<Item = Box<str>>) {
        self.with(|open| {
            open.settlement.request.upstream_dialect = Some(upstream);
            open.settlement.request.decision.translation.extend(losses.take(64));
        });
    }

    /// An id that the provider handed out; recorded before the answer that tells it is complete.
    pub fn owns_object(&mut self, object: ProviderObjectRecord) {
        self.with(|open| open.objects.push(object));
    }

    /// The call was answered; `status` is what the client got.
    pub fn complete(&mut self, status: u16, finish_reason: Option<&str>) {
        self.with(|open| {
            let request = &mut open.settlement.request;
            request.status = status;
            request.outcome = Outcome::Completed;
            request.finish_reason = finish_reason.map(|reason| caller::bounded(reason, 64));
        });
    }

    /// The call failed or was refused.
    pub fn fail(&mut self, problem: &Problem, outcome: Outcome, status: u16) {
        self.fail_as(problem.fault, problem.name(), outcome, status);
    }

    /// As [`Self::fail`], where there is no problem of ours to name.
    pub fn fail_as(&mut self, fault: Fault, kind: &str, outcome: Outcome, status: u16) {
        self.with(|open| {
            let request = &mut open.settlement.request;
            request.status = status;
            request.outcome = outcome;
            request.fault = Some(fault);
            request.error_kind = Some(kind.into());
        });
    }

    /// The client left before the answer's end; `status` is what it got or would have got.
    pub fn client_gone(&mut self, status: u16) {
        self.fail_as(Fault::Client, "client_gone", Outcome::ClientGone, status);
    }

    /// Notes what the translation of the answer changed.
    pub fn translated_back(&mut self, losses: impl Iterator<Item = Box<str>>) {
        self.with(|open| {
            let noted = &mut open.settlement.request.decision.translation;
            noted.extend(losses.take(64));
        });
    }

    /// Whether the answer comes from another dialect than the client's.
    pub fn was_translated(&self) -> bool {
        self.request()
            .is_some_and(|request| request.upstream_dialect.is_some_and(|it| it != request.client_dialect))
    }

    /// What was lost on the way, short enough for a header.
    pub fn translation_summary(&self) -> String {
        let losses =
            self.request().map(|request| request.decision.translation.as_slice()).unwrap_or_default();
        let mut summary = String::new();
        for loss in losses {
            if summary.len() + loss.len() > 512 {
                summary.push_str("; …");
                break;
            }
            let separator = if summary.is_empty() { "" } else { "; " };
            summary.push_str(separator);
            summary.push_str(loss);
        }
        summary.chars().filter(|character| (' '..='~').contains(character)).collect()
    }

    fn request(&self) -> Option<&RequestRecord> {
        self.open.as_deref().map(|open| &open.settlement.request)
    }

    /// Time spent in Tollgate before the first dispatch.
    pub fn overhead_us(&self) -> u64 {
        self.request().map_or(0, |request| request.overhead_us)
    }

    /// The sum of what the attempts cost so far; `None` when a price is unknown.
    pub fn cost(&self) -> Option<NanoUsd> {
        self.request().and_then(|request| request.cost)
    }

    /// Writes the account and waits until the kernel has it.
    pub async fn settle(self) {
        self.settle_append().await;
    }

    /// Puts the account in line and returns what tells when it is written, for code that is polled.
    pub fn settle_append(mut self) -> Closing {
        let Some(mut open) = self.open.take() else { return Closing::default() };
        let settled = std::mem::take(&mut open.settled);
        FaultPoint::BeforeSettlement.reach();
        let append = open.close(|core, payload| core.journal.append(RecordClass::Settle, payload));
        FaultPoint::SettlementQueued.reach();
        Closing { append, settled }
    }
}

/// What an append's result means: a record that is kept in memory is not lost.
pub fn report(result: Result<(), JournalError>) {
    match result {
        Ok(()) | Err(JournalError::Deferred { .. }) => {}
        Err(error) => tracing::error!(%error, "the account of a call could not be recorded"),
    }
}

impl Open {
    /// Completes the record, counts it, and hands its bytes to `write`.
    fn close<T>(mut self: Box<Self>, write: impl FnOnce(&Core, &[u8]) -> T) -> Option<T> {
        let latency_us = micros_since(self.started);
        let request = &mut self.settlement.request;
        request.latency_us = latency_us;
        let finished = Finished {
            operation: request.operation,
            fault: request.fault,
            usage: request.usage,
            cost: request.cost,
            latency_us,
            time_to_first_token_us: request.time_to_first_token_us,
            attempts: u16::try_from(self.settlement.attempts.len()).unwrap_or(u16::MAX),
        };
        let metrics = &self.core.gateway.metrics;
        if let Some(series) = &self.series {
            series.finished(&finished);
            metrics.overhead.observe_us(request.overhead_us);
        }
        let mut buffer = self.core.scratch.take();
        buffer.clear();
        for object in &self.objects {
            if JournalEntry::ProviderObject(object).encode_into(&mut buffer).is_ok() {
                report(self.core.journal.append_detached(&buffer));
            }
            buffer.clear();
        }
        let written = match JournalEntry::Settled(&self.settlement).encode_into(&mut buffer) {
            Ok(()) => Some(write(&self.core, &buffer)),
            Err(error) => {
                tracing::error!(%error, "the account of a call could not be encoded");
                None
            }
        };
        self.core.scratch.replace(buffer);
        self.taking.correct(self.core.gateway.clock.now(), &self.settlement.request.usage);
        self.observe();
        written
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.core.gateway.metrics.requests_in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        open.abandon();
        if let Some(result) = open.close(|core, payload| core.journal.append_detached(payload)) {
            report(result);
        }
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let request_id = self.open.as_deref().map(|open| open.settlement.request.request_id);
        formatter.debug_struct("Account").field("request_id", &request_id).finish_non_exhaustive()
    }
}

fn micros_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)
}

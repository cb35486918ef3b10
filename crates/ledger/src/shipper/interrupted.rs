//! Requests with intents and no settlement yet, and what becomes of them when their process is dead.

use std::collections::HashMap;

use tollgate_core::{Fault, InstanceId, NanoUsd, RequestId, TokenUsage};

use super::PriceInterrupted;
use crate::journal::Position;
use crate::record::{
    DecisionRecord, HoldsChange, Intent, Outcome, RequestRecord, Settlement, UsageRecord, UsageSource,
};

const INTERRUPTED: &str = "interrupted";

#[derive(Default)]
pub(super) struct OpenRequests {
    requests: HashMap<RequestId, Open>,
}

struct Open {
    /// Where to read from to find the first intent again.
    before: Position,
    epoch: u64,
    first: Intent,
    /// Those of further attempts.
    more: Vec<Intent>,
}

impl OpenRequests {
    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    /// Notes an intent that follows `before` in `epoch`. One that was written twice counts once.
    pub(super) fn begin(&mut self, intent: Intent, before: Position, epoch: u64) {
        match self.requests.get_mut(&intent.request_id) {
            Some(open) if open.has_attempt(intent.attempt) => {}
            Some(open) => open.more.push(intent),
            None => {
                let open = Open { before, epoch, first: intent, more: Vec::new() };
                self.requests.insert(open.first.request_id, open);
            }
        }
    }

    /// Notes what an attempt holds from now on. Without its intent it is of a request that was settled.
    pub(super) fn hold(&mut self, change: HoldsChange) {
        let Some(open) = self.requests.get_mut(&change.request_id) else { return };
        let mut intents = std::iter::once(&mut open.first).chain(&mut open.more);
        if let Some(intent) = intents.find(|intent| intent.attempt == change.attempt) {
            intent.holds = change.holds;
        }
    }

    pub(super) fn end(&mut self, request_id: RequestId) {
        self.requests.remove(&request_id);
    }

    /// The place before the oldest intent; `None` when nothing is open.
    pub(super) fn floor(&self) -> Option<Position> {
        self.requests.values().map(|open| open.before).min()
    }

    /// Takes the requests of epochs before this one, oldest first.
    pub(super) fn interrupt_before(
        &mut self,
        epoch: u64,
        instance_id: InstanceId,
        price: &PriceInterrupted,
    ) -> Vec<Settlement> {
        let mut dead: Vec<Open> =
            self.requests.extract_if(|_, open| open.epoch < epoch).map(|(_, open)| open).collect();
        dead.sort_unstable_by_key(|open| (open.before, open.first.request_id));
        dead.into_iter().map(|open| open.interrupted(instance_id, price)).collect()
    }
}

impl Open {
    fn has_attempt(&self, attempt: u16) -> bool {
        self.first.attempt == attempt || self.more.iter().any(|intent| intent.attempt == attempt)
    }

    /// Made of the intents alone, so that doing it again gives the same. What an attempt consumed is unknown: it is
    /// charged what was reserved for it, and its prompt's upper bound stands in for its tokens.
    fn interrupted(self, instance_id: InstanceId, price: &PriceInterrupted) -> Settlement {
        let mut usage = TokenUsage::ZERO;
        let mut cost = Some(NanoUsd::ZERO);
        let mut attempts = Vec::with_capacity(1 + self.more.len());
        for intent in std::iter::once(&self.first).chain(&self.more) {
            let attempt = interrupted_attempt(intent, price);
            usage.input = usage.input.saturating_add(attempt.usage.input);
            cost = cost.zip(attempt.cost).and_then(|(sum, cost)| sum.checked_add(cost));
            attempts.push(attempt);
        }
        let last = self.more.last().unwrap_or(&self.first);
        let first = &self.first;
        let request = RequestRecord {
            request_id: first.request_id,
            instance_id,
            parent_id: None,
            started_at: first.started_at,
            principal: first.principal,
            customer: None,
            tags: Vec::new(),
            operation: first.operation,
            client_dialect: first.client_dialect,
            upstream_dialect: None,
            model: first.model.clone(),
            model_id: Some(first.model_id),
            deployment_id: Some(last.deployment_id),
            provider_id: Some(last.provider_id),
            region: None,
            status: 0,
            outcome: Outcome::Interrupted,
            fault: Some(Fault::Gateway),
            error_kind: Some(INTERRUPTED.into()),
            stream: first.stream,
            finish_reason: None,
            usage,
            usage_source: UsageSource::Estimated,
            cost,
            price_version: last.price_version,
            latency_us: 0,
            time_to_first_token_us: None,
            overhead_us: 0,
            served_from: None,
            refused_by: None,
            decision: DecisionRecord::default(),
            trace: None,
        };
        Settlement { request, attempts }
    }
}

fn interrupted_attempt(intent: &Intent, price: &PriceInterrupted) -> UsageRecord {
    let usage = TokenUsage { input: intent.input_bound_tokens, ..TokenUsage::ZERO };
    let charged = intent.holds.iter().map(|charge| charge.amount_nano_usd).max();
    UsageRecord {
        attempt: intent.attempt,
        deployment_id: intent.deployment_id,
        provider_id: intent.provider_id,
        upstream_model: intent.upstream_model.clone(),
        region: None,
        started_at: intent.started_at,
        status: 0,
        outcome: Outcome::Interrupted,
        error_kind: Some(INTERRUPTED.into()),
        served: false,
        cost: charged.or_else(|| price(intent, &usage)),
        usage,
        usage_source: UsageSource::Estimated,
        price_version: intent.price_version,
        latency_us: 0,
        time_to_first_token_us: None,
        upstream_request_id: None,
        charges: intent.holds.clone(),
    }
}

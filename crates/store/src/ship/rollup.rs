//! Hourly sums, so that totals never read single records.
//!
//! A request counts once, at the deployment that answered; tokens, cost and attempts count at the deployment that
//! consumed them. Sums over any set of rows are therefore right for every grouping.

use std::collections::HashMap;

use tollgate_core::{
    DeploymentId, KeyId, ModelId, NanoUsd, Operation, OrganizationId, ProjectId, ProviderId, TeamId,
    TokenUsage,
};
use tollgate_ledger::record::{Outcome, RequestRecord, Settlement};
use uuid::Uuid;

use super::bulk::BulkInsert;
use crate::database::Value;

/// One hour in microseconds.
pub(crate) const HOUR_US: i64 = 3_600_000_000;

/// A record with more than these is not a real call. In the sums such figures are cut, because a sum that overflows its
/// column would stop the shipping of everything behind it; the record itself keeps them.
const COUNT_CAP: u64 = 1 << 36;
pub(crate) const COST_CAP_NANOS_USD: i64 = 1_000_000_000_000_000;
/// Where the cost of one row stops growing (the statement below repeats it): a provider that reports absurd usage call
/// after call would fill the column.
const ROW_COST_CAP_NANOS_USD: i64 = 100_000_000_000_000_000;

pub(super) static ROLLUPS: BulkInsert = BulkInsert::new(
    "usage_hourly",
    &[
        "organization_id",
        "hour",
        "team_id",
        "project_id",
        "key_id",
        "model",
        "provider_id",
        "deployment_id",
        "operation",
        "outcome",
        "requests",
        "attempts",
        "errors",
        "tokens_input",
        "tokens_cache_read",
        "tokens_cache_write",
        "tokens_cache_write_long",
        "tokens_output",
        "tokens_reasoning",
        "cost_nanos_usd",
        "max_cost_nanos_usd",
        "unknown_cost_requests",
        "latency_us",
        "time_to_first_token_us",
        "time_to_first_token_count",
    ],
    "(organization_id, hour, team_id, project_id, key_id, model, provider_id, deployment_id, operation, outcome) \
        DO UPDATE SET requests = usage_hourly.requests + excluded.requests, \
        attempts = usage_hourly.attempts + excluded.attempts, \
        errors = usage_hourly.errors + excluded.errors, \
        tokens_input = usage_hourly.tokens_input + excluded.tokens_input, \
        tokens_cache_read = usage_hourly.tokens_cache_read + excluded.tokens_cache_read, \
        tokens_cache_write = usage_hourly.tokens_cache_write + excluded.tokens_cache_write, \
        tokens_cache_write_long = usage_hourly.tokens_cache_write_long + excluded.tokens_cache_write_long, \
        tokens_output = usage_hourly.tokens_output + excluded.tokens_output, \
        tokens_reasoning = usage_hourly.tokens_reasoning + excluded.tokens_reasoning, \
        cost_nanos_usd = CASE WHEN usage_hourly.cost_nanos_usd > 100000000000000000 - excluded.cost_nanos_usd \
        THEN 100000000000000000 ELSE usage_hourly.cost_nanos_usd + excluded.cost_nanos_usd END, \
        max_cost_nanos_usd = CASE WHEN excluded.max_cost_nanos_usd > usage_hourly.max_cost_nanos_usd \
        THEN excluded.max_cost_nanos_usd ELSE usage_hourly.max_cost_nanos_usd END, \
        unknown_cost_requests = usage_hourly.unknown_cost_requests + excluded.unknown_cost_requests, \
        latency_us = usage_hourly.latency_us + excluded.latency_us, \
        time_to_first_token_us = usage_hourly.time_to_first_token_us + excluded.time_to_first_token_us, \
        time_to_first_token_count = usage_hourly.time_to_first_token_count + excluded.time_to_first_token_count",
);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Group<'a> {
    organization_id: OrganizationId,
    hour: i64,
    team_id: Option<TeamId>,
    project_id: Option<ProjectId>,
    key_id: Option<KeyId>,
    model: &'a str,
    provider_id: Option<ProviderId>,
    deployment_id: Option<DeploymentId>,
    operation: Operation,
    outcome: &'static str,
}

#[derive(Debug, Default)]
struct Sums {
    requests: u64,
    attempts: u64,
    errors: u64,
    tokens: TokenUsage,
    cost_nanos_usd: i64,
    /// Of the dearest request: tells lists where to look.
    max_cost_nanos_usd: i64,
    unknown_cost_requests: u64,
    latency_us: u64,
    time_to_first_token_us: u64,
    time_to_first_token_count: u64,
}

/// The sums of a shipment.
#[derive(Debug)]
pub(super) struct Rollup<'a> {
    /// Of the models that [`unproven_model`] names.
    names: &'a HashMap<ModelId, String>,
    groups: HashMap<Group<'a>, Sums>,
}

impl<'a> Rollup<'a> {
    pub(super) fn new(names: &'a HashMap<ModelId, String>) -> Self {
        Self { names, groups: HashMap::new() }
    }

    pub(super) fn add(&mut self, settlement: &'a Settlement) {
        let request = &settlement.request;
        let group = Group::of(request, self.names);
        let sums = self.groups.entry(group).or_default();
        sums.requests += 1;
        sums.errors += u64::from(is_error(request.outcome));
        let cost_nanos_usd = request.cost.map_or(0, NanoUsd::get).min(COST_CAP_NANOS_USD);
        sums.max_cost_nanos_usd = sums.max_cost_nanos_usd.max(cost_nanos_usd);
        sums.unknown_cost_requests += u64::from(request.cost.is_none());
        sums.latency_us = sums.latency_us.saturating_add(request.latency_us.min(COUNT_CAP));
        if let Some(time_to_first_token_us) = request.time_to_first_token_us {
            sums.time_to_first_token_us =
                sums.time_to_first_token_us.saturating_add(time_to_first_token_us.min(COUNT_CAP));
            sums.time_to_first_token_count += 1;
        }
        if settlement.attempts.is_empty() {
            sums.consumed(&request.usage, request.cost);
        }
        for attempt in &settlement.attempts {
            let group = Group {
                provider_id: Some(attempt.provider_id),
                deployment_id: Some(attempt.deployment_id),
                ..group
            };
            let sums = self.groups.entry(group).or_default();
            sums.attempts += 1;
            sums.consumed(&attempt.usage, attempt.cost);
        }
    }

    /// The rows, in the order of their key: transactions that lock several rows lock them in one order.
    pub(super) fn into_values(self) -> Vec<Value<'a>> {
        let mut groups: Vec<_> = self.groups.into_iter().collect();
        groups.sort_unstable_by_key(|(group, _)| *group);
        let mut values = Vec::with_capacity(groups.len() * ROLLUPS.columns.len());
        for (group, sums) in groups {
            group.push(&mut values);
            sums.push(&mut values);
        }
        values
    }
}

const fn is_error(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Completed | Outcome::ClientGone => false,
        Outcome::Refused | Outcome::Failed | Outcome::Interrupted => true,
    }
}

/// The model whose configured name stands for the requested one. Under a pattern such as `wild/*` a caller can invent
/// any name, and only the provider knows which exist: a name gets a row of its own once it was served or consumed
/// something. The record keeps the name in any case.
pub(super) fn unproven_model(request: &RequestRecord) -> Option<ModelId> {
    let unserved = matches!(request.outcome, Outcome::Refused | Outcome::Failed);
    request.model_id.filter(|_| unserved && request.usage == TokenUsage::default())
}

impl<'a> Group<'a> {
    fn of(request: &'a RequestRecord, names: &'a HashMap<ModelId, String>) -> Self {
        let payer = request.principal.payer;
        let model = match (request.model_id, unproven_model(request)) {
            // Names that no model has are the caller's invention; each would be a row.
            (None, _) => "",
            (Some(_), Some(id)) => names.get(&id).map_or("", String::as_str),
            (Some(_), None) => &request.model,
        };
        Self {
            organization_id: payer.organization_id,
            hour: request.started_at.0 - request.started_at.0.rem_euclid(HOUR_US),
            team_id: payer.team_id,
            project_id: payer.project_id,
            key_id: request.principal.key_id,
            model,
            provider_id: request.provider_id,
            deployment_id: request.deployment_id,
            operation: request.operation,
            outcome: request.outcome.as_str(),
        }
    }

    fn push(self, values: &mut Vec<Value<'a>>) {
        values.extend([
            self.organization_id.into(),
            self.hour.into(),
            self.team_id.map_or(Uuid::nil(), TeamId::as_uuid).into(),
            self.project_id.map_or(Uuid::nil(), ProjectId::as_uuid).into(),
            self.key_id.map_or(Uuid::nil(), KeyId::as_uuid).into(),
            self.model.into(),
            self.provider_id.map_or(Uuid::nil(), ProviderId::as_uuid).into(),
            self.deployment_id.map_or(Uuid::nil(), DeploymentId::as_uuid).into(),
            self.operation.as_str().into(),
            self.outcome.into(),
        ]);
    }
}

impl Sums {
    fn consumed(&mut self, usage: &TokenUsage, cost: Option<NanoUsd>) {
        let tokens = &mut self.tokens;
        for (sum, count) in [
            (&mut tokens.input, usage.input),
            (&mut tokens.cache_read, usage.cache_read),
            (&mut tokens.cache_write, usage.cache_write),
            (&mut tokens.cache_write_long, usage.cache_write_long),
            (&mut tokens.output, usage.output),
            (&mut tokens.reasoning, usage.reasoning),
        ] {
            *sum = sum.saturating_add(count.min(COUNT_CAP));
        }
        let cost = cost.map_or(0, NanoUsd::get).min(COST_CAP_NANOS_USD);
        self.cost_nanos_usd = self.cost_nanos_usd.saturating_add(cost).min(ROW_COST_CAP_NANOS_USD);
    }

    fn push(self, values: &mut Vec<Value<'_>>) {
        values.extend([
            self.requests.into(),
            self.attempts.into(),
            self.errors.into(),
            self.tokens.input.into(),
            self.tokens.cache_read.into(),
            self.tokens.cache_write.into(),
            self.tokens.cache_write_long.into(),
            self.tokens.output.into(),
            self.tokens.reasoning.into(),
            self.cost_nanos_usd.into(),
            self.max_cost_nanos_usd.into(),
            self.unknown_cost_requests.into(),
            self.latency_us.into(),
            self.time_to_first_token_us.into(),
            self.time_to_first_token_count.into(),
        ]);
    }
}

//! Hourly and daily sums, so that totals never read single records.
//!
//! A request counts once, at the deployment that answered; tokens, cost and attempts count at the deployment that
//! consumed them. Sums over any set of rows are therefore right for every grouping.

mod tables;

use std::collections::{BTreeMap, HashMap};

use tollgate_core::{
    DeploymentId, KeyId, ModelId, NanoUsd, Operation, OrganizationId, ProjectId, ProviderId, TeamId,
    TokenUsage,
};
use tollgate_ledger::record::{Outcome, RequestRecord, Settlement};
use uuid::Uuid;

use crate::database::Value;
pub(super) use tables::{DAILY, HOURLY};

/// One hour in microseconds.
pub(crate) const HOUR_US: i64 = 3_600_000_000;
/// One day in microseconds.
pub(crate) const DAY_US: i64 = 24 * HOUR_US;

/// A record with more than these is not a real call. In the sums such figures are cut, because a sum that overflows its
/// column would stop the shipping of everything behind it; the record itself keeps them.
const COUNT_CAP: u64 = 1 << 36;
pub(crate) const COST_CAP_NANOS_USD: i64 = 1_000_000_000_000_000;
/// Where the cost of one row stops growing (`tables` repeats it): a provider that reports absurd usage call
/// after call would fill the column.
const ROW_COST_CAP_NANOS_USD: i64 = 100_000_000_000_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Group<'a> {
    organization_id: OrganizationId,
    /// Of the hour or of the day.
    start: i64,
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

    pub(super) fn into_rows(self) -> Rows<'a> {
        let mut daily: BTreeMap<Group<'a>, Sums> = BTreeMap::new();
        for (group, sums) in &self.groups {
            let group = Group { start: start_of(DAY_US, group.start), ..*group };
            daily.entry(group).or_default().merge(sums);
        }
        Rows { hourly: values(self.groups.into_iter().collect()), daily: values(daily) }
    }
}

/// The rows of a shipment's sums, in the order of their key: transactions that lock several rows lock them in one order.
#[derive(Debug)]
pub(super) struct Rows<'a> {
    pub(super) hourly: Vec<Value<'a>>,
    pub(super) daily: Vec<Value<'a>>,
}

fn values<'a>(groups: BTreeMap<Group<'a>, Sums>) -> Vec<Value<'a>> {
    let mut values = Vec::with_capacity(groups.len() * HOURLY.columns.len());
    for (group, sums) in groups {
        group.push(&mut values);
        sums.push(&mut values);
    }
    values
}

/// The beginning of the hour or day of UTC, or of another period of that length, that contains the time.
pub(crate) const fn start_of(period_us: i64, time_us: i64) -> i64 {
    time_us.saturating_sub(time_us.rem_euclid(period_us))
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
            start: start_of(HOUR_US, request.started_at.0),
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
            self.start.into(),
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

    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.attempts += other.attempts;
        self.errors += other.errors;
        let (tokens, more) = (&mut self.tokens, &other.tokens);
        for (sum, count) in [
            (&mut tokens.input, more.input),
            (&mut tokens.cache_read, more.cache_read),
            (&mut tokens.cache_write, more.cache_write),
            (&mut tokens.cache_write_long, more.cache_write_long),
            (&mut tokens.output, more.output),
            (&mut tokens.reasoning, more.reasoning),
            (&mut self.latency_us, other.latency_us),
            (&mut self.time_to_first_token_us, other.time_to_first_token_us),
        ] {
            *sum = sum.saturating_add(count);
        }
        self.cost_nanos_usd =
            self.cost_nanos_usd.saturating_add(other.cost_nanos_usd).min(ROW_COST_CAP_NANOS_USD);
        self.max_cost_nanos_usd = self.max_cost_nanos_usd.max(other.max_cost_nanos_usd);
        self.unknown_cost_requests += other.unknown_cost_requests;
        self.time_to_first_token_count += other.time_to_first_token_count;
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

//! Request records: lists of them, and one with its attempts and the reasons for its route.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_access::authorize::{BudgetsRead, UsageRead};
use tollgate_access::{Actor, Scope};
use tollgate_catalog::PriceVersion;
use tollgate_core::{
    BudgetId, CredentialId, DeploymentId, Dialect, Fault, InstanceId, KeyId, ModelId, NanoUsd, Operation,
    OrganizationId, ProjectId, ProviderId, RequestId, TeamId, TokenUsage, UnixMicros,
};
use tollgate_ledger::record::{BalanceKey, DecisionRecord, Outcome, UsageRecord, UsageSource};
use tollgate_store::{Page, RequestFilter, StatusClass, Store, StoreError, StoredRequest};

use super::budgets::MemberView;
use super::paging::{map_page, organization, page};
use crate::call::{Call, Nothing};
use crate::problem::Problem;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestPath {
    request_id: RequestId,
}

/// Which requests are wanted; all conditions have to hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestsQuery {
    /// May be left out while there is only one organization.
    organization_id: Option<OrganizationId>,
    /// Microseconds since 1970, inclusive.
    from: Option<UnixMicros>,
    /// Microseconds since 1970, exclusive.
    to: Option<UnixMicros>,
    team_id: Option<TeamId>,
    project_id: Option<ProjectId>,
    key_id: Option<KeyId>,
    /// The exact public name.
    model: Option<String>,
    provider_id: Option<ProviderId>,
    /// `2xx`, `4xx` or `5xx`.
    status_class: Option<StatusClass>,
    outcome: Option<Outcome>,
    min_cost_nanos_usd: Option<NanoUsd>,
    stream: Option<bool>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Items per page, 1 to 500.
    limit: Option<u32>,
}

/// A request record.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RequestView {
    id: RequestId,
    instance_id: InstanceId,
    parent_id: Option<RequestId>,
    started_at: UnixMicros,
    organization_id: OrganizationId,
    team_id: Option<TeamId>,
    team_name: Option<String>,
    project_id: Option<ProjectId>,
    project_name: Option<String>,
    key_id: Option<KeyId>,
    key_name: Option<String>,
    credential_id: Option<CredentialId>,
    /// The end user that the application named.
    customer: Option<Box<str>>,
    tags: Vec<Tag>,
    operation: Operation,
    client_dialect: Dialect,
    upstream_dialect: Option<Dialect>,
    /// The name that was asked for.
    model: Box<str>,
    model_id: Option<ModelId>,
    deployment_id: Option<DeploymentId>,
    provider_id: Option<ProviderId>,
    provider_name: Option<String>,
    region: Option<Box<str>>,
    status: u16,
    outcome: Outcome,
    fault: Option<Fault>,
    error_kind: Option<Box<str>>,
    stream: bool,
    finish_reason: Option<Box<str>>,
    usage: TokenUsage,
    usage_source: UsageSource,
    /// Absent when a price is unknown.
    cost_nanos_usd: Option<NanoUsd>,
    price_version: Option<PriceVersion>,
    latency_us: u64,
    time_to_first_token_us: Option<u64>,
    overhead_us: u64,
    attempts: u32,
    served_from: Option<Box<str>>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Tag {
    name: Box<str>,
    value: Box<str>,
}

/// A request with why it went where it went.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RequestDetailView {
    request: RequestView,
    /// The budget that refused it, if one did.
    refused_by: Option<RefusedBy>,
    /// In order.
    attempts: Vec<AttemptView>,
    decision: DecisionRecord,
}

/// What refused a request.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RefusedBy {
    budget_id: BudgetId,
    /// Absent when the budget is deleted.
    budget_name: Option<String>,
    /// Whose count it was; absent when the budget is deleted.
    member: Option<MemberView>,
    /// Where the window began; of a rolling window, its newest part.
    window_start: UnixMicros,
}

/// One call to one deployment.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AttemptView {
    attempt: u16,
    deployment_id: DeploymentId,
    provider_id: ProviderId,
    upstream_model: Box<str>,
    region: Option<Box<str>>,
    started_at: UnixMicros,
    /// 0 when there was no answer.
    status: u16,
    outcome: Outcome,
    error_kind: Option<Box<str>>,
    /// Whether the client's answer came from it.
    served: bool,
    usage: TokenUsage,
    usage_source: UsageSource,
    cost_nanos_usd: Option<NanoUsd>,
    price_version: Option<PriceVersion>,
    latency_us: u64,
    time_to_first_token_us: Option<u64>,
    upstream_request_id: Option<Box<str>>,
}

impl RequestView {
    fn split(stored: StoredRequest) -> (Self, DecisionRecord) {
        let (principal, record) = (stored.record.principal, stored.record);
        let tags = record.tags.into_iter().map(|(name, value)| Tag { name, value });
        let view = Self {
            id: record.request_id,
            instance_id: record.instance_id,
            parent_id: record.parent_id,
            started_at: record.started_at,
            organization_id: principal.payer.organization_id,
            team_id: principal.payer.team_id,
            team_name: stored.team_name,
            project_id: principal.payer.project_id,
            project_name: stored.project_name,
            key_id: principal.key_id,
            key_name: stored.key_name,
            credential_id: principal.credential_id,
            customer: record.customer,
            tags: tags.collect(),
            operation: record.operation,
            client_dialect: record.client_dialect,
            upstream_dialect: record.upstream_dialect,
            model: record.model,
            model_id: record.model_id,
            deployment_id: record.deployment_id,
            provider_id: record.provider_id,
            provider_name: stored.provider_name,
            region: record.region,
            status: record.status,
            outcome: record.outcome,
            fault: record.fault,
            error_kind: record.error_kind,
            stream: record.stream,
            finish_reason: record.finish_reason,
            usage: record.usage,
            usage_source: record.usage_source,
            cost_nanos_usd: record.cost,
            price_version: record.price_version.map(PriceVersion::new),
            latency_us: record.latency_us,
            time_to_first_token_us: record.time_to_first_token_us,
            overhead_us: record.overhead_us,
            attempts: stored.attempts,
            served_from: record.served_from,
        };
        (view, record.decision)
    }
}

impl From<UsageRecord> for AttemptView {
    fn from(record: UsageRecord) -> Self {
        Self {
            attempt: record.attempt,
            deployment_id: record.deployment_id,
            provider_id: record.provider_id,
            upstream_model: record.upstream_model,
            region: record.region,
            started_at: record.started_at,
            status: record.status,
            outcome: record.outcome,
            error_kind: record.error_kind,
            served: record.served,
            usage: record.usage,
            usage_source: record.usage_source,
            cost_nanos_usd: record.cost,
            price_version: record.price_version.map(PriceVersion::new),
            latency_us: record.latency_us,
            time_to_first_token_us: record.time_to_first_token_us,
            upstream_request_id: record.upstream_request_id,
        }
    }
}

pub(crate) async fn list(
    call: Call<UsageRead, Nothing, RequestsQuery>,
) -> Result<Page<RequestView>, Problem> {
    let store = &call.plane.installation()?.store;
    let organization_id = organization(store, &call.proof, call.query.organization_id).await?;
    let query = &call.query;
    let request = page(query.cursor.as_deref(), query.limit)?;
    let filter = RequestFilter {
        from: query.from,
        to: query.to,
        team_id: query.team_id,
        project_id: query.project_id,
        key_id: query.key_id,
        model: query.model.clone(),
        provider_id: query.provider_id,
        status_class: query.status_class,
        outcome: query.outcome,
        min_cost: query.min_cost_nanos_usd,
        stream: query.stream,
    };
    let found = store.list_requests(&call.proof, organization_id, &filter, request).await?;
    Ok(map_page(found, |stored| RequestView::split(stored).0))
}

pub(crate) async fn get(call: Call<UsageRead, RequestPath>) -> Result<RequestDetailView, Problem> {
    let detail = call.plane.installation()?.store.get_request(&call.proof, call.path.request_id).await?;
    let refused_by = match detail.request.record.refused_by.as_deref() {
        Some(balance) => Some(refused_by(&call.plane.installation()?.store, balance).await?),
        None => None,
    };
    let (request, decision) = RequestView::split(detail.request);
    let attempts = detail.attempts.into_iter().map(Into::into).collect();
    Ok(RequestDetailView { request, refused_by, attempts, decision })
}

/// Who may read the request may know the name of what refused it.
async fn refused_by(store: &Store, balance: &BalanceKey) -> Result<RefusedBy, Problem> {
    let proof = Actor::system("requests").authorize::<BudgetsRead>(Scope::Installation)?;
    let budget = match store.get_budget(&proof, balance.budget_id).await {
        Ok(budget) => Some(budget),
        Err(StoreError::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(RefusedBy {
        budget_id: balance.budget_id,
        member: budget.as_ref().map(|budget| MemberView::new(&balance.member, budget.scope.each)),
        budget_name: budget.map(|budget| budget.name),
        window_start: balance.window_start,
    })
}

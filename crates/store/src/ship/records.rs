//! Which column holds which field of a record. Reading back is in `reads`.

use serde::Serialize;
use tollgate_core::{Dialect, Fault};
use tollgate_ledger::record::{
    DecisionRecord, ProviderObjectKind, ProviderObjectRecord, RequestRecord, Settlement, TraceParent,
    UsageRecord,
};
use tollgate_state::Subject;

use super::bulk::BulkInsert;
use crate::database::Value;
use crate::error::StoreError;
use crate::ledger::charges_text::{write_charges, write_key};
use crate::write::json_text;

pub(super) static REQUESTS: BulkInsert = BulkInsert::new(
    "request_records",
    &[
        "request_id",
        "organization_id",
        "team_id",
        "project_id",
        "key_id",
        "credential_id",
        "user_id",
        "service_account_id",
        "instance_id",
        "parent_id",
        "started_at",
        "operation",
        "client_dialect",
        "upstream_dialect",
        "model",
        "model_id",
        "deployment_id",
        "provider_id",
        "region",
        "status",
        "outcome",
        "fault",
        "error_kind",
        "stream",
        "finish_reason",
        "tokens_input",
        "tokens_cache_read",
        "tokens_cache_write",
        "tokens_cache_write_long",
        "tokens_output",
        "tokens_reasoning",
        "usage_source",
        "cost_nanos_usd",
        "price_version",
        "latency_us",
        "time_to_first_token_us",
        "overhead_us",
        "attempts",
        "served_from",
        "customer",
        "detail",
        "refused_by",
    ],
    "DO NOTHING",
);

pub(super) static ATTEMPTS: BulkInsert = BulkInsert::new(
    "usage_records",
    &[
        "request_id",
        "attempt",
        "organization_id",
        "deployment_id",
        "provider_id",
        "upstream_model",
        "region",
        "started_at",
        "status",
        "outcome",
        "error_kind",
        "served",
        "tokens_input",
        "tokens_cache_read",
        "tokens_cache_write",
        "tokens_cache_write_long",
        "tokens_output",
        "tokens_reasoning",
        "usage_source",
        "cost_nanos_usd",
        "price_version",
        "latency_us",
        "time_to_first_token_us",
        "upstream_request_id",
        "charges",
    ],
    "DO NOTHING",
);

/// The first owner of a provider's id stays its owner.
pub(super) static PROVIDER_OBJECTS: BulkInsert = BulkInsert::new(
    "provider_objects",
    &[
        "organization_id",
        "object_id",
        "kind",
        "team_id",
        "project_id",
        "key_id",
        "deployment_id",
        "request_id",
        "created_at",
    ],
    "DO NOTHING",
);

/// What nobody filters by.
#[derive(Debug, Serialize)]
struct Detail<'a> {
    decision: &'a DecisionRecord,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'a [(Box<str>, Box<str>)],
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'a TraceParent>,
}

pub(super) fn push_request<'a>(
    values: &mut Vec<Value<'a>>,
    settlement: &'a Settlement,
) -> Result<(), StoreError> {
    let request = &settlement.request;
    let detail = Detail { decision: &request.decision, tags: &request.tags, trace: request.trace.as_ref() };
    let (user_id, service_account_id) = match request.principal.subject {
        Subject::None => (None, None),
        Subject::User(id) => (Some(id), None),
        Subject::ServiceAccount(id) => (None, Some(id)),
    };
    let payer = request.principal.payer;
    values.extend([
        request.request_id.into(),
        payer.organization_id.into(),
        payer.team_id.into(),
        payer.project_id.into(),
        request.principal.key_id.into(),
        request.principal.credential_id.into(),
        user_id.into(),
        service_account_id.into(),
        request.instance_id.into(),
        request.parent_id.into(),
        request.started_at.into(),
        request.operation.as_str().into(),
        request.client_dialect.as_str().into(),
        request.upstream_dialect.map(Dialect::as_str).into(),
        request.model.as_ref().into(),
        request.model_id.into(),
        request.deployment_id.into(),
        request.provider_id.into(),
        request.region.as_deref().into(),
        request.status.into(),
        request.outcome.as_str().into(),
        request.fault.map(Fault::as_str).into(),
        request.error_kind.as_deref().into(),
        request.stream.into(),
        request.finish_reason.as_deref().into(),
        request.usage.input.into(),
        request.usage.cache_read.into(),
        request.usage.cache_write.into(),
        request.usage.cache_write_long.into(),
        request.usage.output.into(),
        request.usage.reasoning.into(),
        request.usage_source.as_str().into(),
        request.cost.into(),
        request.price_version.into(),
        request.latency_us.into(),
        request.time_to_first_token_us.into(),
        request.overhead_us.into(),
        settlement.attempts.len().into(),
        request.served_from.as_deref().into(),
        request.customer.as_deref().into(),
        json_text(&detail)?.into(),
        request.refused_by.as_deref().map(write_key).transpose()?.into(),
    ]);
    Ok(())
}

pub(super) fn push_attempt<'a>(
    values: &mut Vec<Value<'a>>,
    request: &RequestRecord,
    attempt: &'a UsageRecord,
) -> Result<(), StoreError> {
    values.extend([
        request.request_id.into(),
        attempt.attempt.into(),
        request.principal.payer.organization_id.into(),
        attempt.deployment_id.into(),
        attempt.provider_id.into(),
        attempt.upstream_model.as_ref().into(),
        attempt.region.as_deref().into(),
        attempt.started_at.into(),
        attempt.status.into(),
        attempt.outcome.as_str().into(),
        attempt.error_kind.as_deref().into(),
        attempt.served.into(),
        attempt.usage.input.into(),
        attempt.usage.cache_read.into(),
        attempt.usage.cache_write.into(),
        attempt.usage.cache_write_long.into(),
        attempt.usage.output.into(),
        attempt.usage.reasoning.into(),
        attempt.usage_source.as_str().into(),
        attempt.cost.into(),
        attempt.price_version.into(),
        attempt.latency_us.into(),
        attempt.time_to_first_token_us.into(),
        attempt.upstream_request_id.as_deref().into(),
        write_charges(&attempt.charges)?.into(),
    ]);
    Ok(())
}

pub(super) fn push_provider_object<'a>(values: &mut Vec<Value<'a>>, object: &'a ProviderObjectRecord) {
    let kind = match object.kind {
        ProviderObjectKind::Response => "response",
        ProviderObjectKind::Item => "item",
        ProviderObjectKind::Container => "container",
    };
    values.extend([
        object.principal.payer.organization_id.into(),
        object.object_id.as_ref().into(),
        kind.into(),
        object.principal.payer.team_id.into(),
        object.principal.payer.project_id.into(),
        object.principal.key_id.into(),
        object.deployment_id.into(),
        object.request_id.into(),
        object.created_at.into(),
    ]);
}

//! One record read back, equal to what the journal carried.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tollgate_access::{Proof, authorize::UsageRead};
use tollgate_core::{NanoUsd, RequestId, TokenUsage};
use tollgate_ledger::record::{DecisionRecord, RequestRecord, TraceParent, UsageRecord};
use tollgate_state::{Payer, Principal, Subject};

use crate::database::{Row, values};
use crate::error::{ObjectKind, StoreError};
use crate::ledger::charges_text::{read_charges, read_key};
use crate::store::Store;

/// The columns of a record and the names of what it refers to, deleted or not.
macro_rules! select_requests {
    ($rest:literal) => {
        concat!(
            "SELECT records.*, \
             (SELECT name FROM teams WHERE teams.id = records.team_id) AS team_name, \
             (SELECT name FROM projects WHERE projects.id = records.project_id) AS project_name, \
             (SELECT name FROM keys WHERE keys.id = records.key_id) AS key_name, \
             (SELECT name FROM providers WHERE providers.id = records.provider_id) AS provider_name \
             FROM request_records AS records ",
            $rest
        )
    };
}
pub(super) use select_requests;

/// A request record with the names that its ids stand for; names stay readable after a deletion.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRequest {
    pub record: RequestRecord,
    pub attempts: u32,
    pub team_name: Option<String>,
    pub project_name: Option<String>,
    pub key_name: Option<String>,
    pub provider_name: Option<String>,
}

/// A request with each of its attempts, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestDetail {
    pub request: StoredRequest,
    pub attempts: Vec<UsageRecord>,
}

/// The part of a record that has no columns of its own.
#[derive(Debug, Deserialize, Serialize)]
struct Detail {
    decision: DecisionRecord,
    #[serde(default)]
    tags: Vec<(Box<str>, Box<str>)>,
    #[serde(default)]
    trace: Option<TraceParent>,
}

impl Store {
    pub async fn get_request(
        &self,
        proof: &Proof<UsageRead>,
        id: RequestId,
    ) -> Result<RequestDetail, StoreError> {
        const REQUEST: &str = select_requests!("WHERE records.request_id = $1");
        const ATTEMPTS: &str = "SELECT * FROM usage_records WHERE request_id = $1 ORDER BY attempt";
        let mut transaction = self.database.begin_read().await?;
        let row = transaction.row(REQUEST, values![id]).await?;
        let request = row.as_ref().map(stored_request).transpose()?;
        let request = request
            .filter(|request| proof.covers(request.record.principal.payer.organization_id))
            .ok_or_else(|| StoreError::not_found(ObjectKind::Request, id))?;
        let rows = transaction.rows(ATTEMPTS, values![id]).await?;
        let attempts = rows.iter().map(usage_record).collect::<Result<Vec<_>, _>>()?;
        Ok(RequestDetail { request, attempts })
    }
}

pub(super) fn stored_request(row: &Row) -> Result<StoredRequest, StoreError> {
    Ok(StoredRequest {
        record: request_record(row)?,
        attempts: row.unsigned("attempts")?,
        team_name: row.get("team_name")?,
        project_name: row.get("project_name")?,
        key_name: row.get("key_name")?,
        provider_name: row.get("provider_name")?,
    })
}

fn request_record(row: &Row) -> Result<RequestRecord, StoreError> {
    let detail: Detail = row.json("detail")?;
    Ok(RequestRecord {
        refused_by: row
            .get::<Option<String>>("refused_by")?
            .map(|text| read_key(&text).map(Arc::new))
            .transpose()?,
        request_id: row.id("request_id")?,
        instance_id: row.id("instance_id")?,
        parent_id: row.optional_id("parent_id")?,
        started_at: row.time("started_at")?,
        principal: principal(row)?,
        customer: boxed(row, "customer")?,
        tags: detail.tags,
        operation: row.word("operation")?,
        client_dialect: row.word("client_dialect")?,
        upstream_dialect: row.optional_word("upstream_dialect")?,
        model: row.get::<String>("model")?.into(),
        model_id: row.optional_id("model_id")?,
        deployment_id: row.optional_id("deployment_id")?,
        provider_id: row.optional_id("provider_id")?,
        region: boxed(row, "region")?,
        status: row.unsigned("status")?,
        outcome: row.word("outcome")?,
        fault: row.optional_word("fault")?,
        error_kind: boxed(row, "error_kind")?,
        stream: row.get("stream")?,
        finish_reason: boxed(row, "finish_reason")?,
        usage: tokens(row)?,
        usage_source: row.word("usage_source")?,
        cost: row.get::<Option<i64>>("cost_nanos_usd")?.map(NanoUsd::new),
        price_version: row.optional_unsigned("price_version")?,
        latency_us: row.unsigned("latency_us")?,
        time_to_first_token_us: row.optional_unsigned("time_to_first_token_us")?,
        overhead_us: row.unsigned("overhead_us")?,
        served_from: boxed(row, "served_from")?,
        decision: detail.decision,
        trace: detail.trace,
    })
}

fn principal(row: &Row) -> Result<Principal, StoreError> {
    let subject = match (row.optional_id("user_id")?, row.optional_id("service_account_id")?) {
        (Some(id), _) => Subject::User(id),
        (None, Some(id)) => Subject::ServiceAccount(id),
        (None, None) => Subject::None,
    };
    Ok(Principal {
        subject,
        payer: Payer {
            organization_id: row.id("organization_id")?,
            team_id: row.optional_id("team_id")?,
            project_id: row.optional_id("project_id")?,
        },
        key_id: row.optional_id("key_id")?,
        credential_id: row.optional_id("credential_id")?,
    })
}

fn usage_record(row: &Row) -> Result<UsageRecord, StoreError> {
    Ok(UsageRecord {
        charges: read_charges(row.get::<Option<String>>("charges")?.as_deref())?,
        attempt: row.unsigned("attempt")?,
        deployment_id: row.id("deployment_id")?,
        provider_id: row.id("provider_id")?,
        upstream_model: row.get::<String>("upstream_model")?.into(),
        region: boxed(row, "region")?,
        started_at: row.time("started_at")?,
        status: row.unsigned("status")?,
        outcome: row.word("outcome")?,
        error_kind: boxed(row, "error_kind")?,
        served: row.get("served")?,
        usage: tokens(row)?,
        usage_source: row.word("usage_source")?,
        cost: row.get::<Option<i64>>("cost_nanos_usd")?.map(NanoUsd::new),
        price_version: row.optional_unsigned("price_version")?,
        latency_us: row.unsigned("latency_us")?,
        time_to_first_token_us: row.optional_unsigned("time_to_first_token_us")?,
        upstream_request_id: boxed(row, "upstream_request_id")?,
    })
}

pub(super) fn tokens(row: &Row) -> Result<TokenUsage, StoreError> {
    Ok(TokenUsage {
        input: row.unsigned("tokens_input")?,
        cache_read: row.unsigned("tokens_cache_read")?,
        cache_write: row.unsigned("tokens_cache_write")?,
        cache_write_long: row.unsigned("tokens_cache_write_long")?,
        output: row.unsigned("tokens_output")?,
        reasoning: row.unsigned("tokens_reasoning")?,
    })
}

fn boxed(row: &Row, column: &'static str) -> Result<Option<Box<str>>, StoreError> {
    Ok(row.get::<Option<String>>(column)?.map(Into::into))
}

//! The list of requests, newest first.

use serde::{Deserialize, Serialize};
use tollgate_access::{Proof, authorize::UsageRead};
use tollgate_core::{KeyId, NanoUsd, OrganizationId, ProjectId, ProviderId, UnixMicros};
use tollgate_ledger::record::Outcome;

use super::request::{StoredRequest, select_requests, stored_request};
use crate::database::Query;
use crate::error::StoreError;
use crate::page::{Cursor, Page, PageRequest};
use crate::store::{Store, check_scope};

/// Hundreds of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum StatusClass {
    #[serde(rename = "2xx")]
    Success,
    #[serde(rename = "4xx")]
    ClientError,
    #[serde(rename = "5xx")]
    ServerError,
}

impl StatusClass {
    const fn bounds(self) -> (i64, i64) {
        match self {
            Self::Success => (200, 300),
            Self::ClientError => (400, 500),
            Self::ServerError => (500, 600),
        }
    }
}

/// Which requests are wanted; all conditions have to hold.
#[derive(Debug, Clone, Default)]
pub struct RequestFilter {
    /// Inclusive.
    pub from: Option<UnixMicros>,
    /// Exclusive.
    pub to: Option<UnixMicros>,
    pub team_id: Option<tollgate_core::TeamId>,
    pub project_id: Option<ProjectId>,
    pub key_id: Option<KeyId>,
    /// The exact public name.
    pub model: Option<String>,
    pub provider_id: Option<ProviderId>,
    pub status_class: Option<StatusClass>,
    pub outcome: Option<Outcome>,
    pub min_cost: Option<NanoUsd>,
    pub stream: Option<bool>,
}

impl Store {
    pub async fn list_requests(
        &self,
        proof: &Proof<UsageRead>,
        organization_id: OrganizationId,
        filter: &RequestFilter,
        request: PageRequest,
    ) -> Result<Page<StoredRequest>, StoreError> {
        check_scope(proof, organization_id)?;
        let query = list_query(organization_id, filter, request, self.database.is_postgres());
        let rows = self.database.rows(query.sql(), query.values()).await?;
        let items = rows.iter().map(stored_request).collect::<Result<Vec<_>, _>>()?;
        Ok(request.page(items, |item| Cursor {
            at: item.record.started_at.0,
            id: item.record.request_id.as_uuid(),
        }))
    }
}

fn list_query(
    organization_id: OrganizationId,
    filter: &RequestFilter,
    request: PageRequest,
    is_postgres: bool,
) -> Query<'_> {
    let mut query = Query::new(select_requests!(""));
    if !is_postgres {
        // PostgreSQL keeps statistics; SQLite would guess that any range of time is short.
        query.push(match filter {
            RequestFilter { key_id: Some(_), .. } => "INDEXED BY request_records_by_key ",
            RequestFilter { team_id: Some(_), .. } => "INDEXED BY request_records_by_team ",
            _ => "INDEXED BY request_records_by_time ",
        });
    }
    query
        .push("WHERE records.organization_id = ")
        .bind(organization_id)
        .filter("records.started_at >=", filter.from)
        .filter("records.started_at <", filter.to)
        .filter("records.team_id =", filter.team_id)
        .filter("records.project_id =", filter.project_id)
        .filter("records.key_id =", filter.key_id)
        .filter("records.model =", filter.model.as_ref())
        .filter("records.provider_id =", filter.provider_id)
        .filter("records.outcome =", filter.outcome.map(Outcome::as_str))
        .filter("records.cost_nanos_usd >=", filter.min_cost)
        .filter("records.stream =", filter.stream);
    if let Some((from, to)) = filter.status_class.map(StatusClass::bounds) {
        query.filter("records.status >=", Some(from)).filter("records.status <", Some(to));
    }
    if let Some(cursor) = request.after {
        query.push(" AND (records.started_at, records.request_id) < (").bind(cursor.at).push(", ");
        query.bind(cursor.id).push(")");
    }
    query
        .push(" ORDER BY records.started_at DESC, records.request_id DESC LIMIT ")
        .bind(request.rows_to_fetch());
    query
}

#[cfg(test)]
mod tests;

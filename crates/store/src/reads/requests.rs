//! The list of requests, newest first.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tollgate_access::{Proof, authorize::UsageRead};
use tollgate_core::{KeyId, NanoUsd, OrganizationId, ProjectId, ProviderId, UnixMicros};
use tollgate_ledger::record::Outcome;

use super::request::{StoredRequest, select_requests, stored_request};
use crate::database::{Query, Transaction};
use crate::error::StoreError;
use crate::page::{Cursor, Page, PageRequest};
use crate::ship::{COST_CAP_NANOS_USD, DAY_US, HOUR_US};
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

/// How many days of the sums are looked at in one go at most; the first go looks at one, each further go at more.
const MAX_DAYS_AT_ONCE: usize = 16;

impl Store {
    /// Newest first. Where the sums can tell, days and hours without a matching request are skipped, so that rare matches
    /// among very many requests are found quickly.
    pub async fn list_requests(
        &self,
        proof: &Proof<UsageRead>,
        organization_id: OrganizationId,
        filter: &RequestFilter,
        request: PageRequest,
    ) -> Result<Page<StoredRequest>, StoreError> {
        check_scope(proof, organization_id)?;
        let list =
            List { organization_id, filter, after: request.after, is_postgres: self.database.is_postgres() };
        let wanted = request.rows_to_fetch();
        let mut transaction = self.database.begin_read().await?;
        let items = if list.sums_can_tell() {
            list.by_hours(&mut transaction, wanted).await?
        } else {
            list.rows(&mut transaction, list.bounds(), wanted).await?
        };
        Ok(request.page(items, |item| Cursor {
            at: item.record.started_at.0,
            id: item.record.request_id.as_uuid(),
        }))
    }
}

#[derive(Debug, Clone, Copy)]
struct List<'a> {
    organization_id: OrganizationId,
    filter: &'a RequestFilter,
    after: Option<Cursor>,
    is_postgres: bool,
}

impl<'a> List<'a> {
    /// From the start of the time that was asked for to its end, or to the cursor if that is earlier.
    fn bounds(&self) -> Range<i64> {
        let from = self.filter.from.map_or(i64::MIN, |from| from.0);
        let to = self.filter.to.map_or(i64::MAX, |to| to.0);
        from..self.after.map_or(to, |cursor| to.min(cursor.at.saturating_add(1)))
    }

    /// Whether the filter has a condition that the hourly sums know, and no index of its own.
    const fn sums_can_tell(&self) -> bool {
        let filter = self.filter;
        filter.key_id.is_none()
            && (filter.team_id.is_some()
                || filter.project_id.is_some()
                || filter.model.is_some()
                || filter.provider_id.is_some()
                || filter.outcome.is_some()
                || filter.min_cost.is_some())
    }

    async fn rows(
        &self,
        transaction: &mut Transaction,
        bounds: Range<i64>,
        limit: i64,
    ) -> Result<Vec<StoredRequest>, StoreError> {
        let query = self.rows_query(bounds, limit);
        transaction.rows(query.sql(), query.values()).await?.iter().map(stored_request).collect()
    }

    async fn by_hours(
        &self,
        transaction: &mut Transaction,
        wanted: i64,
    ) -> Result<Vec<StoredRequest>, StoreError> {
        let mut items = Vec::new();
        let mut bounds = self.bounds();
        let mut days_at_once = 1;
        loop {
            let days = times(transaction, &self.days_query(bounds.clone(), days_at_once), "day").await?;
            let hours = times(transaction, &self.hours_query(bounds.clone(), &days), "hour").await?;
            for window in windows(&hours) {
                let window = window.start.max(bounds.start)..window.end.min(bounds.end);
                let missing = wanted.saturating_sub_unsigned(items.len() as u64);
                items.extend(self.rows(transaction, window, missing).await?);
                if items.len() as i64 >= wanted {
                    return Ok(items);
                }
            }
            match days.last() {
                Some(&oldest) if days.len() == days_at_once => bounds.end = oldest,
                _ => return Ok(items),
            }
            days_at_once = MAX_DAYS_AT_ONCE.min(days_at_once * 2);
        }
    }

    /// The newest days within the bounds that have a matching request.
    fn days_query(&self, bounds: Range<i64>, limit: usize) -> Query<'a> {
        let mut query = Query::new("SELECT DISTINCT day FROM usage_daily WHERE organization_id = ");
        query.bind(self.organization_id);
        self.push_sums_conditions(&mut query, bounds);
        query.push(" ORDER BY day DESC LIMIT ").bind(limit);
        query
    }

    /// The hours of these days (newest first) within the bounds that have a matching request: of the daily rows that
    /// match, each hour's own row is looked up by its key.
    fn hours_query(&self, bounds: Range<i64>, days: &[i64]) -> Query<'a> {
        let oldest = days.last().copied().unwrap_or(bounds.end);
        let mut query = Query::new("WITH hours (hour) AS (SELECT CAST(0 AS BIGINT) WHERE 1 = 0");
        for day in days {
            for number in (0..24).rev() {
                let hour = day.saturating_add(number * HOUR_US);
                if hour > bounds.start.saturating_sub(HOUR_US) && hour < bounds.end {
                    query.push(" UNION ALL SELECT ").bind(hour);
                }
            }
        }
        query.push(
            "), matches AS MATERIALIZED (SELECT day, team_id, project_id, key_id, model, provider_id, deployment_id, \
             operation, outcome FROM usage_daily WHERE organization_id = ",
        );
        query.bind(self.organization_id);
        self.push_sums_conditions(&mut query, oldest..bounds.end);
        query.push(
            ") SELECT hours.hour FROM hours WHERE EXISTS (SELECT 1 FROM matches CROSS JOIN usage_hourly AS hourly \
             WHERE matches.day = hours.hour - hours.hour % 86400000000 AND hourly.hour = hours.hour \
             AND hourly.team_id = matches.team_id AND hourly.project_id = matches.project_id \
             AND hourly.key_id = matches.key_id AND hourly.model = matches.model \
             AND hourly.provider_id = matches.provider_id AND hourly.deployment_id = matches.deployment_id \
             AND hourly.operation = matches.operation AND hourly.outcome = matches.outcome \
             AND hourly.requests > 0 AND hourly.organization_id = ",
        );
        query
            .bind(self.organization_id)
            .filter("hourly.max_cost_nanos_usd >=", self.min_cost())
            // The offset keeps PostgreSQL from joining all hours at once.
            .push(" LIMIT 1 OFFSET 0) ORDER BY hours.hour DESC");
        query
    }

    /// What daily rows have to fulfil.
    fn push_sums_conditions(&self, query: &mut Query<'a>, bounds: Range<i64>) {
        let filter = self.filter;
        query
            .push(" AND requests > 0")
            .filter("day >", Some(bounds.start.saturating_sub(DAY_US)))
            .filter("day <", Some(bounds.end))
            .filter("team_id =", filter.team_id)
            .filter("project_id =", filter.project_id)
            .filter("provider_id =", filter.provider_id)
            .filter("outcome =", filter.outcome.map(Outcome::as_str))
            .filter("max_cost_nanos_usd >=", self.min_cost());
        if let Some(model) = &filter.model {
            // The sums do not tell apart names that no model has, or that were never served under a pattern.
            query.push(" AND (model IN ('', ").bind(model).push(") OR model LIKE '%*')");
        }
    }

    /// As far as the sums know it.
    fn min_cost(&self) -> Option<i64> {
        self.filter.min_cost.map(|cost| cost.get().min(COST_CAP_NANOS_USD))
    }

    fn rows_query(&self, bounds: Range<i64>, limit: i64) -> Query<'a> {
        let filter = self.filter;
        let mut query = Query::new(select_requests!(""));
        if !self.is_postgres {
            // PostgreSQL keeps statistics; SQLite would guess that any range of time is short.
            query.push(match filter {
                RequestFilter { key_id: Some(_), .. } => "INDEXED BY request_records_by_key ",
                RequestFilter {
                    status_class: Some(StatusClass::ClientError | StatusClass::ServerError),
                    ..
                } => "INDEXED BY request_records_by_error ",
                RequestFilter { stream: Some(_), .. } => "INDEXED BY request_records_by_stream ",
                _ => "INDEXED BY request_records_by_time ",
            });
        }
        query
            .push("WHERE records.organization_id = ")
            .bind(self.organization_id)
            .filter("records.started_at >=", Some(bounds.start))
            .filter("records.started_at <", Some(bounds.end))
            .filter("records.team_id =", filter.team_id)
            .filter("records.project_id =", filter.project_id)
            .filter("records.key_id =", filter.key_id)
            .filter("records.model =", filter.model.as_ref())
            .filter("records.provider_id =", filter.provider_id)
            .filter("records.outcome =", filter.outcome.map(Outcome::as_str))
            .filter("records.cost_nanos_usd >=", filter.min_cost)
            .filter("records.stream =", filter.stream);
        if let Some(class) = filter.status_class {
            let (from, to) = class.bounds();
            if from >= 400 {
                // As the partial index says it.
                query.push(" AND records.status >= 400");
            }
            query.filter("records.status >=", Some(from)).filter("records.status <", Some(to));
        }
        if let Some(cursor) = self.after {
            // The bounds end with the cursor's own microsecond.
            query.push(" AND (records.started_at < ").bind(cursor.at);
            query.push(" OR records.request_id < ").bind(cursor.id).push(")");
        }
        query.push(" ORDER BY records.started_at DESC, records.request_id DESC LIMIT ").bind(limit);
        query
    }
}

async fn times(
    transaction: &mut Transaction,
    query: &Query<'_>,
    column: &'static str,
) -> Result<Vec<i64>, StoreError> {
    transaction.rows(query.sql(), query.values()).await?.iter().map(|row| row.get(column)).collect()
}

/// Hours that follow each other, joined; newest first, as they come.
fn windows(hours: &[i64]) -> Vec<Range<i64>> {
    let mut windows: Vec<Range<i64>> = Vec::new();
    for &hour in hours {
        match windows.last_mut() {
            Some(last) if last.start == hour.saturating_add(HOUR_US) => last.start = hour,
            _ => windows.push(hour..hour.saturating_add(HOUR_US)),
        }
    }
    windows
}

#[cfg(test)]
mod tests;

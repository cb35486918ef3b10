//! Totals from the hourly and daily sums.

mod totals_query;

use serde::{Deserialize, Serialize};
use tollgate_access::{Proof, authorize::UsageRead};
use tollgate_core::{
    DeploymentId, KeyId, NanoUsd, Operation, OrganizationId, ProjectId, ProviderId, TeamId, TokenUsage,
    UnixMicros,
};
use tollgate_ledger::record::Outcome;

use super::request::tokens;
use crate::database::{Row, TypedId};
use crate::error::StoreError;
use crate::store::{Store, check_scope};
use totals_query::totals_query;

/// The most groups that a report contains.
const MAX_GROUPS: usize = 10_000;

/// By what totals can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Hours of UTC.
    Hour,
    /// Days of UTC.
    Day,
    Team,
    Project,
    Key,
    Model,
    Provider,
    Deployment,
    Operation,
    Outcome,
}

/// Which hours and calls count.
#[derive(Debug, Clone, Default)]
pub struct UsageFilter {
    pub team_id: Option<TeamId>,
    pub project_id: Option<ProjectId>,
    pub key_id: Option<KeyId>,
    pub model: Option<String>,
    pub provider_id: Option<ProviderId>,
    pub deployment_id: Option<DeploymentId>,
    pub operation: Option<Operation>,
    pub outcome: Option<Outcome>,
}

#[derive(Debug, Clone)]
pub struct UsageQuery {
    /// Inclusive; rounded down to the hour.
    pub from: UnixMicros,
    /// Exclusive; rounded up to the hour.
    pub to: UnixMicros,
    /// None at all gives one group: the total.
    pub group_by: Vec<Dimension>,
    pub filter: UsageFilter,
}

/// What was consumed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct UsageTotals {
    pub requests: u64,
    pub attempts: u64,
    /// Refused, failed and interrupted requests.
    pub errors: u64,
    pub tokens: TokenUsage,
    /// The sum of the known costs.
    pub cost_nanos_usd: NanoUsd,
    /// Requests whose cost is not, or only in part, in `cost_nanos_usd`, because a price is unknown.
    pub unknown_cost_requests: u64,
    /// Sum over the requests.
    pub latency_us: u64,
    /// Sum over the requests that have one.
    pub time_to_first_token_us: u64,
    pub time_to_first_token_count: u64,
}

/// Totals of one group. Of the fields that identify it, those of the asked dimensions are set; a dimension may still be
/// empty, for example the project of a team's own key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct UsageGroup {
    /// The beginning of the hour or day.
    pub start: Option<UnixMicros>,
    pub team_id: Option<TeamId>,
    pub team_name: Option<String>,
    pub project_id: Option<ProjectId>,
    pub project_name: Option<String>,
    pub key_id: Option<KeyId>,
    pub key_name: Option<String>,
    /// Empty for names that no model has.
    pub model: Option<String>,
    pub provider_id: Option<ProviderId>,
    pub provider_name: Option<String>,
    pub deployment_id: Option<DeploymentId>,
    pub operation: Option<Operation>,
    pub outcome: Option<Outcome>,
    pub totals: UsageTotals,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct UsageReport {
    /// Ordered by the dimensions in the order they were asked for.
    pub groups: Vec<UsageGroup>,
    /// There are more groups than a report contains: ask for a shorter time or fewer dimensions.
    pub truncated: bool,
}

impl Store {
    pub async fn usage(
        &self,
        proof: &Proof<UsageRead>,
        organization_id: OrganizationId,
        asked: &UsageQuery,
    ) -> Result<UsageReport, StoreError> {
        check_scope(proof, organization_id)?;
        if asked.group_by.contains(&Dimension::Hour) && asked.group_by.contains(&Dimension::Day) {
            return Err(StoreError::Invalid {
                field: "group_by",
                reason: "can contain `hour` or `day`, not both".into(),
            });
        }
        let query = totals_query(organization_id, asked);
        let rows = self.database.rows(query.sql(), query.values()).await?;
        let truncated = rows.len() > MAX_GROUPS;
        let groups = rows
            .iter()
            .take(MAX_GROUPS)
            .map(|row| usage_group(row, &asked.group_by))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(UsageReport { groups, truncated })
    }
}

fn usage_group(row: &Row, dimensions: &[Dimension]) -> Result<UsageGroup, StoreError> {
    let mut group = UsageGroup { totals: totals(row)?, ..UsageGroup::default() };
    for dimension in dimensions {
        match dimension {
            Dimension::Hour => group.start = Some(row.time("hour")?),
            Dimension::Day => group.start = Some(row.time("day")?),
            Dimension::Team => {
                group.team_id = known_id(row, "team_id")?;
                group.team_name = row.get("team_name")?;
            }
            Dimension::Project => {
                group.project_id = known_id(row, "project_id")?;
                group.project_name = row.get("project_name")?;
            }
            Dimension::Key => {
                group.key_id = known_id(row, "key_id")?;
                group.key_name = row.get("key_name")?;
            }
            Dimension::Model => group.model = Some(row.get("model")?),
            Dimension::Provider => {
                group.provider_id = known_id(row, "provider_id")?;
                group.provider_name = row.get("provider_name")?;
            }
            Dimension::Deployment => group.deployment_id = known_id(row, "deployment_id")?,
            Dimension::Operation => group.operation = Some(row.word("operation")?),
            Dimension::Outcome => group.outcome = Some(row.word("outcome")?),
        }
    }
    Ok(group)
}

fn totals(row: &Row) -> Result<UsageTotals, StoreError> {
    Ok(UsageTotals {
        requests: row.unsigned("requests")?,
        attempts: row.unsigned("attempts")?,
        errors: row.unsigned("errors")?,
        tokens: tokens(row)?,
        cost_nanos_usd: cost(row)?,
        unknown_cost_requests: row.unsigned("unknown_cost_requests")?,
        latency_us: row.unsigned("latency_us")?,
        time_to_first_token_us: row.unsigned("time_to_first_token_us")?,
        time_to_first_token_count: row.unsigned("time_to_first_token_count")?,
    })
}

/// Dollars and the rest are summed apart, because a sum of nano-dollars beyond 64 bits is an error in the database.
fn cost(row: &Row) -> Result<NanoUsd, StoreError> {
    let (dollars, rest): (i64, i64) = (row.get("cost_dollars")?, row.get("cost_rest_nanos")?);
    Ok(NanoUsd::new(dollars.saturating_mul(1_000_000_000).saturating_add(rest)))
}

/// An absent id is all zeros in the sums.
fn known_id<T: TypedId>(row: &Row, column: &'static str) -> Result<Option<T>, StoreError> {
    let uuid: uuid::Uuid = row.get(column)?;
    Ok((!uuid.is_nil()).then(|| T::from_uuid(uuid)))
}

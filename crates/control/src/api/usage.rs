//! Totals of requests, tokens and cost.

use std::time::Duration;

use schemars::JsonSchema;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as WordError, StrDeserializer};
use serde::{Deserialize, Serialize};
use tollgate_access::authorize::UsageRead;
use tollgate_core::{
    DeploymentId, KeyId, Operation, OrganizationId, ProjectId, ProviderId, TeamId, UnixMicros,
};
use tollgate_ledger::record::Outcome;
use tollgate_store::{Dimension, UsageFilter, UsageGroup, UsageQuery};

use super::paging::organization;
use crate::call::{Call, Nothing};
use crate::problem::Problem;

const DEFAULT_PERIOD: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Which usage is summed up, and by what it is told apart.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageInput {
    /// May be left out while there is only one organization.
    organization_id: Option<OrganizationId>,
    /// Microseconds since 1970, rounded down to the hour; 30 days before `to` unless given.
    from: Option<UnixMicros>,
    /// Microseconds since 1970, exclusive; now unless given.
    to: Option<UnixMicros>,
    /// Comma-separated: `hour` or `day`, `team`, `project`, `key`, `model`, `provider`, `deployment`, `operation`,
    /// `outcome`. Absent: one total.
    group_by: Option<String>,
    team_id: Option<TeamId>,
    project_id: Option<ProjectId>,
    key_id: Option<KeyId>,
    model: Option<String>,
    provider_id: Option<ProviderId>,
    deployment_id: Option<DeploymentId>,
    operation: Option<Operation>,
    outcome: Option<Outcome>,
}

/// Sums of a period.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UsageView {
    from: UnixMicros,
    to: UnixMicros,
    /// In the order of `group_by`.
    groups: Vec<UsageGroup>,
    /// There are more groups than an answer holds: ask for a shorter time or fewer dimensions.
    truncated: bool,
}

pub(crate) async fn report(call: Call<UsageRead, Nothing, UsageInput>) -> Result<UsageView, Problem> {
    let store = &call.plane.installation()?.store;
    let organization_id = organization(store, &call.proof, call.query.organization_id).await?;
    let query = call.query;
    let to = query.to.unwrap_or_else(|| call.plane.parts.clock.now());
    let micros = i64::try_from(DEFAULT_PERIOD.as_micros()).unwrap_or(i64::MAX);
    let from = query.from.unwrap_or(UnixMicros(to.0.saturating_sub(micros)));
    if from >= to {
        return Err(Problem::invalid("from", "must be earlier than `to`"));
    }
    let asked = UsageQuery {
        from,
        to,
        group_by: dimensions(query.group_by.as_deref().unwrap_or(""))?,
        filter: UsageFilter {
            team_id: query.team_id,
            project_id: query.project_id,
            key_id: query.key_id,
            model: query.model,
            provider_id: query.provider_id,
            deployment_id: query.deployment_id,
            operation: query.operation,
            outcome: query.outcome,
        },
    };
    let report = store.usage(&call.proof, organization_id, &asked).await?;
    Ok(UsageView { from, to, groups: report.groups, truncated: report.truncated })
}

fn dimensions(text: &str) -> Result<Vec<Dimension>, Problem> {
    let mut dimensions = Vec::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let deserializer: StrDeserializer<'_, WordError> = word.into_deserializer();
        let dimension = Dimension::deserialize(deserializer)
            .map_err(|error| Problem::invalid("group_by", error.to_string()))?;
        if !dimensions.contains(&dimension) {
            dimensions.push(dimension);
        }
    }
    Ok(dimensions)
}

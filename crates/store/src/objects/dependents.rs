//! What stands in the way of a deletion.

use tollgate_core::{DeploymentId, OrganizationId, ProjectId, ProviderId, TeamId};

use crate::database::{Transaction, Value, values};
use crate::error::{ObjectKind, StoreError};

/// Enough to act on; the refusal comes again until the last one is gone. Each query returns `kind` and `name`.
const PROJECTS_OF_TEAM: &str = "SELECT 'project' AS kind, name FROM projects WHERE team_id = $1 AND deleted_at IS NULL ORDER BY name LIMIT 10";
const KEYS_OF_TEAM: &str =
    "SELECT 'key' AS kind, name FROM keys WHERE team_id = $1 AND revoked_at IS NULL ORDER BY name LIMIT 10";
const KEYS_OF_PROJECT: &str = "SELECT 'key' AS kind, name FROM keys WHERE project_id = $1 AND revoked_at IS NULL ORDER BY name LIMIT 10";
const MODELS_OF_PROVIDER: &str = "SELECT DISTINCT 'model' AS kind, models.name AS name FROM deployments \
    JOIN models ON models.id = deployments.model_id \
    WHERE deployments.provider_id = $1 AND deployments.deleted_at IS NULL AND models.deleted_at IS NULL \
    ORDER BY name LIMIT 10";
const TEAMS: &str = "SELECT 'team' AS kind, name FROM teams \
    WHERE organization_id = $1 AND deleted_at IS NULL ORDER BY name LIMIT 10";
const PROVIDERS: &str = "SELECT 'provider' AS kind, name FROM providers \
    WHERE organization_id = $1 AND deleted_at IS NULL ORDER BY name LIMIT 10";
const MODELS: &str = "SELECT 'model' AS kind, name FROM models \
    WHERE organization_id = $1 AND deleted_at IS NULL ORDER BY name LIMIT 10";

const BUDGETS: &str = "SELECT 'budget' AS kind, name FROM budgets \
    WHERE organization_id = $1 AND deleted_at IS NULL ORDER BY name LIMIT 10";
const LIMITS: &str = "SELECT 'limit' AS kind, name FROM limits \
    WHERE organization_id = $1 AND deleted_at IS NULL ORDER BY name LIMIT 10";
const WEBHOOKS: &str = "SELECT 'webhook' AS kind, name FROM webhooks \
    WHERE organization_id = $1 AND deleted_at IS NULL ORDER BY name LIMIT 10";
const BUDGETS_AT: &str = "SELECT 'budget' AS kind, name FROM budgets \
    WHERE place_id = $1 AND deleted_at IS NULL ORDER BY name LIMIT 10";
const LIMITS_AT: &str = "SELECT 'limit' AS kind, name FROM limits \
    WHERE place_id = $1 AND deleted_at IS NULL ORDER BY name LIMIT 10";

pub(super) async fn check_team(
    transaction: &mut Transaction,
    id: TeamId,
    name: &str,
) -> Result<(), StoreError> {
    check(
        transaction,
        ObjectKind::Team,
        name,
        &[PROJECTS_OF_TEAM, KEYS_OF_TEAM, BUDGETS_AT, LIMITS_AT],
        values![id],
    )
    .await
}

pub(super) async fn check_project(
    transaction: &mut Transaction,
    id: ProjectId,
    name: &str,
) -> Result<(), StoreError> {
    check(transaction, ObjectKind::Project, name, &[KEYS_OF_PROJECT, BUDGETS_AT, LIMITS_AT], values![id])
        .await
}

pub(super) async fn check_provider(
    transaction: &mut Transaction,
    id: ProviderId,
    name: &str,
) -> Result<(), StoreError> {
    check(transaction, ObjectKind::Provider, name, &[MODELS_OF_PROVIDER, BUDGETS_AT, LIMITS_AT], values![id])
        .await
}

pub(super) async fn check_deployment(
    transaction: &mut Transaction,
    id: DeploymentId,
    name: &str,
) -> Result<(), StoreError> {
    check(transaction, ObjectKind::Deployment, name, &[BUDGETS_AT, LIMITS_AT], values![id]).await
}

pub(super) async fn check_organization(
    transaction: &mut Transaction,
    id: OrganizationId,
    name: &str,
) -> Result<(), StoreError> {
    check(
        transaction,
        ObjectKind::Organization,
        name,
        &[TEAMS, PROVIDERS, MODELS, BUDGETS, LIMITS, WEBHOOKS],
        values![id],
    )
    .await
}

async fn check(
    transaction: &mut Transaction,
    kind: ObjectKind,
    name: &str,
    queries: &[&'static str],
    id: &[Value<'_>],
) -> Result<(), StoreError> {
    let mut used_by = Vec::new();
    for query in queries {
        for row in transaction.rows(*query, id).await? {
            used_by.push(format!("{} `{}`", row.get::<String>("kind")?, row.get::<String>("name")?));
        }
    }
    if used_by.is_empty() { Ok(()) } else { Err(StoreError::InUse { kind, name: name.to_owned(), used_by }) }
}

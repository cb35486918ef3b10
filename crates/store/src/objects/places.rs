//! Where budgets and limits apply, and whether that exists.

use tollgate_core::{DeploymentId, KeyId, OrganizationId};
use tollgate_state::governance::{ModelSelector, Place, Scope};
use uuid::Uuid;

use super::projects::live_project;
use super::providers::check_live_provider;
use super::teams::live_team;
use crate::database::{Transaction, values};
use crate::error::{ObjectKind, StoreError};

const MAX_CUSTOMER_BYTES: usize = 256;
const MAX_TAG_BYTES: usize = 64;

/// The columns `place_kind` and `place_id`; the id only where the place is an object.
pub(super) const fn columns(place: &Place) -> (&'static str, Option<Uuid>) {
    match place {
        Place::Organization => ("organization", None),
        Place::Team(id) => ("team", Some(id.as_uuid())),
        Place::Project(id) => ("project", Some(id.as_uuid())),
        Place::User(id) => ("user", Some(id.as_uuid())),
        Place::Group(id) => ("group", Some(id.as_uuid())),
        Place::ServiceAccount(id) => ("service_account", Some(id.as_uuid())),
        Place::Key(id) => ("key", Some(id.as_uuid())),
        Place::Customer(_) => ("customer", None),
        Place::Provider(id) => ("provider", Some(id.as_uuid())),
        Place::Deployment(id) => ("deployment", Some(id.as_uuid())),
    }
}

/// Refuses a scope that names what the organization does not have.
pub(super) async fn check_scope_exists(
    transaction: &mut Transaction,
    organization_id: OrganizationId,
    scope: &Scope,
) -> Result<(), StoreError> {
    if let Some(ModelSelector::Tag(tag)) = &scope.model {
        check_tag("scope.model.tag", tag)?;
    }
    match &scope.place {
        Place::Team(id) => live_team(transaction, organization_id, *id).await.map(drop),
        Place::Project(id) => live_project(transaction, organization_id, *id).await.map(drop),
        Place::Key(id) => check_active_key(transaction, organization_id, *id).await,
        Place::Provider(id) => check_live_provider(transaction, organization_id, *id).await,
        Place::Deployment(id) => check_live_deployment(transaction, organization_id, *id).await,
        Place::Customer(name) if name.is_empty() || name.len() > MAX_CUSTOMER_BYTES => {
            let reason = format!("must have 1 to {MAX_CUSTOMER_BYTES} bytes");
            Err(StoreError::Invalid { field: "scope.place.customer", reason })
        }
        // Users, groups and service accounts come with each call and are no objects here.
        Place::Customer(_)
        | Place::Organization
        | Place::User(_)
        | Place::Group(_)
        | Place::ServiceAccount(_) => Ok(()),
    }
}

/// A tag of a model: a short word.
pub(super) fn check_tag(field: &'static str, tag: &str) -> Result<(), StoreError> {
    let bad = tag.is_empty()
        || tag.len() > MAX_TAG_BYTES
        || tag.trim() != tag
        || tag.chars().any(|character| character.is_control() || character == ',');
    if bad {
        let reason = format!(
            "`{}` must have 1 to {MAX_TAG_BYTES} bytes, no comma, no control characters and no space at its ends",
            tag.chars().take(MAX_TAG_BYTES).collect::<String>()
        );
        return Err(StoreError::Invalid { field, reason });
    }
    Ok(())
}

async fn check_active_key(
    transaction: &mut Transaction,
    organization_id: OrganizationId,
    id: KeyId,
) -> Result<(), StoreError> {
    const FIND: &str = "SELECT id FROM keys WHERE id = $1 AND organization_id = $2 AND revoked_at IS NULL";
    let found = transaction.row(FIND, values![id, organization_id]).await?;
    found.map(drop).ok_or_else(|| StoreError::not_found(ObjectKind::Key, id))
}

async fn check_live_deployment(
    transaction: &mut Transaction,
    organization_id: OrganizationId,
    id: DeploymentId,
) -> Result<(), StoreError> {
    const FIND: &str =
        "SELECT id FROM deployments WHERE id = $1 AND organization_id = $2 AND deleted_at IS NULL";
    let found = transaction.row(FIND, values![id, organization_id]).await?;
    found.map(drop).ok_or_else(|| StoreError::not_found(ObjectKind::Deployment, id))
}

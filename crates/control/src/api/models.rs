//! Models with the deployments that serve them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_access::authorize::{ModelsRead, ModelsWrite};
use tollgate_catalog::Price;
use tollgate_core::{DeploymentId, ModelId, ModelPattern, OrganizationId, ProviderId, UnixMicros};
use tollgate_state::objects::{DeploymentObject, ModelObject, Owner, TimeoutOverrides};
use tollgate_store::{DeploymentDraft, Keys, ModelDraft, ObjectKind, Page};

use super::draft_check::check_change;
use super::paging::{ListQuery, organization, organization_to_fill, page};
use crate::call::{Call, Nothing};
use crate::connection::Installation;
use crate::governance::tag_errors;
use crate::ports::DeploymentHealth;
use crate::problem::{FieldError, Problem};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelPath {
    model_id: ModelId,
}

pub(crate) const fn yes() -> bool {
    true
}

const fn one() -> u32 {
    1
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeploymentInput {
    /// The deployment that this one continues, in an update.
    id: Option<DeploymentId>,
    provider_id: ProviderId,
    /// The provider's name for the model. Absent: the model's own name, or what a pattern's star stands for.
    upstream_model: Option<String>,
    /// Share of the traffic relative to the others; 0 is a last resort.
    #[serde(default = "one")]
    weight: u32,
    /// Replaces the catalogue's price.
    price: Option<Price>,
    #[serde(default)]
    timeouts: TimeoutOverrides,
    #[serde(default = "yes")]
    enabled: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewModel {
    /// May be left out while there is only one organization.
    organization_id: Option<OrganizationId>,
    /// What clients ask for; with a `*` at its end it passes on the rest of the name.
    #[schemars(with = "String")]
    name: ModelPattern,
    /// A pattern that resolves to any name, not only to known ones.
    #[serde(default)]
    open: bool,
    /// Free words that budgets and limits can name instead of single models.
    #[serde(default)]
    tags: Vec<Box<str>>,
    deployments: Vec<DeploymentInput>,
    #[serde(default = "yes")]
    enabled: bool,
}

/// What shall change. Absent keeps; a list replaces the whole list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelChange {
    #[schemars(with = "Option<String>")]
    name: Option<ModelPattern>,
    open: Option<bool>,
    tags: Option<Vec<Box<str>>>,
    deployments: Option<Vec<DeploymentInput>>,
    enabled: Option<bool>,
}

/// How the deployments of a model are doing, as this process saw it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ModelHealth {
    model_id: ModelId,
    /// Deployments that were not called yet are absent.
    deployments: Vec<DeploymentHealth>,
}

pub(crate) async fn list(call: Call<ModelsRead, Nothing, ListQuery>) -> Result<Page<ModelObject>, Problem> {
    let store = &call.plane.installation()?.store;
    let request = page(call.query.cursor.as_deref(), call.query.limit)?;
    let organization_id = organization(store, &call.proof, call.query.organization_id).await?;
    Ok(store.list_models(&call.proof, organization_id, request).await?)
}

pub(crate) async fn get(call: Call<ModelsRead, ModelPath>) -> Result<ModelObject, Problem> {
    Ok(call.plane.installation()?.store.get_model(&call.proof, call.path.model_id).await?)
}

pub(crate) async fn create(
    call: Call<ModelsWrite, Nothing, Nothing, NewModel>,
) -> Result<ModelObject, Problem> {
    let _writing = call.plane.writing.lock().await;
    let (installation, body) = (call.plane.installation()?, call.body);
    let organization_id =
        organization_to_fill(&installation.store, &call.proof, body.organization_id).await?;
    let draft = ModelDraft {
        name: body.name,
        open: body.open,
        tags: checked(body.tags)?,
        deployments: drafts(body.deployments)?,
        enabled: body.enabled,
    };
    let preview = preview(ModelId::generate(), organization_id, &draft);
    check_change(installation, |configuration| configuration.models.push(preview)).await?;
    let created =
        installation.store.create_model(&call.proof, organization_id, draft).await.map_err(of_body)?;
    call.plane.publish().await;
    Ok(created)
}

pub(crate) async fn update(
    call: Call<ModelsWrite, ModelPath, Nothing, ModelChange>,
) -> Result<ModelObject, Problem> {
    let _writing = call.plane.writing.lock().await;
    let (installation, body, id) = (call.plane.installation()?, call.body, call.path.model_id);
    let read = call.proof.actor().authorize::<ModelsRead>(call.proof.scope())?;
    let before = installation.store.get_model(&read, id).await?;
    let deployments = match body.deployments {
        Some(inputs) => drafts(inputs)?,
        None => before.deployments.iter().map(kept).collect(),
    };
    let draft = ModelDraft {
        name: body.name.unwrap_or(before.name),
        open: body.open.unwrap_or(before.open),
        tags: body.tags.map_or(Ok(before.tags), checked)?,
        deployments,
        enabled: body.enabled.unwrap_or(before.enabled),
    };
    let preview = preview(id, before.organization_id, &draft);
    check_change(installation, |configuration| {
        configuration.models.retain(|model| model.id != id);
        configuration.models.push(preview);
    })
    .await?;
    let updated = installation.store.update_model(&call.proof, id, draft).await.map_err(of_body)?;
    call.plane.publish().await;
    Ok(updated)
}

pub(crate) async fn delete(call: Call<ModelsWrite, ModelPath>) -> Result<Nothing, Problem> {
    call.plane.installation()?.store.delete_model(&call.proof, call.path.model_id).await?;
    call.plane.publish().await;
    Ok(Nothing {})
}

pub(crate) async fn health(call: Call<ModelsRead, ModelPath>) -> Result<ModelHealth, Problem> {
    let model = call.plane.installation()?.store.get_model(&call.proof, call.path.model_id).await?;
    let seen = call.plane.data_plane.get().map(|view| view.deployments()).unwrap_or_default();
    let own = |health: &DeploymentHealth| {
        model.deployments.iter().any(|deployment| deployment.id == health.deployment_id)
    };
    Ok(ModelHealth { model_id: model.id, deployments: seen.into_iter().filter(own).collect() })
}

fn of_body(error: tollgate_store::StoreError) -> Problem {
    let referred = [
        (ObjectKind::Organization, "organization_id"),
        (ObjectKind::Provider, "deployments.provider_id"),
        (ObjectKind::Deployment, "deployments.id"),
    ];
    Problem::of_reference(error, &referred)
}

fn checked(tags: Vec<Box<str>>) -> Result<Vec<Box<str>>, Problem> {
    let errors: Vec<_> = tag_errors(&tags)
        .into_iter()
        .map(|(position, message)| {
            let field = position.map_or("tags".into(), |position| format!("tags[{position}]"));
            FieldError { field, message }
        })
        .collect();
    if errors.is_empty() { Ok(tags) } else { Err(Problem::invalid_fields(errors)) }
}

/// The names and patterns of an organization's models.
pub(crate) async fn names(
    installation: &Installation,
    organization_id: OrganizationId,
) -> Result<Vec<ModelPattern>, Problem> {
    let stored = installation.store.system_load_configuration(Keys::Omit).await?;
    let own = stored.models.into_iter().filter(|model| model.organization_id == organization_id);
    Ok(own.map(|model| model.name).collect())
}

fn drafts(inputs: Vec<DeploymentInput>) -> Result<Vec<DeploymentDraft>, Problem> {
    let mut errors = Vec::new();
    for (position, input) in inputs.iter().enumerate() {
        if input.upstream_model.as_ref().is_some_and(|name| name.is_empty() || name.len() > 256) {
            errors.push(FieldError {
                field: format!("deployments[{position}].upstream_model"),
                message: "must have 1 to 256 characters".into(),
            });
        }
    }
    if !errors.is_empty() {
        return Err(Problem::invalid_fields(errors));
    }
    let drafts = inputs.into_iter().map(|input| DeploymentDraft {
        id: input.id,
        provider_id: input.provider_id,
        upstream_model: input.upstream_model,
        weight: input.weight,
        price: input.price,
        timeouts: input.timeouts,
        enabled: input.enabled,
    });
    Ok(drafts.collect())
}

fn kept(object: &DeploymentObject) -> DeploymentDraft {
    DeploymentDraft {
        id: Some(object.id),
        provider_id: object.provider_id,
        upstream_model: object.upstream_model.clone(),
        weight: object.weight,
        price: object.price.clone(),
        timeouts: object.timeouts,
        enabled: object.enabled,
    }
}

/// The model as it would be published.
pub(crate) fn preview(id: ModelId, organization_id: OrganizationId, draft: &ModelDraft) -> ModelObject {
    let deployments = draft.deployments.iter().map(|deployment| DeploymentObject {
        id: deployment.id.unwrap_or_else(DeploymentId::generate),
        provider_id: deployment.provider_id,
        upstream_model: deployment.upstream_model.clone(),
        weight: deployment.weight,
        price: deployment.price.clone(),
        timeouts: deployment.timeouts,
        enabled: deployment.enabled,
    });
    ModelObject {
        tags: draft.tags.clone(),
        id,
        organization_id,
        name: draft.name.clone(),
        open: draft.open,
        deployments: deployments.collect(),
        enabled: draft.enabled,
        owner: Owner::Api,
        created_at: UnixMicros::default(),
        updated_at: UnixMicros::default(),
    }
}

//! The deployments of a model: written together with it, identified across edits.

use std::collections::HashMap;

use tollgate_core::{DeploymentId, ModelId};
use tollgate_state::objects::{DeploymentObject, ModelObject};

use super::{DeploymentDraft, deployment};
use crate::database::{Row, values};
use crate::error::{ObjectKind, StoreError};
use crate::objects::dependents;
use crate::objects::providers::check_live_provider;
use crate::write::{Write, json_text};

/// Gives each model its deployments, in the order of the rows.
pub(crate) fn attach_deployments(models: &mut [ModelObject], rows: &[Row]) -> Result<(), StoreError> {
    let mut by_model: HashMap<ModelId, Vec<DeploymentObject>> = HashMap::new();
    for row in rows {
        by_model.entry(row.id("model_id")?).or_default().push(deployment(row)?);
    }
    for model in models {
        model.deployments = by_model.remove(&model.id).unwrap_or_default();
    }
    Ok(())
}

impl Write {
    /// Makes the model's deployments those of the drafts, and returns them.
    pub(super) async fn put_deployments(
        &mut self,
        model: &ModelObject,
        drafts: Vec<DeploymentDraft>,
    ) -> Result<Vec<DeploymentObject>, StoreError> {
        const DELETE: &str = "UPDATE deployments SET deleted_at = $2 WHERE id = $1";
        let mut remaining: Vec<&DeploymentObject> = model.deployments.iter().collect();
        let mut result = Vec::with_capacity(drafts.len());
        for (position, draft) in drafts.into_iter().enumerate() {
            check_live_provider(&mut self.transaction, model.organization_id, draft.provider_id).await?;
            let known = take_continued(&mut remaining, &draft)?;
            let object = DeploymentObject {
                id: known.map_or_else(DeploymentId::generate, |known| known.id),
                provider_id: draft.provider_id,
                upstream_model: draft.upstream_model,
                weight: draft.weight,
                price: draft.price,
                timeouts: draft.timeouts,
                enabled: draft.enabled,
            };
            self.put_deployment(model, position, &object).await?;
            result.push(object);
        }
        for gone in remaining {
            let name = gone.upstream_model.clone().unwrap_or_else(|| model.name.to_string());
            dependents::check_deployment(&mut self.transaction, gone.id, &name).await?;
            self.transaction.execute(DELETE, values![gone.id, self.now]).await?;
        }
        Ok(result)
    }

    async fn put_deployment(
        &mut self,
        model: &ModelObject,
        position: usize,
        object: &DeploymentObject,
    ) -> Result<(), StoreError> {
        const PUT: &str = "INSERT INTO deployments (id, organization_id, model_id, provider_id, position, \
            upstream_model, weight, price, timeouts, enabled) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
            ON CONFLICT (id) DO UPDATE SET provider_id = excluded.provider_id, position = excluded.position, \
            upstream_model = excluded.upstream_model, weight = excluded.weight, price = excluded.price, \
            timeouts = excluded.timeouts, enabled = excluded.enabled";
        let arguments = values![
            object.id,
            model.organization_id,
            model.id,
            object.provider_id,
            position,
            object.upstream_model.as_deref(),
            object.weight,
            object.price.as_ref().map(json_text).transpose()?,
            json_text(&object.timeouts)?,
            object.enabled,
        ];
        self.transaction.execute(PUT, arguments).await?;
        Ok(())
    }
}

/// The existing deployment that a draft continues; each can be continued once.
fn take_continued<'a>(
    remaining: &mut Vec<&'a DeploymentObject>,
    draft: &DeploymentDraft,
) -> Result<Option<&'a DeploymentObject>, StoreError> {
    let found = remaining.iter().position(|known| match draft.id {
        Some(id) => known.id == id,
        None => known.provider_id == draft.provider_id && known.upstream_model == draft.upstream_model,
    });
    match (found, draft.id) {
        (Some(index), _) => Ok(Some(remaining.swap_remove(index))),
        (None, Some(id)) => Err(StoreError::not_found(ObjectKind::Deployment, id)),
        (None, None) => Ok(None),
    }
}

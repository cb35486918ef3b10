//! Models and their deployments, which are written as a whole.

mod deployments;

use tollgate_access::Proof;
use tollgate_access::authorize::{ModelsRead, ModelsWrite};
use tollgate_catalog::Price;
use tollgate_core::{DeploymentId, ModelId, ModelPattern, OrganizationId, ProviderId};
use tollgate_state::objects::{DeploymentObject, ModelObject, TimeoutOverrides};

use super::organizations::live_organization;
use super::places;
use super::providers::owner_text;
use crate::audit::Action;
use crate::database::{Row, values};
use crate::error::{ObjectKind, StoreError};
use crate::page::{Cursor, Page, PageRequest};
use crate::store::{Store, check_scope};
use crate::write::{Changed, Write, json, json_text};

pub(crate) use deployments::attach_deployments;

const MAX_TAGS: usize = 32;
const GET: &str = "SELECT * FROM models WHERE id = $1 AND deleted_at IS NULL";
const DEPLOYMENTS: &str =
    "SELECT * FROM deployments WHERE model_id = $1 AND deleted_at IS NULL ORDER BY position, id";

/// A model as it shall be.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelDraft {
    pub name: ModelPattern,
    pub open: bool,
    pub tags: Vec<Box<str>>,
    pub deployments: Vec<DeploymentDraft>,
    pub enabled: bool,
}

/// A deployment as it shall be.
#[derive(Debug, Clone, PartialEq)]
pub struct DeploymentDraft {
    /// The deployment that it continues. When absent: one with the same provider and upstream model if there is one,
    /// else a new one.
    pub id: Option<DeploymentId>,
    pub provider_id: ProviderId,
    pub upstream_model: Option<String>,
    pub weight: u32,
    pub price: Option<Price>,
    pub timeouts: TimeoutOverrides,
    pub enabled: bool,
}

impl Store {
    pub async fn list_models(
        &self,
        proof: &Proof<ModelsRead>,
        organization_id: OrganizationId,
        request: PageRequest,
    ) -> Result<Page<ModelObject>, StoreError> {
        const LIST: &str = "SELECT * FROM models WHERE organization_id = $1 AND id > $2 AND deleted_at IS NULL \
            ORDER BY id LIMIT $3";
        const DEPLOYMENTS_OF_LIST: &str = "SELECT deployments.* FROM deployments \
            JOIN models ON models.id = deployments.model_id \
            WHERE models.organization_id = $1 AND models.id > $2 AND models.id <= $3 \
            AND models.deleted_at IS NULL AND deployments.deleted_at IS NULL ORDER BY position, deployments.id";
        check_scope(proof, organization_id)?;
        let mut transaction = self.database.begin_read().await?;
        let arguments = values![organization_id, request.after_id(), request.rows_to_fetch()];
        let rows = transaction.rows(LIST, arguments).await?;
        let mut items = rows.iter().map(model).collect::<Result<Vec<_>, _>>()?;
        if let Some(last) = items.last().map(|item| item.id) {
            let arguments = values![organization_id, request.after_id(), last];
            let deployments = transaction.rows(DEPLOYMENTS_OF_LIST, arguments).await?;
            attach_deployments(&mut items, &deployments)?;
        }
        Ok(request.page(items, |item| Cursor::of_id(item.id.as_uuid())))
    }

    pub async fn get_model(&self, proof: &Proof<ModelsRead>, id: ModelId) -> Result<ModelObject, StoreError> {
        let mut transaction = self.database.begin_read().await?;
        let row = transaction.row(GET, values![id]).await?;
        let row = row.ok_or_else(|| StoreError::not_found(ObjectKind::Model, id))?;
        let mut found = [model(&row)?];
        attach_deployments(&mut found, &transaction.rows(DEPLOYMENTS, values![id]).await?)?;
        let [found] = found;
        if proof.covers(found.organization_id) {
            Ok(found)
        } else {
            Err(StoreError::not_found(ObjectKind::Model, id))
        }
    }

    pub async fn create_model(
        &self,
        proof: &Proof<ModelsWrite>,
        organization_id: OrganizationId,
        draft: ModelDraft,
    ) -> Result<ModelObject, StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        let created = write.create_model(proof, organization_id, draft).await?;
        write.commit().await?;
        Ok(created)
    }

    /// Replaces everything but the id and the organization; deployments that the draft does not continue are deleted.
    /// Changing nothing leaves no trace.
    pub async fn update_model(
        &self,
        proof: &Proof<ModelsWrite>,
        id: ModelId,
        draft: ModelDraft,
    ) -> Result<ModelObject, StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        let after = write.update_model(proof, id, draft).await?;
        write.commit().await?;
        Ok(after)
    }

    pub async fn delete_model(&self, proof: &Proof<ModelsWrite>, id: ModelId) -> Result<(), StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        write.delete_model(proof, id).await?;
        write.commit().await
    }
}

impl ModelDraft {
    fn check(&self) -> Result<(), StoreError> {
        if self.tags.len() > MAX_TAGS {
            let reason = format!("must not be more than {MAX_TAGS}");
            return Err(StoreError::Invalid { field: "tags", reason });
        }
        self.tags.iter().try_for_each(|tag| places::check_tag("tags", tag))
    }
}

impl Write {
    /// As [`Store::create_model`].
    pub async fn create_model(
        &mut self,
        proof: &Proof<ModelsWrite>,
        organization_id: OrganizationId,
        draft: ModelDraft,
    ) -> Result<ModelObject, StoreError> {
        const INSERT: &str = "INSERT INTO models (id, organization_id, name, open, enabled, owner, created_at, \
            updated_at, tags) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        check_scope(proof, organization_id)?;
        draft.check()?;
        live_organization(&mut self.transaction, organization_id).await?;
        let id = ModelId::generate();
        let (owner, now) = (self.owner(), self.now);
        let name = draft.name.to_string();
        let tags = json_text(&draft.tags)?;
        let owned_by = owner_text(owner);
        let arguments =
            values![id, organization_id, &name, draft.open, draft.enabled, owned_by, now, now, tags];
        self.execute_named(ObjectKind::Model, &name, INSERT, arguments).await?;
        let mut created = ModelObject {
            tags: draft.tags,
            id,
            organization_id,
            name: draft.name,
            open: draft.open,
            deployments: Vec::new(),
            enabled: draft.enabled,
            owner,
            created_at: now,
            updated_at: now,
        };
        created.deployments = self.put_deployments(&created, draft.deployments).await?;
        self.record_model(Action::Create, None, Some(&created)).await?;
        Ok(created)
    }

    /// As [`Store::update_model`].
    pub async fn update_model(
        &mut self,
        proof: &Proof<ModelsWrite>,
        id: ModelId,
        draft: ModelDraft,
    ) -> Result<ModelObject, StoreError> {
        const UPDATE: &str =
            "UPDATE models SET name = $2, open = $3, enabled = $4, updated_at = $5, tags = $6 WHERE id = $1";
        draft.check()?;
        let before = self.editable_model(proof, id).await?;
        let mut after = ModelObject {
            name: draft.name,
            open: draft.open,
            tags: draft.tags,
            enabled: draft.enabled,
            ..before.clone()
        };
        after.deployments = self.put_deployments(&before, draft.deployments).await?;
        if after == before {
            return Ok(before);
        }
        after.updated_at = self.now;
        let name = after.name.to_string();
        let arguments =
            values![id, &name, after.open, after.enabled, after.updated_at, json_text(&after.tags)?];
        self.execute_named(ObjectKind::Model, &name, UPDATE, arguments).await?;
        self.record_model(Action::Update, Some(&before), Some(&after)).await?;
        Ok(after)
    }

    /// As [`Store::delete_model`].
    pub async fn delete_model(&mut self, proof: &Proof<ModelsWrite>, id: ModelId) -> Result<(), StoreError> {
        const DELETE: &str = "UPDATE models SET deleted_at = $2 WHERE id = $1";
        let before = self.editable_model(proof, id).await?;
        self.put_deployments(&before, Vec::new()).await?;
        self.transaction.execute(DELETE, values![id, self.now]).await?;
        self.record_model(Action::Delete, Some(&before), None).await?;
        Ok(())
    }

    async fn editable_model(
        &mut self,
        proof: &Proof<ModelsWrite>,
        id: ModelId,
    ) -> Result<ModelObject, StoreError> {
        let row = self.transaction.row(GET, values![id]).await?;
        let mut found = [model(&row.ok_or_else(|| StoreError::not_found(ObjectKind::Model, id))?)?];
        attach_deployments(&mut found, &self.transaction.rows(DEPLOYMENTS, values![id]).await?)?;
        let [found] = found;
        if !proof.covers(found.organization_id) {
            return Err(StoreError::not_found(ObjectKind::Model, id));
        }
        self.check_owner(ObjectKind::Model, &found.name.to_string(), found.owner)?;
        Ok(found)
    }

    async fn record_model(
        &mut self,
        action: Action,
        before: Option<&ModelObject>,
        after: Option<&ModelObject>,
    ) -> Result<(), StoreError> {
        let Some(object) = after.or(before) else { return Ok(()) };
        self.record(Changed {
            kind: ObjectKind::Model,
            id: object.id.as_uuid(),
            name: &object.name.to_string(),
            organization_id: Some(object.organization_id),
            action,
            before: before.map(json).transpose()?,
            after: after.map(json).transpose()?,
        })
        .await
    }
}

/// Without its deployments.
pub(crate) fn model(row: &Row) -> Result<ModelObject, StoreError> {
    Ok(ModelObject {
        tags: row.json("tags")?,
        id: row.id("id")?,
        organization_id: row.id("organization_id")?,
        name: row.parsed("name")?,
        open: row.get("open")?,
        deployments: Vec::new(),
        enabled: row.get("enabled")?,
        owner: row.word("owner")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

fn deployment(row: &Row) -> Result<DeploymentObject, StoreError> {
    Ok(DeploymentObject {
        id: row.id("id")?,
        provider_id: row.id("provider_id")?,
        upstream_model: row.get("upstream_model")?,
        weight: row.unsigned("weight")?,
        price: row.optional_json("price")?,
        timeouts: row.json("timeouts")?,
        enabled: row.get("enabled")?,
    })
}

//! Providers, with their secrets sealed.

use serde_json::{Value as Json, json};
use tollgate_access::authorize::{ProvidersRead, ProvidersWrite};
use tollgate_access::{Actor, Proof};
use tollgate_core::{OrganizationId, ProviderId, UnixMicros};
use tollgate_state::objects::{Owner, ProviderObject, TimeoutOverrides};

use super::dependents;
use super::organizations::live_organization;
use crate::audit::Action;
use crate::database::{Row, Transaction, values};
use crate::error::{ObjectKind, StoreError};
use crate::page::{Cursor, Page, PageRequest};
use crate::store::{Store, check_name, check_scope};
use crate::write::{Changed, Write, json_text};

const GET: &str = "SELECT * FROM providers WHERE id = $1 AND deleted_at IS NULL";

/// A provider with its secret still sealed; `object.secret` is always empty here.
#[derive(Debug, Clone)]
pub struct StoredProvider {
    pub object: ProviderObject,
    pub sealed_secret: Option<Vec<u8>>,
    /// The end of the secret, to recognise it by.
    pub secret_hint: Option<String>,
}

/// What becomes of a provider's secret.
#[derive(Debug, Clone)]
pub enum SecretChange {
    Keep,
    /// Bytes sealed for this provider's id, and what may be shown of the secret.
    Set {
        sealed: Vec<u8>,
        hint: String,
    },
    Remove,
}

/// A provider as it shall be.
#[derive(Debug, Clone)]
pub struct ProviderDraft {
    pub name: String,
    pub kind: String,
    pub base_url: Option<String>,
    pub secret: SecretChange,
    pub region: Option<String>,
    pub internal: bool,
    pub timeouts: TimeoutOverrides,
    pub enabled: bool,
}

impl Store {
    pub async fn list_providers(
        &self,
        proof: &Proof<ProvidersRead>,
        organization_id: OrganizationId,
        request: PageRequest,
    ) -> Result<Page<StoredProvider>, StoreError> {
        const LIST: &str = "SELECT * FROM providers WHERE organization_id = $1 AND id > $2 AND deleted_at IS NULL \
            ORDER BY id LIMIT $3";
        check_scope(proof, organization_id)?;
        let arguments = values![organization_id, request.after_id(), request.rows_to_fetch()];
        let rows = self.database.rows(LIST, arguments).await?;
        let items = rows.iter().map(provider).collect::<Result<Vec<_>, _>>()?;
        Ok(request.page(items, |item| Cursor::of_id(item.object.id.as_uuid())))
    }

    pub async fn get_provider(
        &self,
        proof: &Proof<ProvidersRead>,
        id: ProviderId,
    ) -> Result<StoredProvider, StoreError> {
        let found = self.database.row(GET, values![id]).await?.as_ref().map(provider).transpose()?;
        found
            .filter(|found| proof.covers(found.object.organization_id))
            .ok_or_else(|| StoreError::not_found(ObjectKind::Provider, id))
    }

    /// The caller chooses the id, because the sealed secret names it.
    pub async fn create_provider(
        &self,
        proof: &Proof<ProvidersWrite>,
        organization_id: OrganizationId,
        id: ProviderId,
        draft: ProviderDraft,
    ) -> Result<StoredProvider, StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        let created = write.create_provider(proof, organization_id, id, draft).await?;
        write.commit().await?;
        Ok(created)
    }

    /// Replaces everything but the id, the organization and what was discovered. Changing nothing leaves no trace.
    pub async fn update_provider(
        &self,
        proof: &Proof<ProvidersWrite>,
        id: ProviderId,
        draft: ProviderDraft,
    ) -> Result<StoredProvider, StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        let after = write.update_provider(proof, id, draft).await?;
        write.commit().await?;
        Ok(after)
    }

    /// Refused while a model has a deployment on it.
    pub async fn delete_provider(
        &self,
        proof: &Proof<ProvidersWrite>,
        id: ProviderId,
    ) -> Result<(), StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        write.delete_provider(proof, id).await?;
        write.commit().await
    }

    /// Keeps the models that a provider said it serves; says whether they changed.
    pub async fn system_set_discovered_models(
        &self,
        id: ProviderId,
        models: &[String],
    ) -> Result<bool, StoreError> {
        const UPDATE: &str = "UPDATE providers SET discovered_models = $2 WHERE id = $1";
        let mut write = self.begin_write(&Actor::system("discovery")).await?;
        let row = write.transaction.row(GET, values![id]).await?;
        let before = provider(&row.ok_or_else(|| StoreError::not_found(ObjectKind::Provider, id))?)?;
        if before.object.discovered_models == models {
            return Ok(false);
        }
        let mut after = before.clone();
        after.object.discovered_models = models.to_vec();
        write.transaction.execute(UPDATE, values![id, json_text(&models)?]).await?;
        write.record_provider(Action::Update, Some(&before), Some(&after)).await?;
        write.commit().await?;
        Ok(true)
    }
}

impl ProviderDraft {
    fn applied_to(self, before: &StoredProvider, now: UnixMicros) -> StoredProvider {
        let (sealed_secret, secret_hint) = match self.secret {
            SecretChange::Keep => (before.sealed_secret.clone(), before.secret_hint.clone()),
            SecretChange::Set { sealed, hint } => (Some(sealed), Some(hint)),
            SecretChange::Remove => (None, None),
        };
        let object = ProviderObject {
            name: self.name,
            kind: self.kind,
            base_url: self.base_url,
            region: self.region,
            internal: self.internal,
            timeouts: self.timeouts,
            enabled: self.enabled,
            updated_at: now,
            ..before.object.clone()
        };
        StoredProvider { object, sealed_secret, secret_hint }
    }
}

impl Write {
    /// As [`Store::create_provider`].
    pub async fn create_provider(
        &mut self,
        proof: &Proof<ProvidersWrite>,
        organization_id: OrganizationId,
        id: ProviderId,
        draft: ProviderDraft,
    ) -> Result<StoredProvider, StoreError> {
        check_name(&draft.name)?;
        check_scope(proof, organization_id)?;
        live_organization(&mut self.transaction, organization_id).await?;
        let object = ProviderObject {
            id,
            organization_id,
            name: String::new(),
            kind: String::new(),
            base_url: None,
            secret: None,
            region: None,
            internal: false,
            timeouts: TimeoutOverrides::default(),
            discovered_models: Vec::new(),
            enabled: true,
            owner: self.owner(),
            created_at: self.now,
            updated_at: self.now,
        };
        let empty = StoredProvider { object, sealed_secret: None, secret_hint: None };
        let created = draft.applied_to(&empty, self.now);
        self.insert_provider(&created).await?;
        self.record_provider(Action::Create, None, Some(&created)).await?;
        Ok(created)
    }

    /// As [`Store::update_provider`].
    pub async fn update_provider(
        &mut self,
        proof: &Proof<ProvidersWrite>,
        id: ProviderId,
        draft: ProviderDraft,
    ) -> Result<StoredProvider, StoreError> {
        const UPDATE: &str = "UPDATE providers SET name = $2, kind = $3, base_url = $4, sealed_secret = $5, \
            secret_hint = $6, region = $7, internal = $8, timeouts = $9, enabled = $10, updated_at = $11 \
            WHERE id = $1";
        check_name(&draft.name)?;
        let before = editable_provider(self, proof, id).await?;
        let after = draft.applied_to(&before, self.now);
        if visible(&before) == visible(&after) && before.sealed_secret == after.sealed_secret {
            return Ok(before);
        }
        let object = &after.object;
        let arguments = values![
            id,
            &object.name,
            &object.kind,
            object.base_url.as_deref(),
            after.sealed_secret.as_deref(),
            after.secret_hint.as_deref(),
            object.region.as_deref(),
            object.internal,
            json_text(&object.timeouts)?,
            object.enabled,
            object.updated_at,
        ];
        self.execute_named(ObjectKind::Provider, &object.name, UPDATE, arguments).await?;
        self.record_provider(Action::Update, Some(&before), Some(&after)).await?;
        Ok(after)
    }

    /// As [`Store::delete_provider`].
    pub async fn delete_provider(
        &mut self,
        proof: &Proof<ProvidersWrite>,
        id: ProviderId,
    ) -> Result<(), StoreError> {
        const DELETE: &str =
            "UPDATE providers SET deleted_at = $2, sealed_secret = NULL, secret_hint = NULL WHERE id = $1";
        let before = editable_provider(self, proof, id).await?;
        dependents::check_provider(&mut self.transaction, id, &before.object.name).await?;
        self.transaction.execute(DELETE, values![id, self.now]).await?;
        self.record_provider(Action::Delete, Some(&before), None).await?;
        Ok(())
    }

    async fn insert_provider(&mut self, stored: &StoredProvider) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO providers (id, organization_id, name, kind, base_url, sealed_secret, \
            secret_hint, region, internal, timeouts, discovered_models, enabled, owner, created_at, updated_at) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
        let object = &stored.object;
        let arguments = values![
            object.id,
            object.organization_id,
            &object.name,
            &object.kind,
            object.base_url.as_deref(),
            stored.sealed_secret.as_deref(),
            stored.secret_hint.as_deref(),
            object.region.as_deref(),
            object.internal,
            json_text(&object.timeouts)?,
            json_text(&object.discovered_models)?,
            object.enabled,
            owner_text(object.owner),
            object.created_at,
            object.updated_at,
        ];
        self.execute_named(ObjectKind::Provider, &object.name, INSERT, arguments).await
    }

    async fn record_provider(
        &mut self,
        action: Action,
        before: Option<&StoredProvider>,
        after: Option<&StoredProvider>,
    ) -> Result<(), StoreError> {
        let Some(stored) = after.or(before) else { return Ok(()) };
        self.record(Changed {
            kind: ObjectKind::Provider,
            id: stored.object.id.as_uuid(),
            name: &stored.object.name,
            organization_id: Some(stored.object.organization_id),
            action,
            before: before.map(visible),
            after: after.map(visible),
        })
        .await
    }
}

/// What an audit event may show: everything but the secret.
fn visible(stored: &StoredProvider) -> Json {
    let object = &stored.object;
    json!({
        "name": object.name,
        "kind": object.kind,
        "base_url": object.base_url,
        "secret_hint": stored.secret_hint,
        "region": object.region,
        "internal": object.internal,
        "timeouts": object.timeouts,
        "discovered_models": object.discovered_models,
        "enabled": object.enabled,
        "owner": object.owner,
    })
}

async fn editable_provider(
    write: &mut Write,
    proof: &Proof<ProvidersWrite>,
    id: ProviderId,
) -> Result<StoredProvider, StoreError> {
    let found = write.transaction.row(GET, values![id]).await?.as_ref().map(provider).transpose()?;
    let found = found
        .filter(|found| proof.covers(found.object.organization_id))
        .ok_or_else(|| StoreError::not_found(ObjectKind::Provider, id))?;
    write.check_owner(ObjectKind::Provider, &found.object.name, found.object.owner)?;
    Ok(found)
}

pub(super) async fn check_live_provider(
    transaction: &mut Transaction,
    organization_id: OrganizationId,
    id: ProviderId,
) -> Result<(), StoreError> {
    let found = transaction.row(GET, values![id]).await?.as_ref().map(provider).transpose()?;
    match found {
        Some(found) if found.object.organization_id == organization_id => Ok(()),
        _ => Err(StoreError::not_found(ObjectKind::Provider, id)),
    }
}

pub(super) const fn owner_text(owner: Owner) -> &'static str {
    match owner {
        Owner::File => "file",
        Owner::Api => "api",
    }
}

pub(crate) fn provider(row: &Row) -> Result<StoredProvider, StoreError> {
    Ok(StoredProvider {
        object: ProviderObject {
            id: row.id("id")?,
            organization_id: row.id("organization_id")?,
            name: row.get("name")?,
            kind: row.get("kind")?,
            base_url: row.get("base_url")?,
            secret: None,
            region: row.get("region")?,
            internal: row.get("internal")?,
            timeouts: row.json("timeouts")?,
            discovered_models: row.json("discovered_models")?,
            enabled: row.get("enabled")?,
            owner: row.word("owner")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        },
        sealed_secret: row.get("sealed_secret")?,
        secret_hint: row.get("secret_hint")?,
    })
}

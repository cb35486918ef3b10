//! Webhooks that alerts are delivered to, with their secrets sealed.

use serde_json::{Value as Json, json};
use tollgate_access::Proof;
use tollgate_access::authorize::{WebhooksRead, WebhooksWrite};
use tollgate_core::{OrganizationId, UnixMicros, WebhookId};
use tollgate_state::objects::Owner;

use super::organizations::live_organization;
use super::providers::owner_text;
use crate::alerts::AlertEvent;
use crate::audit::Action;
use crate::database::{Row, values};
use crate::error::{ObjectKind, StoreError};
use crate::page::{Cursor, Page, PageRequest};
use crate::store::{Store, check_name, check_scope};
use crate::write::{Changed, Write, json_text};

pub(crate) const GET: &str = "SELECT * FROM webhooks WHERE id = $1 AND deleted_at IS NULL";
const MAX_URL_BYTES: usize = 2048;

/// A webhook with its signing secret still sealed.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredWebhook {
    pub id: WebhookId,
    pub organization_id: OrganizationId,
    pub name: String,
    pub url: String,
    /// Declared to live in a private network: the egress guard lets it through.
    pub internal: bool,
    /// Which alerts it gets; all of them where empty.
    pub events: Vec<AlertEvent>,
    pub sealed_secret: Option<Vec<u8>>,
    pub enabled: bool,
    pub owner: Owner,
    pub created_at: UnixMicros,
    pub updated_at: UnixMicros,
}

/// A webhook as it shall be. Whether the URL may be called is the caller's to check.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookDraft {
    pub name: String,
    pub url: String,
    pub internal: bool,
    pub events: Vec<AlertEvent>,
    /// Sealed for this webhook's id; absent keeps what was there.
    pub sealed_secret: Option<Vec<u8>>,
    pub enabled: bool,
}

impl StoredWebhook {
    pub(crate) fn wants(&self, event: AlertEvent) -> bool {
        self.enabled && (self.events.is_empty() || self.events.contains(&event))
    }
}

impl Store {
    pub async fn list_webhooks(
        &self,
        proof: &Proof<WebhooksRead>,
        organization_id: OrganizationId,
        request: PageRequest,
    ) -> Result<Page<StoredWebhook>, StoreError> {
        const LIST: &str = "SELECT * FROM webhooks WHERE organization_id = $1 AND id > $2 AND deleted_at IS NULL \
            ORDER BY id LIMIT $3";
        check_scope(proof, organization_id)?;
        let arguments = values![organization_id, request.after_id(), request.rows_to_fetch()];
        let rows = self.database.rows(LIST, arguments).await?;
        let items = rows.iter().map(webhook).collect::<Result<Vec<_>, _>>()?;
        Ok(request.page(items, |item| Cursor::of_id(item.id.as_uuid())))
    }

    pub async fn get_webhook(
        &self,
        proof: &Proof<WebhooksRead>,
        id: WebhookId,
    ) -> Result<StoredWebhook, StoreError> {
        let found = self.database.row(GET, values![id]).await?.as_ref().map(webhook).transpose()?;
        found
            .filter(|found| proof.covers(found.organization_id))
            .ok_or_else(|| StoreError::not_found(ObjectKind::Webhook, id))
    }

    /// The caller chooses the id, because the sealed secret names it.
    pub async fn create_webhook(
        &self,
        proof: &Proof<WebhooksWrite>,
        organization_id: OrganizationId,
        id: WebhookId,
        draft: WebhookDraft,
    ) -> Result<StoredWebhook, StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        let created = write.create_webhook(proof, organization_id, id, draft).await?;
        write.commit().await?;
        Ok(created)
    }

    /// Replaces everything but the id and the organization. Changing nothing leaves no trace.
    pub async fn update_webhook(
        &self,
        proof: &Proof<WebhooksWrite>,
        id: WebhookId,
        draft: WebhookDraft,
    ) -> Result<StoredWebhook, StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        let after = write.update_webhook(proof, id, draft).await?;
        write.commit().await?;
        Ok(after)
    }

    /// Deliveries to it that are still due are dropped.
    pub async fn delete_webhook(
        &self,
        proof: &Proof<WebhooksWrite>,
        id: WebhookId,
    ) -> Result<(), StoreError> {
        let mut write = self.begin_write(proof.actor()).await?;
        write.delete_webhook(proof, id).await?;
        write.commit().await
    }
}

impl WebhookDraft {
    fn check(&self) -> Result<(), StoreError> {
        check_name(&self.name)?;
        if self.url.is_empty() || self.url.len() > MAX_URL_BYTES {
            let reason = format!("must have 1 to {MAX_URL_BYTES} bytes");
            return Err(StoreError::Invalid { field: "url", reason });
        }
        Ok(())
    }

    fn applied_to(self, before: &StoredWebhook) -> StoredWebhook {
        StoredWebhook {
            name: self.name,
            url: self.url,
            internal: self.internal,
            events: self.events,
            sealed_secret: self.sealed_secret.or_else(|| before.sealed_secret.clone()),
            enabled: self.enabled,
            ..before.clone()
        }
    }
}

impl Write {
    /// As [`Store::create_webhook`].
    pub async fn create_webhook(
        &mut self,
        proof: &Proof<WebhooksWrite>,
        organization_id: OrganizationId,
        id: WebhookId,
        draft: WebhookDraft,
    ) -> Result<StoredWebhook, StoreError> {
        draft.check()?;
        check_scope(proof, organization_id)?;
        live_organization(&mut self.transaction, organization_id).await?;
        let created = StoredWebhook {
            id,
            organization_id,
            name: draft.name,
            url: draft.url,
            internal: draft.internal,
            events: draft.events,
            sealed_secret: draft.sealed_secret,
            enabled: draft.enabled,
            owner: self.owner(),
            created_at: self.now,
            updated_at: self.now,
        };
        self.insert_webhook(&created).await?;
        self.record_webhook(Action::Create, None, Some(&created)).await?;
        Ok(created)
    }

    /// As [`Store::update_webhook`].
    pub async fn update_webhook(
        &mut self,
        proof: &Proof<WebhooksWrite>,
        id: WebhookId,
        draft: WebhookDraft,
    ) -> Result<StoredWebhook, StoreError> {
        const UPDATE: &str = "UPDATE webhooks SET name = $2, url = $3, events = $4, sealed_secret = $5, \
            enabled = $6, updated_at = $7, internal = $8 WHERE id = $1";
        draft.check()?;
        let before = self.editable_webhook(proof, id).await?;
        let mut after = draft.applied_to(&before);
        if after == before {
            return Ok(before);
        }
        after.updated_at = self.now;
        let arguments = values![
            id,
            &after.name,
            &after.url,
            json_text(&after.events)?,
            after.sealed_secret.as_deref(),
            after.enabled,
            after.updated_at,
            after.internal
        ];
        self.execute_named(ObjectKind::Webhook, &after.name, UPDATE, arguments).await?;
        self.record_webhook(Action::Update, Some(&before), Some(&after)).await?;
        Ok(after)
    }

    /// As [`Store::delete_webhook`].
    pub async fn delete_webhook(
        &mut self,
        proof: &Proof<WebhooksWrite>,
        id: WebhookId,
    ) -> Result<(), StoreError> {
        const DELETE: &str = "UPDATE webhooks SET deleted_at = $2, sealed_secret = NULL WHERE id = $1";
        const DROP_DUE: &str = "UPDATE alert_deliveries SET next_at = NULL, last_error = 'the webhook was deleted' \
            WHERE webhook_id = $1 AND next_at IS NOT NULL";
        let before = self.editable_webhook(proof, id).await?;
        self.transaction.execute(DELETE, values![id, self.now]).await?;
        self.transaction.execute(DROP_DUE, values![id]).await?;
        self.record_webhook(Action::Delete, Some(&before), None).await
    }

    async fn editable_webhook(
        &mut self,
        proof: &Proof<WebhooksWrite>,
        id: WebhookId,
    ) -> Result<StoredWebhook, StoreError> {
        let found = self.transaction.row(GET, values![id]).await?.as_ref().map(webhook).transpose()?;
        let found = found
            .filter(|found| proof.covers(found.organization_id))
            .ok_or_else(|| StoreError::not_found(ObjectKind::Webhook, id))?;
        self.check_owner(ObjectKind::Webhook, &found.name, found.owner)?;
        Ok(found)
    }

    async fn insert_webhook(&mut self, object: &StoredWebhook) -> Result<(), StoreError> {
        const INSERT: &str = "INSERT INTO webhooks (id, organization_id, name, url, events, sealed_secret, enabled, \
            owner, created_at, updated_at, internal) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        let arguments = values![
            object.id,
            object.organization_id,
            &object.name,
            &object.url,
            json_text(&object.events)?,
            object.sealed_secret.as_deref(),
            object.enabled,
            owner_text(object.owner),
            object.created_at,
            object.updated_at,
            object.internal,
        ];
        self.execute_named(ObjectKind::Webhook, &object.name, INSERT, arguments).await
    }

    async fn record_webhook(
        &mut self,
        action: Action,
        before: Option<&StoredWebhook>,
        after: Option<&StoredWebhook>,
    ) -> Result<(), StoreError> {
        let Some(object) = after.or(before) else { return Ok(()) };
        self.record(Changed {
            kind: ObjectKind::Webhook,
            id: object.id.as_uuid(),
            name: &object.name,
            organization_id: Some(object.organization_id),
            action,
            before: before.map(visible),
            after: after.map(visible),
        })
        .await
    }
}

/// What an audit event may show: everything but the secret.
fn visible(stored: &StoredWebhook) -> Json {
    json!({
        "name": stored.name,
        "url": stored.url,
        "internal": stored.internal,
        "events": stored.events,
        "has_secret": stored.sealed_secret.is_some(),
        "enabled": stored.enabled,
        "owner": stored.owner,
    })
}

pub(crate) fn webhook(row: &Row) -> Result<StoredWebhook, StoreError> {
    Ok(StoredWebhook {
        id: row.id("id")?,
        organization_id: row.id("organization_id")?,
        name: row.get("name")?,
        url: row.get("url")?,
        internal: row.get("internal")?,
        events: row.json("events")?,
        sealed_secret: row.get("sealed_secret")?,
        enabled: row.get("enabled")?,
        owner: row.word("owner")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

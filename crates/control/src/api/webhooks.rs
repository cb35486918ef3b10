//! Webhooks: the addresses that alerts are sent to. A secret is in the answer that makes it and nowhere else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_access::authorize::{WebhooksRead, WebhooksWrite};
use tollgate_core::{OrganizationId, SecretText, UnixMicros, WebhookId};
use tollgate_state::objects::Owner;
use tollgate_store::{AlertEvent, DeliveryState, ObjectKind, Page, StoredWebhook, WebhookDraft};

use super::models::yes;
use super::paging::{ListQuery, map_page, organization, organization_to_fill, page};
use crate::alerts::{Signer, Target, new_secret, send_test};
use crate::call::{Call, Nothing};
use crate::connection::Installation;
use crate::problem::Problem;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookPath {
    webhook_id: WebhookId,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebhook {
    /// May be left out while there is only one organization.
    organization_id: Option<OrganizationId>,
    name: String,
    /// Alerts are posted to it as JSON.
    url: String,
    /// Declares that the receiver is in a private network; otherwise private addresses are refused.
    #[serde(default)]
    internal: bool,
    /// Which alerts it gets; all of them unless given.
    #[serde(default)]
    events: Vec<AlertEvent>,
    /// `whsec_` and base64 of 24 to 64 random bytes; made here unless given.
    #[schemars(with = "Option<String>")]
    secret: Option<SecretText>,
    #[serde(default = "yes")]
    enabled: bool,
}

/// What shall change. Absent keeps; a list replaces the whole list.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookChange {
    name: Option<String>,
    url: Option<String>,
    internal: Option<bool>,
    events: Option<Vec<AlertEvent>>,
    #[schemars(with = "Option<String>")]
    secret: Option<SecretText>,
    enabled: Option<bool>,
}

/// A webhook; its secret is never shown again.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WebhookView {
    id: WebhookId,
    organization_id: OrganizationId,
    name: String,
    url: String,
    internal: bool,
    /// Which alerts it gets; all of them where empty.
    events: Vec<AlertEvent>,
    enabled: bool,
    owner: Owner,
    created_at: UnixMicros,
    updated_at: UnixMicros,
}

/// A webhook with its secret.
#[derive(Serialize, JsonSchema)]
pub(crate) struct WebhookWithSecret {
    webhook: WebhookView,
    /// What its receiver checks signatures with. Shown here and never again.
    secret: String,
}

/// What became of a test event.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WebhookTest {
    /// Whether the receiver took it.
    ok: bool,
    /// What it answered, if it did.
    status: Option<u16>,
    problem: Option<String>,
}

impl From<StoredWebhook> for WebhookView {
    fn from(stored: StoredWebhook) -> Self {
        Self {
            id: stored.id,
            organization_id: stored.organization_id,
            name: stored.name,
            url: stored.url,
            internal: stored.internal,
            events: stored.events,
            enabled: stored.enabled,
            owner: stored.owner,
            created_at: stored.created_at,
            updated_at: stored.updated_at,
        }
    }
}

pub(crate) async fn list(call: Call<WebhooksRead, Nothing, ListQuery>) -> Result<Page<WebhookView>, Problem> {
    let store = &call.plane.installation()?.store;
    let request = page(call.query.cursor.as_deref(), call.query.limit)?;
    let organization_id = organization(store, &call.proof, call.query.organization_id).await?;
    let found = store.list_webhooks(&call.proof, organization_id, request).await?;
    Ok(map_page(found, WebhookView::from))
}

pub(crate) async fn get(call: Call<WebhooksRead, WebhookPath>) -> Result<WebhookView, Problem> {
    Ok(call.plane.installation()?.store.get_webhook(&call.proof, call.path.webhook_id).await?.into())
}

/// The URL is parsed as it will be called; whether its host is private is only known when its name is resolved.
fn check_url(url: &str, internal: bool) -> Result<(), Problem> {
    Target::parse(url, internal).map(drop).map_err(|message| Problem::invalid("url", message))
}

fn sealed(
    installation: &Installation,
    organization_id: OrganizationId,
    id: WebhookId,
    secret: &SecretText,
) -> Result<Vec<u8>, Problem> {
    Signer::new(secret).map_err(|error| Problem::invalid("secret", error.to_string()))?;
    let sealed = installation.seal_webhook_secret(organization_id, id, secret);
    Ok(sealed.map_err(|error| Problem::internal(&error))?.into_bytes())
}

pub(crate) async fn create(
    call: Call<WebhooksWrite, Nothing, Nothing, NewWebhook>,
) -> Result<WebhookWithSecret, Problem> {
    let (installation, body) = (call.plane.installation()?, call.body);
    let organization_id =
        organization_to_fill(&installation.store, &call.proof, body.organization_id).await?;
    check_url(&body.url, body.internal)?;
    let secret = match body.secret {
        Some(secret) => secret,
        None => new_secret().map_err(|error| Problem::internal(&error))?,
    };
    let id = WebhookId::generate();
    let draft = WebhookDraft {
        name: body.name,
        url: body.url,
        internal: body.internal,
        events: body.events,
        sealed_secret: Some(sealed(installation, organization_id, id, &secret)?),
        enabled: body.enabled,
    };
    let created = installation.store.create_webhook(&call.proof, organization_id, id, draft).await;
    let created = created
        .map_err(|error| Problem::of_reference(error, &[(ObjectKind::Organization, "organization_id")]))?;
    Ok(WebhookWithSecret { webhook: created.into(), secret: secret.expose().to_owned() })
}

pub(crate) async fn update(
    call: Call<WebhooksWrite, WebhookPath, Nothing, WebhookChange>,
) -> Result<WebhookView, Problem> {
    let _writing = call.plane.writing.lock().await;
    let (installation, body, id) = (call.plane.installation()?, call.body, call.path.webhook_id);
    let read = call.proof.actor().authorize::<WebhooksRead>(call.proof.scope())?;
    let before = installation.store.get_webhook(&read, id).await?;
    let new_secret = body.secret.map(|secret| sealed(installation, before.organization_id, id, &secret));
    let draft = WebhookDraft {
        name: body.name.unwrap_or(before.name),
        url: body.url.unwrap_or(before.url),
        internal: body.internal.unwrap_or(before.internal),
        events: body.events.unwrap_or(before.events),
        sealed_secret: new_secret.transpose()?,
        enabled: body.enabled.unwrap_or(before.enabled),
    };
    check_url(&draft.url, draft.internal)?;
    Ok(installation.store.update_webhook(&call.proof, id, draft).await?.into())
}

pub(crate) async fn delete(call: Call<WebhooksWrite, WebhookPath>) -> Result<Nothing, Problem> {
    call.plane.installation()?.store.delete_webhook(&call.proof, call.path.webhook_id).await?;
    Ok(Nothing {})
}

pub(crate) async fn test(call: Call<WebhooksWrite, WebhookPath>) -> Result<WebhookTest, Problem> {
    let installation = call.plane.installation()?;
    let read = call.proof.actor().authorize::<WebhooksRead>(call.proof.scope())?;
    let webhook = installation.store.get_webhook(&read, call.path.webhook_id).await?;
    let parts = &call.plane.parts;
    Ok(match send_test(installation, &parts.tls, &webhook, parts.clock.now()).await {
        Ok(status) => WebhookTest { ok: true, status: Some(status.as_u16()), problem: None },
        Err(failure) => {
            let status = failure.status.map(|status| status.as_u16());
            WebhookTest { ok: false, status, problem: Some(failure.reason) }
        }
    })
}

pub(crate) async fn deliveries(
    call: Call<WebhooksRead, WebhookPath, DeliveriesQuery>,
) -> Result<Page<DeliveryState>, Problem> {
    let request = page(call.query.cursor.as_deref(), call.query.limit)?;
    let store = &call.plane.installation()?.store;
    Ok(store.list_deliveries(&call.proof, call.path.webhook_id, request).await?)
}

/// Which deliveries are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliveriesQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// Items per page, 1 to 500.
    limit: Option<u32>,
}

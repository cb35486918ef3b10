//! Providers and the kinds that Tollgate knows. A secret goes in and never comes out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_access::authorize::{ProvidersRead, ProvidersWrite};
use tollgate_core::{Dialect, OrganizationId, ProviderId, SecretText, UnixMicros};
use tollgate_state::objects::{Owner, ProviderObject, TimeoutOverrides};
use tollgate_store::{ObjectKind, Page, ProviderDraft, SecretChange, StoredProvider};

use super::draft_check::{check_change, provider_errors};
use super::paging::{ListQuery, map_page, organization, organization_to_fill, page};
use super::patch::given;
use crate::call::{Call, Nothing};
use crate::connection::Installation;
use crate::problem::Problem;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderPath {
    pub(crate) provider_id: ProviderId,
}

/// A kind of provider that can be configured.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProviderKindView {
    kind: &'static str,
    name: &'static str,
    /// Absent where it must be configured.
    base_url: Option<&'static str>,
    speaks: &'static [Dialect],
    /// Usually lives in a private network, which its address may then be in.
    internal: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProviderKinds {
    items: Vec<ProviderKindView>,
}

/// A provider; of its secret only the end.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProviderView {
    id: ProviderId,
    organization_id: OrganizationId,
    name: String,
    kind: String,
    /// Absent where the kind's own is used.
    base_url: Option<String>,
    has_secret: bool,
    /// The end of the secret, to recognise it by.
    secret_hint: Option<String>,
    region: Option<String>,
    /// Declared to live in a private network.
    internal: bool,
    timeouts: TimeoutOverrides,
    discovered_models: Vec<String>,
    enabled: bool,
    owner: Owner,
    created_at: UnixMicros,
    updated_at: UnixMicros,
}

impl From<StoredProvider> for ProviderView {
    fn from(stored: StoredProvider) -> Self {
        let object = stored.object;
        Self {
            id: object.id,
            organization_id: object.organization_id,
            name: object.name,
            kind: object.kind,
            base_url: object.base_url,
            has_secret: stored.sealed_secret.is_some(),
            secret_hint: stored.secret_hint,
            region: object.region,
            internal: object.internal,
            timeouts: object.timeouts,
            discovered_models: object.discovered_models,
            enabled: object.enabled,
            owner: object.owner,
            created_at: object.created_at,
            updated_at: object.updated_at,
        }
    }
}

const fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProvider {
    /// May be left out while there is only one organization.
    organization_id: Option<OrganizationId>,
    name: String,
    /// One of `/api/v1/provider-kinds`.
    kind: String,
    base_url: Option<String>,
    /// Sealed before it is stored, and never shown again.
    secret: Option<SecretText>,
    region: Option<String>,
    /// Lives in a private network: the egress guard lets it through.
    #[serde(default)]
    internal: bool,
    #[serde(default)]
    timeouts: TimeoutOverrides,
    #[serde(default = "yes")]
    enabled: bool,
}

/// What shall change. Absent keeps; `null` removes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderChange {
    name: Option<String>,
    kind: Option<String>,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>")]
    base_url: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<SecretText>")]
    secret: Option<Option<SecretText>>,
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>")]
    region: Option<Option<String>>,
    internal: Option<bool>,
    timeouts: Option<TimeoutOverrides>,
    enabled: Option<bool>,
}

pub(crate) async fn kinds(_: Call<ProvidersRead>) -> Result<ProviderKinds, Problem> {
    let rows = tollgate_providers::known().iter();
    let items = rows.map(|row| ProviderKindView {
        kind: &row.kind,
        name: &row.name,
        base_url: row.base_url.as_deref(),
        speaks: &row.speaks,
        internal: row.internal,
    });
    Ok(ProviderKinds { items: items.collect() })
}

pub(crate) async fn list(
    call: Call<ProvidersRead, Nothing, ListQuery>,
) -> Result<Page<ProviderView>, Problem> {
    let store = &call.plane.installation()?.store;
    let request = page(call.query.cursor.as_deref(), call.query.limit)?;
    let organization_id = organization(store, &call.proof, call.query.organization_id).await?;
    let found = store.list_providers(&call.proof, organization_id, request).await?;
    Ok(map_page(found, Into::into))
}

pub(crate) async fn get(call: Call<ProvidersRead, ProviderPath>) -> Result<ProviderView, Problem> {
    Ok(call.plane.installation()?.store.get_provider(&call.proof, call.path.provider_id).await?.into())
}

/// Seals a secret for a provider's row.
pub(crate) fn seal(
    installation: &Installation,
    organization_id: OrganizationId,
    id: ProviderId,
    secret: &SecretText,
) -> Result<SecretChange, Problem> {
    let sealed = installation.seal_provider_secret(organization_id, id, secret);
    let sealed = sealed.map_err(|error| Problem::internal(&error))?.into_bytes();
    Ok(SecretChange::Set { sealed, hint: secret.hint() })
}

pub(crate) async fn create(
    call: Call<ProvidersWrite, Nothing, Nothing, NewProvider>,
) -> Result<ProviderView, Problem> {
    let (installation, body) = (call.plane.installation()?, &call.body);
    let organization_id =
        organization_to_fill(&installation.store, &call.proof, body.organization_id).await?;
    let errors = provider_errors(&body.kind, body.base_url.as_deref(), body.internal, body.secret.as_ref());
    if !errors.is_empty() {
        return Err(Problem::invalid_fields(errors));
    }
    let id = ProviderId::generate();
    let secret = match &body.secret {
        Some(secret) => seal(installation, organization_id, id, secret)?,
        None => SecretChange::Remove,
    };
    let draft = ProviderDraft {
        name: body.name.clone(),
        kind: body.kind.clone(),
        base_url: body.base_url.clone(),
        secret,
        region: body.region.clone(),
        internal: body.internal,
        timeouts: body.timeouts,
        enabled: body.enabled,
    };
    let created = installation.store.create_provider(&call.proof, organization_id, id, draft).await;
    let created = created
        .map_err(|error| Problem::of_reference(error, &[(ObjectKind::Organization, "organization_id")]))?;
    call.plane.publish().await;
    Ok(created.into())
}

pub(crate) async fn update(
    call: Call<ProvidersWrite, ProviderPath, Nothing, ProviderChange>,
) -> Result<ProviderView, Problem> {
    let _writing = call.plane.writing.lock().await;
    let installation = call.plane.installation()?;
    let id = call.path.provider_id;
    let read = call.proof.actor().authorize::<ProvidersRead>(call.proof.scope())?;
    let before = installation.store.get_provider(&read, id).await?;
    let body = call.body;
    let secret = match &body.secret {
        None => SecretChange::Keep,
        Some(None) => SecretChange::Remove,
        Some(Some(secret)) => seal(installation, before.object.organization_id, id, secret)?,
    };
    let moves = body.base_url.as_ref().is_some_and(|url| *url != before.object.base_url)
        || body.kind.as_ref().is_some_and(|kind| *kind != before.object.kind);
    if moves && body.secret.is_none() && before.sealed_secret.is_some() {
        let message =
            "must be given again when `base_url` or `kind` changes, so that it goes nowhere by mistake";
        return Err(Problem::invalid("secret", message));
    }
    let new_secret = body.secret.flatten();
    let draft = ProviderDraft {
        name: body.name.unwrap_or(before.object.name),
        kind: body.kind.unwrap_or(before.object.kind),
        base_url: body.base_url.unwrap_or(before.object.base_url),
        secret,
        region: body.region.unwrap_or(before.object.region),
        internal: body.internal.unwrap_or(before.object.internal),
        timeouts: body.timeouts.unwrap_or(before.object.timeouts),
        enabled: body.enabled.unwrap_or(before.object.enabled),
    };
    let errors = provider_errors(&draft.kind, draft.base_url.as_deref(), draft.internal, new_secret.as_ref());
    if !errors.is_empty() {
        return Err(Problem::invalid_fields(errors));
    }
    check_change(installation, |configuration| {
        let known = configuration.providers.iter_mut().find(|provider| provider.id == id);
        if let Some(known) = known {
            apply(known, &draft);
        }
    })
    .await?;
    let updated = installation.store.update_provider(&call.proof, id, draft).await?;
    call.plane.publish().await;
    Ok(updated.into())
}

fn apply(object: &mut ProviderObject, draft: &ProviderDraft) {
    object.kind.clone_from(&draft.kind);
    object.enabled = draft.enabled;
}

pub(crate) async fn delete(call: Call<ProvidersWrite, ProviderPath>) -> Result<Nothing, Problem> {
    call.plane.installation()?.store.delete_provider(&call.proof, call.path.provider_id).await?;
    call.plane.publish().await;
    Ok(Nothing {})
}

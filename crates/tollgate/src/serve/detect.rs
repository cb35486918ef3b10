//! `--detect`: providers that this machine already has credentials for, or runs itself.

use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;
use tollgate_access::authorize::{ModelsWrite, ProvidersRead, ProvidersWrite, TreeRead, TreeWrite};
use tollgate_access::{Actor, Scope};
use tollgate_control::Installation;
use tollgate_core::{ModelName, ModelPattern, OrganizationId, ProviderId, SecretText};
use tollgate_providers::ProviderKind;
use tollgate_state::objects::TimeoutOverrides;
use tollgate_store::{DeploymentDraft, ModelDraft, PageRequest, ProviderDraft, SecretChange, StoreError};
use tollgate_upstream::{Egress, OneShot, Origin, Timeouts, fetch};

/// Kinds that are looked for, and the names that their models begin with.
const WANTED: [(&str, &[&str]); 4] = [
    ("openai", &["gpt-*", "o1*", "o3*", "o4*", "text-embedding-*", "openai/*"]),
    ("anthropic", &["claude-*", "anthropic/*"]),
    ("ollama", &["ollama/*"]),
    ("vllm", &["vllm/*"]),
];
const LOOK_TIMEOUTS: Timeouts =
    Timeouts { connect_ms: 300, write_ms: 300, first_byte_ms: 1_000, idle_ms: 1_000, total_ms: 2_000 };
const MAX_LIST_BYTES: usize = 1 << 20;

/// What is known of a kind's presence.
struct Found {
    secret: Option<SecretText>,
    models: Vec<String>,
    how: String,
}

/// Looks for providers and adds those that are not there yet. Returns one line for each kind.
pub(crate) async fn detect(
    installation: &Installation,
    tls: &Arc<rustls::ClientConfig>,
) -> anyhow::Result<Vec<String>> {
    let organization_id = organization(installation).await?;
    let read = Actor::system("detect").authorize::<ProvidersRead>(Scope::Installation)?;
    let all = PageRequest { after: None, limit: tollgate_store::MAX_PAGE };
    let known = installation.store.list_providers(&read, organization_id, all).await?.items;
    let mut lines = Vec::new();
    for (name, patterns) in WANTED {
        let Some(kind) = tollgate_providers::find(name) else { continue };
        if known.iter().any(|provider| provider.object.kind == name) {
            lines.push(format!("{}: configured already", kind.name));
            continue;
        }
        let found = match look(kind, tls).await {
            Ok(found) => found,
            Err(reason) => {
                lines.push(format!("{}: not found ({reason})", kind.name));
                continue;
            }
        };
        let models = add(installation, organization_id, kind, &found, patterns).await?;
        lines.push(format!("{}: {}; serves {}", kind.name, found.how, models.join(", ")));
    }
    Ok(lines)
}

/// The first organization, made if there is none.
async fn organization(installation: &Installation) -> anyhow::Result<OrganizationId> {
    let actor = Actor::system("detect");
    let read = actor.authorize::<TreeRead>(Scope::Installation)?;
    let one = PageRequest { after: None, limit: 1 };
    if let Some(first) = installation.store.list_organizations(&read, one).await?.items.first() {
        return Ok(first.id);
    }
    let write = actor.authorize::<TreeWrite>(Scope::Installation)?;
    Ok(installation.store.create_organization(&write, "default").await?.id)
}

async fn look(kind: &ProviderKind, tls: &Arc<rustls::ClientConfig>) -> Result<Found, String> {
    if let Some(variable) = &kind.detect_env {
        return match std::env::var(&**variable) {
            Ok(secret) if !secret.trim().is_empty() => Ok(Found {
                secret: Some(SecretText::new(secret.trim().to_owned())),
                models: Vec::new(),
                how: format!("credential in {variable}"),
            }),
            _ => Err(format!("{variable} is not set")),
        };
    }
    let base_url = kind.base_url.as_deref().ok_or("its address is not known")?;
    let models =
        list_models(base_url, tls).await.map_err(|reason| format!("nothing at {base_url}: {reason}"))?;
    Ok(Found { secret: None, how: format!("answers at {base_url} with {} models", models.len()), models })
}

async fn list_models(base_url: &str, tls: &Arc<rustls::ClientConfig>) -> Result<Vec<String>, String> {
    let origin = Origin::parse(base_url, Egress::Internal).map_err(|error| error.to_string())?;
    let path = format!("{}/models", origin.path_prefix());
    let answer = fetch(OneShot {
        origin: Arc::new(origin),
        tls: Arc::clone(tls),
        method: Method::GET,
        path,
        headers: HeaderMap::new(),
        body: Bytes::new(),
        timeouts: LOOK_TIMEOUTS,
        max_response_bytes: MAX_LIST_BYTES,
    })
    .await
    .map_err(|error| error.to_string())?;
    let list: Value =
        serde_json::from_slice(&answer.body).map_err(|_| "it does not list models".to_owned())?;
    let entries = list.get("data").and_then(Value::as_array).ok_or("it does not list models")?;
    let names = entries.iter().filter_map(|entry| entry.get("id")?.as_str());
    Ok(names.filter(|name| ModelName::check(name).is_ok()).map(str::to_owned).collect())
}

/// Adds the provider and its patterns; a name that is taken is left alone. Returns the patterns.
async fn add(
    installation: &Installation,
    organization_id: OrganizationId,
    kind: &ProviderKind,
    found: &Found,
    patterns: &[&str],
) -> anyhow::Result<Vec<String>> {
    let (actor, scope) = (Actor::system("detect"), Scope::Installation);
    let id = ProviderId::generate();
    let secret = match &found.secret {
        Some(secret) => SecretChange::Set {
            sealed: installation.seal_provider_secret(organization_id, id, secret)?.into_bytes(),
            hint: secret.hint(),
        },
        None => SecretChange::Remove,
    };
    let draft = ProviderDraft {
        name: kind.kind.to_string(),
        kind: kind.kind.to_string(),
        base_url: None,
        secret,
        region: None,
        internal: kind.internal,
        timeouts: TimeoutOverrides::default(),
        enabled: true,
    };
    let store = &installation.store;
    store.create_provider(&actor.authorize::<ProvidersWrite>(scope)?, organization_id, id, draft).await?;
    if !found.models.is_empty() {
        store.system_set_discovered_models(id, &found.models).await?;
    }
    let write = actor.authorize::<ModelsWrite>(scope)?;
    let mut added = Vec::new();
    for pattern in patterns {
        let deployment = DeploymentDraft {
            id: None,
            provider_id: id,
            upstream_model: None,
            weight: 1,
            price: None,
            timeouts: TimeoutOverrides::default(),
            enabled: true,
        };
        let name = ModelPattern::parse(pattern).context("a pattern of a detected provider")?;
        let draft =
            ModelDraft { name, open: false, tags: Vec::new(), deployments: vec![deployment], enabled: true };
        match store.create_model(&write, organization_id, draft).await {
            Ok(_) => added.push((*pattern).to_owned()),
            Err(StoreError::NameTaken { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(added)
}

//! The installation that is measured: one provider, one model, and as many keys as wanted.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use tollgate_access::authorize::{KeysWrite, ModelsWrite, ProvidersWrite, TreeWrite};
use tollgate_access::token::{self, TokenKind};
use tollgate_access::{Actor, RootKey, Scope};
use tollgate_control::Installation;
use tollgate_core::{ModelPattern, ProviderId, SecretText};
use tollgate_state::Grants;
use tollgate_state::objects::{CredentialAlgorithm, KeyOwner, TimeoutOverrides};
use tollgate_store::{DeploymentDraft, ModelDraft, NewCredential, NewKey, ProviderDraft, SecretChange};

use crate::serve::DATABASE_FILE_NAME;

pub(super) const MODEL: &str = "bench";
/// A mock needs a price too, so that cost is computed as for any model.
const PRICE: &str = r#"[{"input": "2.50", "cache_read": "1.25", "output": "10"}]"#;

/// Fills an empty data directory; returns one of the keys.
pub(super) async fn seed(data: &Path, mock: SocketAddr, keys: usize) -> anyhow::Result<SecretText> {
    let root = RootKey::find(None, None, data)?;
    let location = data.join(DATABASE_FILE_NAME);
    let installation =
        Installation::open(location.to_str().context("the path must be UTF-8")?, &root).await?;
    let store = &installation.store;
    let (actor, scope) = (Actor::system("bench"), Scope::Installation);
    let tree = actor.authorize::<TreeWrite>(scope)?;
    let organization_id = store.create_organization(&tree, "bench").await?.id;
    let team_id = store.create_team(&tree, organization_id, "bench").await?.id;
    let provider_id = ProviderId::generate();
    let draft = ProviderDraft {
        name: "mock".into(),
        kind: "openai_compatible".into(),
        base_url: Some(format!("http://{mock}/v1")),
        secret: SecretChange::Remove,
        region: None,
        internal: true,
        timeouts: TimeoutOverrides::default(),
        enabled: true,
    };
    store
        .create_provider(&actor.authorize::<ProvidersWrite>(scope)?, organization_id, provider_id, draft)
        .await?;
    let deployment = DeploymentDraft {
        id: None,
        provider_id,
        upstream_model: Some(MODEL.into()),
        weight: 1,
        price: Some(serde_json::from_str(PRICE).context("the bench's price")?),
        timeouts: TimeoutOverrides::default(),
        enabled: true,
    };
    let name = ModelPattern::parse(MODEL).context("the bench's model")?;
    let draft =
        ModelDraft { name, open: false, tags: Vec::new(), deployments: vec![deployment], enabled: true };
    store.create_model(&actor.authorize::<ModelsWrite>(scope)?, organization_id, draft).await?;
    let write = actor.authorize::<KeysWrite>(scope)?;
    let mut chosen = None;
    for number in 0..keys.max(1) {
        let made = token::generate(TokenKind::Key)?;
        let (pepper_version, hash) = installation.peppers().hash(made.text.expose().as_bytes());
        let algorithm = CredentialAlgorithm::HmacSha256;
        let credential =
            NewCredential { lookup: made.lookup, algorithm, pepper_version, hash, expires_at: None };
        let new = NewKey {
            owned_by: KeyOwner::Team(team_id),
            name: format!("bench-{number}"),
            grants: Grants::everything(),
            expires_at: None,
            credential,
        };
        store.create_key(&write, organization_id, new).await?;
        chosen = Some(made.text);
    }
    store.close().await;
    chosen.context("there is no key")
}

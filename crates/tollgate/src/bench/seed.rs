//! The installation that is measured: one provider, one model, and as many keys as wanted.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use tollgate_access::authorize::{
    BudgetsWrite, KeysWrite, LimitsWrite, ModelsWrite, ProvidersWrite, TreeWrite,
};
use tollgate_access::token::{self, TokenKind};
use tollgate_access::{Actor, RootKey, Scope};
use tollgate_control::Installation;
use tollgate_core::{ModelPattern, NanoUsd, OrganizationId, ProviderId, SecretText, TeamId};
use tollgate_state::Grants;
use tollgate_state::governance::{
    self, BudgetMode, Clamp, DEFAULT_THRESHOLDS_PERCENT, Each, LimitMeter, LimitPeriod, LimitSharing,
    ModelSelector, OnExhausted, Place, Unpriced, Window, WindowKind,
};
use tollgate_state::objects::{CredentialAlgorithm, KeyOwner, TimeoutOverrides};
use tollgate_store::{
    BudgetDraft, DeploymentDraft, LimitDraft, ModelDraft, NewCredential, NewKey, ProviderDraft, SecretChange,
    Store,
};

use crate::serve::DATABASE_FILE_NAME;

pub(super) const MODEL: &str = "bench";
/// A mock needs a price too, so that cost is computed as for any model.
const PRICE: &str = r#"[{"input": "2.50", "cache_read": "1.25", "output": "10"}]"#;

/// Fills an empty data directory; returns one of the keys. A `governed` installation has a budget and two limits on each
/// of four scopes, none of which is ever reached.
pub(super) async fn seed(
    data: &Path,
    mock: SocketAddr,
    keys: usize,
    governed: bool,
) -> anyhow::Result<SecretText> {
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
    if governed {
        govern(store, &actor, organization_id, team_id).await?;
    }
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

async fn govern(
    store: &Store,
    actor: &Actor,
    organization_id: OrganizationId,
    team_id: TeamId,
) -> anyhow::Result<()> {
    let budgets = actor.authorize::<BudgetsWrite>(Scope::Installation)?;
    let limits = actor.authorize::<LimitsWrite>(Scope::Installation)?;
    let model = || ModelPattern::parse(MODEL).map(ModelSelector::Name);
    let scopes = [
        ("organization", Place::Organization, None, None),
        ("team", Place::Team(team_id), None, None),
        ("each key", Place::Organization, Some(Each::Key), None),
        ("model", Place::Organization, None, Some(model().context("the bench's model")?)),
    ];
    for (name, place, each, model) in scopes {
        let scope = governance::Scope { place, each, model };
        let budget = BudgetDraft {
            name: name.into(),
            scope: scope.clone(),
            amount_nano_usd: NanoUsd::new(1_000_000_000_000_000),
            window: Window { kind: WindowKind::Month, time_zone: "UTC".into() },
            mode: BudgetMode::Stepped,
            clamp: Clamp::Missing,
            thresholds_percent: DEFAULT_THRESHOLDS_PERCENT.into(),
            on_exhausted: OnExhausted::Refuse,
            unpriced: Unpriced::Refuse,
            server_tools_nano_usd: None,
            enabled: true,
        };
        store.create_budget(&budgets, organization_id, budget).await?;
        for (meter, amount) in
            [(LimitMeter::Requests, 1_000_000_000), (LimitMeter::TotalTokens, 1_000_000_000_000)]
        {
            let limit = LimitDraft {
                name: format!("{name} {amount}"),
                scope: scope.clone(),
                meter,
                amount,
                per: LimitPeriod::Minute,
                burst: Some(amount),
                sharing: LimitSharing::Leased,
                enabled: true,
            };
            store.create_limit(&limits, organization_id, limit).await?;
        }
    }
    Ok(())
}

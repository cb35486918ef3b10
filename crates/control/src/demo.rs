//! Demonstration data: an organization with teams, keys, models and a month of plausible traffic.
//!
//! Made from a seed, so that two runs look alike. The history goes the way of real traffic, through the store's
//! shipping, so that records and sums agree.

mod cast;
mod governing;
mod history;
mod random;

use tollgate_access::authorize::{KeysWrite, ModelsWrite, ProvidersWrite, TreeWrite};
use tollgate_access::token::{self, TokenKind};
use tollgate_access::{Actor, Permission, Proof, Scope};
use tollgate_catalog::Price;
use tollgate_core::{ModelPattern, OrganizationId, ProviderId, SecretText, UnixMicros};
use tollgate_state::Grants;
use tollgate_state::objects::{KeyObject, KeyOwner, ModelObject, TimeoutOverrides};
use tollgate_store::{
    DeploymentDraft, ModelDraft, NewKey, PageRequest, ProviderDraft, SecretChange, StoreError,
};

use crate::api::keys::credential_of;
use crate::connection::{Installation, OpenError};

/// What the demonstration is made of, besides its traffic.
#[derive(Debug, Clone)]
pub struct DemoPlan {
    pub providers: Vec<DemoProvider>,
    pub models: Vec<DemoModel>,
    /// The end of the history.
    pub now: UnixMicros,
    pub days: u32,
    /// Requests in the history, all days together.
    pub requests: u32,
    pub seed: u64,
}

/// A provider that the demonstration can call.
#[derive(Debug, Clone)]
pub struct DemoProvider {
    pub name: String,
    pub kind: String,
    pub base_url: String,
    pub secret: Option<SecretText>,
}

/// A model with one deployment on each of the named providers.
#[derive(Debug, Clone)]
pub struct DemoModel {
    pub name: String,
    /// Names of [`DemoPlan::providers`].
    pub providers: Vec<String>,
    pub upstream_model: String,
    /// Absent: the catalogue's.
    pub price: Option<Price>,
}

/// What was made.
#[derive(Debug)]
pub struct DemoSeed {
    pub organization_id: OrganizationId,
    /// A key that may use every model.
    pub key: SecretText,
    /// A key whose budget is spent after a few calls.
    pub small_key: SecretText,
    /// Requests in the history.
    pub requests: u64,
}

/// Why there is no demonstration.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Denied(#[from] tollgate_access::authorize::Denied),
    #[error(transparent)]
    Randomness(#[from] token::NoRandomness),
    #[error("the demonstration's plan is wrong: {0}")]
    Plan(String),
}

impl From<StoreError> for DemoError {
    fn from(error: StoreError) -> Self {
        Self::Open(OpenError::Store(error))
    }
}

/// Team, project, key, and how much of the traffic is theirs.
const TREE: [(&str, &str, &str, u32); 5] = [
    ("research", "evaluation", "evaluation-runner", 4),
    ("research", "notebooks", "notebooks", 2),
    ("support", "chat-assistant", "assistant-production", 6),
    ("support", "ticket-triage", "triage-worker", 3),
    ("platform", "code-review", "review-bot", 3),
];

fn proof<P: Permission>() -> Result<Proof<P>, DemoError> {
    Ok(Actor::system("demo").authorize(Scope::Installation)?)
}

/// Seeds an empty store; `None` when it has an organization already.
pub async fn seed(installation: &Installation, plan: &DemoPlan) -> Result<Option<DemoSeed>, DemoError> {
    let store = &installation.store;
    let tree = proof::<TreeWrite>()?;
    let one = PageRequest { after: None, limit: 1 };
    if !store.list_organizations(&proof()?, one).await?.items.is_empty() {
        return Ok(None);
    }
    let organization = store.create_organization(&tree, "acme").await?;
    let providers = make_providers(installation, organization.id, plan).await?;
    let models = make_models(installation, organization.id, plan, &providers).await?;
    let mut payers = Vec::new();
    let mut last_team = None;
    for (team_name, project, key, share) in TREE {
        let team_id = match last_team {
            Some((name, id)) if name == team_name => id,
            _ => store.create_team(&tree, organization.id, team_name).await?.id,
        };
        last_team = Some((team_name, team_id));
        let project = store.create_project(&tree, organization.id, team_id, project).await?;
        let (key, _) = make_key(installation, organization.id, KeyOwner::Project(project.id), key).await?;
        payers.push(cast::Caller { key, team_id, project_id: project.id, share });
    }
    let Some((_, team_id)) = last_team else { return Err(DemoError::Plan("there is no team".into())) };
    let owner = KeyOwner::Team(team_id);
    let (_, key) = make_key(installation, organization.id, owner, "quickstart").await?;
    let (small, small_key) = make_key(installation, organization.id, owner, "nearly-spent").await?;
    governing::make(installation, organization.id, team_id, small.id).await?;
    let requests = history::ship(installation, plan, &payers, &models).await?;
    Ok(Some(DemoSeed { organization_id: organization.id, key, small_key, requests }))
}

async fn make_providers(
    installation: &Installation,
    organization_id: OrganizationId,
    plan: &DemoPlan,
) -> Result<Vec<(String, ProviderId, String)>, DemoError> {
    let mut made = Vec::with_capacity(plan.providers.len());
    for provider in &plan.providers {
        let id = ProviderId::generate();
        let secret = match &provider.secret {
            Some(secret) => {
                let sealed = installation
                    .seal_provider_secret(organization_id, id, secret)
                    .map_err(OpenError::Seal)?;
                SecretChange::Set { sealed: sealed.into_bytes(), hint: secret.hint() }
            }
            None => SecretChange::Remove,
        };
        let draft = ProviderDraft {
            name: provider.name.clone(),
            kind: provider.kind.clone(),
            base_url: Some(provider.base_url.clone()),
            secret,
            region: None,
            internal: true,
            timeouts: TimeoutOverrides::default(),
            enabled: true,
        };
        installation.store.create_provider(&proof::<ProvidersWrite>()?, organization_id, id, draft).await?;
        made.push((provider.name.clone(), id, provider.kind.clone()));
    }
    Ok(made)
}

async fn make_models(
    installation: &Installation,
    organization_id: OrganizationId,
    plan: &DemoPlan,
    providers: &[(String, ProviderId, String)],
) -> Result<Vec<cast::Offer>, DemoError> {
    let mut made = Vec::with_capacity(plan.models.len());
    for model in &plan.models {
        let unknown =
            |name: &String| DemoError::Plan(format!("`{}` names no provider: `{name}`", model.name));
        let mut deployments = Vec::with_capacity(model.providers.len());
        for name in &model.providers {
            let provider = providers.iter().find(|(known, ..)| known == name).ok_or_else(|| unknown(name))?;
            deployments.push(DeploymentDraft {
                id: None,
                provider_id: provider.1,
                upstream_model: Some(model.upstream_model.clone()),
                weight: 1,
                price: model.price.clone(),
                timeouts: TimeoutOverrides::default(),
                enabled: true,
            });
        }
        let name = ModelPattern::parse(&model.name).map_err(|error| DemoError::Plan(error.to_string()))?;
        let draft = ModelDraft { name, open: false, tags: Vec::new(), deployments, enabled: true };
        let object: ModelObject =
            installation.store.create_model(&proof::<ModelsWrite>()?, organization_id, draft).await?;
        made.push(cast::Offer::new(object, providers)?);
    }
    Ok(made)
}

async fn make_key(
    installation: &Installation,
    organization_id: OrganizationId,
    owned_by: KeyOwner,
    name: &str,
) -> Result<(KeyObject, SecretText), DemoError> {
    let token = token::generate(TokenKind::Key)?;
    let new = NewKey {
        owned_by,
        name: name.to_owned(),
        grants: Grants::everything(),
        expires_at: None,
        credential: credential_of(installation, token.lookup, &token.text),
    };
    let key = installation.store.create_key(&proof::<KeysWrite>()?, organization_id, new).await?;
    Ok((key, token.text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::test_plane::TestPlane;

    fn plan() -> DemoPlan {
        DemoPlan {
            providers: vec![
                DemoProvider {
                    name: "simulated-openai".into(),
                    kind: "openai_compatible".into(),
                    base_url: "http://127.0.0.1:9001/v1".into(),
                    secret: Some(SecretText::new("simulated".into())),
                },
                DemoProvider {
                    name: "simulated-anthropic".into(),
                    kind: "anthropic_compatible".into(),
                    base_url: "http://127.0.0.1:9002/v1".into(),
                    secret: None,
                },
            ],
            models: vec![
                DemoModel {
                    name: "swift".into(),
                    providers: vec!["simulated-openai".into(), "simulated-anthropic".into()],
                    upstream_model: "swift-1".into(),
                    price: serde_json::from_value(json!({ "input": "0.25", "output": "2" })).ok(),
                },
                DemoModel {
                    name: "thorough".into(),
                    providers: vec!["simulated-anthropic".into()],
                    upstream_model: "thorough-1".into(),
                    price: serde_json::from_value(json!({ "input": "3", "output": "15" })).ok(),
                },
            ],
            now: UnixMicros(1_800_000_000_000_000),
            days: 30,
            requests: 1_500,
            seed: 7,
        }
    }

    #[tokio::test]
    async fn the_history_is_there_and_its_sums_agree_with_its_records() {
        let plane = TestPlane::new().await;
        let made = seed(plane.installation(), &plan()).await.unwrap().unwrap();
        assert_eq!(made.requests, 1_500);
        let budgets = plane.get("/api/v1/budgets").await.json();
        assert_eq!(budgets["items"].as_array().unwrap().len(), 3, "{budgets}");
        assert_eq!(plane.get("/api/v1/limits").await.json()["items"].as_array().unwrap().len(), 2);
        assert!(seed(plane.installation(), &plan()).await.unwrap().is_none());

        let period = "from=1797000000000000&to=1800000000000000";
        let total = plane.get(&format!("/api/v1/usage?{period}")).await.json();
        let total = &total["groups"][0]["totals"];
        assert_eq!(total["requests"], 1_500);
        assert!(total["errors"].as_u64().unwrap() > 0 && total["attempts"].as_u64().unwrap() > 1_500);
        let (mut cost, mut cursor, mut seen) = (0, String::new(), 0);
        loop {
            let page = plane.get(&format!("/api/v1/requests?limit=500{cursor}")).await.json();
            for item in page["items"].as_array().unwrap() {
                cost += item["cost_nanos_usd"].as_i64().unwrap_or(0);
                seen += 1;
            }
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!((seen, total["cost_nanos_usd"].as_i64()), (1_500, Some(cost)));

        let teams = plane.get(&format!("/api/v1/usage?{period}&group_by=team")).await.json();
        assert_eq!(teams["groups"].as_array().unwrap().len(), 3);
        let days = plane.get(&format!("/api/v1/usage?{period}&group_by=day")).await.json();
        assert!(days["groups"].as_array().unwrap().len() >= 28);
        let newest = plane.get("/api/v1/requests?limit=1").await.json();
        let id = newest["items"][0]["id"].as_str().unwrap();
        let detail = plane.get(&format!("/api/v1/requests/{id}")).await.json();
        assert!(!detail["attempts"].as_array().unwrap().is_empty(), "{detail}");
        assert!(!detail["decision"]["candidates"].as_array().unwrap().is_empty());
    }
}

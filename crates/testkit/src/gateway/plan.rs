//! What a test's gateway is configured with.

use std::time::Duration;

use tollgate_catalog::Price;
use tollgate_core::{
    BudgetId, CredentialId, DeploymentId, KeyId, LimitId, ModelId, ModelPattern, NanoUsd, OrganizationId,
    ProviderId, SecretText, TeamId,
};
use tollgate_gateway::Settings;
use tollgate_state::governance::{
    BudgetMode, BudgetObject, Clamp, LimitMeter, LimitObject, LimitPeriod, LimitSharing, OnExhausted, Place,
    Scope, Unpriced, Window, WindowKind,
};
use tollgate_state::objects::{
    Configuration, CredentialAlgorithm, CredentialObject, DeploymentObject, KeyObject, KeyOwner, ModelObject,
    Organization, Owner, ProviderObject, Team, TimeoutOverrides,
};
use tollgate_state::{CredentialLookup, Grants};
use tollgate_telemetry::CallSink;

use super::now;

/// Providers and models of a test, in one organization with one team and one key.
#[derive(Debug, Clone)]
pub struct GatewayPlan {
    pub settings: Settings,
    /// How long running answers may take once the gateway is asked to stop.
    pub drain: Duration,
    /// Free space that the journal asks of its storage; 0 for any.
    pub minimum_free_bytes: u64,
    /// Where the gateway leaves finished calls.
    pub call_sink: Option<CallSink>,
    organization_id: OrganizationId,
    team_id: TeamId,
    key_id: KeyId,
    providers: Vec<ProviderObject>,
    models: Vec<ModelObject>,
    budgets: Vec<BudgetObject>,
    limits: Vec<LimitObject>,
}

/// The credential that test providers get.
pub const PROVIDER_SECRET: &str = "sk-provider-canary-0123456789";

impl Default for GatewayPlan {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            drain: Duration::from_secs(5),
            minimum_free_bytes: 0,
            call_sink: None,
            organization_id: OrganizationId::generate(),
            team_id: TeamId::generate(),
            key_id: KeyId::generate(),
            providers: Vec::new(),
            models: Vec::new(),
            budgets: Vec::new(),
            limits: Vec::new(),
        }
    }
}

impl GatewayPlan {
    /// Adds a provider of a kind at a URL on this machine.
    #[must_use]
    pub fn provider(mut self, name: &str, kind: &str, url: &str) -> Self {
        self.providers.push(ProviderObject {
            id: ProviderId::generate(),
            organization_id: self.organization_id,
            name: name.into(),
            kind: kind.into(),
            base_url: Some(format!("{url}/v1")),
            secret: Some(SecretText::new(PROVIDER_SECRET.into())),
            region: Some("test-1".into()),
            internal: true,
            timeouts: TimeoutOverrides::default(),
            discovered_models: Vec::new(),
            enabled: true,
            owner: Owner::Api,
            created_at: now(),
            updated_at: now(),
        });
        self
    }

    /// Sets the time-outs of the last provider.
    #[must_use]
    pub fn timeouts(mut self, timeouts: TimeoutOverrides) -> Self {
        if let Some(provider) = self.providers.last_mut() {
            provider.timeouts = timeouts;
        }
        self
    }

    /// Adds a model with one deployment per `(provider, upstream model, weight)`, at one dollar per million tokens
    /// of input and two of output.
    #[must_use]
    pub fn model(mut self, name: &str, deployments: &[(&str, &str, u32)]) -> Self {
        let price: Price = serde_json::from_value(serde_json::json!({
            "input": "1", "output": "2", "cache_read": "0.1", "cache_write": "1.25", "cache_write_long": "2",
        }))
        .expect("a valid price");
        let deployments = deployments
            .iter()
            .map(|(provider, upstream_model, weight)| DeploymentObject {
                id: DeploymentId::generate(),
                provider_id: self.provider_id(provider),
                upstream_model: (!upstream_model.is_empty()).then(|| (*upstream_model).into()),
                weight: *weight,
                price: Some(price.clone()),
                timeouts: TimeoutOverrides::default(),
                enabled: true,
            })
            .collect();
        self.models.push(ModelObject {
            tags: Vec::new(),
            id: ModelId::generate(),
            organization_id: self.organization_id,
            name: ModelPattern::parse(name).expect("a valid model name"),
            open: true,
            deployments,
            enabled: true,
            owner: Owner::Api,
            created_at: now(),
            updated_at: now(),
        });
        self
    }

    /// Replaces the price of the last model's deployments.
    #[must_use]
    pub fn price(mut self, price: &serde_json::Value) -> Self {
        let price: Price = serde_json::from_value(price.clone()).expect("a valid price");
        if let Some(model) = self.models.last_mut() {
            for deployment in &mut model.deployments {
                deployment.price = Some(price.clone());
            }
        }
        self
    }

    /// Adds a hard budget of so much money, once, for the organization; `change` makes another one of it.
    #[must_use]
    pub fn budget(mut self, name: &str, amount: NanoUsd, change: impl FnOnce(&mut BudgetObject)) -> Self {
        let mut budget = BudgetObject {
            id: BudgetId::generate(),
            organization_id: self.organization_id,
            name: name.into(),
            scope: Scope { place: Place::Organization, each: None, model: None },
            amount_nano_usd: amount,
            window: Window { kind: WindowKind::Once, time_zone: "UTC".into() },
            mode: BudgetMode::Hard,
            clamp: Clamp::Missing,
            thresholds_percent: Vec::new(),
            on_exhausted: OnExhausted::Refuse,
            unpriced: Unpriced::Refuse,
            server_tools_nano_usd: None,
            increases: Vec::new(),
            enabled: true,
            owner: Owner::Api,
            created_at: now(),
            updated_at: now(),
        };
        change(&mut budget);
        self.budgets.push(budget);
        self
    }

    /// Adds a limit of so much a minute for the organization; `change` makes another one of it.
    #[must_use]
    pub fn limit(
        mut self,
        name: &str,
        meter: LimitMeter,
        amount: u64,
        change: impl FnOnce(&mut LimitObject),
    ) -> Self {
        let mut limit = LimitObject {
            id: LimitId::generate(),
            organization_id: self.organization_id,
            name: name.into(),
            scope: Scope { place: Place::Organization, each: None, model: None },
            meter,
            amount,
            per: LimitPeriod::Minute,
            burst: None,
            sharing: LimitSharing::Leased,
            enabled: true,
            owner: Owner::Api,
            created_at: now(),
            updated_at: now(),
        };
        change(&mut limit);
        self.limits.push(limit);
        self
    }

    /// The team that pays.
    pub const fn team_id(&self) -> TeamId {
        self.team_id
    }

    /// The test's key.
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The id of a provider of the plan, for scopes.
    pub fn provider_id(&self, name: &str) -> ProviderId {
        let found = self.providers.iter().find(|provider| provider.name == name);
        found.unwrap_or_else(|| panic!("the plan has no provider {name}")).id
    }

    pub(super) fn configuration(
        self,
        lookup: CredentialLookup,
        pepper_version: u32,
        hash: [u8; 32],
    ) -> Configuration {
        let organization_id = self.organization_id;
        let team = Team { id: self.team_id, organization_id, name: "team".into(), created_at: now() };
        let key = KeyObject {
            id: self.key_id,
            organization_id,
            owned_by: KeyOwner::Team(team.id),
            name: "test".into(),
            grants: Grants::everything(),
            expires_at: None,
            revoked_at: None,
            created_at: now(),
        };
        let credential = CredentialObject {
            id: CredentialId::generate(),
            key_id: key.id,
            organization_id,
            lookup,
            algorithm: CredentialAlgorithm::HmacSha256,
            pepper_version,
            hash,
            expires_at: None,
            created_at: now(),
        };
        Configuration {
            budgets: self.budgets,
            limits: self.limits,
            version: 1,
            organizations: vec![Organization { id: organization_id, name: "acme".into(), created_at: now() }],
            teams: vec![team],
            projects: Vec::new(),
            providers: self.providers,
            models: self.models,
            keys: vec![key],
            credentials: vec![credential],
        }
    }
}

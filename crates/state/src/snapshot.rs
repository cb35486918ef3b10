//! The immutable snapshot: one pointer, swapped as a whole, shared by all cores.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use rpds::HashTrieMapSync;
use serde::{Deserialize, Serialize};
use tollgate_catalog::{ModelFacts, PriceList};
use tollgate_core::{
    DeploymentId, KeyId, ModelId, ModelPattern, OrganizationId, ProviderId, SecretText, UnixMicros,
};

use crate::governance::Governance;
use crate::grants::Grants;
use crate::objects::{CredentialAlgorithm, TimeoutOverrides};
use crate::principal::{Payer, Principal};

/// The public part of a key's text: what a credential is found by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CredentialLookup(pub [u8; 12]);

impl CredentialLookup {
    /// The twelve base62 characters as text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or("")
    }
}

impl fmt::Debug for CredentialLookup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A key as a request needs it.
#[derive(Debug)]
pub struct ActiveKey {
    pub id: KeyId,
    pub name: Box<str>,
    /// Who pays when this key is used.
    pub payer: Payer,
    /// Shared by the keys that were built together and may use the same.
    pub grants: Arc<Grants>,
    pub expires_at: Option<UnixMicros>,
}

/// A credential as a request needs it.
#[derive(Debug)]
pub struct ActiveCredential {
    pub lookup: CredentialLookup,
    pub algorithm: CredentialAlgorithm,
    pub pepper_version: u32,
    pub hash: [u8; 32],
    pub expires_at: Option<UnixMicros>,
    pub principal: Principal,
    pub key: Arc<ActiveKey>,
}

impl ActiveCredential {
    /// Whether the credential or its key has expired.
    pub fn is_expired(&self, now: UnixMicros) -> bool {
        [self.expires_at, self.key.expires_at].into_iter().flatten().any(|end| end <= now)
    }
}

/// A provider as deployments refer to it.
#[derive(Debug)]
pub struct Provider {
    pub id: ProviderId,
    pub name: Box<str>,
    pub kind: Box<str>,
    pub base_url: Option<Box<str>>,
    pub secret: Option<SecretText>,
    pub region: Option<Box<str>>,
    pub internal: bool,
    pub timeouts: TimeoutOverrides,
    pub discovered_models: Vec<String>,
}

/// One way to serve a model, resolved.
#[derive(Debug)]
pub struct Deployment {
    pub id: DeploymentId,
    /// Position in [`Snapshot::deployments`]: what the data plane keeps per deployment is found by it.
    pub slot: usize,
    /// The configured name or pattern of the model it serves.
    pub model_name: Box<str>,
    pub provider: Arc<Provider>,
    /// The provider's name for the model; `None` passes on what the pattern's star matched.
    pub upstream_model: Option<Box<str>>,
    pub weight: u32,
    /// The operator's or the catalogue's prices of a fixed `upstream_model`; absent in a pattern without prices of
    /// its own, where each resolved name has the catalogue's.
    pub(crate) fixed_prices: Option<Arc<PriceList>>,
    pub timeouts: TimeoutOverrides,
}

/// A public model name, or a family of them.
#[derive(Debug)]
pub struct Model {
    pub id: ModelId,
    pub name: ModelPattern,
    pub open: bool,
    pub tags: Box<[Box<str>]>,
    pub deployments: Vec<Arc<Deployment>>,
}

/// What one organization's callers can ask for.
#[derive(Debug, Default)]
pub struct OrganizationView {
    pub(crate) exact: HashMap<Box<str>, Arc<Model>>,
    /// Most specific first.
    pub(crate) patterns: Vec<Arc<Model>>,
    /// Names that closed patterns resolve to, for listing.
    pub(crate) listed: Vec<Box<str>>,
}

impl OrganizationView {
    /// Exact beats pattern, the longer prefix beats the shorter; `None` when no model has the name.
    pub fn resolve(&self, name: &str) -> Option<&Arc<Model>> {
        self.exact
            .get(name)
            .or_else(|| self.patterns.iter().find(|model| model.name.matches(name) && model.admits(name)))
    }

    /// Every name that can be listed: exact ones and those that closed patterns resolve to.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.listed.iter().map(AsRef::as_ref)
    }
}

impl Model {
    /// Whether a pattern resolves to this name, which must go on where the prefix ends: open, in the catalogue, or discovered from a provider.
    fn admits(&self, name: &str) -> bool {
        let Some(captured) = self.name.captured(name).filter(|rest| !rest.is_empty()) else { return false };
        self.open || self.deployments.iter().any(|deployment| deployment.knows(captured))
    }
}

impl Deployment {
    /// The provider's name for a call to `name`, a name that `model` matches.
    pub fn upstream_model<'a>(&'a self, model: &'a ModelPattern, name: &'a str) -> &'a str {
        match &self.upstream_model {
            Some(fixed) => fixed,
            None => model.captured(name).unwrap_or(name),
        }
    }

    /// The catalogue's facts about what is served under an upstream name.
    pub fn facts(&self, upstream_model: &str) -> Option<&'static ModelFacts> {
        tollgate_catalog::Catalog::builtin().find(&self.provider.kind, upstream_model)
    }

    /// What a call under an upstream name costs; a list that refuses to price where nobody knows.
    pub fn prices(&self, upstream_model: &str) -> &Arc<PriceList> {
        static UNKNOWN: OnceLock<Arc<PriceList>> = OnceLock::new();
        match &self.fixed_prices {
            Some(prices) => prices,
            None => match self.facts(upstream_model) {
                Some(facts) => facts.price_list(),
                None => UNKNOWN.get_or_init(|| Arc::new(PriceList::unknown())),
            },
        }
    }

    fn knows(&self, upstream_model: &str) -> bool {
        self.upstream_model.is_some()
            || self.facts(upstream_model).is_some()
            || self.provider.discovered_models.iter().any(|name| name == upstream_model)
    }
}

/// Everything the data plane needs, at one version.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The store's version that this shows.
    pub version: u64,
    pub(crate) organizations: HashTrieMapSync<OrganizationId, Arc<OrganizationView>>,
    pub(crate) credentials: HashTrieMapSync<CredentialLookup, Arc<ActiveCredential>>,
    /// All deployments of all organizations, by slot. Shared by snapshots that differ in keys only.
    pub deployments: Arc<Vec<Arc<Deployment>>>,
    /// Shared by snapshots that have the same budgets and limits.
    pub governance: Arc<Governance>,
}

impl Snapshot {
    pub fn organization(&self, id: OrganizationId) -> Option<&Arc<OrganizationView>> {
        self.organizations.get(&id)
    }

    pub fn credential(&self, lookup: CredentialLookup) -> Option<&Arc<ActiveCredential>> {
        self.credentials.get(&lookup)
    }

    pub fn credential_count(&self) -> usize {
        self.credentials.size()
    }

    /// A snapshot that knows one more credential; shares everything else.
    #[must_use]
    pub fn with_credential(&self, version: u64, credential: Arc<ActiveCredential>) -> Self {
        let credentials = self.credentials.insert(credential.lookup, credential);
        Self { version, credentials, ..self.clone() }
    }

    /// A snapshot in which these credentials are unknown; shares everything else.
    #[must_use]
    pub fn without_credentials(&self, version: u64, lookups: &[CredentialLookup]) -> Self {
        let mut credentials = self.credentials.clone();
        for lookup in lookups {
            credentials.remove_mut(lookup);
        }
        Self { version, credentials, ..self.clone() }
    }

    /// A snapshot with another set of models, providers, budgets and limits, and the same credentials. Budgets and
    /// limits that are equal stay shared.
    #[must_use]
    pub fn with_models_of(&self, other: &Self) -> Self {
        let same = self.governance.is_same(&other.governance);
        let governance = Arc::clone(if same { &self.governance } else { &other.governance });
        Self { credentials: self.credentials.clone(), governance, ..other.clone() }
    }

    /// A snapshot with other budgets and limits; shares everything else.
    #[must_use]
    pub fn with_governance(&self, governance: Governance) -> Self {
        Self { governance: Arc::new(governance), ..self.clone() }
    }
}

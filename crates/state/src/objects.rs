//! The governed objects as the store holds them and the admin API shows them.
//!
//! Every object carries its organization, and its name is unique within it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_catalog::Price;
use tollgate_core::{
    CredentialId, DeploymentId, KeyId, ModelId, ModelPattern, OrganizationId, ProjectId, ProviderId,
    SecretText, TeamId, UnixMicros,
};

use crate::governance::{BudgetObject, LimitObject};
use crate::grants::Grants;
use crate::snapshot::CredentialLookup;

/// Who may edit an object: files or the API, never both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// Applied from configuration files; the API refuses to edit it.
    File,
    /// Made through the admin API; files refuse to edit it.
    Api,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Organization {
    pub id: OrganizationId,
    pub name: String,
    pub created_at: UnixMicros,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Team {
    pub id: TeamId,
    pub organization_id: OrganizationId,
    pub name: String,
    pub created_at: UnixMicros,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Project {
    pub id: ProjectId,
    pub organization_id: OrganizationId,
    pub team_id: TeamId,
    pub name: String,
    pub created_at: UnixMicros,
}

/// Time-outs of calls to a provider, in milliseconds; what is absent keeps the default of the level above.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TimeoutOverrides {
    /// From the start of connecting to an established (TLS) connection.
    pub connect_ms: Option<u64>,
    /// From the request's last byte to the first byte of the answer.
    pub first_byte_ms: Option<u64>,
    /// Between two reads of the answer.
    pub idle_ms: Option<u64>,
    /// The whole attempt.
    pub total_ms: Option<u64>,
}

impl TimeoutOverrides {
    /// This level's values where set, else `outer`'s.
    pub fn or(self, outer: Self) -> Self {
        Self {
            connect_ms: self.connect_ms.or(outer.connect_ms),
            first_byte_ms: self.first_byte_ms.or(outer.first_byte_ms),
            idle_ms: self.idle_ms.or(outer.idle_ms),
            total_ms: self.total_ms.or(outer.total_ms),
        }
    }
}

/// A provider as the data plane gets it: the secret is already unsealed.
#[derive(Debug, Clone)]
pub struct ProviderObject {
    pub id: ProviderId,
    pub organization_id: OrganizationId,
    pub name: String,
    /// The row of the provider file that it is an instance of, for example `openai` or `openai_compatible`.
    pub kind: String,
    /// Replaces the kind's base URL.
    pub base_url: Option<String>,
    pub secret: Option<SecretText>,
    /// Where the provider processes data, for example `eu-west-1`; free text of the operator.
    pub region: Option<String>,
    /// Declared to live in a private network: the egress guard lets it through.
    pub internal: bool,
    pub timeouts: TimeoutOverrides,
    /// Names found when the provider was last asked for its models.
    pub discovered_models: Vec<String>,
    pub enabled: bool,
    pub owner: Owner,
    pub created_at: UnixMicros,
    pub updated_at: UnixMicros,
}

/// A public model name with the deployments that serve it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelObject {
    pub id: ModelId,
    pub organization_id: OrganizationId,
    /// A name, or a prefix with a star that passes the rest of the name on.
    #[schemars(with = "String")]
    pub name: ModelPattern,
    /// A pattern normally resolves only to names in the catalogue or discovered from the provider; an open one
    /// resolves to any valid name.
    pub open: bool,
    /// Free words that budgets, limits and grants can name instead of single models.
    #[serde(default)]
    pub tags: Vec<Box<str>>,
    pub deployments: Vec<DeploymentObject>,
    pub enabled: bool,
    pub owner: Owner,
    pub created_at: UnixMicros,
    pub updated_at: UnixMicros,
}

/// One way to serve a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeploymentObject {
    pub id: DeploymentId,
    pub provider_id: ProviderId,
    /// The provider's name for the model; absent in a pattern, where the part under the star is passed on.
    pub upstream_model: Option<String>,
    /// Share of the traffic relative to the model's other deployments; 0 is a last resort.
    pub weight: u32,
    /// Replaces the catalogue's price.
    pub price: Option<Price>,
    pub timeouts: TimeoutOverrides,
    pub enabled: bool,
}

/// The owner of a key: exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyOwner {
    Team(TeamId),
    Project(ProjectId),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KeyObject {
    pub id: KeyId,
    pub organization_id: OrganizationId,
    pub owned_by: KeyOwner,
    pub name: String,
    pub grants: Grants,
    pub expires_at: Option<UnixMicros>,
    /// Set once, never unset: a revoked key stays dead.
    pub revoked_at: Option<UnixMicros>,
    pub created_at: UnixMicros,
}

/// How a credential's secret was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialAlgorithm {
    /// HMAC-SHA-256 of the whole token under the pepper of `pepper_version`.
    HmacSha256,
}

/// One secret of a key. The secret itself is nowhere; `hash` recognises it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialObject {
    pub id: CredentialId,
    pub key_id: KeyId,
    pub organization_id: OrganizationId,
    pub lookup: CredentialLookup,
    pub algorithm: CredentialAlgorithm,
    pub pepper_version: u32,
    pub hash: [u8; 32],
    /// The end of the grace period after a rotation, or the end that was asked for at creation.
    pub expires_at: Option<UnixMicros>,
    pub created_at: UnixMicros,
}

/// Everything a snapshot is built from.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    /// The store's version counter when this was read.
    pub version: u64,
    pub organizations: Vec<Organization>,
    pub teams: Vec<Team>,
    pub projects: Vec<Project>,
    pub providers: Vec<ProviderObject>,
    pub models: Vec<ModelObject>,
    /// Not revoked; expired ones may be among them.
    pub keys: Vec<KeyObject>,
    pub credentials: Vec<CredentialObject>,
    pub budgets: Vec<BudgetObject>,
    pub limits: Vec<LimitObject>,
}

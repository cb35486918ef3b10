//! Whose calls, to which models, counted together or one by one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::{
    DeploymentId, GroupId, KeyId, ModelPattern, ProjectId, ProviderId, ServiceAccountId, TeamId, UserId,
};

/// Which calls a budget or limit counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    #[serde(default)]
    pub place: Place,
    /// Counts each member of the place for itself, instead of all together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Each>,
    /// Only calls to these models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelSelector>,
}

/// Where calls come from or go to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    #[default]
    Organization,
    Team(TeamId),
    Project(ProjectId),
    User(UserId),
    Group(GroupId),
    ServiceAccount(ServiceAccountId),
    Key(KeyId),
    /// An end user whom applications name, in the whole organization.
    Customer(Box<str>),
    Provider(ProviderId),
    Deployment(DeploymentId),
}

/// A kind of members: every one that shows up has a count of its own, made on first use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Each {
    Team,
    Project,
    User,
    ServiceAccount,
    Key,
    Customer,
}

/// Some of the models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelSelector {
    /// A public name, or a prefix with a star.
    Name(#[schemars(with = "String")] ModelPattern),
    /// Models that carry the tag.
    Tag(Box<str>),
}

impl Place {
    /// Whether it can only be told once a deployment was chosen.
    pub const fn is_upstream(&self) -> bool {
        matches!(self, Self::Provider(_) | Self::Deployment(_))
    }
}

impl Scope {
    /// Whether the caller's credential alone tells that it applies, and to which member.
    pub const fn needs_no_body(&self) -> bool {
        self.model.is_none()
            && !self.place.is_upstream()
            && !matches!(self.place, Place::Customer(_))
            && !matches!(self.each, Some(Each::Customer))
    }
}

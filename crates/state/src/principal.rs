//! Who calls and who pays.

use serde::{Deserialize, Serialize};
use tollgate_core::{CredentialId, KeyId, OrganizationId, ProjectId, ServiceAccountId, TeamId, UserId};

/// The person or machine behind a call, where known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// A key that belongs to a team or project and to nobody in particular.
    None,
    User(UserId),
    ServiceAccount(ServiceAccountId),
}

/// The place in the tree that pays for a call: organization → team → project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payer {
    pub organization_id: OrganizationId,
    pub team_id: Option<TeamId>,
    pub project_id: Option<ProjectId>,
}

/// Exactly one per call. Customer and tags are the call's own and are kept beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    pub subject: Subject,
    pub payer: Payer,
    pub key_id: Option<KeyId>,
    pub credential_id: Option<CredentialId>,
}

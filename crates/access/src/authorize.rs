//! Authorisation as a value: the store's functions take a [`Proof`], and only [`Actor::authorize`] makes one.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use tollgate_core::{AdminTokenId, OrganizationId};

/// Who acts on the control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    kind: ActorKind,
}

/// The kinds of actors, as audit events name them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// The holder of an admin credential: may do everything.
    Administrator(AdminTokenId),
    /// Configuration files applied at start or on reload.
    ConfigurationFiles,
    /// Tollgate itself: first boot, demo data, jobs. Names the part that acts.
    System(String),
}

/// Where in the tree a permission is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The whole installation.
    Installation,
    Organization(OrganizationId),
}

/// A named permission; each is a type, so that a proof of one is not a proof of another.
pub trait Permission {
    /// As routes and error messages name it, for example `keys.write`.
    const NAME: &'static str;
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}

        impl Permission for $name {
            const NAME: &'static str = $text;
        }
    )*};
}

permissions! {
    /// See organizations, teams and projects.
    TreeRead = "tree.read";
    /// Make, rename and delete organizations, teams and projects.
    TreeWrite = "tree.write";
    /// See providers; never their secrets.
    ProvidersRead = "providers.read";
    ProvidersWrite = "providers.write";
    ModelsRead = "models.read";
    ModelsWrite = "models.write";
    /// See keys; never their secrets.
    KeysRead = "keys.read";
    KeysWrite = "keys.write";
    /// See budgets and what they have counted.
    BudgetsRead = "budgets.read";
    /// Make, change, raise and delete budgets.
    BudgetsWrite = "budgets.write";
    LimitsRead = "limits.read";
    LimitsWrite = "limits.write";
    /// See webhooks and their deliveries; never their secrets.
    WebhooksRead = "webhooks.read";
    WebhooksWrite = "webhooks.write";
    AlertsRead = "alerts.read";
    /// Compare balances with usage records.
    LedgerVerify = "ledger.verify";
    /// Give up the money that a lost process held.
    LedgerWriteOff = "ledger.write_off";
    /// See usage, costs and request records.
    UsageRead = "usage.read";
    AuditRead = "audit.read";
    /// Health, versions, settings of the process.
    SystemRead = "system.read";
    /// Read the metrics endpoint.
    MetricsRead = "metrics.read";
}

/// That an actor may do `P` within a scope. Store functions ask for it.
#[derive(Debug, Clone)]
pub struct Proof<P: Permission> {
    actor: Actor,
    scope: Scope,
    permission: PhantomData<P>,
}

/// The actor may not; says which permission is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this credential does not have the permission `{permission}`")]
pub struct Denied {
    pub permission: &'static str,
}

impl Actor {
    /// An administrator, after its credential has been verified.
    pub const fn administrator(id: AdminTokenId) -> Self {
        Self { kind: ActorKind::Administrator(id) }
    }

    pub const fn configuration_files() -> Self {
        Self { kind: ActorKind::ConfigurationFiles }
    }

    pub fn system(part: &str) -> Self {
        Self { kind: ActorKind::System(part.to_owned()) }
    }

    pub const fn kind(&self) -> &ActorKind {
        &self.kind
    }

    /// The one place where it is decided whether an actor may do something.
    pub fn authorize<P: Permission>(&self, scope: Scope) -> Result<Proof<P>, Denied> {
        match self.kind {
            ActorKind::Administrator(_) | ActorKind::ConfigurationFiles | ActorKind::System(_) => {
                Ok(Proof { actor: self.clone(), scope, permission: PhantomData })
            }
        }
    }
}

impl<P: Permission> Proof<P> {
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// Whether the proof covers an organization.
    pub fn covers(&self, organization_id: OrganizationId) -> bool {
        match self.scope {
            Scope::Installation => true,
            Scope::Organization(own) => own == organization_id,
        }
    }
}

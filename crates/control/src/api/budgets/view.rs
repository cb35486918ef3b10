//! Budgets as they are shown: amounts are dollars.

use schemars::JsonSchema;
use serde::Serialize;
use tollgate_core::{
    BudgetId, IncreaseId, KeyId, OrganizationId, ProjectId, ServiceAccountId, TeamId, UnixMicros, UsdAmount,
    UserId,
};
use tollgate_state::governance::{
    BudgetIncrease, BudgetMode, BudgetObject, Clamp, Each, Member, OnExhausted, Scope, Window,
};
use tollgate_state::objects::Owner;

use crate::governance::UnpricedInput;

/// A budget.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct BudgetView {
    id: BudgetId,
    organization_id: OrganizationId,
    name: String,
    scope: Scope,
    /// What may be spent in one window, by the place or by each member.
    amount_usd: UsdAmount,
    window: Window,
    mode: BudgetMode,
    clamp: Clamp,
    /// An alert is raised once per window at each.
    thresholds_percent: Vec<u16>,
    on_exhausted: OnExhausted,
    unpriced: UnpricedInput,
    server_tools_usd: Option<UsdAmount>,
    /// Ended ones may be among them.
    increases: Vec<IncreaseView>,
    enabled: bool,
    owner: Owner,
    created_at: UnixMicros,
    updated_at: UnixMicros,
}

/// More money until a certain time.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct IncreaseView {
    id: IncreaseId,
    amount_usd: UsdAmount,
    created_at: UnixMicros,
    expires_at: UnixMicros,
    /// Who allowed it.
    author: String,
    reason: String,
}

impl From<BudgetIncrease> for IncreaseView {
    fn from(object: BudgetIncrease) -> Self {
        Self {
            id: object.id,
            amount_usd: UsdAmount::of(object.amount_nano_usd),
            created_at: object.created_at,
            expires_at: object.expires_at,
            author: object.author,
            reason: object.reason,
        }
    }
}

impl From<BudgetObject> for BudgetView {
    fn from(object: BudgetObject) -> Self {
        Self {
            id: object.id,
            organization_id: object.organization_id,
            name: object.name,
            scope: object.scope,
            amount_usd: UsdAmount::of(object.amount_nano_usd),
            window: object.window,
            mode: object.mode,
            clamp: object.clamp,
            thresholds_percent: object.thresholds_percent,
            on_exhausted: object.on_exhausted,
            unpriced: object.unpriced.into(),
            server_tools_usd: object.server_tools_nano_usd.map(UsdAmount::of),
            increases: object.increases.into_iter().map(Into::into).collect(),
            enabled: object.enabled,
            owner: object.owner,
            created_at: object.created_at,
            updated_at: object.updated_at,
        }
    }
}

/// Whose count it is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MemberView {
    /// Everybody together.
    All,
    Team(TeamId),
    Project(ProjectId),
    User(UserId),
    ServiceAccount(ServiceAccountId),
    Key(KeyId),
    Customer(Box<str>),
    /// The customers that came when there was no room for another count.
    OtherCustomers,
}

impl MemberView {
    pub(crate) fn new(member: &Member, each: Option<Each>) -> Self {
        match (member, each) {
            (Member::Customer(name), _) => Self::Customer(name.clone()),
            (Member::OtherCustomers, _) => Self::OtherCustomers,
            (Member::Id(id), Some(Each::Team)) => Self::Team(TeamId::from_bytes(*id)),
            (Member::Id(id), Some(Each::Project)) => Self::Project(ProjectId::from_bytes(*id)),
            (Member::Id(id), Some(Each::User)) => Self::User(UserId::from_bytes(*id)),
            (Member::Id(id), Some(Each::ServiceAccount)) => {
                Self::ServiceAccount(ServiceAccountId::from_bytes(*id))
            }
            (Member::Id(id), Some(Each::Key)) => Self::Key(KeyId::from_bytes(*id)),
            (Member::All, _) | (Member::Id(_), Some(Each::Customer) | None) => Self::All,
        }
    }
}

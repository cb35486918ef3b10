//! Budgets and limits as files write them: what they count is named, not told by its id.

use serde::Deserialize;
use tollgate_core::{GroupId, KeyId, ProjectId, ProviderId, ServiceAccountId, TeamId, UsdAmount, UserId};
use tollgate_state::governance::{
    BudgetMode, Clamp, DEFAULT_THRESHOLDS_PERCENT, Each, LimitMeter, LimitPeriod, LimitSharing,
    ModelSelector, OnExhausted, Place, Scope, Window,
};
use tollgate_store::{BudgetDraft, LimitDraft};

use crate::governance::UnpricedInput;

/// Which calls are counted; those of the whole organization unless said otherwise.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileScope {
    #[serde(default)]
    pub place: FilePlace,
    pub each: Option<Each>,
    pub model: Option<ModelSelector>,
}

/// Where calls come from or go to. Teams, projects, keys and providers are those of the same files, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FilePlace {
    #[default]
    Organization,
    Team(String),
    Project(String),
    Key(String),
    Provider(String),
    Customer(Box<str>),
    User(UserId),
    Group(GroupId),
    ServiceAccount(ServiceAccountId),
}

const fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileBudget {
    pub name: String,
    #[serde(default)]
    pub scope: FileScope,
    pub amount_usd: UsdAmount,
    pub window: Window,
    #[serde(default)]
    pub mode: BudgetMode,
    #[serde(default)]
    pub clamp: Clamp,
    pub thresholds_percent: Option<Vec<u16>>,
    #[serde(default)]
    pub on_exhausted: OnExhausted,
    #[serde(default)]
    pub(crate) unpriced: UnpricedInput,
    pub server_tools_usd: Option<UsdAmount>,
    #[serde(default = "yes")]
    pub enabled: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileLimit {
    pub name: String,
    #[serde(default)]
    pub scope: FileScope,
    pub meter: LimitMeter,
    pub amount: u64,
    #[serde(default)]
    pub per: LimitPeriod,
    pub burst: Option<u64>,
    #[serde(default)]
    pub sharing: LimitSharing,
    #[serde(default = "yes")]
    pub enabled: bool,
}

impl FileScope {
    /// The scope with what was found under its names.
    pub(super) fn at(&self, place: Place) -> Scope {
        Scope { place, each: self.each, model: self.model.clone() }
    }

    /// As the scope will be, but for the ids.
    pub(super) fn preview(&self) -> Scope {
        self.at(match &self.place {
            FilePlace::Organization => Place::Organization,
            FilePlace::Team(_) => Place::Team(TeamId::generate()),
            FilePlace::Project(_) => Place::Project(ProjectId::generate()),
            FilePlace::Key(_) => Place::Key(KeyId::generate()),
            FilePlace::Provider(_) => Place::Provider(ProviderId::generate()),
            FilePlace::Customer(name) => Place::Customer(name.clone()),
            FilePlace::User(id) => Place::User(*id),
            FilePlace::Group(id) => Place::Group(*id),
            FilePlace::ServiceAccount(id) => Place::ServiceAccount(*id),
        })
    }
}

impl FileBudget {
    pub(super) fn draft(&self, scope: Scope) -> BudgetDraft {
        BudgetDraft {
            name: self.name.clone(),
            scope,
            amount_nano_usd: self.amount_usd.nano_usd(),
            window: self.window.clone(),
            mode: self.mode,
            clamp: self.clamp,
            thresholds_percent: self.thresholds_percent.clone().unwrap_or(DEFAULT_THRESHOLDS_PERCENT.into()),
            on_exhausted: self.on_exhausted.clone(),
            unpriced: self.unpriced.into(),
            server_tools_nano_usd: self.server_tools_usd.map(UsdAmount::nano_usd),
            enabled: self.enabled,
        }
    }
}

impl FileLimit {
    pub(super) fn draft(&self, scope: Scope) -> LimitDraft {
        LimitDraft {
            name: self.name.clone(),
            scope,
            meter: self.meter,
            amount: self.amount,
            per: self.per,
            burst: self.burst,
            sharing: self.sharing,
            enabled: self.enabled,
        }
    }
}

//! Money over a window.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::{BudgetId, IncreaseId, NanoUsd, OrganizationId, UnixMicros};

use super::scope::Scope;
use crate::objects::Owner;

/// Percentages of a budget at which an alert is raised unless it names its own.
pub const DEFAULT_THRESHOLDS_PERCENT: [u16; 3] = [50, 80, 100];

/// A budget. Scope and window stay what they were at creation: what was counted would mean something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetObject {
    pub id: BudgetId,
    pub organization_id: OrganizationId,
    /// Unique within the organization; refusals name it.
    pub name: String,
    pub scope: Scope,
    /// What may be spent in one window, by the place or by each member.
    pub amount_nano_usd: NanoUsd,
    pub window: Window,
    pub mode: BudgetMode,
    pub clamp: Clamp,
    /// Ascending; an alert is raised once per window at each.
    pub thresholds_percent: Vec<u16>,
    pub on_exhausted: OnExhausted,
    pub unpriced: Unpriced,
    /// What tools that the provider runs (web search, code) may add to one call at most. Without it a hard or stepped
    /// budget refuses calls that ask for them.
    pub server_tools_nano_usd: Option<NanoUsd>,
    pub increases: Vec<BudgetIncrease>,
    pub enabled: bool,
    pub owner: Owner,
    pub created_at: UnixMicros,
    pub updated_at: UnixMicros,
}

/// Over which time spending is summed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    pub kind: WindowKind,
    /// IANA name of the zone whose calendar counts, for example `Europe/Berlin`.
    #[serde(default = "utc")]
    pub time_zone: Box<str>,
}

fn utc() -> Box<str> {
    "UTC".into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// Never begins again.
    Once,
    Hour,
    Day,
    /// Begins on Monday.
    Week,
    Month,
    Quarter,
    Year,
    /// The last so many seconds, in sixty buckets, rounded against the caller.
    RollingS(u32),
}

/// How strictly a budget is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BudgetMode {
    /// Every call reserves the most that it can cost.
    Hard,
    /// Streams reserve a step at a time and end when the next one is refused; other calls as in `hard`.
    #[default]
    Stepped,
    /// Never refuses; raises alerts.
    Soft,
    /// Counts only.
    Observe,
}

impl BudgetMode {
    /// Whether calls can be refused.
    pub const fn refuses(self) -> bool {
        matches!(self, Self::Hard | Self::Stepped)
    }
}

/// When the output cap of a call is lowered to what is affordable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Clamp {
    /// Only where the client set none.
    #[default]
    Missing,
    /// Also below what the client asked for.
    Always,
}

/// What happens to a call that a budget cannot pay for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnExhausted {
    #[default]
    Refuse,
    /// It goes to this model instead, if that one can be paid for.
    Substitute { model: Box<str> },
}

/// What happens to a call whose price nobody knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unpriced {
    #[default]
    Refuse,
    /// Each such call counts as this much.
    FlatNanoUsd(NanoUsd),
    /// It is let through and not counted here.
    Allow,
}

/// More money until a certain time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetIncrease {
    pub id: IncreaseId,
    pub amount_nano_usd: NanoUsd,
    pub created_at: UnixMicros,
    pub expires_at: UnixMicros,
    /// Who allowed it, as the audit trail names them.
    pub author: String,
    pub reason: String,
}

impl BudgetObject {
    /// What may be spent in the window that `now` is in, increases included.
    pub fn amount_at(&self, now: UnixMicros) -> NanoUsd {
        let active = self.increases.iter().filter(|one| one.created_at <= now && now < one.expires_at);
        active.fold(self.amount_nano_usd, |sum, one| sum + one.amount_nano_usd)
    }
}

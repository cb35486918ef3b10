//! Requests, tokens or concurrency over a window.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_core::{LimitId, OrganizationId, UnixMicros};

use super::scope::Scope;
use crate::objects::Owner;

/// A rate or concurrency limit. Scope, meter and period stay what they were at creation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitObject {
    pub id: LimitId,
    pub organization_id: OrganizationId,
    /// Unique within the organization; refusals name it.
    pub name: String,
    pub scope: Scope,
    pub meter: LimitMeter,
    /// So many per period; at one time for `concurrency`.
    pub amount: u64,
    /// Ignored for `concurrency`.
    pub per: LimitPeriod,
    /// How many may come at once; a tenth of `amount`, at least 1, where absent.
    pub burst: Option<u64>,
    pub sharing: LimitSharing,
    pub enabled: bool,
    pub owner: Owner,
    pub created_at: UnixMicros,
    pub updated_at: UnixMicros,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitMeter {
    Requests,
    InputTokens,
    OutputTokens,
    TotalTokens,
    Concurrency,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitPeriod {
    Second,
    #[default]
    Minute,
    Hour,
    Day,
}

/// How several processes keep one limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitSharing {
    /// Each process keeps its share by itself.
    #[default]
    Leased,
    /// Redis decides each time; each process keeps its share while Redis cannot be asked.
    Exact,
}

impl LimitPeriod {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    pub const fn as_micros(self) -> i64 {
        match self {
            Self::Second => 1_000_000,
            Self::Minute => 60_000_000,
            Self::Hour => 3_600_000_000,
            Self::Day => 86_400_000_000,
        }
    }
}

impl LimitObject {
    /// How many may come at once after a pause.
    pub fn burst(&self) -> u64 {
        self.burst.unwrap_or(self.amount / 10).max(1)
    }
}

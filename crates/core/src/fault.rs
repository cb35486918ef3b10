//! Whose fault a failure is, and whether asking again can help.

use serde::{Deserialize, Serialize};

/// Whose fault a failure is. A dependency's fault is never reported as the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The caller must change something: 4xx.
    Client,
    /// Tollgate or something it depends on: 500 or 503.
    Gateway,
    /// The provider: 502, 504 or the provider's own status.
    Provider,
}

impl Fault {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gateway => "gateway",
            Self::Provider => "provider",
        }
    }
}

/// Whether sending the same request again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RetryAdvice {
    /// The same request will fail again.
    Never,
    /// May help, at once or after the caller's own back-off.
    Possible,
    /// May help after this many milliseconds.
    AfterMs(u64),
}

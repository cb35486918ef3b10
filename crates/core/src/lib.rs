//! The vocabulary every other crate shares: ids, money, tokens, time, secrets, faults, names, operations.
//!
//! Nothing here does I/O (but for [`fault_point`] in debug builds), and this crate knows no other crate of the workspace.

pub mod base62;
pub mod fault;
pub mod fault_point;
pub mod ids;
pub mod model_name;
pub mod money;
pub mod operation;
pub mod secret;
pub mod time;
pub mod tokens;
pub mod usd_amount;

pub use fault::{Fault, RetryAdvice};
pub use fault_point::FaultPoint;
pub use ids::*;
pub use model_name::{ModelName, ModelPattern};
pub use money::{NanoUsd, NanoUsdPerMillion};
pub use operation::{Dialect, Operation};
pub use secret::SecretText;
pub use time::{Clock, SystemClock, UnixMicros};
pub use tokens::TokenUsage;
pub use usd_amount::{InvalidUsdAmount, UsdAmount};

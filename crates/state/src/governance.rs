//! Budgets and limits as the store holds them, and which of them apply to a call.
//!
//! What they have counted is not here: that outlives every publish and belongs to the ledger.

mod budget;
mod limit;
mod matching;
mod member;
mod scope;

pub use budget::{
    BudgetIncrease, BudgetMode, BudgetObject, Clamp, DEFAULT_THRESHOLDS_PERCENT, OnExhausted, Unpriced,
    Window, WindowKind,
};
pub use limit::{LimitMeter, LimitObject, LimitPeriod, LimitSharing};
pub use matching::{CallFacts, Governance, Upstream};
pub use member::{InvalidMember, Member};
pub use scope::{Each, ModelSelector, Place, Scope};

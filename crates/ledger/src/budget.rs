//! Budgets, kept exactly: what a call may cost at most is reserved on every balance that counts it, or on none, before
//! anything is sent; when it has ended, the reservation becomes what the call did cost.
//!
//! A *balance* is the count of one budget for one member. `BalanceState` is the whole of its
//! rules: integers, with time as a parameter. Around it, a [`BudgetBook`] holds the lines of all budgets, a
//! [`BudgetLine`] the balances of one, and a [`Hold`] what one attempt has reserved; nobody but its owner can settle
//! it, and only once.
//!
//! In one process the book is the authority. Where several share the budgets, each may only reserve what it leased
//! before ([`LeaseSource`]), so that the sum of all never passes the limit.

mod admission;
mod balance;
mod book;
mod counters;
mod hold;
mod lease;
mod line;
mod state;
mod window;

pub use book::{BudgetBook, Claim, Shortage};
pub use counters::BudgetCounts;
pub use hold::{Hold, Settled};
pub use lease::{LeaseError, LeaseFuture, LeaseGrant, LeaseRequest, LeaseReturn, LeaseSource, RenewedLeases};
pub use line::{BalanceReport, BudgetLine};
pub use window::{UnknownTimeZone, check_time_zone, window_at};

#[cfg(test)]
mod tests;

//! Where a process gets money from when several share the budgets.

mod allowance;
mod keeper;
mod premise;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tollgate_core::{NanoUsd, UnixMicros};

pub(super) use allowance::{Allowance, Asking, Uncovered};
pub(super) use keeper::Leases;

use crate::record::BalanceKey;

/// The answer of a [`LeaseSource`].
pub type LeaseFuture<'a, Answer> = Pin<Box<dyn Future<Output = Result<Answer, LeaseError>> + Send + 'a>>;

/// The authority over budgets that processes share: what is spent and what all of them have leased never exceeds a
/// budget's amount.
///
/// A lease is what one process (instance and epoch) holds on one balance. Its money is *outstanding* until the process's
/// journal ships charges against it or it is given back; neither expiry nor silence frees it. Operations on one
/// balance carry rising sequence numbers, and one whose number is not above the last that was executed must change
/// nothing: an operation whose answer was lost may arrive late. An answer that takes more than two seconds counts as
/// none, and the future is dropped.
///
/// While a budget did not refuse, a process may have spent more on a balance than it leased; that counts as consumed of
/// what it leases later.
pub trait LeaseSource: Send + Sync {
    /// Adds to the lease and renews it. At least `at_least` or nothing, at most `at_most`; in between, what is fair to
    /// the other processes: half of what is left, divided by their number.
    fn lease(&self, request: LeaseRequest) -> LeaseFuture<'_, LeaseGrant>;

    /// Takes back money that is not needed.
    fn give_back(&self, returned: LeaseReturn) -> LeaseFuture<'_, ()>;

    /// Lets these leases run on for the returned time, counted from when this was asked. One that is not there any
    /// more is left out of the answer.
    fn renew(&self, balances: Vec<Arc<BalanceKey>>) -> LeaseFuture<'_, RenewedLeases>;
}

/// A wish for money on one balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseRequest {
    pub balance: Arc<BalanceKey>,
    pub sequence: u64,
    /// The balances of the member whose windows begin from here …
    pub counts_from: UnixMicros,
    /// … to here count against the ceiling, with what is spent and outstanding. Of a rolling window these are the
    /// buckets that it reaches and all later ones, otherwise both are where `balance` begins.
    pub counts_to: UnixMicros,
    /// When the window, or the bucket, ends; `None` for one without end.
    pub window_end: Option<UnixMicros>,
    /// What may be spent in the window now, increases included.
    pub ceiling: NanoUsd,
    /// What the holder still counts as granted, in the sense of [`LeaseGrant::granted`]. The lease becomes that before
    /// anything is added: what is above was given back, or its grant never arrived.
    pub keeps: NanoUsd,
    pub at_least: NanoUsd,
    pub at_most: NanoUsd,
}

/// What a process holds on a balance after its wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseGrant {
    /// All that was granted to this process on this balance, less what it gave back. What it spent of it stays in.
    pub granted: NanoUsd,
    /// From when this was asked.
    pub expires_in: Duration,
    /// What is still there for anybody to lease. Negative when more is spent and outstanding than there may be, because
    /// the budget was lowered: then the holder uses nothing more of what it has.
    pub left: NanoUsd,
}

/// Money that goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseReturn {
    pub balance: Arc<BalanceKey>,
    pub sequence: u64,
    /// What the lease holds from now on, in the sense of [`LeaseGrant::granted`]; never less than was spent of it.
    pub granted: NanoUsd,
}

/// Leases that run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewedLeases {
    pub balances: Vec<Arc<BalanceKey>>,
    pub expires_in: Duration,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// It can be tried again.
    #[error("the store of the budgets cannot be reached: {0}")]
    Unavailable(Box<str>),
    /// This process was declared lost and its leases were written off. It must not lease again before a restart.
    #[error("this process was declared lost and may lease nothing until it is started again")]
    Fenced,
}

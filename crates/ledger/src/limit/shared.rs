//! Limits that several processes keep as one: what is asked of the authority that they share.

use std::any::Any;
use std::fmt::Debug;
use std::pin::Pin;

use tollgate_state::governance::{LimitMeter, LimitObject, LimitSharing, Member};

use super::pace::Pace;

/// Decides limits for all processes at once. Awaited by the data plane, whose runtimes have one thread each: an
/// implementation does its work elsewhere.
pub trait SharedLimiter: Send + Sync + Debug {
    /// Whether it is worth asking. While it is not, each process keeps its part.
    fn is_reachable(&self) -> bool;

    /// Takes on all counts or on none, and answers within some tens of milliseconds. When the future is dropped, what
    /// is held at the same time is given back.
    fn decide(&self, wants: Vec<SharedWant>) -> SharedAnswer;

    /// Moves the theoretical arrival time of a rate; may be lost.
    fn correct(&self, correction: SharedCorrection);
}

pub type SharedAnswer = Pin<Box<dyn Future<Output = Result<SharedDecision, Unreachable>> + Send>>;

/// The authority did not answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the shared limiter cannot be reached")]
pub struct Unreachable;

/// A count that a call wants to be part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedWant {
    /// Organization, limit and member. The organization is marked so that a cluster keeps its counts together.
    pub key: String,
    pub cost: SharedCost,
}

/// What a call takes. Times are microseconds, which an authority that calculates in doubles can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedCost {
    Rate {
        /// What the call takes at the limit's rate.
        slice_us: i64,
        tolerance_us: i64,
        /// The call is larger than the burst: everything before must have drained.
        needs_idle: bool,
        /// Further ahead of now, a theoretical arrival time is from before the clock was set back.
        furthest_us: i64,
    },
    /// One of so many.
    Permit { amount: u64 },
}

/// What was decided, want by want.
pub struct SharedDecision {
    pub standings: Vec<SharedStanding>,
    /// Absent when the call is refused. Dropping it gives back what is held at the same time.
    pub held: Option<Box<dyn Any + Send + Sync>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedStanding {
    /// How far the theoretical arrival time lies ahead, after this call if it was admitted.
    pub ahead_us: i64,
    pub refusal: Option<SharedRefusal>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedRefusal {
    WaitUs(i64),
    Busy,
}

/// What a call used beyond its estimate, or less.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedCorrection {
    pub key: String,
    pub difference_us: i64,
    pub tolerance_us: i64,
    pub furthest_us: i64,
}

/// Whether all processes keep the limit as one, where they can.
pub(super) fn is_exact(limit: &LimitObject) -> bool {
    limit.sharing == LimitSharing::Exact
}

pub(super) fn key(limit: &LimitObject, member: &Member) -> String {
    let organization = limit.organization_id.as_uuid();
    format!("tollgate:{{{}}}:limit:{}:{member}", organization.simple(), limit.id.as_uuid().simple())
}

pub(super) fn cost(limit: &LimitObject, cost: u64) -> SharedCost {
    if limit.meter == LimitMeter::Concurrency {
        return SharedCost::Permit { amount: limit.amount };
    }
    let pace = Pace::new(limit, 1);
    SharedCost::Rate {
        slice_us: pace.slice_us(cost),
        tolerance_us: pace.tolerance_us(),
        needs_idle: pace.is_beyond_burst(cost),
        furthest_us: pace.furthest_us(),
    }
}

//! Rate and concurrency limits, decided in memory.
//!
//! A [`LimitBook`] keeps one word per limit and member, changed by compare-and-swap, so limits of others cost nothing and
//! unrelated teams share no cache line. Rates follow the generic cell rate algorithm: any window as long as the period
//! admits at most the amount and the burst. Time is a parameter.

#![expect(clippy::result_large_err, reason = "a refusal is moved once; boxing would make attacks allocate")]

mod book;
mod cell;
mod entry;
mod file;
mod line;
mod pace;
mod redis;
mod report;
mod shared;
mod snapshot;
mod taken;

pub use book::{DEFAULT_MOST_CUSTOMERS, LimitBook, Want};
pub use file::{LimitFile, LimitFileError};
pub use line::LimitLine;
pub use pace::CORRECTION_PERIODS;
pub use redis::{BadRedisUrl, DEFAULT_RESPONSE_TIMEOUT, RedisLimiter};
pub use report::LimitReport;
pub use shared::{
    SharedAnswer, SharedCorrection, SharedCost, SharedDecision, SharedLimiter, SharedRefusal, SharedStanding,
    SharedWant, Unreachable,
};
pub use snapshot::{DamagedSnapshot, LimitSnapshot};
pub use taken::{OverLimit, Retry, Taken};

#[cfg(test)]
mod tests;

//! What was called and what it cost: totals from the hourly sums, single records from the records.

pub(crate) mod request;
pub(crate) mod requests;
pub(crate) mod usage;

//! Names of metrics, spans and log fields in one place, and what exports them.

pub mod histogram;
pub mod metrics;

pub use histogram::Histogram;
pub use metrics::{Finished, Metrics, Series, SeriesLabels};

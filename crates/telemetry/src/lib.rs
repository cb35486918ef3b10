//! Names of metrics, spans and log fields in one place, and what exports them.
//!
//! [`names`] has the metrics and log fields, [`genai`] the attributes of spans. The data plane counts into
//! [`Metrics`] and leaves a [`FinishedCall`] in a [`CallSink`] where somebody wants it; [`otlp`] and [`access_log`]
//! take it from there, on the control plane's threads.

pub mod access_log;
pub mod call;
pub mod genai;
pub mod histogram;
pub mod logs;
pub mod metrics;
pub mod names;
pub mod otlp;
pub mod process;
pub mod sources;
pub mod spans;
pub mod trace_context;

pub use call::{CallCounters, CallReceiver, CallSink, FinishedAttempt, FinishedCall};
pub use histogram::Histogram;
pub use metrics::{Finished, Metrics, Series, SeriesLabels};
pub use sources::Sources;
pub use trace_context::{Sampler, TraceContext};

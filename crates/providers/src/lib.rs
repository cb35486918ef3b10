//! Providers as data: where they live, how they authenticate, which dialects they speak, what their errors mean.
//!
//! Opens no socket: it says what to send and how to read the answer's status, others send.

pub mod answer;
pub mod kind;

pub use answer::{Classification, classify, retry_after_ms};
pub use kind::{Auth, ProviderKind, UpstreamRoute, find, known};

//! The API dialects as data: requests, answers, streams and errors, with no I/O.
//!
//! The hot path forwards bytes that it has only looked at ([`peek()`], [`splice()`], [`observe`], [`answer`]); translation
//! between dialects goes through one canonical form.

pub mod answer;
pub mod canonical;
pub mod errors;
pub mod objects;
pub mod observe;
pub mod peek;
mod produced;
pub mod rate_limits;
mod scan;
pub mod splice;
pub mod sse;
pub mod translate;
pub mod usage;

pub use answer::{Answer, BadAnswer, produced_text, read_answer};
pub use errors::{ErrorBody, ErrorKind, error_body, stream_error_event};
pub use objects::{HandedOut, HandedOutKind, NamedObject};
pub use observe::{ObserverOptions, Relay, StreamError, StreamObserver, StreamProblem};
pub use peek::{BadBody, Beyond, BeyondText, Field, Peeked, Span, input_bound_tokens, peek};
pub use splice::{Edits, ModelText, OutputCap, Spliced, lowest_output_cap, splice};
pub use sse::{SseError, SseEvent, SseReader};
pub use usage::UsageProblem;

const fn dialect_inclusion(dialect: tollgate_core::Dialect) -> usage::Inclusion {
    match dialect {
        tollgate_core::Dialect::AnthropicMessages => usage::Inclusion::BesideInput,
        _ => usage::Inclusion::PartOfPrompt,
    }
}

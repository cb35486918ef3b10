//! A provider over raw TCP that records every request and answers, byte for byte, what a script says.

mod connection;
mod defaults;
mod matching;
mod named;
mod provider;
mod reading;
mod recorded;
mod reply;
mod signal;

pub use matching::{Behaviour, Match};
pub use provider::ScriptedProvider;
pub use recorded::RecordedRequest;
pub use reply::{Framing, Reply, Step};
pub use signal::Signal;

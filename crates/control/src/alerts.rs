//! Alerts, from the store to those who should know: the log, and webhooks by the Standard Webhooks scheme.

mod delivery;
mod payload;
mod schedule;
mod signature;
mod target;
mod verification;

pub use delivery::DeliveryCounts;
pub(crate) use delivery::{Deliverer, send_test};
pub(crate) use payload::message;
pub(crate) use signature::{Signer, new_secret};
pub(crate) use target::Target;
pub(crate) use verification::Verifier;

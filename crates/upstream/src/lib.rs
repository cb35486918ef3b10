//! Outbound connections. No other crate opens any.
//!
//! [`Client`] serves the data plane: it lives on one thread, keeps its own pool and takes no locks. [`fetch()`] serves
//! the control plane: one call, from any thread. Both go through the same egress guard ([`Egress`]), the same
//! connection code and the same time-outs.
//!
//! HTTP/1.1 only: one exchange at a time on a connection means that one slow stream cannot hold up another, and
//! closing a connection is a cancel that every provider understands.

mod client;
mod connection;
mod counters;
mod egress;
mod error;
mod fetch;
mod inbound;
mod origin;
mod outbound;
mod pool;
mod progress;
mod resolve;
mod timeouts;
mod tls;

pub use client::Client;
pub use counters::{PoolCounters, PoolStatistics};
pub use egress::{Egress, EgressRefusal};
pub use error::{ReadError, SendError};
pub use fetch::{FetchError, FetchedResponse, OneShot, fetch};
pub use inbound::InboundBody;
pub use origin::{Origin, OriginError};
pub use outbound::OutboundBody;
pub use pool::ClientSettings;
pub use timeouts::Timeouts;
pub use tls::{TlsSetupError, client_config};

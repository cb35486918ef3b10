//! The control plane: admin API, publishing of snapshots, configuration files, audit.
//!
//! It knows the data plane by the ports of [`ports`] only.

pub mod alerts;
mod api;
mod balances;
pub mod bootstrap;
mod call;
pub mod configuration;
pub mod connection;
pub mod demo;
mod file_keys;
mod governance;
mod lookups;
mod misses;
pub mod openapi;
mod plane;
pub mod ports;
mod problem;
pub mod publisher;
mod route;
#[cfg(test)]
mod test_plane;

pub use connection::{Connection, Installation, OpenError};
pub use plane::{ControlPlane, Parts};
pub use problem::{FieldError, Problem};

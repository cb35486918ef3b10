//! The data plane: one request's journey, in order.
//!
//! Read [`journey`] first: it is the whole path on one page, and its folder holds one file per stage. [`server`] owns
//! listeners and connections, [`live`] what all cores share, [`core`] what one core has for itself. Nothing here
//! knows SQL or the control plane.

pub mod account;
pub mod answer;
pub mod core;
pub mod estimate;
pub mod fallback;
pub mod governed;
pub mod health;
pub mod journey;
pub mod live;
pub mod models;
pub mod problem;
pub mod recent_objects;
pub mod reservation;
pub mod retry_budget;
pub mod routes;
pub mod server;
pub mod settings;
pub mod targets;
pub mod throttling;

pub use crate::core::Core;
pub use fallback::{Fallback, FallbackBody};
pub use health::HealthView;
pub use live::{Gateway, GatewayParts, Published};
pub use settings::Settings;

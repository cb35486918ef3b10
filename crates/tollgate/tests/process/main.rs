//! The real program, started as operators start it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod commands;
mod governing;
mod observing;
mod replicas;
mod serving;
mod sharing;
mod support;
mod tls;

//! What the tests of the other crates stand on: a provider that does exactly what a test tells it to, answers with
//! known usage, a library of broken streams, a client that shows raw bytes, and the real binary as a child process.
//!
//! Nothing here is part of the product. What cannot happen in a working test panics with a sentence that says why.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test kit reports a broken set-up by failing the test"
)]

pub mod agents;
pub mod canned;
pub mod client;
pub mod gateway;
pub mod link;
pub mod malformed;
pub mod postgres;
pub mod process;
pub mod redis;
pub mod scripted;

pub use canned::Canned;
pub use client::{RawClient, RawResponse};
pub use gateway::{GatewayPlan, TestGateway};
pub use link::Link;
pub use malformed::{Malformed, Outcome};
pub use postgres::PostgresDatabase;
pub use process::{Bootstrap, Settings, TollgateProcess};
pub use redis::RedisServer;
pub use scripted::{Behaviour, Framing, Match, RecordedRequest, Reply, ScriptedProvider, Signal, Step};

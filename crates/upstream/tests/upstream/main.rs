//! The client against raw servers on loopback that answer byte by byte as each test says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cancelling;
mod framing;
mod one_shot;
mod pooling;
mod server;
mod time_limits;
mod tls;

//! One suite, run on each database: SQLite always, PostgreSQL where `TOLLGATE_TEST_POSTGRES_URL` names a server on
//! which databases may be made.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::too_many_lines
)]

mod alerts;
mod budgets;
mod charging;
mod configuration;
mod copying;
mod harness;
mod keys;
mod leases;
mod objects;
mod reading;
mod records;
mod schema;
mod shipping;
mod sums;
mod system;
mod verifying;

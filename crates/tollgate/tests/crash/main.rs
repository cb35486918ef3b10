//! The real program under load while it is killed, stopped, short of disk or flooded: what clients received must be in
//! the books, once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod books;
mod drain;
mod fault_points;
mod full_disk;
mod installation;
mod kill;
mod load;
mod memory;

use std::time::Duration;

/// How long something may take that nobody signals.
const PATIENCE: Duration = Duration::from_secs(20);

/// One after another: each of these tests uses the whole machine.
static MACHINE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

//! The journal on a simulated disk; real files and killed processes are in `tests/journal_on_disk.rs`.

mod failures;
mod random;
mod reading;
mod writing;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tollgate_core::{InstanceId, SystemClock};

use super::simulated::SimulatedDisk;
use super::*;

fn options() -> JournalOptions {
    JournalOptions {
        minimum_free_bytes: 0,
        // Tests sync when they want to.
        sync_delay: Duration::from_secs(3600),
        ..JournalOptions::new(InstanceId::from_bytes([7; 16]))
    }
}

fn open(disk: &SimulatedDisk, options: JournalOptions) -> Journal {
    Journal::open(Arc::new(disk.clone()), Arc::new(SystemClock), options).unwrap()
}

/// Time stands still unless everything waits for it.
fn run<F: Future>(future: F) -> F::Output {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

/// Everything `reader` has for core 0 now, damage as `None`.
fn drain(reader: &mut JournalReader) -> Vec<Option<Vec<u8>>> {
    let mut entries = Vec::new();
    while let Some(entry) = reader.next(0).unwrap() {
        entries.push(match entry {
            Entry::Record { payload, .. } => Some(payload.to_vec()),
            Entry::Damage(_) => None,
        });
    }
    entries
}

fn read_back(disk: &SimulatedDisk) -> Vec<Option<Vec<u8>>> {
    drain(&mut JournalReader::open(Arc::new(disk.clone())).unwrap())
}

fn record(number: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(8 + number % 50, number as u8);
    bytes
}

fn records(numbers: impl IntoIterator<Item = usize>) -> Vec<Option<Vec<u8>>> {
    numbers.into_iter().map(|number| Some(record(number))).collect()
}

//! What one journal record costs: `cargo run --release -p tollgate-ledger --example journal_cost [directory]`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tollgate_core::{InstanceId, SystemClock};
use tollgate_ledger::journal::{DiskStorage, Journal, JournalOptions, JournalWriter, RecordClass};

const RECORDS: usize = 400_000;
const PAYLOAD_BYTES: usize = 600;

type Failure = Box<dyn std::error::Error>;

#[allow(clippy::print_stdout)]
fn main() -> Result<(), Failure> {
    let directory =
        std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("journal-cost"), PathBuf::from);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("{PAYLOAD_BYTES}-byte records, writer's thread; wall and CPU time per record");
    for batch in [1, 8, 64] {
        let _ = std::fs::remove_dir_all(&directory);
        let journal = Journal::open(
            Arc::new(DiskStorage::open(&directory)?),
            Arc::new(SystemClock),
            JournalOptions::new(InstanceId::generate()),
        )?;
        let writer = journal.writer(0)?;
        let local = tokio::task::LocalSet::new();
        let (wall, cpu) = local.block_on(&runtime, measure(writer, batch));
        println!("batch {batch:>3}: {} ns wall, {} ns cpu", per_record(wall), per_record(cpu));
    }
    println!("yielding alone: {} ns", per_record(runtime.block_on(yields())));
    std::fs::remove_dir_all(&directory)?;
    Ok(())
}

fn per_record(time: Duration) -> u128 {
    time.as_nanos() / RECORDS as u128
}

/// `batch` tasks, each appending one record after the other, as so many concurrent requests would.
async fn measure(writer: JournalWriter, batch: usize) -> (Duration, Duration) {
    tokio::task::spawn_local(writer.flusher());
    let payload = [0xA5; PAYLOAD_BYTES];
    let (begun, cpu_begun) = (Instant::now(), thread_cpu_time());
    let tasks: Vec<_> = (0..batch)
        .map(|_| {
            let writer = writer.clone();
            tokio::task::spawn_local(async move {
                for _ in 0..RECORDS / batch {
                    if writer.append(RecordClass::Intent, &payload).await.is_err() {
                        return;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        let _ = task.await;
    }
    (begun.elapsed(), thread_cpu_time().saturating_sub(cpu_begun))
}

async fn yields() -> Duration {
    let begun = Instant::now();
    for _ in 0..RECORDS {
        tokio::task::yield_now().await;
    }
    begun.elapsed()
}

/// `utime + stime` would count in ticks of 10 ms; the scheduler's own figure is in nanoseconds.
fn thread_cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|field| field.parse().ok()).unwrap_or(0);
    Duration::from_nanos(nanoseconds)
}

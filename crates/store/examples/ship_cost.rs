//! What shipping costs: CPU time per request (one attempt each, sums included) for several batch sizes.
//!
//! `cargo run --release -p tollgate-store --example ship_cost [postgres://…]`; without a URL, on a temporary SQLite file.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "load/records.rs"]
mod records;

use std::time::Instant;

use records::{Tree, settlement};
use tollgate_core::{InstanceId, OrganizationId, UnixMicros};
use tollgate_ledger::journal::Position;
use tollgate_store::{Shipment, Store};

const REQUESTS: usize = 60_000;

/// User and system time of the whole process, in microseconds (Linux).
fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks * 10_000
}

#[tokio::main]
async fn main() {
    let directory = std::env::temp_dir().join(format!("tollgate-ship-cost-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let location =
        std::env::args().nth(1).unwrap_or_else(|| directory.join("store.db").display().to_string());
    let store = Store::open(&location).await.unwrap();
    let tree = Tree::new(OrganizationId::generate(), 20, 1);
    println!("{REQUESTS} requests of 1 attempt, 20 keys, 3 models, {}", store.kind());
    println!("{:>8} {:>16} {:>16}", "batch", "CPU µs/request", "wall µs/request");
    for (core, batch) in [50, 200, 500, 2_000].into_iter().enumerate() {
        let instance_id = InstanceId::generate();
        let start = 1_790_000_000_000_000;
        let settlements: Vec<_> = (0..REQUESTS)
            .map(|number| settlement(&tree, instance_id, number, UnixMicros(start + number as i64 * 5_000)))
            .collect();
        let (cpu, wall) = (cpu_us(), Instant::now());
        let mut from = Position::START;
        for settlements in settlements.chunks(batch) {
            let to = Position { epoch: 1, offset: from.offset + settlements.len() as u64 };
            let core = u16::try_from(core).unwrap();
            let shipment = Shipment {
                instance_id,
                core,
                epoch: 1,
                from,
                to,
                floor: from,
                settlements,
                provider_objects: &[],
            };
            store.system_ship(&shipment).await.unwrap();
            from = to;
        }
        let requests = REQUESTS as f64;
        let cpu = (cpu_us() - cpu) as f64 / requests;
        let wall = wall.elapsed().as_micros() as f64 / requests;
        println!("{batch:>8} {cpu:>16.1} {wall:>16.1}");
    }
    store.close().await;
    std::fs::remove_dir_all(&directory).unwrap();
}

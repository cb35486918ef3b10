//! Measures what the bench provider costs: CPU of its thread per request, and per event of a stream.
//!
//! `cargo run --release -p tollgate-simulator --example bench_cpu`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring tool for developers")]

use std::{fs, time::Instant};

use tollgate_simulator::{BenchProfile, Profile, SimulatedProvider};
use tollgate_testkit::RawClient;

const CONNECTIONS: usize = 64;
const SECONDS: u64 = 5;

/// CPU time of the newest thread called `simulator`, in nanoseconds.
fn simulator_cpu_nanos() -> u64 {
    fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| {
            let path = task.unwrap().path();
            let name = fs::read_to_string(path.join("comm")).ok()?;
            let times = fs::read_to_string(path.join("schedstat")).ok()?;
            let thread: u64 = path.file_name()?.to_str()?.parse().ok()?;
            let nanos: u64 = times.split(' ').next()?.parse().ok()?;
            (name.trim() == "simulator").then_some((thread, nanos))
        })
        .max()
        .map_or(0, |(_, nanos)| nanos)
}

async fn load(name: &str, profile: BenchProfile, body: String) {
    let provider = SimulatedProvider::builder()
        .profile(Profile::Bench(profile))
        .bind("127.0.0.1:0".parse().unwrap())
        .unwrap()
        .spawn_on_thread()
        .unwrap();
    // The first answer shows that the thread runs under its name.
    RawClient::connect(provider.address()).await.unwrap().get("/v1/models", &[]).await.unwrap();
    let before = simulator_cpu_nanos();
    let end = Instant::now() + std::time::Duration::from_secs(SECONDS);
    let clients = (0..CONNECTIONS).map(|_| {
        let (address, body) = (provider.address(), body.clone());
        tokio::spawn(async move {
            let mut client = RawClient::connect(address).await.unwrap();
            let mut count = 0_u64;
            while Instant::now() < end {
                client.post("/v1/chat/completions", &[], &body).await.unwrap();
                count += 1;
            }
            count
        })
    });
    let mut requests = 0;
    for client in clients.collect::<Vec<_>>() {
        requests += client.await.unwrap();
    }
    let nanos = simulator_cpu_nanos() - before;
    println!("{name}: {requests} requests, {:.2} µs CPU each", nanos as f64 / 1e3 / requests as f64);
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let request = |stream: bool, bytes: usize| {
        format!(
            r#"{{"model":"bench","stream":{stream},"messages":[{{"role":"user","content":"{}"}}]}}"#,
            "x".repeat(bytes)
        )
    };
    let usual = BenchProfile::default();
    load("1 KiB", usual, request(false, 900)).await;
    load("100 KiB", BenchProfile { response_bytes: 100 << 10, ..usual }, request(false, 100 << 10)).await;
    load("36 events, one write each", BenchProfile { events: 33, ..usual }, request(true, 900)).await;
    load(
        "36 events in one write",
        BenchProfile { events: 33, events_per_write: usize::MAX, ..usual },
        request(true, 900),
    )
    .await;
}

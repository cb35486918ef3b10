//! `tollgate bench`: a mock provider, a Tollgate before it, the same load on both, and the difference.
//!
//! CPU time per request is the figure that survives a noisy machine.

mod connection;
mod load;
mod process;
mod report;
mod seed;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use clap::Args;
use tollgate_simulator::{BenchProfile, Profile, SimulatedProvider};

use crate::serve::CORE_THREAD_NAME;
use load::{Destination, Load, Pace};
use process::Served;
use report::{Cpu, Installed, Report, Row};

const CONNECTIONS: usize = 64;
const RATE_PER_SECOND: u32 = 200;
/// Events of a measured stream: the mock adds three to its content events.
const EVENTS: usize = 36;
const OTHER_EVENTS: usize = 3;

/// Measure Tollgate on this machine against calling the provider directly
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How long each load runs
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Keys of the second installation; 0 leaves it out
    #[arg(long, default_value_t = 100_000)]
    keys: usize,
    /// Without the budget and two limits that each of four scopes has otherwise
    #[arg(long)]
    ungoverned: bool,
    /// How long after the load memory is looked at again
    #[arg(long, default_value_t = 60)]
    settle_seconds: u64,
    /// Where the mock provider listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    mock_listen: SocketAddr,
    /// Measure a proxy to the mock as well
    #[arg(long, value_name = "NAME=URL")]
    compare: Option<String>,
    /// The one process of that proxy, for its CPU time
    #[arg(long, value_name = "PID", requires = "compare")]
    compare_pid: Option<u32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Something that is measured.
struct Subject {
    name: String,
    destination: Destination,
    /// The process, and how the names of its threads that handle requests begin.
    process: Option<(u32, &'static str)>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let profile = BenchProfile { events: EVENTS - OTHER_EVENTS, ..BenchProfile::default() };
    let mock = SimulatedProvider::builder().profile(Profile::Bench(profile)).bind(options.mock_listen)?;
    let mock = mock.spawn_on_thread()?;
    let direct = subject("direct", mock.address(), String::new(), None);
    let other = options.compare.as_deref().map(|text| compared(text, options.compare_pid)).transpose()?;
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION"),
        debug_build: cfg!(debug_assertions),
        seconds: options.seconds,
        rows: Vec::new(),
        installations: Vec::new(),
    };
    let subjects: Vec<&Subject> = other.iter().collect();
    measure_installation(options, 1, &direct, &subjects, &mut report)?;
    if options.keys > 0 {
        measure_installation(options, options.keys, &direct, &[], &mut report)?;
    }
    if options.json {
        return crate::cli::output::json(&serde_json::to_value(&report)?);
    }
    report.print()
}

fn subject(name: &str, address: SocketAddr, key: String, process: Option<(u32, &'static str)>) -> Subject {
    Subject { name: name.to_owned(), destination: Destination { address, key }, process }
}

fn compared(text: &str, pid: Option<u32>) -> anyhow::Result<Subject> {
    let wrong = || anyhow!("--compare must look like nginx=http://127.0.0.1:18080, not `{text}`");
    let (name, url) = text.split_once('=').ok_or_else(wrong)?;
    let address = url.trim_end_matches('/').strip_prefix("http://").ok_or_else(wrong)?;
    let address = address.parse().map_err(|_| wrong())?;
    Ok(subject(name, address, "none".to_owned(), pid.map(|pid| (pid, ""))))
}

/// The loads of an installation; with many keys only those that keys could make dearer.
fn loads(keys: usize) -> Vec<Load> {
    let with_keys = if keys > 1 { format!(", {keys} keys") } else { String::new() };
    let load = |what: &str, prompt_bytes, stream, pace, how: &str| Load {
        name: format!("{what}, {how}{with_keys}"),
        prompt_bytes,
        stream,
        pace,
    };
    let many = Pace::Closed { connections: CONNECTIONS };
    let busy = format!("{CONNECTIONS} connections");
    let stream = format!("stream of {EVENTS} events");
    let mut loads = vec![
        load("1 KiB", 900, false, many, &busy),
        load("100 KiB", 100 << 10, false, many, &busy),
        load(&stream, 900, true, many, &busy),
    ];
    if keys <= 1 {
        let one = Pace::Closed { connections: 1 };
        loads.push(load("1 KiB", 900, false, one, "1 connection"));
        loads.push(load("100 KiB", 100 << 10, false, one, "1 connection"));
        loads.push(load(&stream, 900, true, one, "1 connection"));
    }
    let rate = Pace::Fixed { per_second: RATE_PER_SECOND };
    loads.push(load("1 KiB", 900, false, rate, &format!("{RATE_PER_SECOND} requests/s")));
    loads
}

fn measure_installation(
    options: &Options,
    keys: usize,
    direct: &Subject,
    others: &[&Subject],
    report: &mut Report,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let data = tempfile::tempdir().context("making a data directory")?;
    let key =
        runtime.block_on(seed::seed(data.path(), direct.destination.address, keys, !options.ungoverned))?;
    let served = Served::start(data.path())?;
    // What the start left to do is done within a second or two.
    std::thread::sleep(Duration::from_secs(2));
    let idle_resident_bytes = process::resident_bytes(served.pid());
    let threads = Some((served.pid(), CORE_THREAD_NAME));
    let tollgate = subject("tollgate", served.address, key.expose().to_owned(), threads);
    for load in loads(keys) {
        let direct_row = measure(direct, &load, options)?;
        for subject in std::iter::once(&tollgate).chain(others.iter().copied()) {
            let mut row = measure(subject, &load, options)?;
            row.relate_to(&direct_row);
            report.rows.push(row);
        }
        report.rows.push(direct_row);
    }
    let ended = Instant::now();
    let loaded_resident_bytes = process::resident_bytes(served.pid());
    let settle = Duration::from_secs(options.settle_seconds);
    let shipped_after = runtime.block_on(until_shipped(&served, ended, settle))?;
    std::thread::sleep(settle.saturating_sub(ended.elapsed()));
    report.installations.push(Installed {
        keys,
        ready_ms: served.ready.as_secs_f64() * 1e3,
        idle_resident_bytes,
        loaded_resident_bytes,
        settled_resident_bytes: process::resident_bytes(served.pid()),
        settled_after_seconds: ended.elapsed().as_secs(),
        shipped_after_ms: shipped_after.map(|after| after.as_secs_f64() * 1e3),
    });
    Ok(())
}

/// How long the shipper took after the load, if not longer than `limit`.
async fn until_shipped(served: &Served, ended: Instant, limit: Duration) -> anyhow::Result<Option<Duration>> {
    loop {
        if served.lag_bytes().await? == 0 {
            return Ok(Some(ended.elapsed()));
        }
        if ended.elapsed() > limit {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn cpu(subject: &Subject) -> Option<Cpu> {
    let (pid, threads) = subject.process?;
    Some(Cpu { handling: process::cpu_nanos(pid, threads), process: process::cpu_nanos(pid, "") })
}

fn measure(subject: &Subject, load: &Load, options: &Options) -> anyhow::Result<Row> {
    // Connections and caches get warm before anything counts.
    load.run(&subject.destination, Duration::from_millis(300))?;
    let (before, started) = (cpu(subject), Instant::now());
    let outcome = load.run(&subject.destination, Duration::from_secs(options.seconds))?;
    let seconds = started.elapsed().as_secs_f64();
    let used = before.zip(cpu(subject)).map(|(before, after)| Cpu {
        handling: after.handling.saturating_sub(before.handling),
        process: after.process.saturating_sub(before.process),
    });
    let events = load.stream.then_some(EVENTS);
    Ok(Row::new(&load.name, &subject.name, &outcome, seconds, used, events))
}

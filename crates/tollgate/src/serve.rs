//! `tollgate serve`: the whole product in one process.
//!
//! The data plane runs on threads of its own, one per core; control plane, shipper and jobs share one small runtime.

mod address;
mod admin;
mod cores;
mod data_directory;
mod demo;
mod detect;
mod fallback;
mod first_steps;
mod governing;
mod metrics;
mod observing;
mod ports;
mod process;
mod reload;
mod screen;
pub(crate) mod settings;
mod shipping;
mod signals;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::runtime::Runtime;

pub(crate) use data_directory::{DataDirectory, create_private, remove_leftover};
use process::{Process, Surroundings};
use settings::Chosen;

/// Where Tollgate listens unless told otherwise.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
pub(crate) const DATABASE_FILE_NAME: &str = "tollgate.db";
/// Names of data-plane threads begin with this.
pub(crate) const CORE_THREAD_NAME: &str = "tollgate-core-";

/// Serve the API, the admin API and metrics
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Address of the API, and of the admin API unless that has its own [default: 127.0.0.1:8080]
    #[arg(long, env = "TOLLGATE_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Own address of admin API and metrics; the other one then answers 404 for them
    #[arg(long, env = "TOLLGATE_ADMIN_LISTEN", value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
    /// Where everything is kept that Tollgate writes [default: data]
    #[arg(long, env = "TOLLGATE_DATA", value_name = "DIRECTORY")]
    data: Option<PathBuf>,
    /// Settings and objects, see `tollgate check`; read again on SIGHUP
    #[arg(long, env = "TOLLGATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// PostgreSQL instead of the SQLite file in the data directory, for example postgres://tollgate@db/tollgate
    #[arg(long, env = "TOLLGATE_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database: Option<String>,
    /// Redis or Valkey that decides limits with exact sharing, for example redis://cache:6379/0
    #[arg(long, env = "TOLLGATE_REDIS_URL", hide_env_values = true, value_name = "URL")]
    redis_url: Option<String>,
    /// File with the key that seals secrets; by default `root.key` in the data directory, made at the first start
    #[arg(long, env = "TOLLGATE_ROOT_KEY_FILE", value_name = "FILE")]
    root_key_file: Option<PathBuf>,
    /// Simulated providers, teams, a key and some history to look at
    #[arg(long)]
    demo: bool,
    /// Look for OPENAI_API_KEY, ANTHROPIC_API_KEY, a local Ollama and vLLM, and use what is there
    #[arg(long)]
    detect: bool,
    /// Write addresses and first credentials as JSON to this file, on the first start only
    #[arg(long, value_name = "FILE")]
    bootstrap_file: Option<PathBuf>,
    /// Data-plane threads; one per processor core unless given
    #[arg(long, env = "TOLLGATE_THREADS", value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// How long running answers may take after SIGTERM, in seconds [default: 30]
    #[arg(long, env = "TOLLGATE_DRAIN_SECONDS", value_name = "SECONDS")]
    drain_seconds: Option<u64>,
}

/// Runs until a signal ends it.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let chosen = Chosen::new(options)?;
    chosen.start_logging()?;
    let directory = DataDirectory::open(&chosen.data)?;
    let cores = options.threads.map_or_else(available_cores, usize::from);
    let (listen, listeners) = address::bind(chosen.listen, cores)?;
    let admin = chosen.admin_listen.map(bind_admin).transpose()?;
    let runtime = control_runtime()?;
    let surroundings = Surroundings { options, chosen: &chosen, directory: &directory, listen, cores };
    let process = runtime.block_on(Process::prepare(&surroundings, admin))?;
    process.serve(runtime, listeners, &surroundings)
}

fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Few threads: nothing here is in a request's way.
fn control_runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .thread_keep_alive(Duration::from_secs(2))
        .thread_name("tollgate-control")
        .enable_all()
        .build()
        .context("could not start the control plane's runtime")
}

fn bind_admin(address: SocketAddr) -> anyhow::Result<(SocketAddr, TcpListener)> {
    let problem = || {
        format!(
            "cannot listen on {address}; stop what serves there, or choose another address with --admin-listen"
        )
    };
    let listener = TcpListener::bind(address).with_context(problem)?;
    listener.set_nonblocking(true).with_context(problem)?;
    Ok((listener.local_addr().with_context(problem)?, listener))
}

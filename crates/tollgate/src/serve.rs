//! `tollgate serve`: the whole product in one process.
//!
//! The data plane runs on threads of its own, one per core; control plane, shipper and jobs share one small runtime.

mod address;
mod cores;
mod data_directory;
mod fallback;
mod logs;
mod metrics;
mod ports;
mod screen;
mod shipping;
mod signals;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tollgate_access::token::{Pepper, PepperRing};
use tollgate_access::{RootKey, root_key};
use tollgate_control::{Connection, ControlPlane, Parts, bootstrap};
use tollgate_core::{Clock, SecretText, SystemClock};
use tollgate_gateway::server::Shutdown;
use tollgate_gateway::{Gateway, GatewayParts, Settings};
use tollgate_ledger::journal::{DiskStorage, Journal, JournalOptions};
use tollgate_telemetry::Metrics;
use tollgate_upstream::{PoolCounters, client_config};

use cores::{CoreParts, Cores};
pub(crate) use data_directory::DataDirectory;
use fallback::ControlFallback;
use ports::{GatewaySink, GatewayView};
use screen::Started;
use shipping::Shipping;

/// Where Tollgate listens unless told otherwise.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
pub(crate) const DATABASE_FILE_NAME: &str = "tollgate.db";

/// Serve the API, the admin API and metrics
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Address of the API, and of the admin API unless that has its own
    #[arg(long, env = "TOLLGATE_LISTEN", value_name = "ADDRESS", default_value = DEFAULT_LISTEN)]
    listen: SocketAddr,
    /// Own address of admin API, console and metrics; the other one then answers 404 for them
    #[arg(long, env = "TOLLGATE_ADMIN_LISTEN", value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
    /// Where everything is kept that Tollgate writes
    #[arg(long, env = "TOLLGATE_DATA", value_name = "DIRECTORY", default_value = "data")]
    data: PathBuf,
    /// PostgreSQL instead of the SQLite file in the data directory, for example postgres://tollgate@db/tollgate
    #[arg(long, env = "TOLLGATE_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database: Option<String>,
    /// File with the key that seals secrets; by default `root.key` in the data directory, made at the first start
    #[arg(long, env = "TOLLGATE_ROOT_KEY_FILE", value_name = "FILE")]
    root_key_file: Option<PathBuf>,
    /// Write address and first credentials as JSON to this file, on the first start only
    #[arg(long, value_name = "FILE")]
    bootstrap_file: Option<PathBuf>,
    /// Data-plane threads; one per processor core unless given
    #[arg(long, env = "TOLLGATE_THREADS", value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// How long running answers may take after SIGTERM, in seconds
    #[arg(long, env = "TOLLGATE_DRAIN_SECONDS", value_name = "SECONDS", default_value_t = 30)]
    drain_seconds: u64,
}

/// Runs until a signal ends it.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    logs::start();
    let directory = DataDirectory::open(&options.data)?;
    let cores = options.threads.map_or_else(available_cores, usize::from);
    let (listen, listeners) = address::bind(options.listen, cores)?;
    let admin = options.admin_listen.map(bind_admin).transpose()?;
    let runtime = control_runtime()?;
    let process = runtime.block_on(Process::prepare(options, &directory, listen, admin, cores))?;
    process.serve(runtime, listeners, options)
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
    let problem = || format!("cannot listen on {address}; stop what serves there, or choose another address with --admin-listen");
    let listener = TcpListener::bind(address).with_context(problem)?;
    listener.set_nonblocking(true).with_context(problem)?;
    Ok((listener.local_addr().with_context(problem)?, listener))
}

/// Everything that is made before the first request.
struct Process {
    gateway: Arc<Gateway>,
    journal: Arc<Journal>,
    connection: Arc<Connection>,
    tls: Arc<rustls::ClientConfig>,
    pools: Vec<Arc<PoolCounters>>,
    listen: SocketAddr,
    started: Started,
    shutdown: watch::Sender<Shutdown>,
    /// Becomes true when the control plane shall stop, after the data plane has.
    stopped: watch::Sender<bool>,
}

impl Process {
    async fn prepare(
        options: &Options,
        directory: &DataDirectory,
        listen: SocketAddr,
        admin: Option<(SocketAddr, TcpListener)>,
        cores: usize,
    ) -> anyhow::Result<Self> {
        let environment = std::env::var(root_key::ENVIRONMENT_VARIABLE).ok();
        let root = RootKey::find(options.root_key_file.as_deref(), environment.as_deref(), directory.path())?;
        let connection = Arc::new(Connection::new(location(options, directory)?, root));
        let first = first_credential(&connection).await?;
        let journal = open_journal(directory, &connection).await?;
        let shipping = Arc::new(Shipping);
        let metrics = Arc::new(Metrics::default());
        let pools: Vec<Arc<PoolCounters>> = (0..cores).map(|_| Arc::default()).collect();
        let admin_address = admin.as_ref().map_or(listen, |(address, _)| *address);
        let tls = client_config(None)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let control = ControlPlane::new(Parts {
            connection: Arc::clone(&connection),
            data_directory: directory.path().to_owned(),
            clock: Arc::clone(&clock),
            tls: Arc::clone(&tls),
            metrics: Arc::new(metrics::registry(&metrics, pools.clone(), Arc::clone(&journal), Arc::clone(&shipping))),
            open_metrics: admin_address.ip().is_loopback(),
            program_version: env!("CARGO_PKG_VERSION"),
            assets: None,
        });
        let router = control.router();
        let shared = ControlFallback::new(router.clone(), tokio::runtime::Handle::current());
        let gateway = Gateway::new(GatewayParts {
            peppers: nobodys_peppers()?,
            lookups: control.lookups(),
            fallback: if admin.is_none() { Some(Arc::new(shared)) } else { None },
            metrics,
            clock,
            settings: Settings::default(),
            instance_id: directory.instance_id()?,
        });
        let stopped = watch::Sender::new(false);
        let view = GatewayView { gateway: Arc::clone(&gateway), journal: Arc::clone(&journal), shipping };
        let sink = Arc::new(GatewaySink(Arc::clone(&gateway)));
        let boot = control.start(sink, Arc::new(view), stopped.subscribe()).await?;
        gateway.peppers.store(Arc::new(boot.peppers));
        if let Some((_, listener)) = admin {
            serve_admin(listener, router, stopped.subscribe())?;
        }
        let started = Started {
            url: address::url(listen, false),
            admin_url: address::url(admin_address, false),
            admin_token: first,
            key: None,
            model: None,
            findings: Vec::new(),
            data: directory.path().display().to_string(),
            store: if options.database.is_some() { "PostgreSQL" } else { "SQLite" },
        };
        let shutdown = watch::Sender::new(Shutdown::Running);
        Ok(Self { gateway, journal, connection, tls, pools, listen, started, shutdown, stopped })
    }

    /// Serves until a signal, drains, and leaves nothing behind.
    fn serve(self, runtime: Runtime, listeners: Vec<TcpListener>, options: &Options) -> anyhow::Result<()> {
        let parts = CoreParts {
            gateway: Arc::clone(&self.gateway),
            journal: Arc::clone(&self.journal),
            tls: self.tls,
            address: self.listen,
            server_tls: None,
            drain: Duration::from_secs(options.drain_seconds),
            shutdown: self.shutdown.subscribe(),
        };
        {
            let _inside = runtime.enter();
            runtime.spawn(signals::Endings::watch()?.obey(Arc::clone(&self.gateway), self.shutdown));
        }
        let cores = Cores::start(parts, listeners, &self.pools)?;
        if let Some(path) = &options.bootstrap_file {
            self.started.write_bootstrap_file(path)?;
        }
        crate::cli::output::line(self.started.screen())?;
        let served = cores.join();
        self.stopped.send_replace(true);
        runtime.block_on(async {
            if let Some(installation) = self.connection.get() {
                installation.store.close().await;
            }
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
        drop(self.journal);
        tracing::info!("stopped");
        served
    }
}

/// The store's URL or file.
pub(crate) fn location(options: &Options, directory: &DataDirectory) -> anyhow::Result<String> {
    match &options.database {
        Some(url) => Ok(url.clone()),
        None => {
            let path = directory.join(DATABASE_FILE_NAME);
            Ok(path.to_str().context("the path of the data directory must be valid UTF-8")?.to_owned())
        }
    }
}

/// Made on the very first start. A store that cannot be reached now is no first start.
async fn first_credential(connection: &Connection) -> anyhow::Result<Option<SecretText>> {
    match connection.open().await {
        Ok(installation) => Ok(bootstrap::first_admin_credential(installation).await?),
        Err(error) if error.is_unavailable() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn open_journal(directory: &DataDirectory, connection: &Connection) -> anyhow::Result<Arc<Journal>> {
    let instance_id = directory.instance_id()?;
    let mut options = JournalOptions::new(instance_id);
    if let Some(installation) = connection.get() {
        let positions = installation.store.system_shipping_positions(instance_id).await?;
        options.minimum_epoch = positions.iter().map(|shipped| shipped.position.epoch).max().unwrap_or(0);
    }
    let storage = DiskStorage::open(directory.join("journal")).context("could not open the journal")?;
    Ok(Arc::new(Journal::open(Arc::new(storage), Arc::new(SystemClock), options)?))
}

/// Recognises no key, until the store's peppers are known.
fn nobodys_peppers() -> anyhow::Result<PepperRing> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    Ok(PepperRing::new(Pepper::new(0, &bytes), Vec::new()))
}

fn serve_admin(
    listener: TcpListener,
    router: axum::Router,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener).context("could not use the admin listener")?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move {
        let ending = async move { drop(stopped.wait_for(|stopped| *stopped).await) };
        if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(ending).await {
            tracing::error!(%error, "the admin listener failed");
        }
    });
    Ok(())
}

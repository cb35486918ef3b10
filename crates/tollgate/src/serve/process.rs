//! The parts of the process, connected; from the first to the last moment.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;
use tollgate_access::token::{Pepper, PepperRing};
use tollgate_access::{RootKey, root_key};
use tollgate_control::{Connection, ControlPlane, Parts};
use tollgate_core::{Clock, SystemClock};
use tollgate_gateway::server::Shutdown;
use tollgate_gateway::{Gateway, GatewayParts};
use tollgate_ledger::journal::Journal;
use tollgate_ledger::shipper::Shipper;
use tollgate_telemetry::{CallSink, Metrics};
use tollgate_upstream::{PoolCounters, client_config};

use super::cores::{CoreParts, Cores};
use super::data_directory::DataDirectory;
use super::demo::{self, Demo};
use super::fallback::ControlFallback;
use super::first_steps::{FirstSteps, first_steps, location, open_journal};
use super::governing::Books;
use super::metrics::Counted;
use super::observing::Observing;
use super::ports::{GatewaySink, GatewayView};
use super::screen::Started;
use super::settings::Chosen;
use super::shipping::{self, Shipping};
use super::{Options, address, admin, metrics, reload, signals};

/// What was chosen and taken before anything is made.
pub(super) struct Surroundings<'a> {
    pub(super) options: &'a Options,
    pub(super) chosen: &'a Chosen,
    pub(super) directory: &'a DataDirectory,
    pub(super) listen: SocketAddr,
    pub(super) cores: usize,
}

/// Everything that is made before the first request.
pub(super) struct Process {
    gateway: Arc<Gateway>,
    control: ControlPlane,
    journal: Arc<Journal>,
    shipper: Shipper,
    books: Books,
    connection: Arc<Connection>,
    tls: Arc<rustls::ClientConfig>,
    server_tls: Option<Arc<rustls::ServerConfig>>,
    pools: Vec<Arc<PoolCounters>>,
    observing: Observing,
    started: Started,
    /// Becomes true when the control plane shall stop, after the data plane has.
    stopped: watch::Sender<bool>,
    _demo: Option<Demo>,
}

impl Process {
    pub(super) async fn prepare(
        with: &Surroundings<'_>,
        admin: Option<(SocketAddr, TcpListener)>,
    ) -> anyhow::Result<Self> {
        let (chosen, directory) = (with.chosen, with.directory);
        let server_tls = chosen.server_tls()?;
        let environment = std::env::var(root_key::ENVIRONMENT_VARIABLE).ok();
        let root = RootKey::find(chosen.root_key_file.as_deref(), environment.as_deref(), directory.path())?;
        let connection = Arc::new(Connection::new(location(chosen, directory)?, root));
        let tls = client_config(None)?;
        let first = first_steps(with, &connection, &tls).await?;
        let journal = Arc::new(open_journal(chosen, directory, &connection).await?);
        let shipper = shipping::shipper(&journal, Arc::clone(&connection), directory.instance_id()?)?;
        let shipping = Arc::new(Shipping::new(shipper.status()));
        let books = Books::open(chosen, directory, &connection, journal.epoch()).await?;
        let metrics = Arc::new(Metrics::default());
        let pools: Vec<Arc<PoolCounters>> = (0..with.cores).map(|_| Arc::default()).collect();
        let admin_address = admin.as_ref().map_or(with.listen, |(address, _)| *address);
        let stopped = watch::Sender::new(false);
        let observing = Observing::start(chosen, &tls, directory.instance_id()?, &stopped.subscribe())?;
        let counted = Counted {
            pools: pools.clone(),
            journal: Arc::clone(&journal),
            shipping: Arc::clone(&shipping),
            calls: Arc::clone(&observing.counters),
            budgets: Arc::clone(&books.budgets),
            deliveries: Arc::default(),
            ledger_differences: Arc::default(),
        };
        let counts = (Arc::clone(&counted.deliveries), Arc::clone(&counted.ledger_differences));
        let control = ControlPlane::new(Parts {
            connection: Arc::clone(&connection),
            data_directory: directory.path().to_owned(),
            clock: Arc::new(SystemClock),
            tls: Arc::clone(&tls),
            metrics: Arc::new(metrics::registry(&metrics, counted)),
            open_metrics: admin_address.ip().is_loopback(),
            budgets: Arc::clone(&books.budgets),
            limits: Arc::clone(&books.limits),
            deliveries: counts.0,
            ledger_differences: counts.1,
            program_version: env!("CARGO_PKG_VERSION"),
            assets: None,
        });
        let gateway = gateway(with, &control, &books, metrics, observing.sink.clone(), admin.is_none())?;
        let view = GatewayView { gateway: Arc::clone(&gateway), journal: Arc::clone(&journal), shipping };
        let sink = Arc::new(GatewaySink(Arc::clone(&gateway)));
        let boot = control.start(sink, Arc::new(view), stopped.subscribe()).await?;
        gateway.peppers.store(Arc::new(boot.peppers));
        let shipper = books.restored(shipping::priced(shipper, Arc::clone(&gateway))).await;
        let shipper = shipper.context("restoring what budgets have spent")?;
        if let Some((_, listener)) = admin {
            let (gateway, journal) = (Arc::clone(&gateway), Arc::clone(&journal));
            let router = admin::with_health(control.router(), gateway, journal);
            admin::serve(listener, server_tls.clone(), router, stopped.subscribe())?;
        }
        let started = started(with, admin_address, &first);
        Ok(Self {
            gateway,
            control,
            journal,
            shipper,
            books,
            connection,
            tls,
            server_tls,
            pools,
            observing,
            started,
            stopped,
            _demo: first.demo,
        })
    }

    /// Serves until a signal, drains, and leaves nothing behind.
    pub(super) fn serve(
        self,
        runtime: Runtime,
        listeners: Vec<TcpListener>,
        with: &Surroundings<'_>,
    ) -> anyhow::Result<()> {
        let shutdown = watch::Sender::new(Shutdown::Running);
        let parts = CoreParts {
            gateway: Arc::clone(&self.gateway),
            journal: Arc::clone(&self.journal),
            tls: self.tls,
            server_tls: self.server_tls,
            drain: with.chosen.drain,
            shutdown: shutdown.subscribe(),
        };
        let inside = runtime.enter();
        signals::outlive_file_size_limits()?;
        let reloading = reload::obey(
            signals::reloads()?,
            with.options.config.clone(),
            with.chosen.file.clone(),
            self.control,
        );
        runtime.spawn(reloading);
        runtime.spawn(signals::Endings::watch()?.obey(Arc::clone(&self.gateway), shutdown));
        // Before anybody can find the process ready, so that scripts may wait for either.
        if let Some(path) = &with.options.bootstrap_file {
            self.started.write_bootstrap_file(path)?;
        }
        let cores = Cores::start(parts, listeners, &self.pools)?;
        let shipping = shipping::start(self.shipper, self.stopped.subscribe());
        let tending = self.books.tend(self.stopped.subscribe());
        drop(inside);
        crate::cli::output::line(self.started.screen())?;
        let served = cores.join();
        // Now nobody writes any more: what is in the journal is all there will be.
        self.stopped.send_replace(true);
        runtime.block_on(async {
            let (shipped, tended) = tokio::join!(shipping, tending);
            if let (Ok(true), Ok(books)) = (shipped, tended) {
                books.give_back().await;
            }
            self.observing.finish().await;
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

fn gateway(
    with: &Surroundings<'_>,
    control: &ControlPlane,
    books: &Books,
    metrics: Arc<Metrics>,
    call_sink: Option<CallSink>,
    shares_address: bool,
) -> anyhow::Result<Arc<Gateway>> {
    let fallback = ControlFallback::new(control.router(), Handle::current());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Ok(Gateway::new(GatewayParts {
        peppers: nobodys_peppers()?,
        lookups: control.lookups(),
        fallback: if shares_address { Some(Arc::new(fallback)) } else { None },
        budgets: Arc::clone(&books.budgets),
        limits: Arc::clone(&books.limits),
        metrics,
        call_sink,
        clock,
        settings: with.chosen.limits.clone(),
        instance_id: with.directory.instance_id()?,
    }))
}

/// Recognises no key, until the store's peppers are known.
fn nobodys_peppers() -> anyhow::Result<PepperRing> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    Ok(PepperRing::new(Pepper::new(0, &bytes), Vec::new()))
}

fn started(with: &Surroundings<'_>, admin: SocketAddr, first: &FirstSteps) -> Started {
    let uses_tls = with.chosen.tls.is_some();
    let key = first.demo.as_ref().and_then(|demo| demo.key.clone());
    Started {
        url: address::url(with.listen, uses_tls),
        admin_url: address::url(admin, uses_tls),
        admin_token: first.admin_token.clone(),
        small_key: first.demo.as_ref().and_then(|demo| demo.small_key.clone()),
        model: key.as_ref().map(|_| demo::FIRST_MODEL.to_owned()),
        key,
        findings: first.findings.clone(),
        data: with.directory.path().display().to_string(),
        store: if with.chosen.database.is_some() { "PostgreSQL" } else { "SQLite" },
    }
}

//! The data-plane threads: one runtime, one listener, one journal and one pool of connections each.

use std::net::TcpListener;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::watch;
use tollgate_gateway::server::{ServerSettings, Shutdown, run_core};
use tollgate_gateway::{Core, Gateway};
use tollgate_ledger::journal::Journal;
use tollgate_upstream::{Client, ClientSettings, PoolCounters};

/// What every core is made with.
pub(crate) struct CoreParts {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) tls: Arc<rustls::ClientConfig>,
    /// Terminates TLS when present.
    pub(crate) server_tls: Option<Arc<rustls::ServerConfig>>,
    /// How long running answers may take after a shutdown was asked for.
    pub(crate) drain: Duration,
    pub(crate) shutdown: watch::Receiver<Shutdown>,
}

/// The running threads.
pub(crate) struct Cores(Vec<JoinHandle<anyhow::Result<()>>>);

impl Cores {
    /// Starts one thread per listener; returns when each has its journal, so that the shipper finds them all.
    pub(crate) fn start(
        parts: CoreParts,
        listeners: Vec<TcpListener>,
        counters: &[Arc<PoolCounters>],
    ) -> anyhow::Result<Self> {
        let parts = Arc::new(parts);
        let (ready, all_ready) = mpsc::channel();
        let count = listeners.len();
        let threads = listeners.into_iter().zip(counters).enumerate().map(|(index, (listener, counters))| {
            let (parts, counters, ready) = (Arc::clone(&parts), Arc::clone(counters), ready.clone());
            let thread = std::thread::Builder::new().name(format!("{}{index}", super::CORE_THREAD_NAME));
            thread.spawn(move || run(&parts, index, listener, counters, &ready))
        });
        let threads = threads.collect::<Result<_, _>>().context("could not start the data-plane threads")?;
        drop(ready);
        // Fewer than there are threads means that one has ended; joining tells why.
        if all_ready.iter().take(count).count() < count {
            Self(threads).join()?;
            bail!("a data-plane thread ended before it began to serve");
        }
        Ok(Self(threads))
    }

    /// Waits until all have drained. The first failure is told.
    pub(crate) fn join(self) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        for thread in self.0 {
            let ended =
                thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a data-plane thread panicked")));
            outcome = outcome.and(ended);
        }
        outcome
    }
}

fn run(
    parts: &Arc<CoreParts>,
    index: usize,
    listener: TcpListener,
    counters: Arc<PoolCounters>,
    ready: &mpsc::Sender<()>,
) -> anyhow::Result<()> {
    let number = u16::try_from(index).context("there are more cores than Tollgate can number")?;
    let journal = parts.journal.writer(number)?;
    let _ = ready.send(());
    let client = Client::new(ClientSettings { counters, ..ClientSettings::new(Arc::clone(&parts.tls)) });
    let mut seed = [0; 8];
    getrandom::fill(&mut seed)
        .map_err(|error| anyhow::anyhow!("the system gives no random bytes: {error}"))?;
    let gateway = Arc::clone(&parts.gateway);
    let settings = ServerSettings { tls: parts.server_tls.clone(), drain: parts.drain };
    let make_core = || Core::new(gateway, client, journal, u64::from_le_bytes(seed));
    run_core(make_core, listener, settings, parts.shutdown.clone())
        .context("a data-plane thread could not serve")
}

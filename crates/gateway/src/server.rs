//! Listeners and connections: each core has its own listener on the shared port and serves what it accepts.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

use crate::core::Core;

mod connection;
mod dispatch;
mod guarded_io;
mod listener;
mod misdirected;
mod patience;
mod renewal;

pub use connection::PeerAddress;
pub use dispatch::dispatch;
pub use listener::bind;

/// How to serve.
#[derive(Clone)]
pub struct ServerSettings {
    /// Terminates TLS when present.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// How long running answers may take after a shutdown was asked for.
    pub drain: Duration,
}

impl std::fmt::Debug for ServerSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ServerSettings").field("drain", &self.drain).finish_non_exhaustive()
    }
}

/// Asks every core to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    Running,
    /// Accept nothing more, finish what runs.
    Drain,
    /// Cut what still runs, now.
    Now,
}

/// Serves connections of `listener` on this thread until told to stop, then drains. Must run inside a [`LocalSet`]
/// on a single-threaded runtime; everything it spawns stays on this thread.
///
/// Returns when every connection has ended or the drain's time is over; accounts of cut streams are closed by then.
pub async fn serve(
    core: Rc<Core>,
    listener: std::net::TcpListener,
    settings: ServerSettings,
    shutdown: watch::Receiver<Shutdown>,
) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let acceptor = settings.tls.clone().map(TlsAcceptor::from);
    connection::accept_loop(core, listener, acceptor, settings.drain, shutdown).await;
    Ok(())
}

/// Runs [`serve`] to its end on the current thread with a runtime of its own.
///
/// # Errors
/// When the runtime or the listener cannot be set up.
pub fn run_core(
    make_core: impl FnOnce() -> Rc<Core>,
    listener: std::net::TcpListener,
    settings: ServerSettings,
    shutdown: watch::Receiver<Shutdown>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .thread_keep_alive(Duration::from_secs(5))
        .build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, async move {
        let core = make_core();
        let flusher = tokio::task::spawn_local(core.journal.flusher());
        let served = serve(Rc::clone(&core), listener, settings, shutdown).await;
        // Accounts that closed last are in line; they must be in the journal before the thread ends.
        if let Err(error) = core.journal.flush_now() {
            tracing::error!(%error, "the journal could not be written at shutdown");
        }
        flusher.abort();
        served
    })
}

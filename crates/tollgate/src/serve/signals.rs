//! Signals: SIGTERM and SIGINT end the process in good order, a second one at once; SIGHUP reads the configuration
//! again.

use std::sync::Arc;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tollgate_gateway::Gateway;
use tollgate_gateway::server::Shutdown;

/// The signals that end the process. Made early, so that none is missed.
pub(crate) struct Endings {
    terminate: Signal,
    interrupt: Signal,
}

impl Endings {
    /// Must be called inside a runtime.
    pub(crate) fn watch() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: watch_for(SignalKind::terminate())?,
            interrupt: watch_for(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Turns the first signal into a drain and the second into an end.
    pub(crate) async fn obey(mut self, gateway: Arc<Gateway>, shutdown: watch::Sender<Shutdown>) {
        let signal = self.next().await;
        tracing::info!(signal, "shutting down: running answers may finish; a second signal cuts them");
        gateway.start_draining();
        shutdown.send_replace(Shutdown::Drain);
        let signal = self.next().await;
        tracing::warn!(signal, "shutting down at once: running answers are cut and accounted for");
        shutdown.send_replace(Shutdown::Now);
    }
}

/// SIGHUP.
pub(crate) fn reloads() -> anyhow::Result<Signal> {
    watch_for(SignalKind::hangup())
}

/// Lets a write beyond the limit of file sizes fail, as one on a full disk does; unhandled, its signal ends the
/// process.
pub(crate) fn outlive_file_size_limits() -> anyhow::Result<()> {
    let exceeded = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    // The handler stays when what it wakes is dropped.
    watch_for(exceeded).map(drop)
}

fn watch_for(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("could not watch for signals")
}

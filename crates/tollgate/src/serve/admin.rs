//! The admin API's own listener, with TLS if the process has it.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::serve::{Listener, ListenerExt};
use axum::{Router, routing};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tollgate_gateway::Gateway;
use tollgate_ledger::journal::Journal;

/// How long a peer may take to agree on TLS.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Peers that may be agreeing on TLS at the same time; others wait.
const MAX_HANDSHAKES: usize = 64;

/// Serves until `stopped`.
pub(super) fn serve(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener).context("could not use the admin listener")?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let ending = async move { drop(stopped.wait_for(|stopped| *stopped).await) };
    tokio::spawn(async move {
        let served = match tls {
            None => axum::serve(listener, service).with_graceful_shutdown(ending).await,
            Some(config) => match TlsListener::start(listener, config.into()) {
                // Tapped, because axum knows the peer's address of its own listeners only.
                Ok(listener) => {
                    let listener = listener.tap_io(|_| ());
                    axum::serve(listener, service).with_graceful_shutdown(ending).await
                }
                Err(error) => Err(error),
            },
        };
        if let Err(error) = served {
            tracing::error!(%error, "the admin listener failed");
        }
    });
    Ok(())
}

/// `/healthz` and `/readyz`, the same as on the other listener.
pub(super) fn with_health(router: Router, gateway: Arc<Gateway>, journal: Arc<Journal>) -> Router {
    let ready = move || {
        let answer = match gateway.readiness_problem(&journal.health()) {
            None => (StatusCode::OK, "ready\n"),
            Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, problem),
        };
        std::future::ready(answer)
    };
    router
        .route("/healthz", routing::get(|| std::future::ready("ok\n")))
        .route("/readyz", routing::get(ready))
}

trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Connections that have agreed on TLS. Each agrees in a task of its own: a slow peer holds nobody up.
struct TlsListener {
    agreed: mpsc::Receiver<(Box<dyn Connection>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsListener {
    fn start(mut listener: tokio::net::TcpListener, acceptor: TlsAcceptor) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, agreed) = mpsc::channel(1);
        let permits = Arc::new(Semaphore::new(MAX_HANDSHAKES));
        tokio::spawn(async move {
            while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
                let accepted = tokio::select! {
                    accepted = Listener::accept(&mut listener) => accepted,
                    () = sender.closed() => return,
                };
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                tokio::spawn(async move {
                    let connection = agree(acceptor, accepted.0).await;
                    drop(permit);
                    if let Some(connection) = connection {
                        let _ = sender.send((connection, accepted.1)).await;
                    }
                });
            }
        });
        Ok(Self { agreed, address })
    }
}

async fn agree(acceptor: TlsAcceptor, stream: TcpStream) -> Option<Box<dyn Connection>> {
    let agreed = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await;
    match agreed {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a peer of the admin listener did not agree on TLS");
            None
        }
        Err(_) => None,
    }
}

impl Listener for TlsListener {
    type Io = Box<dyn Connection>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.agreed.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok(self.address)
    }
}

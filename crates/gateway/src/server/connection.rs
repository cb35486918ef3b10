//! The accept loop of one core, and the life of one connection.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::guarded_io::GuardedIo;
use super::patience::{Patience, RunningBody};
use super::renewal::Renewal;
use super::{Shutdown, dispatch};
use crate::core::Core;

/// The client's address, in the extensions of requests that go to the other plane.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub SocketAddr);

/// Spawns on the current thread, for HTTP/2 streams.
#[derive(Debug, Clone, Copy)]
struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move { drop(future.await) });
    }
}

/// Connections of this core that are open.
#[derive(Debug, Default)]
struct Open {
    count: Cell<usize>,
    changed: Notify,
}

struct OpenConnection {
    core: Rc<Core>,
    open: Rc<Open>,
}

impl OpenConnection {
    fn new(core: &Rc<Core>, open: &Rc<Open>) -> Self {
        core.gateway.metrics.connections.fetch_add(1, Ordering::Relaxed);
        open.count.set(open.count.get() + 1);
        Self { core: Rc::clone(core), open: Rc::clone(open) }
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.core.gateway.metrics.connections.fetch_sub(1, Ordering::Relaxed);
        self.open.count.set(self.open.count.get().saturating_sub(1));
        self.open.changed.notify_one();
    }
}

/// Accepts until told to stop, then waits for the connections to end.
pub(super) async fn accept_loop(
    core: Rc<Core>,
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    drain: Duration,
    mut shutdown: watch::Receiver<Shutdown>,
) {
    let open = Rc::<Open>::default();
    let mut tasks = tokio::task::JoinSet::new();
    let signal = shutdown.clone();
    loop {
        tokio::select! {
            biased;
            _ = shutdown.wait_for(|state| *state != Shutdown::Running) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    if is_full(&core) {
                        // Closing at once is the only answer that costs nothing.
                        continue;
                    }
                    let connection = OpenConnection::new(&core, &open);
                    let serving = serve_connection(connection, stream, peer, acceptor.clone(), signal.clone());
                    tasks.spawn_local(serving);
                    while tasks.try_join_next().is_some() {}
                }
                Err(error) => {
                    // Out of descriptors, most likely: wait for some to be freed instead of spinning.
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    let ended = async {
        while open.count.get() > 0 {
            open.changed.notified().await;
        }
    };
    let cut = shutdown.wait_for(|state| *state == Shutdown::Now);
    tokio::select! {
        () = ended => {}
        _ = cut => {}
        () = sleep(drain) => {}
    }
    // What still runs is cut here; dropping it closes its accounts.
    tasks.abort_all();
    while tasks.join_next().await.is_some() {}
    settle_the_rest(&core).await;
}

/// Gives calls that survive their clients, and accounts that still count tokens, a moment to close.
async fn settle_the_rest(core: &Core) {
    for _ in 0..100 {
        if core.gateway.metrics.requests_in_flight.load(Ordering::Relaxed) <= 0 {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

fn is_full(core: &Core) -> bool {
    let connections = core.gateway.metrics.connections.load(Ordering::Relaxed);
    usize::try_from(connections).unwrap_or(0) >= core.gateway.settings.max_connections
}

async fn serve_connection(
    connection: OpenConnection,
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    shutdown: watch::Receiver<Shutdown>,
) {
    // Without this, small events wait for acknowledgements of earlier ones.
    let _ = stream.set_nodelay(true);
    let settings = &connection.core.gateway.settings;
    let limit = Duration::from_millis(settings.header_timeout_ms);
    let stall = Duration::from_millis(settings.client_write_timeout_ms);
    let patience = Patience::new(limit, stall);
    let stream = GuardedIo::new(stream, stall, Rc::clone(&patience));
    match acceptor {
        None => serve_stream(connection, stream, peer, patience, shutdown).await,
        Some(acceptor) => {
            if let Ok(Ok(stream)) = timeout(limit, acceptor.accept(stream)).await {
                serve_stream(connection, stream, peer, patience, shutdown).await;
            }
        }
    }
}

async fn serve_stream<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    connection: OpenConnection,
    stream: S,
    peer: SocketAddr,
    patience: Rc<Patience>,
    mut shutdown: watch::Receiver<Shutdown>,
) {
    let core = Rc::clone(&connection.core);
    let renewal = Renewal::new(&core);
    let service = service_fn(|mut request: Request<Incoming>| {
        if core.gateway.fallback.is_some() {
            request.extensions_mut().insert(PeerAddress(peer));
        }
        let version = request.version();
        let running = patience.began(version);
        let is_last = renewal.count() && version != Version::HTTP_2;
        let answering = dispatch(Rc::clone(&core), request);
        async move {
            let mut answer = answering.await?.map(|body| RunningBody::new(body, running));
            if is_last {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let builder = builder(&core);
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    let mut serving = std::pin::pin!(serving);
    let mut draining = false;
    loop {
        tokio::select! {
            biased;
            result = serving.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%error, "a client connection ended early");
                }
                break;
            }
            _ = shutdown.wait_for(|state| *state != Shutdown::Running), if !draining => {
                draining = true;
                serving.as_mut().graceful_shutdown();
            }
            () = poll_fn(|context| patience.poll_overdue(context)) => break,
            // GOAWAY: what runs is finished, what comes next belongs to another connection.
            () = poll_fn(|context| renewal.poll_due(patience.is_multiplexed(), context)), if !draining => {
                draining = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
    drop(connection);
}

fn builder(core: &Core) -> auto::Builder<LocalExecutor> {
    let settings = &core.gateway.settings;
    let mut builder = auto::Builder::new(LocalExecutor);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(settings.keep_alive_timeout_ms))
        .max_headers(settings.max_headers)
        .max_buf_size(settings.max_header_bytes.max(8_192))
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.http2_max_streams)
        .max_header_list_size(u32::try_from(settings.max_header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(20)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

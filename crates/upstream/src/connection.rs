//! One connection: opening it, and one exchange on it.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::error::SendError;
use crate::origin::Origin;
use crate::outbound::OutboundBody;
use crate::progress::{Progress, Watched};
use crate::timeouts::{Alarm, Deadlines};

/// Longest response head, and the most that is read ahead of the consumer. hyper itself allows 100 headers.
const BUFFER_BYTES: usize = 64 * 1024;

const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(30);

/// What moves a connection's bytes.
///
/// It is polled by whoever waits for the bytes, not by a task of its own: everything that has arrived is then taken
/// in one turn instead of one piece per turn, and nothing is read ahead of a consumer that does not ask.
type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An open connection. Dropping it closes the socket at once, whatever is still under way on it.
pub(crate) struct Connection {
    sender: SendRequest<OutboundBody>,
    /// Gone when the connection has ended; what waited for it then learns so.
    driver: Option<Driver>,
    progress: Arc<Progress>,
    pub(crate) alarm: Alarm,
    pub(crate) idle_since: Instant,
}

/// Why an exchange has no response.
pub(crate) enum Unanswered {
    /// Not one byte of the request was written: here it is again.
    NotSent(Box<Request<OutboundBody>>),
    Failed(SendError),
}

impl Unanswered {
    pub(crate) fn into_error(self) -> SendError {
        match self {
            Self::NotSent(_) => SendError::Closed { request_sent: false },
            Self::Failed(error) => error,
        }
    }
}

impl Connection {
    /// Connects to one of the given addresses, which have been judged already, and to no other.
    pub(crate) async fn open(
        origin: &Origin,
        addresses: &[SocketAddr],
        tls: &Arc<ClientConfig>,
        deadlines: &Deadlines,
    ) -> Result<Self, SendError> {
        let tcp = connect_tcp(addresses, deadlines.connect).await?;
        let Some(server_name) = &origin.server_name else {
            return Self::handshake(tcp, deadlines).await;
        };
        let handshake = TlsConnector::from(tls.clone()).connect(server_name.clone(), tcp);
        match timeout_at(deadlines.connect, handshake).await {
            Ok(Ok(stream)) => Self::handshake(stream, deadlines).await,
            Ok(Err(error)) => Err(SendError::Tls(error.to_string())),
            Err(_) => Err(SendError::ConnectTimeout),
        }
    }

    async fn handshake<T>(stream: T, deadlines: &Deadlines) -> Result<Self, SendError>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let progress = Progress::new();
        let watched = Watched { stream, progress: progress.clone() };
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(BUFFER_BYTES)
            .max_header_size(BUFFER_BYTES)
            .handshake(TokioIo::new(watched))
            .await
            .map_err(|_| SendError::Closed { request_sent: false })?;
        // How a connection ends is seen by the exchange on it; an idle one may end in any way.
        let driver: Driver = Box::pin(async move { drop(connection.await) });
        let alarm = Alarm::new(deadlines.total);
        Ok(Self { sender, driver: Some(driver), progress, alarm, idle_since: deadlines.started })
    }

    /// Moves what can be moved now. Whoever waits for bytes of this connection calls it with its own context.
    pub(crate) fn drive(&mut self, context: &mut Context<'_>) {
        drive(&mut self.driver, context);
    }

    /// Whether the previous exchange is over and the peer has not closed the connection.
    pub(crate) fn is_ready(&mut self) -> bool {
        // Nobody drives an idle connection: its end is noticed here.
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.sender.is_ready() && !self.sender.is_closed()
    }

    /// Sends one request and waits for the head of its response. Interim (1xx) responses are skipped.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<OutboundBody>,
        deadlines: &Deadlines,
    ) -> Result<Response<Incoming>, Unanswered> {
        let written_before = self.progress.written_bytes();
        let handed_over = Instant::now();
        let mut answer = pin!(self.sender.try_send_request(request));
        let answer = poll_fn(|context| {
            if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                return Poll::Ready(Ok(answer));
            }
            drive(&mut self.driver, context);
            if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                return Poll::Ready(Ok(answer));
            }
            poll_overdue(&mut self.alarm, &self.progress, deadlines, handed_over, written_before, context)
                .map(Err)
        })
        .await
        .map_err(Unanswered::Failed)?;
        match answer {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                Err(Unanswered::Failed(SendError::Malformed("it switches protocols unasked".to_owned())))
            }
            Ok(response) => Ok(response),
            Err(mut failure) => Err(match failure.take_message() {
                Some(request) => Unanswered::NotSent(Box::new(request)),
                None => {
                    let request_sent = self.progress.written_bytes() > written_before;
                    Unanswered::Failed(SendError::from_hyper(&failure.into_error(), request_sent))
                }
            }),
        }
    }
}

fn drive(driver: &mut Option<Driver>, context: &mut Context<'_>) {
    if driver.as_mut().is_some_and(|driver| driver.as_mut().poll(context).is_ready()) {
        *driver = None;
    }
}

/// Ready with the error once a limit for the time before the response head is exceeded.
fn poll_overdue(
    alarm: &mut Alarm,
    progress: &Progress,
    deadlines: &Deadlines,
    handed_over: Instant,
    written_before: u64,
    context: &mut Context<'_>,
) -> Poll<SendError> {
    let earliest = deadlines.total.min(handed_over + deadlines.write.min(deadlines.first_byte));
    let mut deadline = earliest;
    loop {
        ready!(alarm.poll_until(deadline, context));
        let written = progress.written_bytes() > written_before;
        let (limit, error) = if progress.is_blocked() || !written {
            (handed_over + deadlines.write, SendError::WriteTimeout)
        } else {
            (progress.unblocked().max(handed_over) + deadlines.first_byte, SendError::FirstByteTimeout)
        };
        let now = Instant::now();
        if now >= deadlines.total {
            return Poll::Ready(SendError::TotalTimeout { request_sent: written });
        }
        if now >= limit {
            return Poll::Ready(error);
        }
        deadline = limit.min(deadlines.total);
    }
}

/// Tries the addresses one after the other; each gets its share of the time that is left.
async fn connect_tcp(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, SendError> {
    let mut failure = SendError::ConnectTimeout;
    for (tried, address) in addresses.iter().enumerate() {
        let now = Instant::now();
        let left = u32::try_from(addresses.len() - tried).unwrap_or(1);
        let share = now + deadline.saturating_duration_since(now) / left;
        match timeout_at(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                prepare(&stream).map_err(|error| SendError::Connect(error.kind()))?;
                return Ok(stream);
            }
            Ok(Err(error)) => failure = SendError::Connect(error.kind()),
            Err(_) => failure = SendError::ConnectTimeout,
        }
    }
    Err(failure)
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE_AFTER))
}

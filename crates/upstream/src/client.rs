//! The data plane's client: one for each thread.

use std::rc::Rc;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Request, Response, Uri, Version};

use crate::connection::{Connection, Unanswered};
use crate::counters::PoolStatistics;
use crate::error::SendError;
use crate::inbound::InboundBody;
use crate::origin::Origin;
use crate::outbound::OutboundBody;
use crate::pool::{ClientSettings, Lease, Pool};
use crate::timeouts::{Deadlines, Timeouts};

/// Sends requests over its own pool of connections. Lives on one thread, inside a `LocalSet`.
#[derive(Clone)]
pub struct Client {
    pool: Rc<Pool>,
}

impl Client {
    #[must_use]
    pub fn new(settings: ClientSettings) -> Self {
        Self { pool: Pool::new(settings) }
    }

    /// Sends one request and returns once the head of the response is there. Redirects are not followed and nothing
    /// is decompressed.
    ///
    /// `head` carries method, path with query, and headers; `host` and the framing headers are set here. Dropping the
    /// future or the response body closes the connection and so cancels the call at the provider.
    ///
    /// An idle connection may have been closed by the provider a moment ago. When hyper hands the request back, which
    /// it does only if not one byte of it was written, the request is sent once more on a new connection. Once a byte
    /// was written, nothing tells whether the provider acted on it, and a call to a model costs money: then the error
    /// is [`SendError::Closed`] with `request_sent`, and whether to make another attempt is the caller's decision.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn send(
        &self,
        origin: &Arc<Origin>,
        head: Parts,
        body: OutboundBody,
        timeouts: &Timeouts,
    ) -> Result<Response<InboundBody>, SendError> {
        let deadlines = Deadlines::start(timeouts);
        let mut request = assemble(origin, head, body);
        if let Some(mut lease) = self.pool.take_idle(origin.pool_index) {
            match lease.connection.exchange(request, &deadlines).await {
                Ok(response) => return Ok(InboundBody::attach(response, lease, deadlines)),
                Err(Unanswered::Failed(error)) => return Err(error),
                Err(Unanswered::NotSent(returned)) => request = *returned,
            }
            self.pool.count_replay();
        }
        let mut lease = self.connect(origin, &deadlines).await?;
        match lease.connection.exchange(request, &deadlines).await {
            Ok(response) => Ok(InboundBody::attach(response, lease, deadlines)),
            Err(unanswered) => Err(unanswered.into_error()),
        }
    }

    #[must_use]
    pub fn statistics(&self) -> PoolStatistics {
        self.pool.settings.counters.read()
    }

    async fn connect(&self, origin: &Origin, deadlines: &Deadlines) -> Result<Lease, SendError> {
        let slot = self.pool.reserve(origin.pool_index)?;
        let cache = self.pool.addresses(origin.pool_index);
        let addresses = cache.resolve(origin, deadlines.connect).await?;
        let tls = &self.pool.settings.tls;
        match Connection::open(origin, &addresses, tls, deadlines).await {
            Ok(connection) => Ok(slot.fill(connection)),
            Err(error) => {
                cache.forget();
                Err(error)
            }
        }
    }
}

/// Joins the parts into a request that can only go to `origin` and whose length is the body's.
pub(crate) fn assemble(origin: &Origin, mut head: Parts, body: OutboundBody) -> Request<OutboundBody> {
    if head.uri.authority().is_some() {
        head.uri = head.uri.path_and_query().cloned().map(Uri::from).unwrap_or_default();
    }
    head.version = Version::HTTP_11;
    head.headers.insert(HOST, origin.host_header.clone());
    head.headers.remove(TRANSFER_ENCODING);
    head.headers.remove(CONTENT_LENGTH);
    Request::from_parts(head, body)
}

//! Single calls from the control plane: provider tests, exporters, webhooks.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use rustls::ClientConfig;

use crate::client::assemble;
use crate::connection::{Connection, Unanswered};
use crate::error::{ReadError, SendError};
use crate::inbound::BodyReader;
use crate::origin::Origin;
use crate::outbound::OutboundBody;
use crate::resolve::resolve;
use crate::timeouts::{Deadlines, Timeouts};

/// A call on a connection of its own, which may be made from any thread.
#[derive(Debug, Clone)]
pub struct OneShot {
    pub origin: Arc<Origin>,
    pub tls: Arc<ClientConfig>,
    pub method: Method,
    /// Path with query, starting with a slash.
    pub path: String,
    /// All headers but `host` and those for framing.
    pub headers: HeaderMap,
    pub body: Bytes,
    pub timeouts: Timeouts,
    /// A longer body is an error.
    pub max_response_bytes: usize,
}

/// A response that was read completely.
#[derive(Debug, Clone)]
pub struct FetchedResponse {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why a [`fetch`] has no complete response.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    #[error("{0:?} is not a path; it must start with a slash")]
    Path(String),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the response is longer than {limit_bytes} bytes")]
    TooLong { limit_bytes: usize },
}

/// Makes one call: the same egress guard, time-outs and limits as in the data plane, without a pool.
///
/// # Errors
/// See [`FetchError`].
pub async fn fetch(call: OneShot) -> Result<FetchedResponse, FetchError> {
    let deadlines = Deadlines::start(&call.timeouts);
    let uri = origin_form(&call.path).ok_or_else(|| FetchError::Path(call.path.clone()))?;
    let mut request = Request::new(());
    *request.method_mut() = call.method;
    *request.uri_mut() = uri;
    *request.headers_mut() = call.headers;
    let request = assemble(&call.origin, request.into_parts().0, OutboundBody::from(call.body));

    let addresses = resolve(&call.origin, deadlines.connect).await?;
    let mut connection = Connection::open(&call.origin, &addresses, &call.tls, &deadlines).await?;
    let response = connection.exchange(request, &deadlines).await.map_err(Unanswered::into_error)?;
    let (head, incoming) = response.into_parts();
    let mut reader = BodyReader::new(incoming, deadlines);
    let mut body = BytesMut::new();
    while let Some(frame) = poll_fn(|context| reader.poll_frame(&mut connection, context)).await {
        let Ok(data) = frame?.into_data() else { continue };
        if data.len() > call.max_response_bytes - body.len() {
            return Err(FetchError::TooLong { limit_bytes: call.max_response_bytes });
        }
        body.extend_from_slice(&data);
    }
    Ok(FetchedResponse { status: head.status, headers: head.headers, body: body.freeze() })
}

fn origin_form(path: &str) -> Option<Uri> {
    path.starts_with('/').then(|| path.parse().ok()).flatten()
}

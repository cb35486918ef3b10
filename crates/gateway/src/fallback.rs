//! The other plane on the same address: an opaque service for every path that is not the data plane's.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

/// A body whose producer may live on another thread.
pub type FallbackBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Answers what the data plane does not know. Must answer always; its errors are its own business.
pub trait Fallback: Send + Sync {
    /// The peer's address is in the request's extensions as [`crate::server::PeerAddress`].
    fn call(
        &self,
        request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Response<FallbackBody>> + Send>>;
}

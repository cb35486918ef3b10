//! The way from a data-plane thread to the control plane: requests hop to its runtime, bodies are streamed.

use std::future::Future;
use std::pin::Pin;

use axum::extract::ConnectInfo;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tollgate_gateway::server::PeerAddress;
use tollgate_gateway::{Fallback, FallbackBody};
use tower::ServiceExt;

/// Sends requests of the shared listener to the control plane's router.
#[derive(Debug)]
pub(crate) struct ControlFallback {
    router: axum::Router,
    runtime: Handle,
}

impl ControlFallback {
    pub(crate) const fn new(router: axum::Router, runtime: Handle) -> Self {
        Self { router, runtime }
    }
}

impl Fallback for ControlFallback {
    fn call(
        &self,
        mut request: Request<Incoming>,
    ) -> Pin<Box<dyn Future<Output = Response<FallbackBody>> + Send>> {
        if let Some(PeerAddress(address)) = request.extensions().get().copied() {
            request.extensions_mut().insert(ConnectInfo(address));
        }
        let router = self.router.clone();
        let answering = self.runtime.spawn(router.oneshot(request.map(axum::body::Body::new)));
        Box::pin(async move {
            match answering.await {
                Ok(Ok(response)) => response.map(|body| body.map_err(Into::into).boxed_unsync()),
                Ok(Err(never)) => match never {},
                Err(error) => {
                    tracing::error!(%error, "the control plane did not answer");
                    unavailable()
                }
            }
        })
    }
}

fn unavailable() -> Response<FallbackBody> {
    let body =
        Full::from("the control plane cannot answer; the log says why\n").map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

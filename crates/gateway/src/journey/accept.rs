//! The first stage: a request that has a route, an id and a clock.

use std::time::Instant;

use http::request::Parts;
use hyper::body::Incoming;
use tollgate_core::{Operation, RequestId, UnixMicros};

use crate::core::Core;
use crate::routes::Route;

/// A call that came in. Nothing of it is trusted yet.
#[derive(Debug)]
pub struct Accepted {
    pub route: &'static Route,
    pub operation: Operation,
    pub head: Parts,
    pub body: Incoming,
    pub request_id: RequestId,
    pub started_at: UnixMicros,
    pub started: Instant,
}

/// Gives a routed request its id and its clock.
pub fn accept(
    core: &Core,
    route: &'static Route,
    operation: Operation,
    request: http::Request<Incoming>,
) -> Accepted {
    let (head, body) = request.into_parts();
    Accepted {
        route,
        operation,
        head,
        body,
        request_id: RequestId::generate(),
        started_at: core.gateway.clock.now(),
        started: Instant::now(),
    }
}

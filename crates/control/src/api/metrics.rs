//! The metrics endpoint, in the text format that Prometheus reads.

use std::pin::Pin;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, header};
use tollgate_access::authorize::MetricsRead;
use tollgate_access::{Permission, Scope};

use crate::call::authenticate;
use crate::plane::Plane;
use crate::problem::Problem;
use crate::route::Guard;

pub(crate) const GUARD: Guard = Guard::Permission(MetricsRead::NAME);

/// Answers everybody where the listener is one that only this machine reaches.
pub(crate) fn show(plane: Arc<Plane>, parts: Parts) -> Pin<Box<dyn Future<Output = Response> + Send>> {
    Box::pin(async move { exposition(&plane, &parts).await.unwrap_or_else(IntoResponse::into_response) })
}

async fn exposition(plane: &Plane, parts: &Parts) -> Result<Response, Problem> {
    if !plane.parts.open_metrics {
        authenticate(plane, &parts.headers).await?.authorize::<MetricsRead>(Scope::Installation)?;
    }
    let text = tollgate_telemetry::metrics::exposition(&plane.parts.metrics)
        .map_err(|error| Problem::internal(&error))?;
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

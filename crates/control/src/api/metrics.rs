//! The metrics endpoint, in the text format that Prometheus reads.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, header};
use tollgate_access::authorize::MetricsRead;
use tollgate_access::{Permission, Scope};

use crate::call::authenticate;
use crate::plane::Plane;
use crate::problem::Problem;
use crate::route::Guard;

pub(crate) const GUARD: Guard = Guard::Permission(MetricsRead::NAME);

/// Answers without a credential where the listener is one that only this machine reaches, and nothing shows that the
/// request came from elsewhere.
pub(crate) fn show(plane: Arc<Plane>, parts: Parts) -> Pin<Box<dyn Future<Output = Response> + Send>> {
    Box::pin(async move { exposition(&plane, &parts).await.unwrap_or_else(IntoResponse::into_response) })
}

async fn exposition(plane: &Plane, parts: &Parts) -> Result<Response, Problem> {
    if !plane.parts.open_metrics || !is_from_here(parts) {
        authenticate(plane, &parts.headers).await?.authorize::<MetricsRead>(Scope::Installation)?;
    }
    let text = tollgate_telemetry::metrics::exposition(&plane.parts.metrics)
        .map_err(|error| Problem::internal(&error))?;
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// A proxy on this machine passes on what others ask, and a page in a browser here can have its own name lead here:
/// both reach a listener on loopback. A proxy that hides itself cannot be told; it must not be given this path.
fn is_from_here(parts: &Parts) -> bool {
    let passed_on =
        |name: &str| matches!(name, "forwarded" | "via" | "x-real-ip") || name.starts_with("x-forwarded-");
    if parts.headers.keys().any(|name| passed_on(name.as_str())) {
        return false;
    }
    let named =
        parts.headers.get(header::HOST).and_then(|value| value.to_str().ok()?.parse::<Authority>().ok());
    let asked: Vec<&Authority> = parts.uri.authority().into_iter().chain(named.as_ref()).collect();
    !asked.is_empty() && asked.iter().all(|authority| is_loopback(authority.host()))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn from_here(uri: &str, headers: &[(&'static str, &'static str)]) -> bool {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        is_from_here(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn what_a_proxy_or_another_site_sends_is_not_from_here() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "127.8.0.1", "[::1]:8080"] {
            assert!(from_here("/metrics", &[("host", host)]), "{host}");
        }
        assert!(from_here("http://127.0.0.1:8080/metrics", &[]));
        assert!(!from_here("http://127.0.0.1:8080/metrics", &[("host", "evil.example")]));
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1", "0.0.0.0", "[::2]", "a b", ""] {
            assert!(!from_here("/metrics", &[("host", host)]), "{host}");
        }
        assert!(!from_here("/metrics", &[]));
        for name in ["forwarded", "via", "x-forwarded-for", "x-forwarded-proto", "x-real-ip"] {
            assert!(!from_here("/metrics", &[("host", "localhost"), (name, "x")]), "{name}");
        }
    }
}

//! What runs here: the state of the process, the OpenAPI document, the root page.

use std::pin::Pin;
use std::sync::Arc;

use axum::response::{Html, IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, header};
use schemars::JsonSchema;
use serde::Serialize;
use tollgate_access::authorize::SystemRead;

use crate::call::Call;
use crate::plane::Plane;
use crate::ports::JournalStatus;
use crate::problem::Problem;
use crate::publisher::PublishStatus;
use crate::{openapi, plane};

/// What the process is doing.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SystemView {
    /// Of the program.
    version: &'static str,
    /// `sqlite` or `postgres`.
    store: &'static str,
    publishing: PublishStatus,
    /// Absent while no data plane is connected.
    journal: Option<JournalStatus>,
    requests_in_flight: u64,
    /// Asked to stop: no new connections, running requests go on.
    draining: bool,
}

pub(crate) async fn get(call: Call<SystemRead>) -> Result<SystemView, Problem> {
    let installation = call.plane.installation()?;
    let data_plane = call.plane.data_plane.get();
    Ok(SystemView {
        version: call.plane.parts.program_version,
        store: installation.store.kind(),
        publishing: call.plane.publisher.status(),
        journal: data_plane.map(|view| view.journal()),
        requests_in_flight: data_plane.map_or(0, |view| view.requests_in_flight()),
        draining: data_plane.is_some_and(|view| view.is_draining()),
    })
}

type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;

pub(crate) fn openapi(plane: Arc<Plane>, _: Parts) -> Answer {
    Box::pin(async move {
        let document = openapi::document(plane.parts.program_version);
        let json = HeaderValue::from_static("application/json");
        ([(header::CONTENT_TYPE, json)], document.to_string()).into_response()
    })
}

const ROOT_PAGE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Tollgate</title>\
    <h1>Tollgate is running</h1>\
    <p>Models are called below <code>/v1</code> with a Tollgate key.</p>\
    <p>The admin API is below <code>/api/v1</code>; <a href=\"/api/v1/openapi.json\">its description</a> is OpenAPI 3.1.</p>\
    </html>";

pub(crate) fn root(plane: Arc<Plane>, _: Parts) -> Answer {
    let response = plane::asset(&plane, "/").unwrap_or_else(|| Html(ROOT_PAGE).into_response());
    Box::pin(std::future::ready(response))
}

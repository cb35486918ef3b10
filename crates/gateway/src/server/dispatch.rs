//! From a request to the plane and page that answers it.

use std::convert::Infallible;
use std::rc::Rc;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use tollgate_core::{Dialect, RequestId};
use tollgate_wire::ErrorKind;

use super::misdirected;
use crate::answer::AnswerBody;
use crate::core::Core;
use crate::journey::{self, accept};
use crate::models;
use crate::problem::Problem;
use crate::routes::{self, Action, Match, Route};

/// Answers any request of the data port.
pub async fn dispatch(
    core: Rc<Core>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let route = match routes::find(request.method(), request.uri().path()) {
        Match::Found(route) => route,
        Match::WrongMethod(route) => return Ok(wrong_method(route)),
        Match::Unknown => return Ok(other_plane(&core, request).await),
    };
    Ok(match route.action {
        Action::Infer(operation) => {
            let accepted = accept::accept(&core, route, operation, request);
            journey::travel(&core, accepted).await
        }
        Action::ListModels => models::list(&core, request.headers()).await,
        Action::GetModel => {
            let prefix = route.path.trim_end_matches('*');
            let name = request.uri().path().strip_prefix(prefix).unwrap_or_default();
            models::get(&core, request.headers(), name).await
        }
        Action::RefuseUpgrade => {
            let message = "WebSocket is not served here; use POST";
            problem(StatusCode::UPGRADE_REQUIRED, route.dialect, ErrorKind::NotSupported, message)
        }
        Action::Health => plain(StatusCode::OK, "ok\n"),
        Action::Ready => ready(&core),
    })
}

async fn other_plane(core: &Core, request: Request<Incoming>) -> Response<AnswerBody> {
    // The other plane's own paths may end like a route.
    let is_admins = request.uri().path().starts_with("/api/");
    if let Some(answer) = misdirected::answer(&request).filter(|_| !is_admins) {
        return answer;
    }
    match &core.gateway.fallback {
        Some(fallback) => fallback.call(request).await.map(AnswerBody::Fallback),
        None => {
            let dialect = models::dialect_of(request.headers());
            let message = "there is nothing at this path; see the API reference for what this address serves";
            problem(StatusCode::NOT_FOUND, dialect, ErrorKind::NotFound, message)
        }
    }
}

fn ready(core: &Core) -> Response<AnswerBody> {
    match core.gateway.readiness_problem(&core.journal.health()) {
        None => plain(StatusCode::OK, "ready\n"),
        Some(problem) => plain(StatusCode::SERVICE_UNAVAILABLE, problem),
    }
}

fn wrong_method(route: &Route) -> Response<AnswerBody> {
    let message = format!("this path takes {} only", route.method);
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let mut response = problem(status, route.dialect, ErrorKind::InvalidRequest, &message);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(route.method));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::full(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// An error with a status that no kind of error has by itself.
fn problem(status: StatusCode, dialect: Dialect, kind: ErrorKind, message: &str) -> Response<AnswerBody> {
    Problem::client(kind, message).with_status(status).response(dialect, RequestId::generate())
}

//! The one table of routes. Router, API description and permission tests are made from it: a route that is not in it
//! does not exist.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::request::Parts;
use http::{HeaderValue, Method, Request, StatusCode, header};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tollgate_access::Permission;

use crate::call::{Call, is_nothing, receive};
use crate::plane::Plane;
use crate::problem::Problem;

type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;
type Handler = Arc<dyn Fn(Arc<Plane>, Parts, Body) -> Answer + Send + Sync>;
type Describe = fn(&mut SchemaGenerator) -> Option<Schema>;

/// What a caller needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Nothing: public facts only.
    Open,
    /// An admin credential with this permission.
    Permission(&'static str),
}

/// What describes the parts of a call and its answer.
#[derive(Clone, Copy)]
pub(crate) struct Shapes {
    pub(crate) path: Describe,
    pub(crate) query: Describe,
    pub(crate) request: Describe,
    pub(crate) response: Describe,
}

/// One row of the table.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    /// Unique; names the function in generated clients.
    pub(crate) operation_id: &'static str,
    pub(crate) summary: &'static str,
    /// The status of success.
    pub(crate) status: StatusCode,
    pub(crate) guard: Guard,
    pub(crate) shapes: Shapes,
    handler: Handler,
}

/// The first half of a row: what is called.
pub(crate) struct Declared {
    method: Method,
    path: &'static str,
    operation_id: &'static str,
    summary: &'static str,
    status: StatusCode,
}

const fn declare(
    method: Method,
    status: StatusCode,
    (path, operation_id, summary): (&'static str, &'static str, &'static str),
) -> Declared {
    Declared { method, path, operation_id, summary, status }
}

pub(crate) fn get(path: &'static str, operation_id: &'static str, summary: &'static str) -> Declared {
    declare(Method::GET, StatusCode::OK, (path, operation_id, summary))
}

/// Makes something.
pub(crate) fn create(path: &'static str, operation_id: &'static str, summary: &'static str) -> Declared {
    declare(Method::POST, StatusCode::CREATED, (path, operation_id, summary))
}

/// Does something.
pub(crate) fn act(path: &'static str, operation_id: &'static str, summary: &'static str) -> Declared {
    declare(Method::POST, StatusCode::OK, (path, operation_id, summary))
}

/// Replaces the fields that are given.
pub(crate) fn update(path: &'static str, operation_id: &'static str, summary: &'static str) -> Declared {
    declare(Method::PATCH, StatusCode::OK, (path, operation_id, summary))
}

pub(crate) fn delete(path: &'static str, operation_id: &'static str, summary: &'static str) -> Declared {
    declare(Method::DELETE, StatusCode::NO_CONTENT, (path, operation_id, summary))
}

fn shape<T: JsonSchema + 'static>(generator: &mut SchemaGenerator) -> Option<Schema> {
    (!is_nothing::<T>()).then(|| generator.subschema_for::<T>())
}

impl Declared {
    /// The second half: who may, and what is done. The permission of the row is the one that the handler's proof is
    /// of, so that the two cannot differ.
    pub(crate) fn by<P, Location, Query, Content, Outcome, F, Doing>(self, handler: F) -> Route
    where
        P: Permission + Send + 'static,
        Location: DeserializeOwned + JsonSchema + Send + 'static,
        Query: DeserializeOwned + JsonSchema + Send + 'static,
        Content: DeserializeOwned + JsonSchema + Send + 'static,
        Outcome: Serialize + JsonSchema + 'static,
        F: Fn(Call<P, Location, Query, Content>) -> Doing + Clone + Send + Sync + 'static,
        Doing: Future<Output = Result<Outcome, Problem>> + Send,
    {
        let status = self.status;
        let handler: Handler = Arc::new(move |plane, parts, body| {
            let handler = handler.clone();
            Box::pin(async move {
                let answered = match receive(plane, parts, body).await {
                    Ok(call) => handler(call).await,
                    Err(problem) => Err(problem),
                };
                match answered {
                    Ok(outcome) => respond(status, &outcome),
                    Err(problem) => problem.into_response(),
                }
            })
        });
        let shapes = Shapes {
            path: shape::<Location>,
            query: shape::<Query>,
            request: shape::<Content>,
            response: shape::<Outcome>,
        };
        self.finish(Guard::Permission(P::NAME), shapes, handler)
    }

    /// A row that answers with something else than JSON made from a type, and checks for itself what `guard` says.
    pub(crate) fn raw(self, guard: Guard, handler: fn(Arc<Plane>, Parts) -> Answer) -> Route {
        let handler: Handler = Arc::new(move |plane, parts, _| handler(plane, parts));
        let none: Describe = |_| None;
        self.finish(guard, Shapes { path: none, query: none, request: none, response: none }, handler)
    }

    fn finish(self, guard: Guard, shapes: Shapes, handler: Handler) -> Route {
        let Self { method, path, operation_id, summary, status } = self;
        Route { method, path, operation_id, summary, status, guard, shapes, handler }
    }
}

fn respond<T: Serialize + 'static>(status: StatusCode, outcome: &T) -> Response {
    if is_nothing::<T>() {
        return status.into_response();
    }
    match serde_json::to_vec(outcome) {
        Ok(body) => {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            (status, headers, body).into_response()
        }
        Err(error) => Problem::internal(&error).into_response(),
    }
}

/// The router of a table. Paths that are not in it are answered with a problem.
pub(crate) fn router(table: Vec<Route>, plane: &Arc<Plane>) -> axum::Router {
    let mut router = axum::Router::new();
    for route in table {
        let Ok(filter) = MethodFilter::try_from(route.method.clone()) else { continue };
        let (handler, plane) = (route.handler, Arc::clone(plane));
        let method_router: MethodRouter = on(filter, move |request: Request<Body>| {
            let (parts, body) = request.into_parts();
            handler(Arc::clone(&plane), parts, body)
        });
        router = router.route(route.path, method_router);
    }
    router.method_not_allowed_fallback(method_not_allowed)
}

async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this path exists, but not with this method",
    )
}

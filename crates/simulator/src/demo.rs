//! A provider to look at: models with their own pace and habits.

mod anthropic;
mod ask;
mod embeddings;
mod errors;
pub(crate) mod models;
mod openai_chat;
mod openai_completions;
mod openai_responses;
mod paced;
mod plan;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::TcpStream;

use self::{
    ask::{Ask, Surface},
    paced::{Frame, PacedBody},
    plan::{Fault, Plan},
};
use crate::random::Random;

const MAX_BODY_BYTES: usize = 64 << 20;

#[derive(Debug)]
pub(crate) struct Demo {
    seed: u64,
    delays: bool,
    requests: AtomicU64,
}

impl Demo {
    pub(crate) fn new(seed: u64, delays: bool) -> Self {
        Self { seed, delays, requests: AtomicU64::new(0) }
    }

    pub(crate) async fn serve(self: Arc<Self>, stream: TcpStream) {
        let service = service_fn(move |request| {
            let demo = Arc::clone(&self);
            async move { Ok::<_, Infallible>(demo.answer(request).await) }
        });
        let _ = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(300))
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<PacedBody> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let id_header = if speaks_anthropic(&request) { "request-id" } else { "x-request-id" };
        let mut response = self.decide(request, number).await;
        if let Ok(id) = HeaderValue::from_str(&format!("req_sim{:08x}{number:08x}", self.seed)) {
            response.headers_mut().insert(id_header, id);
        }
        if self.delays {
            // The head comes with the first byte, as providers do it.
            tokio::time::sleep(response.body_mut().take_lead()).await;
            return response;
        }
        response.map(PacedBody::without_delays)
    }

    async fn decide(&self, request: Request<Incoming>, number: u64) -> Response<PacedBody> {
        let anthropic = speaks_anthropic(&request);
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        if head.method == Method::GET {
            return models::answer(path, anthropic);
        }
        let Some(surface) = Surface::of(path).filter(|_| head.method == Method::POST) else {
            return errors::not_found(path);
        };
        let Ok(body) = Limited::new(body, MAX_BODY_BYTES).collect().await else {
            return errors::error(surface, StatusCode::PAYLOAD_TOO_LARGE, "the body is too large");
        };
        let body = body.to_bytes();
        let Ok(value) = serde_json::from_slice::<Value>(&body) else {
            return errors::error(surface, StatusCode::BAD_REQUEST, "the body is not JSON");
        };
        let Some(model) = value.get("model").and_then(Value::as_str).and_then(models::find) else {
            return errors::unknown_model(surface, &value);
        };
        if model.embeds != (surface == Surface::Embeddings) {
            return errors::error(surface, StatusCode::BAD_REQUEST, "this model does not do that");
        }
        let ask = Ask::read(surface, model, &value, body.len());
        let mut random = Random::new(self.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9)));
        respond(&ask, &Plan::make(&ask, &mut random))
    }
}

fn speaks_anthropic<B>(request: &Request<B>) -> bool {
    request.headers().contains_key("anthropic-version") || request.uri().path().contains("/messages")
}

fn respond(ask: &Ask, plan: &Plan) -> Response<PacedBody> {
    if let Some(Fault::Status(status)) = plan.fault {
        return errors::fault(ask.surface, status, plan.first_token);
    }
    let whole = match ask.surface {
        Surface::CountTokens => Some((anthropic::count(plan), plan.first_token)),
        Surface::Embeddings => Some((embeddings::answer(ask, plan), plan.first_token)),
        Surface::Chat if !ask.stream => Some((openai_chat::answer(plan), plan.total_time())),
        Surface::Completions if !ask.stream => Some((openai_completions::answer(plan), plan.total_time())),
        Surface::Responses if !ask.stream => Some((openai_responses::answer(plan), plan.total_time())),
        Surface::Messages if !ask.stream => Some((anthropic::answer(plan), plan.total_time())),
        _ => None,
    };
    if let Some((body, after)) = whole {
        return json(StatusCode::OK, &body, after);
    }
    let mut frames = match ask.surface {
        Surface::Completions => openai_completions::frames(ask, plan),
        Surface::Responses => openai_responses::frames(plan),
        Surface::Messages => anthropic::frames(plan),
        _ => openai_chat::frames(ask, plan),
    };
    let cut = if let Some(Fault::CutAfter(count)) = plan.fault {
        frames.truncate(count);
        true
    } else {
        false
    };
    typed(StatusCode::OK, "text/event-stream; charset=utf-8", PacedBody::stream(frames, cut))
}

fn json(status: StatusCode, body: &Value, after: Duration) -> Response<PacedBody> {
    let frame = Frame { after, bytes: Bytes::from(body.to_string()) };
    typed(status, "application/json", PacedBody::whole(frame))
}

fn typed(status: StatusCode, content_type: &'static str, body: PacedBody) -> Response<PacedBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

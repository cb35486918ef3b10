//! What is asked, read once: the body is collected within bounds and checked, and a few fields are found in it.

use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use tollgate_core::{Operation, RequestId, RetryAdvice, UnixMicros};
use tollgate_state::ActiveCredential;
use tollgate_wire::{ErrorKind, Field, Peeked, peek};

use super::throttle::Throttled;
use crate::account::Account;
use crate::core::{Core, HeldBytes};
use crate::live::Published;
use crate::problem::{Problem, Refused};
use crate::routes::Route;

/// A call whose body is whole and checked. From here on nothing depends on HTTP.
#[derive(Debug)]
pub struct Understood {
    pub route: &'static Route,
    pub operation: Operation,
    pub request_id: RequestId,
    pub started_at: UnixMicros,
    pub headers: HeaderMap,
    pub query: Option<Box<str>>,
    pub peeked: Peeked,
    pub published: Arc<Published>,
    pub credential: Arc<ActiveCredential>,
    pub account: Account,
    /// The model that a budget's owner wants used instead of the one in the body.
    pub substitute: Option<Box<str>>,
    /// The body's share of memory.
    pub held: HeldBytes,
    _made_here: PhantomData<()>,
}

/// Reads and checks the body.
pub async fn understand(core: &Rc<Core>, throttled: Throttled) -> Result<Understood, Box<Refused>> {
    let identified = throttled.identified;
    let (accepted, mut account) = (identified.accepted, identified.account);
    let body = match read_body(core, &accepted.head.headers, accepted.body).await {
        Ok(body) => body,
        Err(problem) => return Err(Refused::known(account, problem)),
    };
    let (body, held) = body;
    let peeked = match peek(accepted.route.dialect, body) {
        Ok(peeked) => peeked,
        Err(bad) => {
            let problem = Problem::client(ErrorKind::InvalidRequest, bad.message).with_param(bad.field);
            return Err(Refused::known(account, problem));
        }
    };
    account.understood(&peeked, &accepted.head.headers);
    Ok(Understood {
        route: accepted.route,
        operation: accepted.operation,
        request_id: accepted.request_id,
        started_at: accepted.started_at,
        query: accepted.head.uri.query().map(Into::into),
        headers: accepted.head.headers,
        peeked,
        published: identified.published,
        credential: identified.credential,
        account,
        substitute: None,
        held,
        _made_here: PhantomData,
    })
}

impl Understood {
    /// Whether the client wants a stream: asked for in the body, and possible for the operation.
    pub fn is_stream(&self) -> bool {
        self.peeked.is_stream() && !matches!(self.operation, Operation::Embedding | Operation::CountTokens)
    }

    /// The model to use: the requested one as written, empty when absent, or its substitute.
    pub fn model(&self) -> std::borrow::Cow<'_, str> {
        if let Some(substitute) = &self.substitute {
            return substitute.as_ref().into();
        }
        self.peeked.text(Field::Model).unwrap_or_default()
    }
}

fn too_large(limit: usize) -> Problem {
    Problem::client(ErrorKind::RequestTooLarge, format!("the body is larger than {limit} bytes"))
}

fn unsupported(message: &str) -> Problem {
    Problem::client(ErrorKind::InvalidRequest, message).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
}

fn check_head(headers: &HeaderMap, limit: usize) -> Result<usize, Problem> {
    let identity = HeaderValue::from_static("identity");
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != identity) {
        let message = "compressed request bodies are not accepted; send the body without content-encoding";
        return Err(unsupported(message).with_code("unsupported_content_encoding"));
    }
    let is_json = |value: &HeaderValue| {
        let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/json") || essence.is_empty()
    };
    if !headers.get(CONTENT_TYPE).is_none_or(is_json) {
        let message = "the body must be JSON: send `content-type: application/json`";
        return Err(unsupported(message).with_code("unsupported_content_type"));
    }
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match announced.map(usize::try_from) {
        Some(Ok(length)) if length <= limit => Ok(length),
        Some(_) => Err(too_large(limit)),
        None => Ok(0),
    }
}

/// Collects the body: at most the limit, not slower than a floor, within the process's share of memory.
async fn read_body(
    core: &Core,
    headers: &HeaderMap,
    mut body: Incoming,
) -> Result<(Bytes, HeldBytes), Problem> {
    let settings = &core.gateway.settings;
    let announced = check_head(headers, settings.max_body_bytes)?;
    let no_memory = || {
        Problem::gateway(ErrorKind::Unavailable, "too many large requests are being read; try again shortly")
            .with_retry(RetryAdvice::AfterMs(1_000))
    };
    let memory = &core.gateway.body_memory;
    // A body without a length is counted as it comes; the announced one is taken at once.
    let mut held = memory.hold(announced, settings.max_body_memory_bytes).ok_or_else(no_memory)?;
    let (mut first, mut gathered) = (Bytes::new(), BytesMut::new());
    let started = Instant::now();
    let mut read_bytes = 0;
    while let Some(frame) = next_frame(core, &mut body, started, read_bytes).await? {
        let Ok(data) = frame.into_data() else { continue };
        read_bytes += data.len();
        if read_bytes > settings.max_body_bytes {
            return Err(too_large(settings.max_body_bytes));
        }
        if read_bytes > held.bytes() {
            held = memory.hold(read_bytes, settings.max_body_memory_bytes).ok_or_else(no_memory)?;
        }
        if first.is_empty() && gathered.is_empty() {
            first = data;
            continue;
        }
        if gathered.is_empty() {
            gathered.reserve(announced.max(first.len() + data.len()));
            gathered.extend_from_slice(&std::mem::take(&mut first));
        }
        gathered.extend_from_slice(&data);
    }
    let whole = if gathered.is_empty() { first } else { gathered.freeze() };
    Ok((whole, held))
}

/// The next piece of the body, or why it is not waited for any longer.
async fn next_frame(
    core: &Core,
    body: &mut Incoming,
    started: Instant,
    read_bytes: usize,
) -> Result<Option<hyper::body::Frame<Bytes>>, Problem> {
    let settings = &core.gateway.settings;
    let idle_until = Instant::now() + Duration::from_millis(settings.body_idle_timeout_ms);
    // One KiB a second on average, after the grace.
    let earned = Duration::from_millis(settings.body_grace_ms.saturating_add(read_bytes as u64));
    let frame = match timeout_at(idle_until.min(started + earned), body.frame()).await {
        Ok(frame) => frame.transpose(),
        Err(_) => {
            let problem = Problem::client(ErrorKind::InvalidRequest, "the request body came too slowly");
            return Err(problem.with_code("request_timeout").with_status(StatusCode::REQUEST_TIMEOUT));
        }
    };
    frame.map_err(|_| Problem::client(ErrorKind::InvalidRequest, "the request body was cut off"))
}

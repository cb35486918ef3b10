//! A stream whose first content takes long: begun without it, and kept alive until it comes.
//!
//! Deployments are tried in the meantime as before. Only the end of all attempts is told otherwise: the status is out
//! by then, so it is the dialect's error event.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use tokio::time::{Instant, Sleep, sleep_until};
use tollgate_core::{Dialect, RequestId};
use tollgate_ledger::record::Outcome;
use tollgate_wire::{ErrorBody, ErrorKind, read_answer, stream_error_event};

use super::admit::Admitted;
use super::relay::RelayBody;
use crate::answer::{AnswerBody, Cut, MODEL, REQUEST_ID};
use crate::core::Core;
use crate::problem::Refused;

type Answered = Result<Response<AnswerBody>, Box<Refused>>;
type Serving = Pin<Box<dyn Future<Output = Answered>>>;

/// What can be said of a stream before its first content.
pub(super) struct EarlyStream {
    dialect: Dialect,
    request_id: RequestId,
    model: Box<str>,
}

impl EarlyStream {
    pub(super) fn new(admitted: &Admitted) -> Self {
        let permitted = admitted.permitted();
        let understood = &permitted.understood;
        Self {
            dialect: understood.route.dialect,
            request_id: understood.request_id,
            model: permitted.name.clone(),
        }
    }

    /// The answer of `serving`, or after a while the beginning of a stream that will have it.
    pub(super) async fn keep_alive(
        self,
        core: &Rc<Core>,
        serving: impl Future<Output = Answered> + 'static,
    ) -> Answered {
        let settings = &core.gateway.settings;
        let mut serving: Serving = Box::pin(serving);
        let patience = Duration::from_millis(settings.stream_keep_alive_after_ms);
        if let Ok(answer) = tokio::time::timeout(patience, serving.as_mut()).await {
            return answer;
        }
        let every = Duration::from_millis(settings.stream_keep_alive_every_ms);
        let mut response = Response::new(AnswerBody::Early(Box::new(EarlyBody {
            core: Rc::clone(core),
            dialect: self.dialect,
            request_id: self.request_id,
            every,
            // The first sign of life is due now.
            timer: Box::pin(sleep_until(Instant::now())),
            state: State::Waiting(serving),
        })));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        for (name, text) in [(REQUEST_ID, &*self.request_id.to_string()), (MODEL, &self.model)] {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
        Ok(response)
    }
}

/// The body of a stream that was begun before its content.
pub struct EarlyBody {
    core: Rc<Core>,
    dialect: Dialect,
    request_id: RequestId,
    every: Duration,
    timer: Pin<Box<Sleep>>,
    state: State,
}

enum State {
    Waiting(Serving),
    /// An account is being closed; then the event leaves.
    Failing(Pin<Box<dyn Future<Output = Bytes>>>),
    Relaying(Box<RelayBody>),
    Ended,
}

impl EarlyBody {
    /// Nothing more will come.
    pub fn is_done(&self) -> bool {
        match &self.state {
            State::Relaying(relay) => relay.is_done(),
            State::Ended => true,
            State::Waiting(_) | State::Failing(_) => false,
        }
    }

    /// The next chunk, or the end.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cut>>> {
        loop {
            match &mut self.state {
                State::Waiting(serving) => match serving.as_mut().poll(context) {
                    Poll::Ready(answer) => self.state = self.after(answer),
                    Poll::Pending => {
                        ready!(self.timer.as_mut().poll(context));
                        let next = Instant::now() + self.every;
                        self.timer.as_mut().reset(next);
                        return Poll::Ready(Some(Ok(sign_of_life(self.dialect))));
                    }
                },
                State::Failing(failing) => {
                    let event = ready!(failing.as_mut().poll(context));
                    self.state = State::Ended;
                    return Poll::Ready(Some(Ok(event)));
                }
                State::Relaying(relay) => return relay.poll_next(context),
                State::Ended => return Poll::Ready(None),
            }
        }
    }

    fn after(&self, answer: Answered) -> State {
        let (dialect, request_id) = (self.dialect, self.request_id);
        match answer.map(Response::into_parts) {
            Ok((_, AnswerBody::Relay(relay))) => State::Relaying(relay),
            Ok((head, AnswerBody::Whole(chunks))) => {
                let body: Vec<u8> = chunks.iter().flatten().copied().collect();
                State::Failing(Box::pin(
                    async move { refusal_event(dialect, request_id, head.status, &body) },
                ))
            }
            // Nothing on this way makes another.
            Ok((_, AnswerBody::Early(_) | AnswerBody::Fallback(_))) => State::Ended,
            Err(refused) => {
                if refused.outcome == Outcome::Refused {
                    self.core.gateway.metrics.refused(refused.problem.name());
                }
                State::Failing(Box::pin(refused.into_event(dialect, request_id)))
            }
        }
    }
}

/// What every client passes over.
const fn sign_of_life(dialect: Dialect) -> Bytes {
    Bytes::from_static(match dialect {
        Dialect::AnthropicMessages => b"event: ping\ndata: {\"type\": \"ping\"}\n\n",
        _ => b": ping\n\n",
    })
}

/// A provider's refusal, which is in the caller's dialect already, as an event of it.
fn refusal_event(dialect: Dialect, request_id: RequestId, status: StatusCode, body: &[u8]) -> Bytes {
    let told = read_answer(dialect, body).ok().and_then(|answer| answer.error).unwrap_or_default();
    let kind = match status.as_u16() {
        404 => ErrorKind::NotFound,
        413 => ErrorKind::RequestTooLarge,
        429 => ErrorKind::RateLimited,
        503 | 529 => ErrorKind::Overloaded,
        504 => ErrorKind::Timeout,
        400..=499 => ErrorKind::InvalidRequest,
        _ => ErrorKind::UpstreamError,
    };
    let request_id = request_id.to_string();
    let error = ErrorBody {
        kind,
        message: told.message.as_deref().unwrap_or("the provider refused the request"),
        param: None,
        code: told.code.as_deref(),
        request_id: Some(&request_id),
    };
    stream_error_event(dialect, &error, 0)
}

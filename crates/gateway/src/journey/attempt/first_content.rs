//! A stream until its first content. Before it nothing is promised, so a failure here can be tried elsewhere.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::response::Parts;
use http_body_util::BodyExt;
use tollgate_core::FaultPoint;
use tollgate_upstream::InboundBody;
use tollgate_wire::{ErrorKind, ObserverOptions, StreamObserver};

use super::failure::{Failure, lost_call};
use super::outbound::Translation;
use super::send::{Call, StreamAnswer, end_unserved};
use crate::account::Account;
use crate::core::Core;
use crate::journey::shortlist::Eligible;
use crate::problem::Problem;

/// A stream that says nothing within this many bytes is passed on as it is.
const MAX_HELD_BYTES: usize = 256 << 10;

/// A stream whose head has come.
pub(super) struct FirstContent {
    pub head: Parts,
    pub body: InboundBody,
    pub translation: Option<Translation>,
    pub remove_usage_event: bool,
}

/// What was wrong with a stream before its first content.
struct Broken {
    code: &'static str,
    told: String,
}

impl FirstContent {
    /// Waits for the first content, or says why none will come.
    pub(super) async fn wait(
        self,
        core: &Rc<Core>,
        call: &Call,
        eligible: &Eligible,
        account: &mut Account,
    ) -> Result<StreamAnswer, Failure> {
        let Self { head, mut body, translation, remove_usage_event } = self;
        let options = ObserverOptions {
            remove_usage_event,
            whole_events: true,
            ..ObserverOptions::for_dialect(eligible.dialect)
        };
        let mut observer = StreamObserver::new(eligible.dialect, options);
        let mut held = Vec::new();
        let reading = if is_encoded(&head) {
            let told = "it is compressed, which was not asked for".to_owned();
            Err(Broken { code: "encoded_answer", told })
        } else if is_event_stream(&head) {
            read_until_content(&mut body, &mut observer, &mut held, translation.is_some()).await
        } else {
            let told = "the answer is not an event stream".to_owned();
            Err(Broken { code: "not_a_stream", told })
        };
        if let Err(Broken { code, told }) = reading {
            let target = &eligible.target;
            target.health.failed(core.gateway.clock.now());
            end_unserved(account, Some(&head), code, lost_call(call, account).await);
            let provider = &target.deployment.provider.name;
            let told = target.discreet(&told);
            let message = format!("provider \"{provider}\" broke its stream before any content: {told}");
            let problem = Problem::provider(ErrorKind::UpstreamError, message).with_code(code);
            return Err(Failure::retryable(problem));
        }
        account.first_token();
        FaultPoint::FirstContent.reach();
        let upstream_dialect = eligible.dialect;
        let target = Arc::clone(&eligible.target);
        Ok(StreamAnswer { target, head, upstream: body, upstream_dialect, observer, held, translation })
    }
}

fn is_event_stream(head: &Parts) -> bool {
    let text = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.get(..17).is_some_and(|start| start.eq_ignore_ascii_case("text/event-stream"))
}

fn is_encoded(head: &Parts) -> bool {
    let encodings = head.headers.get_all(CONTENT_ENCODING).iter();
    encodings.map(http::HeaderValue::as_bytes).any(|value| !value.eq_ignore_ascii_case(b"identity"))
}

async fn read_until_content(
    body: &mut InboundBody,
    observer: &mut StreamObserver,
    held: &mut Vec<Bytes>,
    raw: bool,
) -> Result<(), Broken> {
    let mut held_bytes = 0;
    loop {
        match body.frame().await {
            Some(Ok(frame)) => {
                let Ok(chunk) = frame.into_data() else { continue };
                held_bytes += chunk.len();
                let relayed = observer.push(chunk.clone());
                if raw {
                    held.push(chunk);
                } else {
                    held.extend(relayed);
                }
            }
            Some(Err(error)) => return Err(Broken { code: error.code(), told: error.to_string() }),
            None => {
                let rest = observer.finish();
                held.extend(rest.filter(|_| !raw));
                check(observer)?;
                return if observer.is_complete() { Ok(()) } else { Err(empty()) };
            }
        }
        check(observer)?;
        if observer.is_committed() || held_bytes > MAX_HELD_BYTES {
            return Ok(());
        }
    }
}

fn empty() -> Broken {
    Broken { code: "empty_stream", told: "it ended".to_owned() }
}

fn check(observer: &StreamObserver) -> Result<(), Broken> {
    if observer.terminated() && !observer.content_seen() && observer.finish_reason().is_none() {
        return Err(empty());
    }
    if let Some(error) = observer.error().filter(|_| !observer.content_seen()) {
        let told = error.message.as_deref().unwrap_or("an error without a message").to_owned();
        return Err(Broken { code: "error_in_stream", told });
    }
    match observer.problem() {
        Some(problem) if !observer.content_seen() => {
            Err(Broken { code: "malformed_stream", told: problem.to_string() })
        }
        _ => Ok(()),
    }
}

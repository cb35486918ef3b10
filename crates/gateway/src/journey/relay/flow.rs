//! What flows through a relayed stream: the provider's bytes, watched, and translated where the dialects differ.

use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body;
use tollgate_core::FaultPoint;
use tollgate_upstream::InboundBody;
use tollgate_wire::canonical::ApiErrorKind;
use tollgate_wire::translate::{StreamState, StreamTranslator};
use tollgate_wire::{ErrorBody, ErrorKind, SseReader, StreamObserver, stream_error_event};

use super::stepping::Stepping;
use crate::account::Account;
use crate::core::Core;
use crate::journey::admit::Terms;
use crate::journey::attempt::{Call, StreamAnswer};
use crate::problem::Problem;
use crate::targets::Target;

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// With its dialect's end.
    Complete,
    /// The client left.
    ClientGone,
    /// The provider broke it, or reported an error in it. The client was told.
    Broken { code: &'static str },
    /// A budget could not pay for more of it. The client was told.
    Unpaid { code: &'static str },
}

/// What a client is told instead of an error event that contains the provider's secret.
const ERROR_WITHHELD: &str =
    "the provider reported an error; its message is withheld, for it contains the provider's secret";

/// A stream that is being relayed.
pub struct Flow {
    pub(super) core: Rc<Core>,
    pub(super) call: Call,
    pub(super) account: Account,
    pub(super) terms: Terms,
    pub(super) target: Arc<Target>,
    pub(super) upstream: InboundBody,
    pub(super) observer: StreamObserver,
    translation: Option<StreamTranslation>,
    held: Vec<Bytes>,
    pub(super) status: u16,
    pub(super) upstream_request_id: Option<Box<str>>,
    pub(super) ending: Option<Ending>,
    /// The next step of a stream that pays as it goes; nothing more is read before it is paid for.
    pub(super) stepping: Option<Stepping>,
}

struct StreamTranslation {
    reader: SseReader,
    translator: StreamTranslator,
    out: Vec<u8>,
}

impl Flow {
    pub fn new(
        core: &Rc<Core>,
        call: Call,
        answer: StreamAnswer,
        account: Account,
        terms: Terms,
        upstream_request_id: Option<Box<str>>,
    ) -> Self {
        let from = answer.upstream_dialect;
        let translation = answer.translation.and_then(|translation| {
            // Both dialects were translated on the way out, so they are translated on the way back.
            let translator = StreamTranslator::new(from, call.dialect, translation.carry).ok()?;
            Some(StreamTranslation { reader: SseReader::default(), translator, out: Vec::new() })
        });
        Self {
            core: Rc::clone(core),
            call,
            account,
            terms,
            target: answer.target,
            upstream: answer.upstream,
            observer: answer.observer,
            translation,
            held: answer.held,
            status: answer.head.status.as_u16(),
            upstream_request_id,
            ending: None,
            stepping: None,
        }
    }

    /// Puts what was held back until the first content in line.
    pub fn begin(&mut self, chunks: &mut VecDeque<Bytes>) {
        for chunk in std::mem::take(&mut self.held) {
            match &self.translation {
                Some(_) => self.translate(&chunk, chunks),
                None => self.pass_on(chunk, chunks),
            }
        }
        self.look_for_the_end(chunks);
        self.step_if_needed();
    }

    /// Takes what has ended the stream, if anything has.
    pub const fn ending(&mut self) -> Option<Ending> {
        self.ending.take()
    }

    /// Reads the next piece from the provider and puts what follows from it in line.
    pub fn poll_upstream(&mut self, context: &mut Context<'_>, chunks: &mut VecDeque<Bytes>) -> Poll<()> {
        if self.stepping.is_some() {
            ready!(self.poll_step(context, chunks));
            if self.ending.is_some() {
                return Poll::Ready(());
            }
        }
        match ready!(Pin::new(&mut self.upstream).poll_frame(context)) {
            Some(Ok(frame)) => {
                let Ok(chunk) = frame.into_data() else { return Poll::Ready(()) };
                FaultPoint::StreamChunk.reach();
                if self.translation.is_some() {
                    // The observer only watches; what it would relay is in the wrong dialect.
                    drop(self.observer.push(chunk.clone()));
                    self.translate(&chunk, chunks);
                } else {
                    for piece in self.observer.push(chunk) {
                        self.pass_on(piece, chunks);
                    }
                }
                self.look_for_the_end(chunks);
                self.step_if_needed();
            }
            Some(Err(error)) => self.break_off(error.code(), &error.to_string(), chunks),
            None => self.upstream_ended(chunks),
        }
        Poll::Ready(())
    }

    /// Puts a piece of whole events in line, unless the provider's trouble in it tells our secret.
    fn pass_on(&mut self, piece: Bytes, chunks: &mut VecDeque<Bytes>) {
        let in_trouble = self.observer.error().is_some() || self.observer.problem().is_some();
        if in_trouble && self.ending.is_none() && self.target.tells_secret(&piece) {
            self.break_off("error_in_stream", ERROR_WITHHELD, chunks);
        }
        if self.ending.is_none() {
            chunks.push_back(piece);
        }
    }

    fn translate(&mut self, chunk: &Bytes, chunks: &mut VecDeque<Bytes>) {
        let Some(translation) = &mut self.translation else { return };
        let mut failure = None;
        for event in translation.reader.push(chunk.clone()) {
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    failure = Some(error.to_string());
                    break;
                }
            };
            let Some(data) = &event.data else { continue };
            if self.observer.error().is_some() && self.target.tells_secret(data) {
                failure = Some(ERROR_WITHHELD.to_owned());
                break;
            }
            let name = event.name.as_deref().and_then(|name| str::from_utf8(name).ok());
            if let Err(error) = translation.translator.event(name, data, &mut translation.out) {
                failure = Some(error.to_string());
                break;
            }
        }
        if !translation.out.is_empty() {
            chunks.push_back(std::mem::take(&mut translation.out).into());
        }
        if let Some(message) = failure {
            let code = if self.observer.error().is_some() { "error_in_stream" } else { "malformed_stream" };
            self.break_off(code, &message, chunks);
        }
    }

    /// Whether the stream is over: by its terminator, by an error in it, or because it makes no sense.
    fn look_for_the_end(&mut self, chunks: &mut VecDeque<Bytes>) {
        if self.ending.is_some() {
            return;
        }
        if self.observer.error().is_some() {
            // The provider's own error event is on its way already.
            self.ending = Some(Ending::Broken { code: "error_in_stream" });
        } else if let Some(problem) = self.observer.problem() {
            self.break_off("malformed_stream", &problem.to_string(), chunks);
        } else if let Some(translation) = &self.translation {
            match translation.translator.state() {
                StreamState::Open => {}
                StreamState::Complete => self.ending = Some(Ending::Complete),
                StreamState::Failed(_) => self.ending = Some(Ending::Broken { code: "error_in_stream" }),
            }
        } else if self.observer.terminated() {
            self.ending = Some(Ending::Complete);
        }
    }

    fn upstream_ended(&mut self, chunks: &mut VecDeque<Bytes>) {
        let rest = self.observer.finish();
        if let Some(translation) = &mut self.translation {
            let finished = translation.translator.finish(&mut translation.out);
            if !translation.out.is_empty() {
                chunks.push_back(std::mem::take(&mut translation.out).into());
            }
            if let Err(error) = finished {
                return self.break_off("cut", &error.to_string(), chunks);
            }
            self.look_for_the_end(chunks);
        } else {
            if let Some(rest) = rest {
                self.pass_on(rest, chunks);
            }
            if self.observer.is_complete() {
                self.ending = Some(Ending::Complete);
            } else {
                self.look_for_the_end(chunks);
            }
        }
        if self.ending.is_none() {
            self.break_off("cut", "the provider ended its stream without finishing the answer", chunks);
        }
    }

    /// Ends the client's stream with its dialect's error event, for the provider's fault.
    fn break_off(&mut self, code: &'static str, message: &str, chunks: &mut VecDeque<Bytes>) {
        let target = Arc::clone(&self.target);
        self.tell(ErrorKind::UpstreamError, code, target.discreet(message), chunks);
        self.ending = Some(Ending::Broken { code });
    }

    /// Ends the client's stream because nothing pays for more of it.
    pub(super) fn break_off_unpaid(&mut self, problem: &Problem, chunks: &mut VecDeque<Bytes>) {
        let code = problem.name();
        self.tell(problem.kind, code, &problem.message, chunks);
        self.ending = Some(Ending::Unpaid { code });
    }

    fn tell(&mut self, kind: ErrorKind, code: &'static str, message: &str, chunks: &mut VecDeque<Bytes>) {
        if let Some(translation) = &mut self.translation {
            translation.translator.fail(api_kind(kind), Some(code), message, &mut translation.out);
            chunks.push_back(std::mem::take(&mut translation.out).into());
        } else {
            if self.observer.mid_event() {
                chunks.push_back(Bytes::from_static(b"\n\n"));
            }
            let request_id = self.call.request_id.to_string();
            let error =
                ErrorBody { kind, message, param: None, code: Some(code), request_id: Some(&request_id) };
            chunks.push_back(stream_error_event(self.call.dialect, &error, self.observer.events()));
        }
    }
}

/// What clients of any dialect are to make of an error inside a stream.
const fn api_kind(kind: ErrorKind) -> ApiErrorKind {
    match kind {
        // Trying again would only be refused.
        ErrorKind::BudgetExceeded => ApiErrorKind::Billing,
        ErrorKind::RateLimited => ApiErrorKind::RateLimit,
        ErrorKind::Overloaded | ErrorKind::Unavailable => ApiErrorKind::Overloaded,
        ErrorKind::Timeout => ApiErrorKind::Timeout,
        _ => ApiErrorKind::Server,
    }
}

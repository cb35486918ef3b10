//! What flows through a relayed stream: the provider's bytes, watched, and translated where the dialects differ.

use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::BodyExt;
use tollgate_core::Fault;
use tollgate_ledger::record::Outcome;
use tollgate_upstream::InboundBody;
use tollgate_wire::translate::{StreamState, StreamTranslator};
use tollgate_wire::{ErrorBody, ErrorKind, SseReader, StreamObserver, stream_error_event};

use super::body::Settling;
use super::objects;
use crate::account::{Account, AttemptEnd, Measured};
use crate::core::Core;
use crate::journey::admit::Terms;
use crate::journey::attempt::{Call, StreamAnswer};
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
}

/// What a client is told instead of an error event that contains the provider's secret.
const ERROR_WITHHELD: &str =
    "the provider reported an error; its message is withheld, for it contains the provider's secret";

/// A stream that is being relayed.
pub struct Flow {
    core: Rc<Core>,
    call: Call,
    account: Account,
    terms: Terms,
    target: Arc<Target>,
    upstream: InboundBody,
    observer: StreamObserver,
    translation: Option<StreamTranslation>,
    held: Vec<Bytes>,
    status: u16,
    upstream_request_id: Option<Box<str>>,
    ending: Option<Ending>,
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
    }

    /// Takes what has ended the stream, if anything has.
    pub const fn ending(&mut self) -> Option<Ending> {
        self.ending.take()
    }

    /// Reads the next piece from the provider and puts what follows from it in line.
    pub fn poll_upstream(&mut self, context: &mut Context<'_>, chunks: &mut VecDeque<Bytes>) -> Poll<()> {
        match ready!(Pin::new(&mut self.upstream).poll_frame(context)) {
            Some(Ok(frame)) => {
                let Ok(chunk) = frame.into_data() else { return Poll::Ready(()) };
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

    /// Ends the client's stream with its dialect's error event.
    fn break_off(&mut self, code: &'static str, message: &str, chunks: &mut VecDeque<Bytes>) {
        let message = self.target.discreet(message);
        if let Some(translation) = &mut self.translation {
            translation.translator.fail(message, &mut translation.out);
            chunks.push_back(std::mem::take(&mut translation.out).into());
        } else {
            if self.observer.mid_event() {
                chunks.push_back(Bytes::from_static(b"\n\n"));
            }
            let request_id = self.call.request_id.to_string();
            let error = ErrorBody {
                kind: ErrorKind::UpstreamError,
                message,
                param: None,
                code: Some(code),
                request_id: Some(&request_id),
            };
            chunks.push_back(stream_error_event(self.call.dialect, &error, self.observer.events()));
        }
        self.ending = Some(Ending::Broken { code });
    }

    /// Ends the attempt and the account; the provider's connection is read out or closed.
    pub fn close(self: Box<Self>, ending: Ending) -> Settling {
        let mut this = *self;
        let whole = ending == Ending::Complete;
        release(this.upstream, whole);
        if whole {
            let (id, handed_out) = (this.observer.response_id(), this.observer.handed_out());
            objects::own(&this.core, &this.call, id, handed_out, &mut this.account);
        }
        let reported = this.observer.usage();
        // A stream that was stopped early did not reach its final figures, whatever it told before.
        let is_final = this.observer.usage_is_final();
        let partial = reported.as_ref().ok().copied().flatten();
        let produced = this.observer.content_seen();
        let bounds = || this.call.bounds(&this.target, &this.terms);
        let measured =
            Measured::reported(reported, is_final, produced, this.call.operation, &this.terms, bounds);
        let end = End {
            ending,
            status: this.status,
            finish_reason: this.observer.finish_reason().map(Into::into),
            upstream_request_id: this.upstream_request_id,
        };
        let mut account = this.account;
        let source = match measured {
            Ok(measured) => {
                end.apply(&mut account, measured);
                return Settling::Writing(account.settle_append());
            }
            Err(source) => source,
        };
        let produced = this.observer.produced_text();
        let prompt = this.call.peeked.body().clone();
        let call = this.call;
        Settling::Counting(Box::pin(async move {
            let measured = Measured::count(source, partial, prompt, produced).await;
            end.apply(&mut account, measured);
            account.settle().await;
            drop(call);
        }))
    }
}

struct End {
    ending: Ending,
    status: u16,
    finish_reason: Option<Box<str>>,
    upstream_request_id: Option<Box<str>>,
}

impl End {
    fn apply(self, account: &mut Account, measured: Measured) {
        let (outcome, error_kind) = match self.ending {
            Ending::Complete => (Outcome::Completed, None),
            Ending::ClientGone => (Outcome::ClientGone, Some("client_gone".into())),
            Ending::Broken { code } => (Outcome::Failed, Some(code.into())),
        };
        account.end_attempt(AttemptEnd {
            status: self.status,
            outcome,
            error_kind,
            served: true,
            measured,
            upstream_request_id: self.upstream_request_id,
        });
        match self.ending {
            Ending::Complete => account.complete(self.status, self.finish_reason.as_deref()),
            Ending::ClientGone => account.client_gone(self.status),
            Ending::Broken { code } => account.fail_as(Fault::Provider, code, Outcome::Failed, self.status),
        }
    }
}

/// After a whole answer the rest of the body is only its framing: reading it lets the connection be used again.
/// Anything else is closed, which tells the provider to stop.
fn release(mut upstream: InboundBody, whole: bool) {
    const LONGEST_REST: Duration = Duration::from_secs(1);
    if !whole || upstream.is_end_stream() {
        return;
    }
    tokio::task::spawn_local(async move {
        let rest = async { while let Some(Ok(_)) = upstream.frame().await {} };
        // A provider that sends on after its end is cut off; nothing of it is needed.
        let _ = tokio::time::timeout(LONGEST_REST, rest).await;
    });
}

//! The end of a stream's account: what it used, and how it is told.

use std::time::Duration;

use http_body::Body;
use http_body_util::BodyExt;
use tollgate_core::{Fault, FaultPoint};
use tollgate_ledger::record::Outcome;
use tollgate_upstream::InboundBody;

use super::body::Settling;
use super::flow::{Ending, Flow};
use super::objects;
use super::stepping::Stepping;
use crate::account::{Account, AttemptEnd, Measured};

impl Flow {
    /// Ends the attempt and the account; the provider's connection is read out or closed.
    pub fn close(self: Box<Self>, ending: Ending) -> Settling {
        let mut this = *self;
        let whole = ending == Ending::Complete;
        match ending {
            Ending::ClientGone => FaultPoint::ClientGone.reach(),
            _ => FaultPoint::StreamComplete.reach(),
        }
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
        let step = this.stepping.and_then(Stepping::into_reserving);
        if let (Ok(measured), None) = (measured, &step) {
            end.apply(&mut account, measured);
            return Settling::Writing(account.settle_append());
        }
        let produced = this.observer.produced_text();
        let prompt = this.call.peeked.body().clone();
        let call = this.call;
        Settling::Counting(Box::pin(async move {
            if let Some(step) = step {
                account.put_reservation(step.await.0);
            }
            let measured = match measured {
                Ok(measured) => measured,
                Err(source) => {
                    let mut counted = Measured::count(source, partial, prompt, produced).await;
                    let unseen = account.unseen_output_tokens();
                    counted.usage.output = counted.usage.output.saturating_add(unseen);
                    counted
                }
            };
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
            Ending::Broken { code } | Ending::Unpaid { code } => (Outcome::Failed, Some(code.into())),
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
            Ending::Unpaid { code } => account.fail_as(Fault::Client, code, Outcome::Failed, self.status),
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

//! One exchange with one provider, up to the point where its answer is known to be one.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, response};
use tollgate_core::{Dialect, FaultPoint, Operation, RequestId, UnixMicros};
use tollgate_providers::{Classification, classify};
use tollgate_state::governance::CallFacts;
use tollgate_state::{Model, Principal};
use tollgate_upstream::InboundBody;
use tollgate_wire::{HandedOut, Peeked, StreamObserver};

use super::failure::{Failure, ProviderAnswer};
use super::outbound::{Outbound, Translation};
use super::{first_content, whole_answer};
use crate::account::{Account, AttemptEnd, Bounds, Measured};
use crate::core::{Core, HeldBytes};
use crate::estimate::worst_case::{Asked, Offer};
use crate::journey::admit::Terms;
use crate::journey::permit::Permitted;
use crate::journey::shortlist::Eligible;
use crate::live::Published;
use crate::reservation::CallView;
use crate::targets::Target;

/// What the attempts of one call share.
#[derive(Debug)]
pub struct Call {
    pub dialect: Dialect,
    pub operation: Operation,
    pub stream: bool,
    pub request_id: RequestId,
    pub headers: HeaderMap,
    pub query: Option<Box<str>>,
    pub peeked: Peeked,
    /// The public name as asked for.
    pub model: Box<str>,
    /// What that resolved to.
    pub resolved: Arc<Model>,
    /// Whether the body names another model, which a budget's owner had replaced.
    pub substituted: bool,
    pub principal: Principal,
    published: Arc<Published>,
    started_at: UnixMicros,
    gone: Rc<Cell<bool>>,
    held: HeldBytes,
}

impl Call {
    pub(super) fn new(permitted: Permitted, gone: Rc<Cell<bool>>) -> (Self, Account) {
        let Permitted { understood, model, name, .. } = permitted;
        let stream = understood.is_stream();
        let call = Self {
            dialect: understood.route.dialect,
            operation: understood.operation,
            stream,
            request_id: understood.request_id,
            headers: understood.headers,
            query: understood.query,
            peeked: understood.peeked,
            model: name,
            resolved: model,
            substituted: understood.substitute.is_some(),
            principal: understood.credential.principal,
            published: understood.published,
            started_at: understood.started_at,
            gone,
            held: understood.held,
        };
        (call, understood.account)
    }

    /// The call as budgets and limits see it.
    pub(super) fn view<'call>(&'call self, account: &'call Account, terms: &'call Terms) -> CallView<'call> {
        CallView {
            governed: &self.published.governed,
            facts: CallFacts {
                principal: &self.principal,
                groups: &[],
                customer: account.customer(),
                model: Some((&self.model, &self.resolved.tags)),
                upstream: None,
            },
            operation: self.operation,
            stream: self.stream,
            headers: &self.headers,
            peeked: &self.peeked,
            terms,
            started_at: self.started_at,
            model: (&self.resolved.name, &self.model),
        }
    }

    /// Whether nobody waits for the answer any more.
    pub fn client_gone(&self) -> bool {
        self.gone.get()
    }

    /// When the call came in, for dialects whose answers are dated.
    pub fn created_unix_s(&self) -> u64 {
        u64::try_from(self.started_at.as_secs()).unwrap_or(0)
    }

    /// The most that an answer of the target can honestly have used.
    pub fn bounds(&self, target: &Target, terms: &Terms) -> Bounds {
        let deployment = &target.deployment;
        let offer = Offer {
            kind: &deployment.provider.kind,
            dialect: target.route(self.operation, self.dialect).map_or(self.dialect, |(dialect, _)| dialect),
            facts: deployment.facts(deployment.upstream_model(&self.resolved.name, &self.model)),
            beta: self.headers.get("anthropic-beta").and_then(|value| value.to_str().ok()),
        };
        Bounds::of(Asked::of(self.operation, &self.peeked).bound(&offer), terms.budget_cap_tokens)
    }

    /// Bytes of memory that the call's body takes.
    pub const fn body_bytes(&self) -> usize {
        self.held.bytes()
    }
}

/// What a provider gave.
pub enum Served {
    /// An answer that is whole, in the client's dialect, and already measured.
    Whole(WholeAnswer),
    /// A stream whose first content has come.
    Stream(Box<StreamAnswer>),
    /// The provider's own refusal, to be passed on.
    Refusal(ProviderAnswer),
}

pub struct WholeAnswer {
    pub head: response::Parts,
    pub body: Bytes,
    pub finish_reason: Option<Box<str>>,
    /// The id under which the provider keeps it, if it does.
    pub object_id: Option<Box<str>>,
    /// Other ids that it hands out.
    pub handed_out: Vec<HandedOut>,
    pub losses: Vec<Box<str>>,
}

pub struct StreamAnswer {
    pub target: Arc<Target>,
    pub head: response::Parts,
    pub upstream: InboundBody,
    pub upstream_dialect: Dialect,
    pub observer: StreamObserver,
    /// What came until the first content: to be relayed, or with a translation to be translated.
    pub held: Vec<Bytes>,
    pub translation: Option<Translation>,
}

/// Sends the request and waits for an answer that can be served.
pub(super) async fn send(
    core: &Rc<Core>,
    call: &Call,
    eligible: &Eligible,
    outbound: Outbound,
    terms: &Terms,
    account: &mut Account,
) -> Result<Served, Failure> {
    let target = &eligible.target;
    let mut request = Request::new(());
    *request.method_mut() = outbound.method();
    *request.uri_mut() = outbound.uri;
    *request.headers_mut() = outbound.headers;
    account.name_attempt(request.headers_mut());
    let (head, ()) = request.into_parts();
    account.dispatched();
    FaultPoint::BeforeSend.reach();
    let sent = core.client.send(&target.origin, head, outbound.body, &target.timeouts).await;
    let response = match sent {
        Ok(response) => response,
        Err(error) => return Err(Failure::unanswered(core, call, target, &error, account).await),
    };
    FaultPoint::AnswerHead.reach();
    let first_byte = Duration::from_micros(account.attempt_elapsed_us());
    let (mut head, body) = response.into_parts();
    target.keep_secret(&mut head.headers);
    match classify(head.status, &head.headers) {
        Classification::Success if call.stream => {
            let answer = first_content::FirstContent {
                head,
                body,
                translation: outbound.translation,
                remove_usage_event: outbound.remove_usage_event,
            };
            let stream = answer.wait(core, call, eligible, account).await?;
            target.health.succeeded(first_byte);
            Ok(Served::Stream(Box::new(stream)))
        }
        Classification::Success => {
            let reading = whole_answer::Reading { head, body, translation: outbound.translation };
            let whole = reading.read(core, call, eligible, terms, account).await?;
            target.health.succeeded(first_byte);
            Ok(Served::Whole(whole))
        }
        classification => {
            Err(Failure::answered(core, call, eligible, classification, head, body, account).await)
        }
    }
}

/// Ends an attempt that served nothing and, as far as can be known, consumed nothing.
/// `head` is of the provider's answer, where there was one.
pub(super) fn end_unserved(
    account: &mut Account,
    head: Option<&response::Parts>,
    kind: &str,
    measured: Measured,
) {
    account.end_attempt(AttemptEnd {
        status: head.map_or(0, |head| head.status.as_u16()),
        outcome: tollgate_ledger::record::Outcome::Failed,
        error_kind: Some(kind.into()),
        served: false,
        measured,
        upstream_request_id: head.and_then(|head| upstream_request_id(&head.headers)),
    });
    FaultPoint::AttemptFailed.reach();
}

/// The provider's own id of an exchange, under any of the names in use.
pub fn upstream_request_id(headers: &HeaderMap) -> Option<Box<str>> {
    let names = ["x-request-id", "request-id", "apim-request-id", "x-amzn-requestid"];
    let value = names.iter().find_map(|name| headers.get(*name))?;
    value.to_str().ok().map(|text| text.chars().take(128).collect())
}

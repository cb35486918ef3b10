//! The answer on its way to the client, and the end of the account.
//!
//! Whole answers are settled before their first byte leaves. Streams are passed on as they come; the bytes that end
//! one are held until its settlement is in the journal. A stream that breaks ends with the dialect's own error event,
//! never with a false success; one whose client leaves is closed at the provider at once.

use std::rc::Rc;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use tollgate_core::FaultPoint;
use tollgate_wire::Field;

use super::attempt::{Attempted, Call, ProviderAnswer, Served, StreamAnswer, WholeAnswer};
use crate::account::Account;
use crate::answer::{
    AnswerBody, COST_USD, DEPLOYMENT, MODEL, OUTPUT_CAP, OVERHEAD_US, REQUEST_ID, SUBSTITUTED_FOR,
    TRANSLATION, clean_provider_headers,
};
use crate::core::Core;
use crate::problem::Refused;

mod body;
mod end;
mod flow;
mod objects;
mod stepping;

pub use body::RelayBody;

use flow::Flow;

/// Answers the client and closes the account.
pub async fn relay(core: &Rc<Core>, attempted: Attempted) -> Result<Response<AnswerBody>, Box<Refused>> {
    let Attempted { call, served, account, terms } = attempted;
    Ok(match served {
        Served::Whole(answer) => whole(core, &call, answer, account).await,
        Served::Refusal(answer) => refusal(&call, answer, account).await,
        Served::Stream(answer) => stream(core, call, *answer, account, terms),
    })
}

async fn whole(
    core: &Rc<Core>,
    call: &Call,
    answer: WholeAnswer,
    mut account: Account,
) -> Response<AnswerBody> {
    let status = answer.head.status;
    account.complete(status.as_u16(), answer.finish_reason.as_deref());
    if call.client_gone() {
        account.client_gone(status.as_u16());
    }
    account.translated_back(answer.losses.iter().cloned());
    objects::own(core, call, answer.object_id.as_deref(), &answer.handed_out, &mut account);
    let mut headers = answer.head.headers;
    clean_provider_headers(&mut headers);
    if account.was_translated() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    describe(&mut headers, call, &account);
    if let Some(cost) = account.cost() {
        insert(&mut headers, COST_USD, &cost.to_string());
    }
    account.settle().await;
    FaultPoint::AnswerLeaves.reach();
    respond(status, headers, AnswerBody::full(answer.body))
}

async fn refusal(call: &Call, answer: ProviderAnswer, account: Account) -> Response<AnswerBody> {
    let mut headers = answer.headers;
    clean_provider_headers(&mut headers);
    describe(&mut headers, call, &account);
    account.settle().await;
    respond(answer.status, headers, AnswerBody::full(answer.body))
}

fn stream(
    core: &Rc<Core>,
    call: Call,
    mut answer: StreamAnswer,
    account: Account,
    terms: super::admit::Terms,
) -> Response<AnswerBody> {
    let status = answer.head.status;
    let mut headers = std::mem::take(&mut answer.head.headers);
    let upstream_request_id = super::attempt::upstream_request_id(&headers);
    clean_provider_headers(&mut headers);
    describe(&mut headers, &call, &account);
    let flow = Flow::new(core, call, answer, account, terms, upstream_request_id);
    let body = RelayBody::new(flow);
    respond(status, headers, AnswerBody::Relay(Box::new(body)))
}

fn respond(status: StatusCode, headers: HeaderMap, body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The headers that tell what happened.
fn describe(headers: &mut HeaderMap, call: &Call, account: &Account) {
    insert(headers, REQUEST_ID, &call.request_id.to_string());
    insert(headers, MODEL, &call.model);
    if let Some(deployment) = account.deployment_header() {
        headers.insert(DEPLOYMENT, deployment);
    }
    let mut digits = itoa::Buffer::new();
    insert(headers, OVERHEAD_US, digits.format(account.overhead_us()));
    headers.extend(account.standing_headers());
    if call.substituted
        && let Some(asked_for) = call.peeked.text(Field::Model)
    {
        insert(headers, SUBSTITUTED_FOR, &asked_for);
    }
    if let Some(cap) = account.output_cap_tokens() {
        insert(headers, OUTPUT_CAP, digits.format(cap));
    }
    let losses = account.translation_summary();
    if !losses.is_empty() {
        insert(headers, TRANSLATION, &losses);
    }
}

fn insert(headers: &mut HeaderMap, name: http::HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(name, value);
    }
}

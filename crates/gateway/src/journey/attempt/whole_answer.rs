//! A non-streamed answer: read to its end, measured, and put into the client's dialect.

use std::rc::Rc;

use bytes::Bytes;
use http::response::Parts;
use http_body_util::{BodyExt, Limited};
use tollgate_core::{FaultPoint, Operation};
use tollgate_ledger::record::Outcome;
use tollgate_upstream::{InboundBody, ReadError};
use tollgate_wire::translate::translate_response;
use tollgate_wire::{Answer, ErrorKind, produced_text, read_answer};

use super::failure::{Failure, lost_call};
use super::outbound::Translation;
use super::send::{Call, WholeAnswer, end_unserved, upstream_request_id};
use crate::account::{Account, AttemptEnd, Measured};
use crate::core::Core;
use crate::journey::admit::Terms;
use crate::journey::shortlist::Eligible;
use crate::problem::Problem;

/// An answer whose head has come.
pub(super) struct Reading {
    pub head: Parts,
    pub body: InboundBody,
    pub translation: Option<Translation>,
}

impl Reading {
    /// Reads the body, measures what it cost, and ends the attempt.
    pub(super) async fn read(
        self,
        core: &Rc<Core>,
        call: &Call,
        eligible: &Eligible,
        terms: &Terms,
        account: &mut Account,
    ) -> Result<WholeAnswer, Failure> {
        let Self { head, body, translation } = self;
        let status = head.status.as_u16();
        let limit = core.gateway.settings.max_answer_bytes;
        let body = match Limited::new(body, limit).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) => {
                let code = error.downcast_ref::<ReadError>().map_or("answer_too_large", |error| error.code());
                return Err(broken(core, call, eligible, &head, code, &error.to_string(), account).await);
            }
        };
        account.first_token();
        FaultPoint::AnswerRead.reach();
        let answer = match read_answer(eligible.dialect, &body) {
            Ok(answer) => answer,
            Err(bad) => {
                return Err(
                    broken(core, call, eligible, &head, "bad_answer", &bad.to_string(), account).await
                );
            }
        };
        if let Some(error) = &answer.error {
            let told = error.message.as_deref().unwrap_or("an error without a message");
            return Err(broken(core, call, eligible, &head, "error_in_answer", told, account).await);
        }
        let measured = measure(call, eligible, terms, &answer, &body).await;
        FaultPoint::AnswerMeasured.reach();
        let (body, losses) = match &translation {
            None => (body, Vec::new()),
            Some(translation) => {
                match translate_response(eligible.dialect, call.dialect, &body, &translation.carry) {
                    Ok(translated) => {
                        let losses = translated.losses.iter().map(|loss| loss.to_string().into()).collect();
                        (Bytes::from(translated.body), losses)
                    }
                    Err(error) => {
                        end_unserved(account, Some(&head), "bad_answer", measured);
                        let problem = Problem::provider(ErrorKind::UpstreamError, error.to_string());
                        return Err(Failure::retryable(problem.with_code("bad_answer")));
                    }
                }
            }
        };
        account.end_attempt(AttemptEnd {
            status,
            outcome: Outcome::Completed,
            error_kind: None,
            served: true,
            measured,
            upstream_request_id: upstream_request_id(&head.headers),
        });
        let Answer { finish_reason, id: object_id, handed_out, .. } = answer;
        Ok(WholeAnswer { head, body, finish_reason, object_id, handed_out, losses })
    }
}

async fn measure(call: &Call, eligible: &Eligible, terms: &Terms, answer: &Answer, body: &Bytes) -> Measured {
    let reported = answer.usage();
    let produced = answer.text_bytes > 0 || call.operation == Operation::Embedding;
    let bounds = || call.bounds(&eligible.target, terms);
    match Measured::reported(reported, true, produced, call.operation, terms, bounds) {
        Ok(measured) => measured,
        Err(source) => {
            let produced = (produced_text(eligible.dialect, body), 1.0);
            Measured::count(source, None, call.peeked.body().clone(), produced).await
        }
    }
}

async fn broken(
    core: &Rc<Core>,
    call: &Call,
    eligible: &Eligible,
    head: &Parts,
    code: &'static str,
    told: &str,
    account: &mut Account,
) -> Failure {
    let target = &eligible.target;
    target.health.failed(core.gateway.clock.now());
    end_unserved(account, Some(head), code, lost_call(call, account).await);
    let provider = &target.deployment.provider.name;
    let told = target.discreet(told);
    let message = format!("provider \"{provider}\" answered what cannot be served: {told}");
    Failure::retryable(Problem::provider(ErrorKind::UpstreamError, message).with_code(code))
}

//! An attempt that did not serve: what it means for the next one, for the deployment, and for the client.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::response::Parts;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Limited};
use tokio::time::timeout;
use tollgate_core::{Dialect, Fault, RetryAdvice};
use tollgate_ledger::record::Outcome;
use tollgate_providers::Classification;
use tollgate_upstream::{InboundBody, SendError};
use tollgate_wire::ErrorKind;
use tollgate_wire::translate::translate_error;

use super::send::{Call, Served, end_unserved};
use super::{Attempted, Terms};
use crate::account::{Account, Measured};
use crate::core::Core;
use crate::estimate;
use crate::journey::shortlist::Eligible;
use crate::problem::{Problem, Refused};
use crate::targets::Target;

/// A provider's error answer may be at most this large to be passed on.
const MAX_ERROR_BYTES: usize = 256 << 10;
/// Its body is not waited for any longer: the next attempt, or the client, is waiting.
const LONGEST_ERROR_BODY: Duration = Duration::from_secs(5);

/// A provider's error, in the client's dialect.
pub struct ProviderAnswer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub kind: Box<str>,
    pub fault: Fault,
}

/// What a client is told to wait when a provider says 429 without saying for how long.
const UNTOLD_WAIT_MS: u64 = 1_000;

/// Why an attempt did not serve.
pub(super) struct Failure {
    /// What the client is told if this was the last attempt and there is no answer to pass on.
    problem: Box<Problem>,
    answer: Option<Box<ProviderAnswer>>,
    /// Whether another attempt can help.
    pub may_retry: bool,
    /// Whether it can help at the same deployment.
    pub same_again: bool,
    pub retry_after: RetryAdvice,
}

impl Failure {
    /// Nothing another deployment would do better.
    pub(super) fn from_problem(problem: Problem) -> Self {
        Self {
            problem: Box::new(problem),
            answer: None,
            may_retry: false,
            same_again: false,
            retry_after: RetryAdvice::Never,
        }
    }

    /// The provider is at fault, and another attempt may help.
    pub(super) fn retryable(problem: Problem) -> Self {
        Self {
            problem: Box::new(problem),
            answer: None,
            may_retry: true,
            same_again: true,
            retry_after: RetryAdvice::Possible,
        }
    }

    pub(super) fn unsupported(call: &Call) -> Self {
        let message = format!("no translation for `{}` in this dialect", call.operation.as_str());
        Self::from_problem(Problem::client(ErrorKind::NotSupported, message))
    }

    /// The journal refused the intent: nothing was sent.
    pub(super) fn refused_here(account: &mut Account, problem: Problem) -> Self {
        end_unserved(account, None, problem.name(), Measured::nothing());
        Self::from_problem(problem)
    }

    /// The request got no answer.
    pub(super) async fn unanswered(
        core: &Rc<Core>,
        call: &Call,
        target: &Target,
        error: &SendError,
        account: &mut Account,
    ) -> Self {
        target.health.failed(core.gateway.clock.now());
        let measured = if error.may_have_reached_provider() {
            lost_call(call, account).await
        } else {
            Measured::nothing()
        };
        end_unserved(account, None, error.code(), measured);
        let provider = &target.deployment.provider.name;
        let message = format!("provider \"{provider}\": {error}");
        let timed_out = matches!(
            error,
            SendError::ConnectTimeout
                | SendError::FirstByteTimeout
                | SendError::WriteTimeout
                | SendError::TotalTimeout { .. }
        );
        let kind = if timed_out { ErrorKind::Timeout } else { ErrorKind::UpstreamError };
        let problem = match error.fault() {
            Fault::Gateway => Problem::gateway(ErrorKind::Unavailable, message),
            _ => Problem::provider(kind, message),
        };
        let problem = problem.with_code(error.code());
        Self { may_retry: error.is_retryable(), ..Self::retryable(problem) }
    }

    /// The provider answered with an error.
    pub(super) async fn answered(
        core: &Rc<Core>,
        call: &Call,
        eligible: &Eligible,
        classification: Classification,
        head: Parts,
        body: InboundBody,
        account: &mut Account,
    ) -> Self {
        let target = &eligible.target;
        let now = core.gateway.clock.now();
        let status = head.status.as_u16();
        end_unserved(account, Some(&head), &format!("http_{status}"), Measured::nothing());
        let provider = &target.deployment.provider.name;
        let told = |kind, text: &str| {
            Problem::provider(kind, format!("provider \"{provider}\" {text} (status {status})"))
        };
        let (mut failure, pass_on) = match classification {
            Classification::RateLimited { retry_after_ms } => {
                target.health.rate_limited(now, retry_after_ms);
                let retry_after = retry_after_ms.map_or(RetryAdvice::Possible, RetryAdvice::AfterMs);
                let told_to_wait = RetryAdvice::AfterMs(retry_after_ms.unwrap_or(UNTOLD_WAIT_MS));
                let problem = told(ErrorKind::RateLimited, "asks to slow down").with_retry(told_to_wait);
                (Self { retry_after, same_again: retry_after_ms.is_some(), ..Self::retryable(problem) }, true)
            }
            Classification::Unavailable { retry_after_ms } => {
                target.health.failed(now);
                let retry_after = retry_after_ms.map_or(RetryAdvice::Possible, RetryAdvice::AfterMs);
                let problem = told(ErrorKind::UpstreamError, "failed").with_retry(retry_after);
                (Self { retry_after, ..Self::retryable(problem) }, true)
            }
            Classification::CredentialRefused => {
                target.health.credential_refused(now);
                let problem = told(
                    ErrorKind::UpstreamError,
                    "refused Tollgate's credential; an administrator must check the provider's secret",
                )
                .with_code("provider_credential_refused")
                .with_retry(RetryAdvice::Never);
                (Self { same_again: false, ..Self::retryable(problem) }, false)
            }
            Classification::CallerFault => {
                (Self::from_problem(told(ErrorKind::InvalidRequest, "refused the request")), true)
            }
            Classification::Success | Classification::Nonsense => {
                target.health.failed(now);
                let problem = told(ErrorKind::UpstreamError, "answered what no model API answers");
                (Self { same_again: false, ..Self::retryable(problem) }, false)
            }
        };
        if pass_on {
            failure.answer = provider_answer(call, eligible, classification, head, body).await.map(Box::new);
        }
        failure
    }

    /// The end of the attempts: what the client gets.
    pub(super) fn give_up(
        self,
        call: Call,
        mut account: Account,
        terms: Terms,
        made: u16,
    ) -> Result<Attempted, Box<Refused>> {
        let Some(mut answer) = self.answer else {
            let says_when = matches!(self.problem.retry, RetryAdvice::AfterMs(_));
            let problem = if made > 1 && !says_when {
                self.problem.with_retry(RetryAdvice::Never)
            } else {
                *self.problem
            };
            return Err(Refused::failed(account, problem));
        };
        if made > 1 {
            // Two layers that retry multiply; this one has done its part.
            answer.headers.insert("x-should-retry", http::HeaderValue::from_static("false"));
        }
        if answer.status == StatusCode::TOO_MANY_REQUESTS && !answer.headers.contains_key(RETRY_AFTER) {
            answer.headers.insert(RETRY_AFTER, http::HeaderValue::from(UNTOLD_WAIT_MS.div_ceil(1_000)));
        }
        account.fail_as(answer.fault, &answer.kind, Outcome::Failed, answer.status.as_u16());
        Ok(Attempted { call, served: Served::Refusal(*answer), account, terms })
    }
}

/// What a call may have consumed whose answer never came, or cannot be read: its prompt, and what was made meanwhile.
pub(super) async fn lost_call(call: &Call, account: &Account) -> Measured {
    let output = account.unseen_output_tokens();
    let input = estimate::prompt_tokens(call.peeked.body().clone()).await;
    Measured::estimated(tollgate_core::TokenUsage { input, output, ..Default::default() })
}

/// The provider's error body in the client's dialect, unless it cannot be read or would tell our secret.
async fn provider_answer(
    call: &Call,
    eligible: &Eligible,
    classification: Classification,
    head: Parts,
    body: InboundBody,
) -> Option<ProviderAnswer> {
    let body = timeout(LONGEST_ERROR_BODY, Limited::new(body, MAX_ERROR_BYTES).collect()).await.ok()?;
    let body = body.ok()?.to_bytes();
    if eligible.target.tells_secret(&body) {
        return None;
    }
    let fault = match classification {
        Classification::CallerFault => Fault::Client,
        _ => Fault::Provider,
    };
    let kind = format!("http_{}", head.status.as_u16()).into();
    let mut headers = head.headers;
    let (status, body) = if eligible.dialect == call.dialect {
        // An error page of some proxy in between is no answer in any dialect.
        let looks_like_json = body.trim_ascii_start().first() == Some(&b'{');
        if !looks_like_json {
            return None;
        }
        (head.status.as_u16(), body)
    } else {
        let (status, translated) =
            translate_error(eligible.dialect, call.dialect, head.status.as_u16(), &body);
        headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        (status, Bytes::from(translated))
    };
    let status = StatusCode::from_u16(client_status(status, call.dialect)).unwrap_or(StatusCode::BAD_GATEWAY);
    Some(ProviderAnswer { status, headers, body, kind, fault })
}

/// The provider's trouble as the client's protocol tells it: never a plain 500, which would be ours.
const fn client_status(status: u16, dialect: Dialect) -> u16 {
    match (status, dialect) {
        (500, _) => 502,
        (408, _) => 504,
        (529, Dialect::AnthropicMessages) => 529,
        (529, _) => 503,
        (other, _) => other,
    }
}

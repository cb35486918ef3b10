//! Why a call is refused or fails, told in the caller's dialect.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use tollgate_core::{Clock, Dialect, Fault, RequestId, RetryAdvice, SystemClock};
use tollgate_ledger::record::Outcome;
use tollgate_wire::rate_limits::{Allowances, rate_limit_headers};
use tollgate_wire::{ErrorBody, ErrorKind, error_body, stream_error_event};

use crate::account::Account;
use crate::answer::{AnswerBody, REQUEST_ID};

const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// What went wrong, before it is put into a dialect.
#[derive(Debug)]
pub struct Problem {
    pub kind: ErrorKind,
    pub fault: Fault,
    /// More exact than the kind, where clients know the word.
    pub code: Option<&'static str>,
    /// What was wrong and what to change.
    pub message: String,
    pub param: Option<Cow<'static, str>>,
    pub retry: RetryAdvice,
    /// More exact than the kind's.
    pub status: Option<StatusCode>,
    /// Told beside the message, for programs.
    told_beside: Option<Box<ToldBeside>>,
}

/// What few problems tell in headers of their own.
#[derive(Debug, Default)]
struct ToldBeside {
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What is left of the caller's rate limits.
    allowances: Option<Allowances>,
}

impl Problem {
    /// The caller must change something.
    pub fn client(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            fault: Fault::Client,
            code: None,
            message: message.into(),
            param: None,
            retry: RetryAdvice::Never,
            status: None,
            told_beside: None,
        }
    }

    /// Tollgate, or something it depends on, cannot do it now.
    pub fn gateway(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retry = RetryAdvice::Possible;
        Self {
            kind,
            fault: Fault::Gateway,
            code: None,
            message: message.into(),
            param: None,
            retry,
            status: None,
            told_beside: None,
        }
    }

    /// The provider failed.
    pub fn provider(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retry = RetryAdvice::Possible;
        Self {
            kind,
            fault: Fault::Provider,
            code: None,
            message: message.into(),
            param: None,
            retry,
            status: None,
            told_beside: None,
        }
    }

    #[must_use]
    pub const fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    #[must_use]
    pub fn with_param(mut self, param: Option<&'static str>) -> Self {
        self.param = param.map(Cow::Borrowed);
        self
    }

    /// As [`Self::with_param`], for a place in the caller's own arrays.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        self.param = Some(Cow::Owned(path.to_owned()));
        self
    }

    #[must_use]
    pub const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    #[must_use]
    pub const fn with_retry(mut self, retry: RetryAdvice) -> Self {
        self.retry = retry;
        self
    }

    /// Adds a header, unless the text cannot be one.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, text: &str) -> Self {
        if let Ok(value) = HeaderValue::try_from(text) {
            self.told_beside.get_or_insert_default().headers.push((name, value));
        }
        self
    }

    /// Adds what is left of the caller's rate limits.
    #[must_use]
    pub fn with_allowances(mut self, allowances: Allowances) -> Self {
        self.told_beside.get_or_insert_default().allowances = Some(allowances);
        self
    }

    /// The name under which it is counted and recorded.
    pub const fn name(&self) -> &'static str {
        match self.code {
            Some(code) => code,
            None => self.kind.as_str(),
        }
    }

    fn body<'a>(&'a self, request_id: &'a str) -> ErrorBody<'a> {
        ErrorBody {
            kind: self.kind,
            message: &self.message,
            param: self.param.as_deref(),
            code: self.code,
            request_id: Some(request_id),
        }
    }

    /// The answer that tells the caller.
    pub fn response(&self, dialect: Dialect, request_id: RequestId) -> Response<AnswerBody> {
        let id = request_id.to_string();
        let mut response = Response::new(AnswerBody::full(error_body(dialect, &self.body(&id))));
        let status = || StatusCode::from_u16(self.kind.status(dialect));
        *response.status_mut() =
            self.status.or_else(|| status().ok()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(value) = HeaderValue::try_from(id) {
            headers.insert(REQUEST_ID, value);
        }
        if let Some(beside) = &self.told_beside {
            headers.extend(beside.headers.iter().cloned());
            if let Some(allowances) = &beside.allowances {
                headers.extend(rate_limit_headers(dialect, allowances, SystemClock.now()));
            }
        }
        match self.retry {
            RetryAdvice::Never => {
                headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
            }
            RetryAdvice::Possible => {}
            RetryAdvice::AfterMs(wait_ms) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(wait_ms.div_ceil(1_000)));
            }
        }
        response
    }
}

/// A stage's refusal, with the account to close if the caller was known by then.
#[derive(Debug)]
pub struct Refused {
    pub problem: Problem,
    pub account: Option<Account>,
    pub outcome: Outcome,
}

impl Refused {
    /// Nobody to charge or to record.
    pub fn anonymous(problem: Problem) -> Box<Self> {
        Box::new(Self { problem, account: None, outcome: Outcome::Refused })
    }

    /// A known caller is refused before any upstream byte.
    pub fn known(account: Account, problem: Problem) -> Box<Self> {
        Box::new(Self { problem, account: Some(account), outcome: Outcome::Refused })
    }

    /// Attempts were made and none served.
    pub fn failed(account: Account, problem: Problem) -> Box<Self> {
        Box::new(Self { problem, account: Some(account), outcome: Outcome::Failed })
    }

    /// Closes the account and answers the caller.
    pub async fn into_response(self, dialect: Dialect, request_id: RequestId) -> Response<AnswerBody> {
        let mut response = self.problem.response(dialect, request_id);
        if let Some(mut account) = self.account {
            account.name_model_and_deployment(response.headers_mut());
            account.fail(&self.problem, self.outcome, response.status().as_u16());
            account.settle().await;
        }
        response
    }

    /// Closes the account of a stream that was begun already, and tells the caller inside it.
    pub async fn into_event(self, dialect: Dialect, request_id: RequestId) -> Bytes {
        let id = request_id.to_string();
        if let Some(mut account) = self.account {
            account.fail(&self.problem, self.outcome, StatusCode::OK.as_u16());
            account.settle().await;
        }
        stream_error_event(dialect, &self.problem.body(&id), 0)
    }
}

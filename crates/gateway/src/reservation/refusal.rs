//! Why an attempt gets no reservation, and what its caller is told.

use std::sync::Arc;

use http::HeaderName;
use http::header::RETRY_AFTER;
use tollgate_core::{NanoUsd, RetryAdvice, UnixMicros};
use tollgate_ledger::budget::Shortage;
use tollgate_ledger::record::{BalanceKey, Verdict};
use tollgate_state::governance::{BudgetObject, OnExhausted};
use tollgate_wire::ErrorKind;

use crate::estimate::worst_case::Unbounded;
use crate::problem::Problem;

const BUDGET: HeaderName = HeaderName::from_static("x-tollgate-budget");
const LEFT_USD: HeaderName = HeaderName::from_static("x-tollgate-budget-left-usd");
const RESETS_AT: HeaderName = HeaderName::from_static("x-tollgate-budget-resets-at");

/// What stands in the way of an attempt.
#[derive(Debug)]
pub struct Denied {
    pub problem: Box<Problem>,
    /// The balance that cannot pay.
    pub balance: Option<Arc<BalanceKey>>,
    /// The model that the budget's owner wants used instead.
    pub substitute: Option<Box<str>>,
    why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// A smaller reservation may be possible.
    TooLarge,
    /// Nothing about this call changes it.
    Final,
    /// A limit of the deployment or its provider; another deployment may serve.
    OverLimit,
}

impl Denied {
    fn new(problem: Problem, why: Why) -> Self {
        Self { problem: Box::new(problem), balance: None, substitute: None, why }
    }

    /// Whether less output, or a counted prompt, may be affordable.
    pub(super) fn may_shrink(&self) -> bool {
        self.why == Why::TooLarge
    }

    /// What becomes of the candidate.
    pub const fn verdict(&self) -> Verdict {
        match self.why {
            Why::OverLimit => Verdict::OverLimit,
            Why::TooLarge | Why::Final => Verdict::Unaffordable,
        }
    }

    /// The one of two that the caller is told: money before limits, the earlier before the later.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self.why == Why::OverLimit && other.why != Why::OverLimit { other } else { self }
    }

    pub fn nothing_to_try() -> Self {
        Self::new(Problem::gateway(ErrorKind::Internal, "no deployment was left to try"), Why::Final)
    }

    pub(crate) fn over_limit(problem: Problem) -> Self {
        Self::new(problem, Why::OverLimit)
    }

    /// What a shortage means for the caller; `config` tells the budget of a claim.
    pub(super) fn short<'call>(
        shortage: Shortage,
        config: impl Fn(usize) -> Option<&'call BudgetObject>,
        amounts: &[NanoUsd],
        now: UnixMicros,
    ) -> Self {
        match shortage {
            Shortage::Exhausted { claim, balance, left, resets_at } => {
                let needed = amounts.get(claim).copied();
                Self::exhausted(config(claim), balance, left, needed, resets_at, now)
            }
            Shortage::Unavailable { claim } => Self::unavailable(config(claim)),
        }
    }

    fn exhausted(
        config: Option<&BudgetObject>,
        balance: Arc<BalanceKey>,
        left: NanoUsd,
        needed: Option<NanoUsd>,
        resets_at: Option<UnixMicros>,
        now: UnixMicros,
    ) -> Self {
        let Some(config) = config else {
            return Self::new(Problem::gateway(ErrorKind::Internal, "a budget is not known"), Why::Final);
        };
        let name = &config.name;
        let left = left.max(NanoUsd::ZERO);
        let mut message =
            format!("budget \"{name}\" has ${} left beside what calls under way hold", dollars(left));
        if let Some(needed) = needed {
            message += &format!(", and this call can cost up to ${}", dollars(needed));
        }
        let resets = resets_at.and_then(|at| jiff::Timestamp::from_microsecond(at.0).ok());
        match resets {
            Some(at) => message += &format!("; it resets at {at}"),
            None => message += "; it does not reset",
        }
        message += ". Ask for less output, or ask the budget's owner for an increase.";
        let mut problem = Problem::client(ErrorKind::BudgetExceeded, message)
            .with_code("budget_exceeded")
            .with_header(BUDGET, name)
            .with_header(LEFT_USD, &dollars(left));
        if let Some(at) = resets {
            problem = problem.with_header(RESETS_AT, &at.to_string());
        }
        if let Some(wait) = resets_at.map(|at| at.since(now)) {
            problem = problem.with_header(RETRY_AFTER, &wait.as_secs().saturating_add(1).to_string());
        }
        let substitute = match &config.on_exhausted {
            OnExhausted::Substitute { model } => Some(model.clone()),
            OnExhausted::Refuse => None,
        };
        Self { problem: Box::new(problem), balance: Some(balance), substitute, why: Why::TooLarge }
    }

    fn unavailable(config: Option<&BudgetObject>) -> Self {
        let name = config.map_or("", |config| config.name.as_str());
        let message = format!(
            "budget \"{name}\" cannot be asked at the moment, so no call is made on it; try again shortly"
        );
        let problem = Problem::gateway(ErrorKind::Unavailable, message)
            .with_code("budget_backend_unavailable")
            .with_retry(RetryAdvice::AfterMs(1_000));
        Self::new(problem, Why::Final)
    }

    pub(super) fn unpriced(config: &BudgetObject) -> Self {
        Self::refused_by(
            config,
            "price_unknown",
            "counts this call, but nobody knows its price; set a price on the deployment, or choose in the budget \
             what happens to unpriced calls",
        )
    }

    /// Nothing says what the call can cost at most.
    pub(super) fn unbounded(config: &BudgetObject, reason: Unbounded) -> Self {
        let told = format!("counts this call, but nobody can say what it costs at most: {reason}");
        let denied = Self::refused_by(config, reason.code(), &told);
        // A cap on the output can still be set.
        let why = if reason == Unbounded::NoMaximumOutput { Why::TooLarge } else { Why::Final };
        Self { why, ..denied }
    }

    fn refused_by(config: &BudgetObject, code: &'static str, reason: &str) -> Self {
        let message = format!("budget \"{}\" {reason}", config.name);
        let problem = Problem::client(ErrorKind::BudgetExceeded, message).with_code(code);
        Self::new(problem.with_header(BUDGET, &config.name), Why::Final)
    }
}

/// Dollars without needless zeros, with at least cents.
fn dollars(amount: NanoUsd) -> String {
    let text = amount.to_string();
    let trimmed = text.trim_end_matches('0');
    let cents = text.find('.').map_or(text.len(), |dot| dot + 3);
    text.get(..trimmed.len().max(cents)).unwrap_or(&text).to_owned()
}

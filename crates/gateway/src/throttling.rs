//! Rate and concurrency limits of a call: taken as early as what they count is known, corrected when it is counted.

use http::HeaderName;
use tollgate_core::{RetryAdvice, TokenUsage, UnixMicros};
use tollgate_ledger::limit::{OverLimit, Retry, Taken, Want};
use tollgate_state::governance::{CallFacts, LimitMeter, LimitObject, Place};
use tollgate_wire::ErrorKind;
use tollgate_wire::rate_limits::Allowances;

use crate::core::Core;
use crate::estimate::bytes_as_tokens;
use crate::governed::Governed;
use crate::journey::admit::Terms;
use crate::problem::Problem;
use crate::reservation::Denied;

const LIMIT: HeaderName = HeaderName::from_static("x-tollgate-limit");

/// What an answer is taken to have, until it is known, where the client allows as much.
const EXPECTED_OUTPUT_TOKENS: u64 = 1_024;

/// What a call holds of its limits. Permits are given back when this is dropped.
#[derive(Debug, Default)]
pub struct Taking {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    moment: Moment,
    taken: Taken,
    /// What each want counts, in their order.
    meters: Vec<LimitMeter>,
}

/// Which of the limits that count a call are asked at one point of its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// As soon as the caller is known.
    Identified,
    /// Once the body is understood.
    Understood,
    /// Before an attempt, for its provider and deployment.
    Attempt,
}

impl Moment {
    fn of(limit: &LimitObject) -> Self {
        let by_call = matches!(limit.meter, LimitMeter::Requests | LimitMeter::Concurrency);
        match limit.scope.place {
            Place::Provider(_) | Place::Deployment(_) => Self::Attempt,
            _ if by_call && limit.scope.needs_no_body() => Self::Identified,
            _ => Self::Understood,
        }
    }
}

/// What a call is taken to count until it is known.
#[derive(Debug, Clone, Copy)]
struct Expected {
    input_tokens: u64,
    output_tokens: u64,
}

impl Expected {
    fn of(body_bytes: usize, terms: &Terms) -> Self {
        let one =
            terms.output_cap_tokens.map_or(EXPECTED_OUTPUT_TOKENS, |cap| cap.min(EXPECTED_OUTPUT_TOKENS));
        Self {
            input_tokens: bytes_as_tokens(body_bytes as u64).max(1),
            output_tokens: one.saturating_mul(terms.choices.max(1)),
        }
    }

    const fn cost(self, meter: LimitMeter) -> u64 {
        match meter {
            LimitMeter::Requests | LimitMeter::Concurrency => 1,
            LimitMeter::InputTokens => self.input_tokens,
            LimitMeter::OutputTokens => self.output_tokens,
            LimitMeter::TotalTokens => self.input_tokens.saturating_add(self.output_tokens),
        }
    }
}

/// Takes what the caller alone decides: requests and concurrency of its key, project, team and organization.
pub async fn take_early(core: &Core, governed: &Governed, facts: &CallFacts<'_>) -> Result<Taking, Problem> {
    let nothing_known = Expected { input_tokens: 0, output_tokens: 0 };
    take(core, governed, facts, Moment::Identified, nothing_known).await
}

/// Takes what needs the body: tokens, and whatever counts by model or customer.
pub async fn take_understood(
    core: &Core,
    governed: &Governed,
    facts: &CallFacts<'_>,
    body_bytes: usize,
    terms: &Terms,
) -> Result<Taking, Problem> {
    take(core, governed, facts, Moment::Understood, Expected::of(body_bytes, terms)).await
}

/// Takes what the provider and the deployment of an attempt count.
pub async fn take_upstream(
    core: &Core,
    governed: &Governed,
    facts: &CallFacts<'_>,
    body_bytes: usize,
    terms: &Terms,
) -> Result<Taking, Denied> {
    let expected = Expected::of(body_bytes, terms);
    take(core, governed, facts, Moment::Attempt, expected).await.map_err(Denied::over_limit)
}

async fn take(
    core: &Core,
    governed: &Governed,
    facts: &CallFacts<'_>,
    moment: Moment,
    expected: Expected,
) -> Result<Taking, Problem> {
    let mut wants = Vec::new();
    governed.rules.limits_of(facts, |slot, member| {
        let Some((config, line)) = governed.limit(slot) else { return };
        if Moment::of(config) == moment {
            wants.push(Want { line, config, member, cost: expected.cost(config.meter) });
        }
    });
    if wants.is_empty() {
        return Ok(Taking::default());
    }
    match core.gateway.limits.admit(core.gateway.clock.now(), &wants).await {
        Ok(taken) => {
            let meters = wants.iter().map(|want| want.config.meter).collect();
            Ok(Taking { parts: vec![Part { moment, taken, meters }] })
        }
        Err(over) => Err(refusal(&over, &wants)),
    }
}

fn refusal(over: &OverLimit, wants: &[Want<'_>]) -> Problem {
    let Some(want) = wants.get(over.want) else {
        return Problem::gateway(ErrorKind::Internal, "a limit is not known");
    };
    let LimitObject { name, amount, per, meter, .. } = want.config;
    let what = match meter {
        LimitMeter::Requests => format!("{amount} requests per {}", per.as_str()),
        LimitMeter::InputTokens => format!("{amount} input tokens per {}", per.as_str()),
        LimitMeter::OutputTokens => format!("{amount} output tokens per {}", per.as_str()),
        LimitMeter::TotalTokens => format!("{amount} tokens per {}", per.as_str()),
        LimitMeter::Concurrency => format!("{amount} requests at one time"),
    };
    let (advice, retry) = match over.retry {
        Retry::AfterMs(wait_ms) => {
            (format!("try again in {:.1} seconds", wait_ms as f64 / 1_000.0), RetryAdvice::AfterMs(wait_ms))
        }
        Retry::WhenAnotherEnds => {
            ("wait until another request has ended".into(), RetryAdvice::AfterMs(1_000))
        }
        Retry::Never => {
            let told = format!(
                "this request counts about {}, which is more than the limit allows at all",
                want.cost
            );
            (told, RetryAdvice::Never)
        }
    };
    let message = format!("limit \"{name}\" of {what} is reached; {advice}");
    Problem::client(ErrorKind::RateLimited, message)
        .with_code("rate_limit_exceeded")
        .with_header(LIMIT, name)
        .with_retry(retry)
        .with_allowances(over.standing)
}

impl Taking {
    pub const fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Holds what another one holds as well.
    pub fn join(&mut self, other: Self) {
        self.parts.extend(other.parts);
    }

    /// Undoes everything, as if the call had never come.
    pub fn abandon(self) {
        self.parts.into_iter().for_each(|part| part.taken.abandon());
    }

    /// Undoes what needed the body.
    pub fn abandon_understood(&mut self) {
        for part in self.parts.extract_if(.., |part| part.moment == Moment::Understood) {
            part.taken.abandon();
        }
    }

    /// Puts what was counted in the place of what was expected.
    pub fn correct(&self, now: UnixMicros, usage: &TokenUsage) {
        let (input, output) = (usage.total_input(), usage.total_output());
        for part in &self.parts {
            for (want, meter) in part.meters.iter().enumerate() {
                match meter {
                    LimitMeter::Requests | LimitMeter::Concurrency => {}
                    LimitMeter::InputTokens => part.taken.correct(now, want, input),
                    LimitMeter::OutputTokens => part.taken.correct(now, want, output),
                    LimitMeter::TotalTokens => part.taken.correct(now, want, input.saturating_add(output)),
                }
            }
        }
    }

    /// What is left of each meter, by its tightest limit.
    pub fn standing(&self, now: UnixMicros) -> Allowances {
        let standings = self.parts.iter().map(|part| part.taken.standing(now));
        standings.fold(Allowances::default(), Allowances::tightest)
    }
}

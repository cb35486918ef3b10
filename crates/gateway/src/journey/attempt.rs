//! Calls the deployments, one after the other, until one answers well or there is no more reason to try.
//!
//! Until the first byte of content nothing was promised to the client: a failure before it is followed by another
//! attempt, invisibly. Each attempt has its own intent in the journal and its own usage record.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tollgate_core::{FaultPoint, RetryAdvice};
use tollgate_ledger::record::{Candidate, Verdict};

use super::admit::{Admitted, Terms, cannot_record};
use super::shortlist::Eligible;
use crate::account::{Account, AttemptPlan};
use crate::core::Core;
use crate::problem::{Problem, Refused};
use crate::reservation::{Denied, Reservation, engage};

mod failure;
mod first_content;
mod outbound;
mod send;
mod whole_answer;

pub use failure::ProviderAnswer;
pub use outbound::Translation;
pub use send::{Call, Served, StreamAnswer, WholeAnswer, upstream_request_id};

use failure::Failure;

/// A provider that answers slower than this before a retry is not waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const FIRST_BACKOFF_MS: u64 = 100;

/// A call that a provider is answering.
pub struct Attempted {
    pub call: Call,
    pub served: Served,
    pub account: Account,
    pub terms: Terms,
}

/// Tries the shortlisted deployments in order.
/// `gone` is set when nobody waits for the answer any more.
pub async fn attempt(
    core: &Rc<Core>,
    admitted: Admitted,
    gone: Rc<Cell<bool>>,
) -> Result<Attempted, Box<Refused>> {
    let (shortlisted, terms, first) = admitted.into_parts();
    let mut first = Some(first);
    let mut candidates = Candidates::new(shortlisted.eligible);
    let (call, mut account) = Call::new(shortlisted.permitted, gone);
    let most = core.gateway.settings.max_attempts;
    let mut made = 0;
    let mut before: Option<Failure> = None;
    loop {
        let Some(eligible) = candidates.claim(core, &mut account) else {
            let problem =
                Problem::gateway(tollgate_wire::ErrorKind::Internal, "no deployment was left to try");
            return Err(Refused::failed(account, problem));
        };
        let reservation = match reserve(core, &call, &eligible, &terms, first.take(), &mut account).await {
            Ok(reservation) => reservation,
            Err(denied) if candidates.has_next() => {
                account.considered(Candidate {
                    deployment_id: eligible.target.deployment.id,
                    verdict: denied.verdict(),
                });
                candidates.advance();
                continue;
            }
            Err(denied) => return give_up_unpaid(call, account, terms, denied, before, made),
        };
        made += 1;
        let failure = match try_one(core, &call, &eligible, &terms, reservation, &mut account).await {
            Ok((served, terms)) => {
                candidates.note_not_needed(&mut account);
                return Ok(Attempted { call, served, account, terms });
            }
            Err(failure) => failure,
        };
        let may_go_on = failure.may_retry && made < most && !call.client_gone();
        let wait = candidates.wait_for_next(core, &failure, made);
        match wait {
            Some(wait) if may_go_on && core.gateway.retry_budget.spend(core.gateway.clock.now()) => {
                candidates.advance();
                before = Some(failure);
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
            }
            _ => {
                candidates.note_no_retry_left(&mut account);
                return failure.give_up(call, account, terms, made);
            }
        }
    }
}

/// What the attempt holds of budgets and limits: the first one's was taken at admission, unless another deployment
/// came to be the first.
async fn reserve(
    core: &Rc<Core>,
    call: &Call,
    eligible: &Eligible,
    terms: &Terms,
    first: Option<Reservation>,
    account: &mut Account,
) -> Result<Reservation, Denied> {
    if let Some(first) = first {
        if first.deployment_id == eligible.target.deployment.id {
            return Ok(first);
        }
        first.abandon();
    }
    account.free_ended_attempt().await;
    let reserved = engage(core, &call.view(account, terms), eligible).await;
    FaultPoint::ReservedAgain.reach();
    reserved
}

/// No budget or limit lets another attempt be made: the failure before it is the answer, if there was one.
fn give_up_unpaid(
    call: Call,
    mut account: Account,
    terms: Terms,
    denied: Denied,
    before: Option<Failure>,
    made: u16,
) -> Result<Attempted, Box<Refused>> {
    match before {
        Some(failure) => failure.give_up(call, account, terms, made),
        None => {
            account.refused_by(denied.balance);
            Err(Refused::known(account, *denied.problem))
        }
    }
}

async fn try_one(
    core: &Rc<Core>,
    call: &Call,
    eligible: &Eligible,
    terms: &Terms,
    reservation: Reservation,
    account: &mut Account,
) -> Result<(Served, Terms), Failure> {
    let output_cap = reservation.output_cap;
    let cap = output_cap.map(|cap| cap.tokens);
    let terms =
        Terms { output_cap_tokens: cap.or(terms.output_cap_tokens), budget_cap_tokens: cap, ..*terms };
    let outbound = outbound::prepare(call, eligible, output_cap)?;
    account.translated(eligible.dialect, outbound.losses());
    account.capped(cap);
    let plan = AttemptPlan {
        target: Arc::clone(&eligible.target),
        dialect: eligible.dialect,
        prices: Arc::clone(eligible.target.deployment.prices(&outbound.upstream_model)),
        upstream_model: outbound.upstream_model.clone(),
        tier: terms.tier,
        input_bound_tokens: terms.input_bound_tokens,
        reservation,
    };
    FaultPoint::BeforeIntent.reach();
    if let Some(intent) = account.begin_attempt(plan) {
        FaultPoint::IntentQueued.reach();
        match intent.await {
            Ok(_) => {}
            Err(_) => {
                return Err(Failure::refused_here(account, cannot_record()));
            }
        }
    }
    FaultPoint::IntentWritten.reach();
    let served = send::send(core, call, eligible, outbound, &terms, account).await?;
    Ok((served, terms))
}

/// The deployments that are left, in order.
struct Candidates {
    eligible: Vec<Eligible>,
    current: usize,
}

impl Candidates {
    fn new(eligible: Vec<Eligible>) -> Self {
        Self { eligible, current: 0 }
    }

    /// The deployment to try now. One that is being probed by another call is passed over, unless it is the last.
    fn claim(&mut self, core: &Core, account: &mut Account) -> Option<Eligible> {
        while self.has_next() {
            let eligible = self.eligible.get(self.current)?;
            if eligible.target.health.claim(core.gateway.clock.now()) {
                break;
            }
            let deployment_id = eligible.target.deployment.id;
            account.considered(Candidate { deployment_id, verdict: Verdict::Unhealthy });
            self.advance();
        }
        self.eligible.get(self.current).cloned()
    }

    const fn has_next(&self) -> bool {
        self.current + 1 < self.eligible.len()
    }

    /// Goes on to the next deployment, or stays at the last one.
    const fn advance(&mut self) {
        if self.has_next() {
            self.current += 1;
        }
    }

    /// How long to wait before the next attempt, or that there is no use in one.
    fn wait_for_next(&self, core: &Core, failure: &Failure, made: u16) -> Option<Duration> {
        if self.has_next() {
            return Some(Duration::ZERO);
        }
        if !failure.same_again {
            return None;
        }
        match failure.retry_after {
            RetryAdvice::AfterMs(wait_ms) => {
                Some(Duration::from_millis(wait_ms)).filter(|wait| *wait <= LONGEST_WAIT)
            }
            _ => {
                // Full jitter: a random part of a window that doubles.
                let window_ms = FIRST_BACKOFF_MS << made.min(5);
                Some(Duration::from_millis(core.random_below(window_ms)))
            }
        }
    }

    fn note_not_needed(&self, account: &mut Account) {
        self.note_rest(account, Verdict::NotNeeded);
    }

    fn note_no_retry_left(&self, account: &mut Account) {
        self.note_rest(account, Verdict::NoRetryLeft);
    }

    fn note_rest(&self, account: &mut Account, verdict: Verdict) {
        for eligible in self.eligible.iter().skip(self.current + 1) {
            account.considered(Candidate { deployment_id: eligible.target.deployment.id, verdict });
        }
    }
}

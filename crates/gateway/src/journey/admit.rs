//! The last gate before money is spent: the journal must be able to record the call, limits must have room for it, and
//! the budgets must be able to pay for it. What the first attempt can cost is reserved here.

use std::rc::Rc;

use tollgate_catalog::{PriceList, PriceProblem, ServiceTier};
use tollgate_core::{FaultPoint, RetryAdvice, UnixMicros};
use tollgate_state::governance::CallFacts;
use tollgate_wire::{ErrorKind, Field, input_bound_tokens};

use super::permit::Permitted;
use super::recall::Missed;
use super::shortlist::Shortlisted;
use super::understand::Understood;
use crate::core::Core;
use crate::problem::{Problem, Refused};
use crate::reservation::Reservation;
use crate::throttling;

pub mod afford;

/// A call that may be dispatched. Only [`admit`] makes one.
#[derive(Debug)]
pub struct Admitted {
    shortlisted: Shortlisted,
    terms: Terms,
    /// For the first attempt.
    reservation: Reservation,
}

/// What holds for every attempt of an admitted call.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The tier that the client asked for; `None` when Tollgate does not know its price.
    pub tier: Option<ServiceTier>,
    /// Upper bound of the prompt, from its bytes.
    pub input_bound_tokens: u64,
    /// The most that one choice may generate, where the client said so.
    pub output_cap_tokens: Option<u64>,
    /// The cap of one choice that a budget set or lowered to.
    pub budget_cap_tokens: Option<u64>,
    pub choices: u64,
}

impl Admitted {
    pub fn is_stream(&self) -> bool {
        self.shortlisted.permitted.understood.is_stream()
    }

    pub(super) const fn permitted(&self) -> &Permitted {
        &self.shortlisted.permitted
    }

    pub(super) fn into_parts(self) -> (Shortlisted, Terms, Reservation) {
        (self.shortlisted, self.terms, self.reservation)
    }
}

/// What becomes of a call at the gate.
pub enum Admission {
    Admitted(Box<Admitted>),
    /// A budget cannot pay for it, and its owner named a model to use instead.
    Substitute(Box<Understood>),
}

/// Admits a call, sends it to a substitute model once, or says why it cannot be made.
pub async fn admit(core: &Rc<Core>, missed: Missed) -> Result<Admission, Box<Refused>> {
    let mut shortlisted = missed.shortlisted;
    if core.journal.is_failed() {
        return Err(Refused::known(shortlisted.permitted.understood.account, cannot_record()));
    }
    if let Some(problem) = unaccountable(&mut shortlisted) {
        return Err(Refused::known(shortlisted.permitted.understood.account, problem));
    }
    let understood = &shortlisted.permitted.understood;
    core.gateway.retry_budget.earn();
    let peeked = &understood.peeked;
    let terms = Terms {
        tier: service_tier(understood),
        input_bound_tokens: input_bound_tokens(peeked),
        output_cap_tokens: peeked.output_cap(),
        budget_cap_tokens: None,
        choices: peeked.choices(),
    };
    if let Err(problem) = take_limits(core, &mut shortlisted.permitted, &terms).await {
        shortlisted.permitted.understood.account.give_back_limits();
        return Err(Refused::known(shortlisted.permitted.understood.account, problem));
    }
    match afford::first_affordable(core, &mut shortlisted, &terms).await {
        Ok(reservation) => Ok(Admission::Admitted(Box::new(Admitted { shortlisted, terms, reservation }))),
        Err(denied) => afford::substitute_or_refuse(shortlisted.permitted, denied),
    }
}

/// Takes what the limits of the caller count that could not be known before the body was.
async fn take_limits(core: &Core, permitted: &mut Permitted, terms: &Terms) -> Result<(), Problem> {
    let understood = &permitted.understood;
    let body_bytes = understood.peeked.body().len();
    let governed = &understood.published.governed;
    let taking = throttling::take_understood(core, governed, &facts(permitted), body_bytes, terms).await?;
    permitted.understood.account.hold(taking);
    FaultPoint::LimitsTaken.reach();
    Ok(())
}

/// The call as budgets and limits see it before a deployment is chosen.
pub fn facts(permitted: &Permitted) -> CallFacts<'_> {
    let understood = &permitted.understood;
    CallFacts {
        principal: &understood.credential.principal,
        groups: &[],
        customer: understood.account.customer(),
        model: Some((&permitted.name, &permitted.model.tags)),
        upstream: None,
    }
}

/// Why a billable call is refused while the journal cannot be written.
pub fn cannot_record() -> Problem {
    let message = "usage cannot be recorded at the moment, so no billable call is made; try again shortly";
    Problem::gateway(ErrorKind::Unavailable, message)
        .with_code("journal_unavailable")
        .with_retry(RetryAdvice::AfterMs(1_000))
}

/// What the caller asks for in a way that nobody could put a price on afterwards. Deployments that have no price for
/// the tier asked for are dropped as long as another one has.
fn unaccountable(shortlisted: &mut Shortlisted) -> Option<Problem> {
    let Shortlisted { permitted, eligible, .. } = shortlisted;
    let understood = &permitted.understood;
    if understood.peeked.flag(Field::Background) == Some(true) {
        let message = "background responses are not served, because what they use is not known when they are \
                       answered; leave `background` out";
        return Some(
            Problem::client(ErrorKind::NotSupported, message)
                .with_code("background_not_supported")
                .with_param(Some(Field::Background.name())),
        );
    }
    let tier = service_tier(understood);
    eligible.retain(|one| {
        let deployment = &one.target.deployment;
        let upstream_model = deployment.upstream_model(&permitted.model.name, &permitted.name);
        has_price(deployment.prices(upstream_model), tier, understood.started_at)
    });
    if !eligible.is_empty() {
        return None;
    }
    let message = "no deployment of this model has a price for this `service_tier`; leave it out, or ask an \
                   administrator to price it";
    let problem = Problem::client(ErrorKind::NotSupported, message).with_code("service_tier_not_priced");
    Some(problem.with_param(Some(Field::ServiceTier.name())))
}

/// Whether a call at this tier can be priced, or the deployment has no price at all, which is the operator's choice.
fn has_price(prices: &PriceList, tier: Option<ServiceTier>, at: UnixMicros) -> bool {
    if prices.is_unknown() || prices.is_free() {
        return true;
    }
    let worst = tier.map(|tier| prices.worst_case(0, 0, Some(tier), at));
    worst.is_some_and(|worst| !matches!(worst, Err(PriceProblem::UnknownTier(_))))
}

fn service_tier(understood: &Understood) -> Option<ServiceTier> {
    match understood.peeked.text(Field::ServiceTier).as_deref() {
        None | Some("auto" | "default" | "standard" | "standard_only") => Some(ServiceTier::Standard),
        Some(other) => ServiceTier::from_provider(other),
    }
}

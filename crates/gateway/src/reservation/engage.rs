//! Reserves for one attempt at one deployment: first what the bytes bound, then what a count bounds, then less output.

use std::sync::Arc;

use http::HeaderMap;
use tollgate_core::{FaultPoint, ModelPattern, Operation, UnixMicros};
use tollgate_ledger::budget::Hold;
use tollgate_state::governance::{CallFacts, Upstream};
use tollgate_wire::Peeked;

use super::refusal::Denied;
use super::wish::{Size, Wish};
use super::{Basis, Pricing, Reservation};
use crate::core::Core;
use crate::estimate::worst_case::CallBound;
use crate::governed::Governed;
use crate::journey::admit::Terms;
use crate::journey::shortlist::Eligible;
use crate::throttling;

/// A cap below this is no answer worth having; OpenAI's own minimum for responses.
const LEAST_CAP_TOKENS: u64 = 16;

/// The call that an attempt would serve.
#[derive(Clone, Copy)]
pub struct CallView<'call> {
    pub governed: &'call Governed,
    pub facts: CallFacts<'call>,
    pub operation: Operation,
    pub stream: bool,
    pub headers: &'call HeaderMap,
    pub peeked: &'call Peeked,
    pub terms: &'call Terms,
    pub started_at: UnixMicros,
    /// The configured name or pattern, and the name that was asked for.
    pub model: (&'call ModelPattern, &'call str),
}

/// Reserves what an attempt needs at a deployment, or says what stands in the way.
pub async fn engage(core: &Core, view: &CallView<'_>, eligible: &Eligible) -> Result<Reservation, Denied> {
    let deployment = &eligible.target.deployment;
    let upstream = Upstream { provider_id: deployment.provider.id, deployment_id: deployment.id };
    let facts = CallFacts { upstream: Some(upstream), ..view.facts };
    let body_bytes = view.peeked.body().len();
    let taking = throttling::take_upstream(core, view.governed, &facts, body_bytes, view.terms).await?;
    let upstream_model = deployment.upstream_model(view.model.0, view.model.1);
    let prices = Arc::clone(deployment.prices(upstream_model));
    let pricing = Pricing { prices, tier: view.terms.tier, at: view.started_at };
    let wish = Wish::new(view, &facts, eligible, pricing)?;
    let mut reservation = Reservation::new(deployment.id, taking);
    if wish.is_empty() {
        return Ok(reservation);
    }
    FaultPoint::BeforeReserve.reach();
    let (hold, size, output_cap_tokens) = match reserve(core, view, &wish).await {
        Ok(reserved) => reserved,
        Err(denied) => {
            reservation.abandon();
            return Err(denied);
        }
    };
    reservation.hold = Some(hold);
    FaultPoint::Reserved.reach();
    reservation.input_tokens = size.bound.map_or(0, |bound| bound.input_tokens);
    reservation.stepped = wish.stepped(&size);
    reservation.output_cap_tokens = output_cap_tokens;
    (reservation.claims, reservation.pricing) = wish.into_claimed();
    Ok(reservation)
}

/// Reserves on all budgets; where that is refused, with a counted prompt, and then with what output is affordable.
/// Returns what was reserved for, and the output cap of one choice that keeps the call within it.
async fn reserve(
    core: &Core,
    view: &CallView<'_>,
    wish: &Wish<'_>,
) -> Result<(Hold, Size, Option<u64>), Denied> {
    let size = wish.size();
    let mut denied = match take(core, wish, &size).await {
        Ok(hold) => return Ok((hold, size, None)),
        Err(denied) => denied,
    };
    if !denied.may_shrink() {
        return Err(denied);
    }
    // Others reserve at the same time: what was left a moment ago may not be there any more.
    for _ in 0..3 {
        let Some((smaller, cap)) = affordable(core, view, wish, &size) else { return Err(denied) };
        match take(core, wish, &smaller).await {
            Ok(hold) => return Ok((hold, smaller, cap)),
            Err(again) if again.may_shrink() => denied = again,
            Err(again) => return Err(again),
        }
    }
    Err(denied)
}

async fn take(core: &Core, wish: &Wish<'_>, size: &Size) -> Result<Hold, Denied> {
    let amounts = wish.amounts(size)?;
    let now = core.gateway.clock.now();
    let reserved = core.gateway.budgets.reserve(now, &wish.as_claims(&amounts)).await;
    let config = |position: usize| wish.claims.get(position).map(|claim| &**claim.config);
    reserved.map_err(|shortage| Denied::short(shortage, config, &amounts, now))
}

/// The largest output that all budgets can pay for now, and the cap of one answer that keeps the call within it.
fn affordable(core: &Core, view: &CallView<'_>, wish: &Wish<'_>, size: &Size) -> Option<(Size, Option<u64>)> {
    let bound = size.bound?;
    let left = LeftForOutput::of(core, wish, &bound)?;
    let mut smaller = *size;
    let mut cap = None;
    if let Some(tokens) = left.whole.filter(|tokens| bound.output_tokens().is_none_or(|most| *tokens < most))
    {
        let one = tokens.checked_sub(bound.uncapped_output_tokens)? / bound.choices;
        if !wish.may_clamp(view.terms.output_cap_tokens.is_some()) || one < LEAST_CAP_TOKENS {
            return None;
        }
        smaller.bound = Some(bound.with_cap(one));
        cap = Some(one);
    }
    let most = smaller.bound.and_then(|bound| bound.output_tokens()).unwrap_or(u64::MAX);
    let first = left.step.unwrap_or(u64::MAX).min(smaller.first_tokens);
    // What is made unseen cannot be stopped in time, so nothing less than all of it will do.
    let least = LEAST_CAP_TOKENS.saturating_mul(bound.choices).saturating_add(bound.uncapped_output_tokens);
    let least = if bound.hides_output { most } else { least };
    smaller.first_tokens = first.min(most);
    (smaller.first_tokens >= least.min(most)).then_some((smaller, cap))
}

/// Output tokens that are left beside the prompt: for claims of the whole call, and for stepped ones.
struct LeftForOutput {
    whole: Option<u64>,
    step: Option<u64>,
}

impl LeftForOutput {
    /// `None` when not even the prompt can be paid for.
    fn of(core: &Core, wish: &Wish<'_>, bound: &CallBound) -> Option<Self> {
        let now = core.gateway.clock.now();
        let mut left = Self { whole: None, step: None };
        for claim in &wish.claims {
            let (tools, fewest) = match claim.basis {
                Basis::Whole { tools } => (tools, &mut left.whole),
                Basis::Step { tools } => (tools, &mut left.step),
                Basis::Flat(_) | Basis::Watched => continue,
            };
            let Some(amount) = core.gateway.budgets.left(now, claim.line, &claim.member) else { continue };
            let for_tokens = amount.checked_sub(tools)?;
            let tokens = wish.pricing.affordable(bound.input_tokens, for_tokens)?;
            *fewest = Some(fewest.map_or(tokens, |fewest: u64| fewest.min(tokens)));
        }
        Some(left)
    }
}

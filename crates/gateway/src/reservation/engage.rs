//! Reserves for one attempt at one deployment: first what the bytes bound, then what a count bounds, then less output.

use std::sync::Arc;

use http::HeaderMap;
use tollgate_core::{FaultPoint, ModelPattern, Operation, UnixMicros};
use tollgate_ledger::budget::Hold;
use tollgate_state::governance::{CallFacts, Upstream};
use tollgate_wire::{OutputCap, Peeked, lowest_output_cap};

use super::refusal::Denied;
use super::wish::{Size, Wish, first_tokens};
use super::{Basis, Pricing, Reservation};
use crate::core::Core;
use crate::estimate::exact::exact_input_tokens;
use crate::estimate::worst_case::CallBound;
use crate::governed::Governed;
use crate::journey::admit::Terms;
use crate::journey::shortlist::Eligible;
use crate::throttling;

/// A cap below this is no answer worth having; OpenAI's own minimum for responses.
const LEAST_CAP_TOKENS: u64 = 16;

/// The cap of a call without one to a model whose maximum nobody knows.
const UNKNOWN_MODEL_CAP_TOKENS: u64 = 4_096;

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

impl CallView<'_> {
    /// The provider's name for the model.
    pub(super) fn upstream_model<'name>(&'name self, eligible: &'name Eligible) -> &'name str {
        eligible.target.deployment.upstream_model(self.model.0, self.model.1)
    }
}

/// Reserves what an attempt needs at a deployment, or says what stands in the way.
pub async fn engage(core: &Core, view: &CallView<'_>, eligible: &Eligible) -> Result<Reservation, Denied> {
    let deployment = &eligible.target.deployment;
    let upstream = Upstream { provider_id: deployment.provider.id, deployment_id: deployment.id };
    let facts = CallFacts { upstream: Some(upstream), ..view.facts };
    let body_bytes = view.peeked.body().len();
    let taking = throttling::take_upstream(core, view.governed, &facts, body_bytes, view.terms).await?;
    let prices = Arc::clone(deployment.prices(view.upstream_model(eligible)));
    let pricing = Pricing { prices, tier: view.terms.tier, at: view.started_at };
    let mut reservation = Reservation::new(deployment.id, taking);
    let wish = match Wish::new(view, &facts, eligible, pricing) {
        Ok(wish) => wish,
        Err(denied) => {
            reservation.abandon();
            return Err(denied);
        }
    };
    if wish.is_empty() {
        return Ok(reservation);
    }
    FaultPoint::BeforeReserve.reach();
    let (hold, size, output_cap) = match reserve(core, view, &wish, eligible).await {
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
    reservation.bound = size.bound;
    reservation.output_cap = output_cap;
    (reservation.claims, reservation.pricing) = wish.into_claimed();
    Ok(reservation)
}

/// Reserves on all budgets; where that is refused, with a counted prompt, and then with what output is affordable.
/// Returns what was reserved for, and the output cap of one choice that keeps the call within it.
async fn reserve(
    core: &Core,
    view: &CallView<'_>,
    wish: &Wish<'_>,
    eligible: &Eligible,
) -> Result<(Hold, Size, Option<OutputCap>), Denied> {
    let mut size = wish.size();
    let mut denied = match take(core, wish, &size).await {
        Ok(hold) => return Ok((hold, size, None)),
        Err(denied) => denied,
    };
    if !denied.may_shrink() {
        return Err(denied);
    }
    if let Some(counted) = counted_input(view, eligible, &size).await {
        size.bound = size.bound.map(|bound| CallBound { input_tokens: counted, ..bound });
        match take(core, wish, &size).await {
            Ok(hold) => return Ok((hold, size, None)),
            Err(again) => denied = again,
        }
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

/// A count of the prompt that is a bound as well, where the model's tokenizer is known and it says less.
async fn counted_input(view: &CallView<'_>, eligible: &Eligible, size: &Size) -> Option<u64> {
    let bound = size.bound?.input_tokens;
    let kind = &eligible.target.deployment.provider.kind;
    let counted = exact_input_tokens(kind, view.upstream_model(eligible), view.peeked).await?;
    (counted < bound).then_some(counted)
}

/// The largest output that all budgets can pay for now, and the cap of one answer that keeps the call within it.
fn affordable(
    core: &Core,
    view: &CallView<'_>,
    wish: &Wish<'_>,
    size: &Size,
) -> Option<(Size, Option<OutputCap>)> {
    let bound = size.bound?;
    let left = LeftForOutput::of(core, wish, &bound)?;
    let mut smaller = *size;
    let mut cap = None;
    if let Some(tokens) = left.whole.filter(|tokens| bound.output_tokens().is_none_or(|most| *tokens < most))
    {
        let one = tokens.checked_sub(bound.uncapped_output_tokens)? / bound.choices;
        // Servers refuse a cap beyond what they can do, and here nobody knows what that is.
        let one = if bound.output_cap_tokens.is_none() { one.min(UNKNOWN_MODEL_CAP_TOKENS) } else { one };
        let least = LEAST_CAP_TOKENS.max(lowest_output_cap(view.peeked));
        if !wish.may_clamp(view.terms.output_cap_tokens.is_some()) || one < least {
            return None;
        }
        smaller.bound = Some(bound.with_cap(one));
        cap = Some(OutputCap { tokens: one, add_as: wish.cap_field? });
    }
    let Some(step) = left.step else { return Some((smaller, cap)) };
    let wanted = smaller.bound.map_or(smaller.first_tokens, |bound| first_tokens(&bound));
    smaller.first_tokens = wanted.min(step);
    // What is made unseen cannot be stopped in time, so nothing less than all of it will do.
    let least = if bound.hides_output {
        wanted
    } else {
        let few = LEAST_CAP_TOKENS.saturating_mul(bound.choices);
        few.saturating_add(bound.uncapped_output_tokens).min(wanted)
    };
    (smaller.first_tokens >= least).then_some((smaller, cap))
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

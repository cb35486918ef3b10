//! What an attempt at one deployment would ask of each budget that counts it.

use std::sync::Arc;

use tollgate_core::NanoUsd;
use tollgate_ledger::budget::{BudgetLine, Claim};
use tollgate_state::governance::{BudgetMode, BudgetObject, CallFacts, Clamp, Member, Unpriced};

use tollgate_wire::Field;

use super::engage::CallView;
use super::refusal::Denied;
use super::{Basis, Claimed, Pricing, STEP_TOKENS, Stepped};
use crate::estimate::worst_case::{Asked, CallBound, Offer, Unbounded};
use crate::journey::shortlist::Eligible;

/// The claims of one attempt, before anything is reserved.
pub(super) struct Wish<'call> {
    pub claims: Vec<WishedClaim<'call>>,
    pub pricing: Pricing,
    /// What the call can use here at most; unknown only where every claim can do without.
    bound: Option<CallBound>,
    /// Where an output cap can be set or lowered.
    pub cap_field: Option<Field>,
}

pub(super) struct WishedClaim<'call> {
    pub config: &'call Arc<BudgetObject>,
    pub line: &'call Arc<BudgetLine>,
    pub member: Member,
    pub basis: Basis,
}

/// How much a wish asks for at the moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub bound: Option<CallBound>,
    /// Output tokens of all answers with which a stepped stream begins.
    pub first_tokens: u64,
}

impl<'call> Wish<'call> {
    /// Finds the budgets that count the attempt and how each would.
    pub(super) fn new(
        view: &CallView<'call>,
        facts: &CallFacts<'_>,
        eligible: &Eligible,
        pricing: Pricing,
    ) -> Result<Self, Denied> {
        let mut found = Vec::new();
        view.governed.rules.budgets_of(facts, |slot, member| {
            found.extend(view.governed.budget(slot).map(|(config, line)| (config, line, member)));
        });
        if found.is_empty() {
            return Ok(Self { claims: Vec::new(), pricing, bound: None, cap_field: None });
        }
        let asked = Asked::of(view.operation, view.peeked);
        let offer = offer(view, eligible);
        let bound = asked.bound(&offer);
        let mut claims = Vec::with_capacity(found.len());
        for (config, line, member) in found {
            if let Some(basis) = basis(config, &pricing, &bound, view.stream)? {
                claims.push(WishedClaim { config, line, member, basis });
            }
        }
        Ok(Self { claims, pricing, bound: bound.ok(), cap_field: asked.cap_field(&offer) })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// The most that the call can use.
    pub(super) fn size(&self) -> Size {
        let first_tokens = self.bound.map_or(STEP_TOKENS, |bound| first_tokens(&bound));
        Size { bound: self.bound, first_tokens }
    }

    /// What each budget would have to reserve; in the order of the claims.
    pub(super) fn amounts(&self, size: &Size) -> Result<Vec<NanoUsd>, Denied> {
        self.claims.iter().map(|claim| self.amount(claim, size)).collect()
    }

    fn amount(&self, claim: &WishedClaim<'_>, size: &Size) -> Result<NanoUsd, Denied> {
        let unbounded = |reason| Denied::unbounded(claim.config, reason);
        let priced = |output, tools: NanoUsd| {
            let bound = size.bound.as_ref().ok_or_else(|| unbounded(Unbounded::NoMaximumInput))?;
            let worst = self.pricing.worst_case(bound.input_tokens, output);
            let worst = worst.map_err(|problem| unbounded(Unbounded::NoPrice(problem)))?;
            Ok(worst.saturating_add(tools))
        };
        match claim.basis {
            Basis::Flat(amount) => Ok(amount),
            Basis::Watched => Ok(priced(size.first_tokens, NanoUsd::ZERO).unwrap_or(NanoUsd::ZERO)),
            Basis::Step { tools } => priced(size.first_tokens, tools),
            Basis::Whole { tools } => {
                let output = size.bound.as_ref().and_then(CallBound::output_tokens);
                priced(output.ok_or_else(|| unbounded(Unbounded::NoMaximumOutput))?, tools)
            }
        }
    }

    /// As the book takes them.
    pub(super) fn as_claims(&self, amounts: &[NanoUsd]) -> Vec<Claim<'_>> {
        let pairs = self.claims.iter().zip(amounts);
        let claims = pairs.map(|(claim, amount)| Claim {
            line: claim.line,
            member: claim.member.clone(),
            amount: *amount,
        });
        claims.collect()
    }

    /// Whether the output of the call may be capped to what is left, as far as these budgets say.
    pub(super) fn may_clamp(&self, client_set_cap: bool) -> bool {
        let mut whole = self.claims.iter().filter(|claim| matches!(claim.basis, Basis::Whole { .. }));
        whole.all(|claim| !client_set_cap || claim.config.clamp == Clamp::Always)
    }

    /// Where a stepped stream begins.
    pub(super) fn stepped(&self, size: &Size) -> Option<Stepped> {
        let has_steps = self.claims.iter().any(|claim| matches!(claim.basis, Basis::Step { .. }));
        let bound = size.bound.as_ref().filter(|_| has_steps)?;
        Some(Stepped {
            paid_tokens: size.first_tokens,
            most_tokens: bound.output_tokens(),
            step_tokens: STEP_TOKENS.saturating_mul(bound.choices),
            uncounted_tokens: uncounted_tokens(bound),
        })
    }

    /// What the reservation keeps.
    pub(super) fn into_claimed(self) -> (Vec<Claimed>, Option<Pricing>) {
        let kept = |claim: WishedClaim<'_>| Claimed { config: Arc::clone(claim.config), basis: claim.basis };
        (self.claims.into_iter().map(kept).collect(), Some(self.pricing))
    }
}

/// With how many output tokens a stepped stream begins: all where they may be made unseen, else one step.
pub(super) fn first_tokens(bound: &CallBound) -> u64 {
    let step = STEP_TOKENS.saturating_mul(bound.choices).saturating_add(uncounted_tokens(bound));
    match bound.output_tokens() {
        Some(most) if bound.hides_output => most,
        Some(most) => step.min(most),
        None => step,
    }
}

/// Output tokens that are billed beside those in the stream.
const fn uncounted_tokens(bound: &CallBound) -> u64 {
    bound.uncapped_output_tokens
}

fn offer<'call>(view: &CallView<'call>, eligible: &'call Eligible) -> Offer<'call> {
    let deployment = &eligible.target.deployment;
    Offer {
        kind: &deployment.provider.kind,
        dialect: eligible.dialect,
        facts: deployment.facts(view.upstream_model(eligible)),
        beta: view.headers.get("anthropic-beta").and_then(|value| value.to_str().ok()),
    }
}

/// How a budget counts the attempt; `None` when it does not.
fn basis(
    config: &BudgetObject,
    pricing: &Pricing,
    bound: &Result<CallBound, Unbounded>,
    stream: bool,
) -> Result<Option<Basis>, Denied> {
    if pricing.prices.is_unknown() {
        return match config.unpriced {
            Unpriced::Allow => Ok(None),
            Unpriced::FlatNanoUsd(amount) => Ok(Some(Basis::Flat(amount))),
            Unpriced::Refuse if config.mode.refuses() => Err(Denied::unpriced(config)),
            Unpriced::Refuse => Ok(None),
        };
    }
    if !config.mode.refuses() {
        return Ok(Some(Basis::Watched));
    }
    if pricing.prices.is_free() {
        return Ok(Some(Basis::Flat(NanoUsd::ZERO)));
    }
    let bound = bound.as_ref().map_err(|reason| Denied::unbounded(config, *reason))?;
    let tools = match (bound.provider_runs_tools, config.server_tools_nano_usd) {
        (false, _) => NanoUsd::ZERO,
        (true, Some(most)) => most,
        (true, None) => return Err(Denied::unbounded(config, Unbounded::ServerTools)),
    };
    let hidden_without_end = bound.hides_output && bound.output_tokens().is_none();
    let steps = stream && config.mode == BudgetMode::Stepped && !hidden_without_end;
    Ok(Some(if steps { Basis::Step { tools } } else { Basis::Whole { tools } }))
}

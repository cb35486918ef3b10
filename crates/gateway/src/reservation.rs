//! What one attempt holds of budgets and limits, from before its dispatch to the end of its answer.
//!
//! [`engage()`] makes one for a deployment: it asks the limits of the deployment and its provider, computes the most
//! that the call can cost there, and reserves that on every budget that counts the call, or on none. What the attempt
//! really cost settles it; dropped unsettled, it is void.

mod engage;
mod refusal;
mod wish;

use std::sync::Arc;
use std::time::Duration;

use tollgate_catalog::{PriceList, PriceProblem, ServiceTier};
use tollgate_core::{DeploymentId, NanoUsd, TokenUsage, UnixMicros};
use tollgate_ledger::budget::{Hold, Settled};
use tollgate_ledger::record::Charge;
use tollgate_state::governance::BudgetObject;
use tollgate_wire::OutputCap;

pub use engage::{CallView, engage};
pub use refusal::Denied;

use crate::estimate::worst_case::CallBound;
use crate::throttling::Taking;

/// Output tokens that a stepped stream reserves at a time, for each choice.
const STEP_TOKENS: u64 = 1_024;
/// A stepped stream asks for its next step while this many tokens are still paid for: what may arrive until the
/// provider has stopped. 256 tokens are half a second of a provider that makes 500 a second.
const HEADROOM_TOKENS: u64 = 256;
/// How fast a provider is taken to make what nobody has seen, for each choice: an answer that was lost or left is
/// charged for this much of it.
const UNSEEN_TOKENS_PER_SECOND: u64 = 300;

/// What an attempt holds.
#[derive(Debug)]
pub struct Reservation {
    pub deployment_id: DeploymentId,
    hold: Option<Hold>,
    /// What each claim of the hold is for.
    claims: Vec<Claimed>,
    /// Absent where no budget counts the attempt.
    pricing: Option<Pricing>,
    /// Prompt tokens that the hold pays for.
    input_tokens: u64,
    stepped: Option<Stepped>,
    /// What the call can use here at most.
    bound: Option<CallBound>,
    /// The output cap of one choice, where a budget sets or lowers it.
    pub output_cap: Option<OutputCap>,
    /// Limits of the provider and the deployment.
    taking: Taking,
}

/// One claim of a hold.
#[derive(Debug)]
struct Claimed {
    config: Arc<BudgetObject>,
    basis: Basis,
}

/// By what an attempt is priced; pinned at admission.
#[derive(Debug, Clone)]
struct Pricing {
    prices: Arc<PriceList>,
    tier: Option<ServiceTier>,
    at: UnixMicros,
}

/// What one budget counts of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Basis {
    /// Its cost; the most that it can be is reserved, and `tools` for what the provider's own tools may add.
    Whole { tools: NanoUsd },
    /// Its cost; what has been produced and a step more is reserved.
    Step { tools: NanoUsd },
    /// So much, because nobody knows the price.
    Flat(NanoUsd),
    /// Its cost; nothing is refused for it.
    Watched,
}

/// How far a stepped stream is paid for.
#[derive(Debug, Clone, Copy)]
struct Stepped {
    /// Output tokens of all choices that the hold pays for.
    paid_tokens: u64,
    /// The most that there can be, where that is known.
    most_tokens: Option<u64>,
    step_tokens: u64,
    /// What is billed as output beside what the stream shows.
    uncounted_tokens: u64,
}

impl Pricing {
    fn worst_case(&self, input: u64, output: u64) -> Result<NanoUsd, PriceProblem> {
        let cost = self.prices.worst_case(input, output, self.tier, self.at)?;
        Ok(cost.amount_nano_usd)
    }

    /// How many output tokens an amount pays for beside a prompt.
    fn affordable(&self, input: u64, amount: NanoUsd) -> Option<u64> {
        self.prices.affordable_output_tokens(input, self.tier, self.at, amount).ok().flatten()
    }
}

impl Reservation {
    /// Of an attempt that no budget or limit counts.
    pub fn nothing(deployment_id: DeploymentId) -> Self {
        Self::new(deployment_id, Taking::default())
    }

    fn new(deployment_id: DeploymentId, taking: Taking) -> Self {
        Self {
            deployment_id,
            hold: None,
            claims: Vec::new(),
            pricing: None,
            input_tokens: 0,
            stepped: None,
            bound: None,
            output_cap: None,
            taking,
        }
    }

    /// Output tokens that may have been made in a time in which nothing of them was seen; `stream` shows all that a model
    /// does not hide.
    pub fn unseen_tokens(&self, elapsed: Duration, stream: bool) -> u64 {
        let Some(bound) = self.bound.filter(|bound| !stream || bound.hides_output) else { return 0 };
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let made = elapsed_ms.saturating_mul(UNSEEN_TOKENS_PER_SECOND) / 1_000;
        let made = made.saturating_mul(bound.choices);
        bound.output_tokens().map_or(made, |most| made.min(most))
    }

    /// Gives everything back, as if nobody had asked.
    pub fn abandon(self) {
        self.taking.abandon();
    }

    /// What the journal's intent carries.
    pub fn holds(&self) -> Vec<Charge> {
        self.hold.as_ref().map(Hold::charges).unwrap_or_default()
    }

    /// Ends the reservation with what the attempt used and what that cost; without a cost, with all that is held.
    pub fn settle(self, now: UnixMicros, usage: &TokenUsage, cost: Option<NanoUsd>) -> Option<Settled> {
        self.taking.correct(now, usage);
        let hold = self.hold?;
        let Some(cost) = cost else { return Some(hold.settle(&[])) };
        let is_free = usage.is_zero() && cost == NanoUsd::ZERO;
        let amount = |claimed: &Claimed| match claimed.basis {
            Basis::Flat(amount) if !is_free => amount,
            _ => cost,
        };
        let amounts: Vec<NanoUsd> = self.claims.iter().map(amount).collect();
        Some(hold.settle(&amounts))
    }

    /// Whether more can be reserved while the answer comes.
    pub const fn is_stepped(&self) -> bool {
        self.stepped.is_some()
    }

    /// Whether a stepped stream that may have produced so many tokens must ask for its next step.
    pub fn needs_step(&self, produced_tokens: u64) -> bool {
        self.stepped.is_some_and(|stepped| {
            let is_at_most = stepped.most_tokens.is_some_and(|most| stepped.paid_tokens >= most);
            let made = produced_tokens.saturating_add(stepped.uncounted_tokens);
            !is_at_most && made.saturating_add(HEADROOM_TOKENS) > stepped.paid_tokens
        })
    }

    /// Reserves the next step of a stream that may have produced so many tokens.
    ///
    /// # Errors
    /// When a budget cannot pay for it; what is held stays held.
    pub async fn step(&mut self, now: UnixMicros, produced_tokens: u64) -> Result<(), Denied> {
        let (Some(hold), Some(stepped), Some(pricing)) = (&mut self.hold, &mut self.stepped, &self.pricing)
        else {
            return Ok(());
        };
        let made = produced_tokens.saturating_add(stepped.uncounted_tokens);
        let next = made.max(stepped.paid_tokens).saturating_add(stepped.step_tokens);
        let next = stepped.most_tokens.map_or(next, |most| next.min(most));
        let worst = pricing.worst_case(self.input_tokens, next).unwrap_or(NanoUsd::MAX);
        let amount = |claimed: &Claimed| match claimed.basis {
            Basis::Step { tools } => worst.saturating_add(tools),
            Basis::Whole { .. } | Basis::Flat(_) | Basis::Watched => NanoUsd::ZERO,
        };
        let amounts: Vec<NanoUsd> = self.claims.iter().map(amount).collect();
        let config = |position: usize| self.claims.get(position).map(|claimed| &*claimed.config);
        match hold.extend(now, &amounts).await {
            Ok(()) => {
                stepped.paid_tokens = next;
                Ok(())
            }
            Err(shortage) => Err(Denied::short(shortage, config, &amounts, now)),
        }
    }
}

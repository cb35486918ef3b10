//! The most that a call can use and cost at a deployment, known before it is made.
//!
//! Text costs at most a token a byte; what is not text in the body is bounded by the model's own maximum. Output is
//! bounded by the client's cap or the model's maximum, for each answer. The caps of OpenAI, Anthropic, Google and the
//! servers that follow them include reasoning; what they do not include is counted beside them.

use tollgate_catalog::{Capabilities, ExtraCharge, Limits, ModelFacts, PriceList, PriceProblem, ServiceTier};
use tollgate_core::{Dialect, NanoUsd, Operation, UnixMicros};
use tollgate_wire::{Beyond, BeyondText, Field, Peeked, input_bound_tokens};

mod refusal;

/// What of a call decides how much it can use, wherever it is served.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    operation: Operation,
    /// Where the prompt is text in the body, its bytes and what is put around them.
    text_bound_tokens: Option<u64>,
    body_bytes: u64,
    max_tokens: Option<u64>,
    /// Caps that some servers do not know.
    newer_cap_tokens: Option<u64>,
    choices: u64,
    asks_to_think: bool,
    beyond_text: BeyondText,
}

/// Who would serve it.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The provider's kind.
    pub kind: &'a str,
    /// In which dialect it takes the call.
    pub dialect: Dialect,
    pub facts: Option<&'a ModelFacts>,
    /// The client's `anthropic-beta`: some raise a model's limits above the catalogue's.
    pub beta: Option<&'a str>,
}

/// How much a call can use at one deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallBound {
    pub input_tokens: u64,
    /// For each answer; `None` where neither the client nor the model says.
    pub output_cap_tokens: Option<u64>,
    /// Answers that are made and billed.
    pub choices: u64,
    /// What no cap limits, of all answers together.
    pub uncapped_output_tokens: u64,
    /// The provider calls tools itself; what these add is not in the bound.
    pub provider_runs_tools: bool,
    /// Tokens may be produced that the stream does not show.
    pub hides_output: bool,
    /// Counting tokens, for example, is not.
    pub is_billed: bool,
}

/// The most that a call can cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorstCase {
    pub nano_usd: NanoUsd,
    pub input_tokens: u64,
    /// Of all answers together.
    pub output_tokens: u64,
    /// What tools that the provider runs add is not in it.
    pub provider_runs_tools: bool,
}

/// Why nobody can say what a call costs at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unbounded {
    NoPrice(PriceProblem),
    /// The prompt is not text in the body, and the model's maximum is not known.
    NoMaximumInput,
    /// Neither client nor model limits the answer.
    NoMaximumOutput,
    /// The provider runs tools, and the budget has no cap for what they cost.
    ServerTools,
    /// The call asks for what the prices do not cover.
    ExtraCharge(ExtraCharge),
    /// Models may answer whose prices were not looked at.
    OtherModels,
}

/// Whether the whole prompt is text in the body. Media take tokens by their size in pixels or seconds, not in bytes.
pub fn prompt_is_in_body(peeked: &Peeked) -> bool {
    const STORED: [Field; 3] = [Field::PreviousResponseId, Field::Conversation, Field::Container];
    let is_stored = STORED.iter().any(|field| peeked.has(*field))
        || peeked.dialect() == Dialect::OpenaiResponses && peeked.has(Field::Prompt);
    peeked.beyond_text().prompt_is_text() && !is_stored
}

impl Asked {
    pub fn of(operation: Operation, peeked: &Peeked) -> Self {
        // Servers differ on whether nothing or anything is meant by 0; only Anthropic says.
        let means_itself = |cap: &u64| *cap > 0 || peeked.dialect() == Dialect::AnthropicMessages;
        let cap = |field| peeked.count(field).filter(means_itself);
        Self {
            operation,
            text_bound_tokens: prompt_is_in_body(peeked).then(|| input_bound_tokens(peeked)),
            body_bytes: peeked.body().len() as u64,
            max_tokens: cap(Field::MaxTokens).or(cap(Field::MaxOutputTokens)),
            newer_cap_tokens: cap(Field::MaxCompletionTokens),
            choices: peeked.choices(),
            asks_to_think: peeked.has(Field::Thinking),
            beyond_text: peeked.beyond_text(),
        }
    }

    /// How much the call can use at one deployment.
    ///
    /// # Errors
    /// What makes that unknowable there; never [`Unbounded::NoMaximumOutput`], because a cap can still be set.
    pub fn bound(&self, offer: &Offer<'_>) -> Result<CallBound, Unbounded> {
        let mut bound = CallBound {
            input_tokens: 0,
            output_cap_tokens: Some(0),
            choices: self.choices.max(1),
            uncapped_output_tokens: 0,
            provider_runs_tools: false,
            hides_output: false,
            is_billed: !matches!(self.operation, Operation::CountTokens | Operation::ProviderObject),
        };
        if !bound.is_billed {
            return Ok(bound);
        }
        bound.input_tokens = self.input_tokens(offer)?;
        if let Some(charge) = self.extra_charge(offer.facts) {
            return Err(Unbounded::ExtraCharge(charge));
        }
        if self.beyond_text.has(Beyond::OtherModels) {
            return Err(Unbounded::OtherModels);
        }
        if self.operation == Operation::Embedding {
            return Ok(bound);
        }
        bound.provider_runs_tools = self.beyond_text.has(Beyond::ProviderTools);
        bound.output_cap_tokens = self.cap_tokens(offer);
        bound.uncapped_output_tokens = self.uncapped_output_tokens(offer, bound.input_tokens)?;
        bound.hides_output = self.hides_output(offer);
        Ok(bound)
    }

    /// What the call asks for that is charged beside or above the model's prices. Where nothing is known of a model
    /// it may charge anything.
    fn extra_charge(&self, facts: Option<&ModelFacts>) -> Option<ExtraCharge> {
        const CHARGES: [(Beyond, ExtraCharge); 5] = [
            (Beyond::Audio, ExtraCharge::AudioInput),
            (Beyond::AudioAnswer, ExtraCharge::AudioOutput),
            (Beyond::Media, ExtraCharge::ImageInput),
            (Beyond::Speed, ExtraCharge::Speed),
            (Beyond::Residency, ExtraCharge::Residency),
        ];
        let may_apply = |charge| facts.is_none_or(|facts| facts.extra_charges.contains(charge));
        let mut asked_for = CHARGES.iter().filter(|(what, _)| self.beyond_text.has(*what));
        asked_for.find(|(_, charge)| may_apply(charge)).map(|(_, charge)| *charge)
    }

    fn input_tokens(&self, offer: &Offer<'_>) -> Result<u64, Unbounded> {
        // A list of inputs or prompts is many prompts, each up to the maximum.
        let is_one_prompt = matches!(self.operation, Operation::Chat | Operation::Response);
        let maximum = offer
            .limits()
            .and_then(|limits| limits.max_input_tokens.or(limits.context_tokens))
            .filter(|_| is_one_prompt);
        match (self.text_bound_tokens, maximum) {
            (Some(text), Some(maximum)) => Ok(text.min(maximum)),
            (Some(tokens), None) | (None, Some(tokens)) => Ok(tokens),
            (None, None) => Err(Unbounded::NoMaximumInput),
        }
    }

    /// The cap that the server keeps, or the model's own.
    fn cap_tokens(&self, offer: &Offer<'_>) -> Option<u64> {
        let newer = self.newer_cap_tokens.filter(|_| offer.knows_newer_cap());
        let clients = self.max_tokens.max(newer);
        match (clients, offer.max_output_tokens()) {
            (Some(cap), Some(maximum)) => Some(cap.min(maximum)),
            (cap, maximum) => cap.or(maximum),
        }
    }

    /// The field in which the clamp of a call that is forwarded is put: the client's own where the server keeps it, for
    /// servers refuse two. `None` where the dialect has no cap.
    pub fn cap_field(&self, offer: &Offer<'_>) -> Option<Field> {
        Some(match offer.dialect {
            Dialect::OpenaiChat if self.max_tokens.is_some() => Field::MaxTokens,
            Dialect::OpenaiChat if self.newer_cap_tokens.is_some() && offer.knows_newer_cap() => {
                Field::MaxCompletionTokens
            }
            Dialect::OpenaiChat if offer.kind == "openai" => Field::MaxCompletionTokens,
            Dialect::OpenaiChat | Dialect::OpenaiCompletions | Dialect::AnthropicMessages => Field::MaxTokens,
            Dialect::OpenaiResponses => Field::MaxOutputTokens,
            Dialect::OpenaiEmbeddings => return None,
        })
    }

    fn uncapped_output_tokens(&self, offer: &Offer<'_>, input_tokens: u64) -> Result<u64, Unbounded> {
        let mut uncapped = 0_u64;
        if self.beyond_text.has(Beyond::Echo) {
            uncapped = uncapped.saturating_add(input_tokens.saturating_mul(self.choices));
        }
        if self.beyond_text.has(Beyond::Prediction) {
            uncapped = uncapped.saturating_add(self.body_bytes.saturating_mul(self.choices));
        }
        if offer.reasons_beside_the_cap() {
            let maximum = offer.max_output_tokens().ok_or(Unbounded::NoMaximumOutput)?;
            uncapped = uncapped.saturating_add(maximum.saturating_mul(self.choices));
        }
        Ok(uncapped)
    }

    fn hides_output(&self, offer: &Offer<'_>) -> bool {
        let capabilities = offer.facts.map(|facts| facts.capabilities);
        let may_reason = capabilities.is_none_or(|known| known.reasoning == Some(true));
        match offer.kind {
            // Thinking is summarized or left out; it is off unless asked for.
            "anthropic" | "anthropic_compatible" => {
                let always =
                    capabilities.is_some_and(|known: Capabilities| known.thinking_always_on == Some(true));
                always || self.asks_to_think || self.beyond_text.has(Beyond::HiddenReasoning)
            }
            "openai" | "google" | "xai" | "openrouter" => may_reason,
            // They send what they think, unless told not to.
            _ => self.beyond_text.has(Beyond::HiddenReasoning),
        }
    }
}

impl Offer<'_> {
    fn limits(&self) -> Option<&Limits> {
        self.facts.map(|facts| &facts.limits).filter(|_| !self.beta.is_some_and(raises_limits))
    }

    fn max_output_tokens(&self) -> Option<u64> {
        self.limits().and_then(|limits| limits.max_output_tokens)
    }

    /// Whether a server keeps `max_completion_tokens`. What it does not know it passes over.
    fn knows_newer_cap(&self) -> bool {
        self.dialect != Dialect::OpenaiChat
            || matches!(
                self.kind,
                "openai" | "google" | "groq" | "xai" | "openrouter" | "fireworks" | "cerebras" | "vllm"
            )
    }

    /// xAI does not promise that its caps include reasoning.
    fn reasons_beside_the_cap(&self) -> bool {
        let may_reason = self.facts.is_none_or(|facts| facts.capabilities.reasoning == Some(true));
        self.kind == "xai" && may_reason
    }
}

/// `context-1m-2025-08-07`, `output-128k-2025-02-19`: the catalogue tells the limits without them.
fn raises_limits(betas: &str) -> bool {
    betas.split(',').map(str::trim).any(|beta| {
        let size = beta.strip_prefix("context-").or_else(|| beta.strip_prefix("output-"));
        size.is_some_and(|size| size.starts_with(|first: char| first.is_ascii_digit()))
    })
}

impl CallBound {
    /// The same with a cap on each answer; never a higher one.
    #[must_use]
    pub fn with_cap(self, tokens: u64) -> Self {
        let cap = self.output_cap_tokens.map_or(tokens, |cap| cap.min(tokens));
        Self { output_cap_tokens: Some(cap), ..self }
    }

    /// Output tokens of all answers together.
    pub fn output_tokens(&self) -> Option<u64> {
        let capped = self.output_cap_tokens?.saturating_mul(self.choices);
        Some(capped.saturating_add(self.uncapped_output_tokens))
    }

    /// The most that the call can cost.
    ///
    /// # Errors
    /// When it has no price or its output no cap.
    pub fn worst_case(
        &self,
        prices: &PriceList,
        tier: Option<ServiceTier>,
        at: UnixMicros,
    ) -> Result<WorstCase, Unbounded> {
        let output_tokens = self.output_tokens().ok_or(Unbounded::NoMaximumOutput)?;
        let nano_usd = if self.is_billed {
            let cost = prices.worst_case(self.input_tokens, output_tokens, tier, at);
            cost.map_err(Unbounded::NoPrice)?.amount_nano_usd
        } else {
            NanoUsd::ZERO
        };
        let provider_runs_tools = self.provider_runs_tools;
        Ok(WorstCase { nano_usd, input_tokens: self.input_tokens, output_tokens, provider_runs_tools })
    }

    /// The highest cap on each answer with which the worst case is at most `left`; `None` when not even one token is.
    pub fn affordable_cap(
        &self,
        prices: &PriceList,
        tier: Option<ServiceTier>,
        at: UnixMicros,
        left: NanoUsd,
    ) -> Option<u64> {
        let total = prices.affordable_output_tokens(self.input_tokens, tier, at, left).ok().flatten()?;
        let cap = total.checked_sub(self.uncapped_output_tokens)? / self.choices.max(1);
        let cap = self.output_cap_tokens.map_or(cap, |highest| highest.min(cap));
        (cap > 0).then_some(cap)
    }
}

#[cfg(test)]
mod tests;

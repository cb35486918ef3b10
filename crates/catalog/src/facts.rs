//! What is known about a model.

use std::sync::Arc;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::price::Price;
use crate::price_list::PriceList;

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    Chat,
    Completion,
    /// Served by `/v1/responses` only.
    Responses,
    Embedding,
    Rerank,
    Moderation,
    Image,
    Transcription,
    Speech,
}

/// Sizes in tokens. Absent means not known, not unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Prompt and answer together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// Length of the vectors that an embedding model makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding_dimensions: Option<u64>,
}

/// What a model can and cannot do. Absent means not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Capabilities {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_tools: Option<bool>,
    /// Accepts being told which tool to call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced_tool_choice: Option<bool>,
    /// Image input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<bool>,
    /// PDF input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub documents: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_input: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<bool>,
    /// Chooses its own amount of thinking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive_thinking: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_always_on: Option<bool>,
    /// Accepts `temperature`, `top_p` and `top_k`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampling_params: Option<bool>,
    /// Continues an assistant message that the client began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assistant_prefill: Option<bool>,
    /// Accepts system messages between other messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mid_conversation_system: Option<bool>,
    /// Answers by a JSON schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native_structured_output: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_caching: Option<bool>,
}

/// When a model came and goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lifecycle {
    /// The day on which the provider stops or has said it will stop serving it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub retires_on: Option<Date>,
}

/// A charge that no meter of the price rows carries. A call that causes it costs more than its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExtraCharge {
    /// Audio in the prompt has a price of its own.
    AudioInput,
    /// Audio in the answer has a price of its own.
    AudioOutput,
    /// Images in the prompt have a price of their own.
    ImageInput,
    /// Images in the answer have a price of their own.
    ImageOutput,
    /// Searches that the provider runs are charged each.
    WebSearch,
    /// Cached prompts are charged for the time they are kept.
    CacheStorage,
    /// A choice of region multiplies the price.
    Residency,
    /// A speed option multiplies the price.
    Speed,
    /// Some hours cost less than the rows say, which hold the highest price.
    TimeOfDay,
}

/// Where facts were taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub name: Box<str>,
    /// The provider's own page, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Box<str>>,
    #[schemars(with = "String")]
    pub checked_on: Date,
    /// Why a price or fact is missing or was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Box<str>>,
}

/// An entry of the catalogue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelFacts {
    /// The provider of the file that the entry is in.
    #[serde(skip_deserializing)]
    pub provider: Box<str>,
    /// The name that the provider's API takes.
    pub model: Box<str>,
    /// Other names of exactly this model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<Box<str>>,
    pub mode: Mode,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub capabilities: Capabilities,
    #[serde(default)]
    pub lifecycle: Lifecycle,
    pub prices: Price,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_charges: Vec<ExtraCharge>,
    pub source: Source,
    #[serde(skip, default = "unknown_prices")]
    pub(crate) price_list: Arc<PriceList>,
}

fn unknown_prices() -> Arc<PriceList> {
    Arc::new(PriceList::unknown())
}

impl ModelFacts {
    /// The prices, resolved when the catalogue was read.
    pub const fn price_list(&self) -> &Arc<PriceList> {
        &self.price_list
    }
}

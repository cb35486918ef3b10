//! A generation request.

use serde_json::Number;

use super::{Block, CacheHint, Json};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// The public name that the client asked for.
    pub model: String,
    /// Instructions before the first turn.
    pub system: Vec<Block>,
    pub messages: Vec<Message>,
    pub tools: Vec<Tool>,
    pub tool_choice: Option<ToolChoice>,
    pub parallel_tool_calls: Option<bool>,
    pub max_output_tokens: Option<u64>,
    pub sampling: Sampling,
    pub stop_sequences: Vec<String>,
    pub output_format: Option<OutputFormat>,
    pub reasoning: ReasoningControl,
    /// The customer, as the application names them.
    pub end_user: Option<String>,
    pub service_tier: Option<ServiceTier>,
    /// Mark the end of the prompt as a cache breakpoint, wherever that is.
    pub automatic_cache: Option<CacheHint>,
    pub stream: bool,
    /// The client wants usage inside the stream, where its dialect makes that optional.
    pub include_usage: bool,
    /// Fields that answers in the client's dialect repeat, as they were sent.
    pub echo: Vec<(&'static str, Json)>,
}

/// One turn. Tool results are blocks of a user turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub role: Role,
    pub blocks: Vec<Block>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions that arrive in the middle of a conversation.
    System,
    User,
    Assistant,
}

/// A function that the client can run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tool {
    /// Unique in the request; begins with the namespace, if there is one.
    pub name: String,
    pub description: Option<String>,
    /// JSON schema of the input.
    pub parameters: Option<Json>,
    pub strict: Option<bool>,
    pub cache: Option<CacheHint>,
    /// The client takes plain text instead of JSON. `parameters` then describe an object around that text.
    pub free_text: Option<FreeText>,
    /// The group that the client has put the tool into.
    pub namespace: Option<String>,
}

/// A tool whose input is text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FreeText {
    /// The grammar that the text must follow, as the client wrote it.
    pub format: Option<Json>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    Auto,
    None,
    /// Some tool must be called.
    Required,
    /// This tool must be called.
    Tool(String),
}

/// Numbers keep the sender's spelling.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sampling {
    pub temperature: Option<Number>,
    pub top_p: Option<Number>,
    pub top_k: Option<Number>,
    pub seed: Option<Number>,
    pub presence_penalty: Option<Number>,
    pub frequency_penalty: Option<Number>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputFormat {
    /// Any JSON object.
    JsonObject,
    JsonSchema {
        name: Option<String>,
        description: Option<String>,
        schema: Json,
        strict: Option<bool>,
    },
}

/// How much the model should think. The two parts are independent in some dialects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReasoningControl {
    pub mode: Option<ReasoningMode>,
    pub effort: Option<Effort>,
    /// How reasoning is shown to the client: `summarized` or `omitted`.
    pub display: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningMode {
    Disabled,
    /// The model decides how long.
    Adaptive,
    /// At most this many tokens.
    Budget(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    Minimal,
    Low,
    Medium,
    High,
    ExtraHigh,
    Maximum,
}

impl Effort {
    /// The spelling that the OpenAI and Anthropic dialects share.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::ExtraHigh => "xhigh",
            Self::Maximum => "max",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "minimal" => Self::Minimal,
            "low" => Self::Low,
            "medium" => Self::Medium,
            "high" => Self::High,
            "xhigh" => Self::ExtraHigh,
            "max" => Self::Maximum,
            _ => return None,
        })
    }

    /// A token budget for models that take one instead of an effort.
    pub const fn budget_tokens(self) -> u64 {
        match self {
            Self::Minimal | Self::Low => 1024,
            Self::Medium => 2048,
            Self::High => 4096,
            Self::ExtraHigh => 8192,
            Self::Maximum => 16_384,
        }
    }

    /// The effort whose budget is nearest below.
    pub const fn from_budget_tokens(tokens: u64) -> Self {
        match tokens {
            0..2048 => Self::Low,
            2048..4096 => Self::Medium,
            4096..8192 => Self::High,
            8192..16_384 => Self::ExtraHigh,
            _ => Self::Maximum,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceTier {
    Auto,
    Standard,
    Priority,
    Fast,
    Flex,
    /// A tier that only its own dialect knows.
    Other(String),
}

impl ServiceTier {
    /// The tier that the OpenAI dialects call so.
    pub fn from_openai(text: String) -> Self {
        match text.as_str() {
            "auto" => Self::Auto,
            "default" => Self::Standard,
            "priority" => Self::Priority,
            "fast" => Self::Fast,
            "flex" => Self::Flex,
            _ => Self::Other(text),
        }
    }

    /// What the OpenAI dialects call the tier; `None` where they have none like it.
    pub const fn as_openai(&self) -> Option<&'static str> {
        match self {
            Self::Auto => Some("auto"),
            Self::Standard => Some("default"),
            Self::Priority | Self::Fast => Some("priority"),
            Self::Flex => Some("flex"),
            Self::Other(_) => None,
        }
    }
}

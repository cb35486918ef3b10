//! What a client asks for, and in which dialect.

use serde::{Deserialize, Serialize};

/// An inference operation. Every one of them is metered.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    Chat,
    Completion,
    Embedding,
    CountTokens,
    Response,
    /// Read, cancel or delete something that a provider keeps (a stored response).
    ProviderObject,
}

impl Operation {
    pub const ALL: [Self; 6] = [
        Self::Chat,
        Self::Completion,
        Self::Embedding,
        Self::CountTokens,
        Self::Response,
        Self::ProviderObject,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completion => "completion",
            Self::Embedding => "embedding",
            Self::CountTokens => "count_tokens",
            Self::Response => "response",
            Self::ProviderObject => "provider_object",
        }
    }
}

/// The shape in which requests, answers and errors are written.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// `POST /v1/chat/completions`.
    OpenaiChat,
    /// `POST /v1/completions`.
    OpenaiCompletions,
    /// `POST /v1/embeddings`.
    OpenaiEmbeddings,
    /// `POST /v1/responses`.
    OpenaiResponses,
    /// `POST /v1/messages` and `/v1/messages/count_tokens`.
    AnthropicMessages,
}

impl Dialect {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai_chat",
            Self::OpenaiCompletions => "openai_completions",
            Self::OpenaiEmbeddings => "openai_embeddings",
            Self::OpenaiResponses => "openai_responses",
            Self::AnthropicMessages => "anthropic_messages",
        }
    }
}

//! The fields that the gateway reads, per dialect.

use tollgate_core::Dialect;

macro_rules! fields {
    ($($variant:ident = $name:literal: $kind:ident,)*) => {
        /// A request field that the gateway reads.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Field {
            $($variant,)*
        }

        impl Field {
            const NAMES: &'static [&'static str] = &[$($name,)*];
            pub(crate) const COUNT: usize = Self::NAMES.len();

            /// The key, with dots for nested ones.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            pub(super) const fn kind(self) -> Kind {
                match self {
                    $(Self::$variant => Kind::$kind,)*
                }
            }
        }
    };
}

/// How a field's value is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Flag,
    /// Output caps: 0 to 2^53.
    Cap,
    /// Answers per request: 1 to 1,024.
    Choices,
    /// Anything; only its place and size matter.
    Content,
    StreamOptions,
    Metadata,
    Thinking,
    /// The id of something stored, or an object with that id.
    StoredObject,
}

fields! {
    Model = "model": Text,
    Stream = "stream": Flag,
    StreamOptions = "stream_options": StreamOptions,
    IncludeUsage = "stream_options.include_usage": Flag,
    MaxTokens = "max_tokens": Cap,
    MaxCompletionTokens = "max_completion_tokens": Cap,
    MaxOutputTokens = "max_output_tokens": Cap,
    N = "n": Choices,
    BestOf = "best_of": Choices,
    User = "user": Text,
    SafetyIdentifier = "safety_identifier": Text,
    Metadata = "metadata": Metadata,
    MetadataUserId = "metadata.user_id": Text,
    ServiceTier = "service_tier": Text,
    PreviousResponseId = "previous_response_id": Text,
    Conversation = "conversation": StoredObject,
    ConversationId = "conversation.id": Text,
    Container = "container": StoredObject,
    ContainerId = "container.id": Text,
    Store = "store": Flag,
    Background = "background": Flag,
    EncodingFormat = "encoding_format": Text,
    Messages = "messages": Content,
    Input = "input": Content,
    Prompt = "prompt": Content,
    Tools = "tools": Content,
    System = "system": Content,
    Instructions = "instructions": Content,
    Thinking = "thinking": Thinking,
    ThinkingBudget = "thinking.budget_tokens": Cap,
}

// Sets of fields are bits of a `u32`.
const _: () = assert!(Field::COUNT <= 32);

impl Field {
    /// The output caps of all dialects.
    pub const CAPS: [Self; 3] = [Self::MaxTokens, Self::MaxCompletionTokens, Self::MaxOutputTokens];

    const CHAT: &'static [Self] = &[
        Self::Model,
        Self::Messages,
        Self::Stream,
        Self::StreamOptions,
        Self::MaxTokens,
        Self::MaxCompletionTokens,
        Self::N,
        Self::BestOf,
        Self::User,
        Self::SafetyIdentifier,
        Self::ServiceTier,
        Self::Store,
        Self::Tools,
    ];
    const COMPLETIONS: &'static [Self] = &[
        Self::Model,
        Self::Prompt,
        Self::Stream,
        Self::StreamOptions,
        Self::MaxTokens,
        Self::N,
        Self::BestOf,
        Self::User,
        Self::ServiceTier,
    ];
    const EMBEDDINGS: &'static [Self] =
        &[Self::Model, Self::Input, Self::EncodingFormat, Self::User, Self::ServiceTier];
    const RESPONSES: &'static [Self] = &[
        Self::Model,
        Self::Input,
        Self::Instructions,
        Self::Prompt,
        Self::Stream,
        Self::StreamOptions,
        Self::MaxOutputTokens,
        Self::User,
        Self::SafetyIdentifier,
        Self::ServiceTier,
        Self::PreviousResponseId,
        Self::Conversation,
        Self::Store,
        Self::Background,
        Self::Tools,
    ];
    const MESSAGES: &'static [Self] = &[
        Self::Model,
        Self::Messages,
        Self::System,
        Self::Stream,
        Self::MaxTokens,
        Self::Metadata,
        Self::ServiceTier,
        Self::Container,
        Self::Tools,
        Self::Thinking,
    ];

    pub(super) const fn top_level(dialect: Dialect) -> &'static [Self] {
        match dialect {
            Dialect::OpenaiChat => Self::CHAT,
            Dialect::OpenaiCompletions => Self::COMPLETIONS,
            Dialect::OpenaiEmbeddings => Self::EMBEDDINGS,
            Dialect::OpenaiResponses => Self::RESPONSES,
            Dialect::AnthropicMessages => Self::MESSAGES,
        }
    }

    /// The one member that is read inside this field.
    pub(super) const fn nested(self) -> &'static [Self] {
        match self {
            Self::StreamOptions => &[Self::IncludeUsage],
            Self::Metadata => &[Self::MetadataUserId],
            Self::Conversation => &[Self::ConversationId],
            Self::Container => &[Self::ContainerId],
            Self::Thinking => &[Self::ThinkingBudget],
            _ => &[],
        }
    }

    /// The key as it is written in its own object.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::IncludeUsage => "include_usage",
            Self::MetadataUserId => "user_id",
            Self::ThinkingBudget => "budget_tokens",
            Self::ConversationId | Self::ContainerId => "id",
            other => other.name(),
        }
    }

    pub(super) const fn bit(self) -> u32 {
        1 << self as u32
    }

    pub(super) const fn is_text(self) -> bool {
        matches!(self.kind(), Kind::Text)
    }

    pub(super) const fn is_flag(self) -> bool {
        matches!(self.kind(), Kind::Flag)
    }

    pub(super) const fn is_count(self) -> bool {
        matches!(self.kind(), Kind::Cap | Kind::Choices)
    }
}

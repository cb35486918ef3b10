//! What messages are made of, in order.

use super::Json;

/// One piece of content and whether the prompt cache should end a prefix after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub content: Content,
    pub cache: Option<CacheHint>,
}

impl Block {
    pub const fn new(content: Content) -> Self {
        Self { content, cache: None }
    }

    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Content::Text(text.into()))
    }
}

/// A prompt cache breakpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheHint {
    /// Keep for about an hour or longer rather than minutes.
    pub long: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Text(String),
    Image(Image),
    Document(Document),
    ToolCall(ToolCall),
    ToolResult(ToolResult),
    Reasoning(ReasoningText),
    /// Reasoning that only its provider can read; replayed verbatim.
    RedactedReasoning {
        data: String,
    },
    /// The model's own words why it declines.
    Refusal(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub source: MediaSource,
    /// `low`, `high` or `auto`, where a dialect lets the client choose.
    pub detail: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub source: MediaSource,
    pub title: Option<String>,
    pub context: Option<String>,
}

/// Where the bytes of an image or document are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaSource {
    Base64 {
        media_type: String,
        data: String,
    },
    Url(String),
    /// An object kept by one provider; no other provider knows it.
    File(String),
    /// Plain text, for documents only.
    Text(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    /// A JSON object.
    pub input: Json,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolResult {
    pub call_id: String,
    /// Text, images and documents.
    pub content: Vec<Block>,
    pub is_error: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasoningText {
    pub text: String,
    /// The provider's proof that the text is its own. `None` for providers that do not sign.
    pub signature: Option<String>,
}

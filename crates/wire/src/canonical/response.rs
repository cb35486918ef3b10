//! A complete answer.

use tollgate_core::TokenUsage;

use super::Block;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The upstream's id of the answer; may be empty.
    pub id: String,
    /// The upstream's name of the model; may be empty.
    pub model: String,
    pub blocks: Vec<Block>,
    pub stop: StopReason,
    /// Which stop sequence was met, where the dialect tells.
    pub stop_sequence: Option<String>,
    pub usage: TokenUsage,
}

/// Why the model stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    EndTurn,
    StopSequence,
    MaxTokens,
    /// The context window is full.
    ContextFull,
    ToolCall,
    /// The model or a safety system declined.
    Refusal,
    /// A server-side tool loop paused; sending the conversation again continues it.
    Pause,
    /// A reason that only its own dialect knows.
    Other(String),
}

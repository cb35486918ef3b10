//! An answer in pieces. Blocks follow one another and never overlap.

use tollgate_core::TokenUsage;

use super::{ApiError, StopReason};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEvent {
    /// First event of every stream.
    Start {
        id: String,
        model: String,
    },
    BlockStart(BlockKind),
    /// More text of the open text, reasoning or refusal block.
    TextDelta(String),
    /// Proof of the open reasoning block.
    Signature(String),
    /// More JSON text of the open tool call's input.
    ToolInputDelta(String),
    BlockEnd,
    Stop {
        reason: StopReason,
        stop_sequence: Option<String>,
    },
    /// What was consumed so far; a later one replaces it.
    Usage(TokenUsage),
    /// The upstream ended as its dialect demands.
    End,
    KeepAlive,
    /// The upstream failed in the middle of the stream.
    Error(ApiError),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockKind {
    Text,
    Refusal,
    Reasoning,
    RedactedReasoning { data: String },
    ToolCall { id: String, name: String },
}

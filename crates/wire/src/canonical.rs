//! The one form through which every dialect is translated: readers make it, writers consume it.
//!
//! It is richer than any single dialect, so that a converter can say exactly what its target cannot express.

mod api_error;
mod content;
mod json;
mod loss;
mod request;
mod response;
mod stream;

pub use api_error::{ApiError, ApiErrorKind};
pub use content::{
    Block, CacheHint, Content, Document, Image, MediaSource, ReasoningText, ToolCall, ToolResult,
};
pub use json::Json;
pub use loss::{Effect, Loss, Losses};
pub use request::{
    Effort, FreeText, Message, OutputFormat, ReasoningControl, ReasoningMode, Request, Role, Sampling,
    ServiceTier, Tool, ToolChoice,
};
pub use response::{Response, StopReason};
pub use stream::{BlockKind, StreamEvent};

//! Good answers with known text and known usage, one set per dialect.
//!
//! Every answer is fixed: a test compares what came out of the gateway with [`Canned::body`], [`TEXT`] and
//! [`Canned::usage`].

mod anthropic;
mod completions;
mod embeddings;
mod errors;
mod openai_chat;
mod openai_responses;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tollgate_core::{Dialect, TokenUsage};

use crate::scripted::{Framing, Reply};

pub use embeddings::VECTOR;
pub use errors::{error, error_event};

/// The model name in every answer: what a provider reports is rarely what was asked for.
pub const MODEL: &str = "scripted-model-2026-11-01";
/// The text of every text answer. It has characters of two, three and four bytes.
pub const TEXT: &str = "Grüße aus Köln: 12 € für eine Fahrt 🚆, gute Reise!";
/// The pieces in which streams send [`TEXT`].
pub const TEXT_PIECES: [&str; 6] =
    ["Grüße", " aus Köln", ": 12 € ", "für eine", " Fahrt 🚆", ", gute Reise!"];
/// The text after a tool result.
pub const FINAL_TEXT: &str = "It is 21 degrees in Paris.";
/// The tool that is called when the request offers none.
pub const TOOL_NAME: &str = "get_weather";
/// The arguments of every tool call, as compact JSON.
pub const TOOL_ARGUMENTS: &str = r#"{"city":"Paris","days":2}"#;
/// The pieces in which streams send [`TOOL_ARGUMENTS`].
pub const TOOL_ARGUMENT_PIECES: [&str; 4] = [r#"{"ci"#, r#"ty":"Par"#, r#"is","days""#, ":2}"];
/// The id of every tool call, in the spelling of OpenAI.
pub const TOOL_CALL_ID: &str = "call_scripted0001";
/// The id of every tool call, in the spelling of Anthropic.
pub const TOOL_USE_ID: &str = "toolu_scripted0001";

/// A good answer.
#[derive(Debug, Clone)]
pub struct Canned {
    pub dialect: Dialect,
    pub status: u16,
    pub content_type: &'static str,
    /// One element for JSON; for a stream one per event, each with its blank line.
    pub parts: Vec<Bytes>,
    /// What the answer says that it consumed; zero where the dialect or the answer has none.
    pub usage: TokenUsage,
}

impl Canned {
    fn json(dialect: Dialect, status: u16, body: &Value, usage: TokenUsage) -> Self {
        let parts = vec![Bytes::from(body.to_string())];
        Self { dialect, status, content_type: "application/json", parts, usage }
    }

    fn stream(dialect: Dialect, parts: Vec<Bytes>, usage: TokenUsage) -> Self {
        Self { dialect, status: 200, content_type: "text/event-stream; charset=utf-8", parts, usage }
    }

    /// The whole body.
    pub fn body(&self) -> Bytes {
        let mut body = BytesMut::new();
        for part in &self.parts {
            body.extend_from_slice(part);
        }
        body.freeze()
    }

    pub fn is_stream(&self) -> bool {
        self.content_type.starts_with("text/event-stream")
    }

    /// As a reply: a content length for JSON, chunks with one event each for a stream.
    pub fn reply(&self) -> Reply {
        let framing = if self.is_stream() { Framing::Chunked } else { Framing::ContentLength };
        let id_header =
            if self.dialect == Dialect::AnthropicMessages { "request-id" } else { "x-request-id" };
        let reply = Reply::status(self.status)
            .header("content-type", self.content_type)
            .header(id_header, "req_scripted0001")
            .framing(framing);
        self.parts.iter().cloned().fold(reply, Reply::send)
    }
}

impl From<Canned> for Reply {
    fn from(canned: Canned) -> Self {
        canned.reply()
    }
}

/// [`TEXT`] without streaming; vectors for embeddings.
pub fn text(dialect: Dialect) -> Canned {
    say(dialect, TEXT)
}

/// [`FINAL_TEXT`]: the answer to a request that brings a tool's result.
pub fn final_text(dialect: Dialect) -> Canned {
    say(dialect, FINAL_TEXT)
}

fn say(dialect: Dialect, text: &str) -> Canned {
    match dialect {
        Dialect::OpenaiChat => openai_chat::text(text),
        Dialect::OpenaiCompletions => completions::text(text),
        Dialect::OpenaiEmbeddings => embeddings::floats(),
        Dialect::OpenaiResponses => openai_responses::text(text),
        Dialect::AnthropicMessages => anthropic::text(text),
    }
}

/// [`TEXT`] as a stream in [`TEXT_PIECES`], usage included where the dialect has it in streams.
///
/// # Panics
/// For embeddings, which do not stream.
pub fn text_stream(dialect: Dialect) -> Canned {
    say_in_pieces(dialect, &TEXT_PIECES)
}

/// [`FINAL_TEXT`] as a stream.
pub fn final_text_stream(dialect: Dialect) -> Canned {
    say_in_pieces(dialect, &[FINAL_TEXT])
}

fn say_in_pieces(dialect: Dialect, pieces: &[&str]) -> Canned {
    match dialect {
        Dialect::OpenaiChat => openai_chat::text_stream(pieces, true),
        Dialect::OpenaiCompletions => completions::text_stream(pieces, true),
        Dialect::OpenaiEmbeddings => panic!("embeddings do not stream"),
        Dialect::OpenaiResponses => openai_responses::text_stream(pieces),
        Dialect::AnthropicMessages => anthropic::text_stream(pieces),
    }
}

/// A chat or completion stream as it is sent to a client that did not ask for usage. Others are unchanged.
pub fn text_stream_without_usage(dialect: Dialect) -> Canned {
    match dialect {
        Dialect::OpenaiChat => openai_chat::text_stream(&TEXT_PIECES, false),
        Dialect::OpenaiCompletions => completions::text_stream(&TEXT_PIECES, false),
        other => text_stream(other),
    }
}

/// One call of the tool `name` with [`TOOL_ARGUMENTS`].
///
/// # Panics
/// For dialects without tools.
pub fn tool_call(dialect: Dialect, name: &str) -> Canned {
    match dialect {
        Dialect::OpenaiChat => openai_chat::tool_call(name),
        Dialect::OpenaiResponses => openai_responses::tool_call(name),
        Dialect::AnthropicMessages => anthropic::tool_call(name),
        other => panic!("{} has no tools", other.as_str()),
    }
}

/// The same call as a stream, the arguments in [`TOOL_ARGUMENT_PIECES`].
///
/// # Panics
/// For dialects without tools.
pub fn tool_call_stream(dialect: Dialect, name: &str) -> Canned {
    match dialect {
        Dialect::OpenaiChat => openai_chat::tool_call_stream(name, true),
        Dialect::OpenaiResponses => openai_responses::tool_call_stream(name),
        Dialect::AnthropicMessages => anthropic::tool_call_stream(name),
        other => panic!("{} has no tools", other.as_str()),
    }
}

/// The tool call stream without a usage chunk, for a chat client that did not ask for it.
pub fn tool_call_stream_without_usage(dialect: Dialect, name: &str) -> Canned {
    if dialect == Dialect::OpenaiChat {
        return openai_chat::tool_call_stream(name, false);
    }
    tool_call_stream(dialect, name)
}

/// The embedding answer with the vectors as base64, as the OpenAI SDKs ask for it.
pub fn embedding_base64() -> Canned {
    embeddings::base64()
}

/// The answer of `count_tokens`: the input total of [`text`] in the Anthropic dialect.
pub fn count_tokens() -> Canned {
    anthropic::count_tokens()
}

/// `GET /v1/models` in the OpenAI dialect.
pub fn models() -> Canned {
    openai_chat::models()
}

/// `data: {…}` with its blank line.
pub fn data(value: &Value) -> Bytes {
    Bytes::from(format!("data: {value}\n\n"))
}

/// `event: TYPE` and `data: {…}`, the type taken from the value.
pub fn event(value: &Value) -> Bytes {
    let name = value.get("type").and_then(Value::as_str).unwrap_or_default();
    Bytes::from(format!("event: {name}\ndata: {value}\n\n"))
}

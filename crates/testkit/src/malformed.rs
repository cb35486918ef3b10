//! Answers that break the rules of HTTP, of event streams or of a dialect, and what a gateway must make of each.

mod anthropic;
mod chat;
mod framing;
mod http;
mod responses;
mod usage;

use std::sync::LazyLock;

use bytes::Bytes;
use tollgate_core::Dialect;

use crate::{canned, scripted::Reply};

/// What must come of a broken answer. Whatever it is: no hang, no panic, one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Odd but legal, or harmless: the client gets the whole answer, and the provider's usage counts.
    Complete,
    /// The client gets the whole answer; the provider's usage is unusable, so it is counted here and flagged.
    CompleteEstimated,
    /// No content has reached the client: the attempt fails, may be retried, and ends as an error status.
    FailsBeforeContent,
    /// Content has reached the client: the stream ends with the dialect's error event and no success marker.
    FailsMidStream,
    /// Completing and failing are both defensible, as long as a failure is reported as one.
    NoFalseSuccess,
}

/// One broken answer.
#[derive(Debug, Clone)]
pub struct Malformed {
    /// Unique; also the script `script:malformed.NAME`.
    pub name: &'static str,
    /// The dialect of the request that it answers.
    pub dialect: Dialect,
    /// Whether the request asks for a stream.
    pub stream: bool,
    pub reply: Reply,
    pub outcome: Outcome,
    /// What is expected and why, in words.
    pub expectation: &'static str,
}

/// Some are megabytes, and scripts look them up by name.
static ALL: LazyLock<Vec<Malformed>> = LazyLock::new(|| {
    [framing::all(), chat::all(), usage::all(), http::all(), anthropic::all(), responses::all()].concat()
});

/// All of them.
pub fn all() -> Vec<Malformed> {
    ALL.clone()
}

/// The one with that name.
pub fn named(name: &str) -> Option<Malformed> {
    ALL.iter().find(|malformed| malformed.name == name).cloned()
}

/// A broken answer to a streaming request.
fn stream(
    dialect: Dialect,
    name: &'static str,
    reply: Reply,
    outcome: Outcome,
    expectation: &'static str,
) -> Malformed {
    Malformed { name, dialect, stream: true, reply, outcome, expectation }
}

/// A broken answer to a streaming chat request.
fn chat(name: &'static str, reply: Reply, outcome: Outcome, expectation: &'static str) -> Malformed {
    stream(Dialect::OpenaiChat, name, reply, outcome, expectation)
}

/// The good chat stream: role, six pieces of text, finish reason, usage, `[DONE]`.
fn chat_parts() -> Vec<Bytes> {
    canned::text_stream(Dialect::OpenaiChat).parts
}

/// Positions in [`chat_parts`].
const FIRST_TEXT: usize = 1;
const FINISH: usize = 7;
const USAGE: usize = 8;
const DONE: usize = 9;

/// The good chat stream with one more event before the position.
fn chat_with(position: usize, event: impl Into<Bytes>) -> Reply {
    let mut parts = chat_parts();
    parts.insert(position, event.into());
    Reply::events(parts)
}

/// The good chat stream without some of its events.
fn chat_without(positions: &[usize]) -> Reply {
    Reply::events(
        chat_parts()
            .into_iter()
            .enumerate()
            .filter(|(position, _)| !positions.contains(position))
            .map(|(_, part)| part),
    )
}

/// The good chat stream as one text.
fn chat_text() -> String {
    String::from_utf8(canned::text_stream(Dialect::OpenaiChat).body().to_vec())
        .expect("the canned stream is UTF-8")
}

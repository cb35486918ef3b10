//! Watches a stream that is relayed in its own dialect.
//!
//! Events are looked into only when it matters: all until the first content, then those that can carry usage, an
//! end or an error. Everything else costs a search for the blank line and for a few words.

use bytes::{Bytes, BytesMut};
use tollgate_core::{Dialect, TokenUsage};

use crate::objects::HandedOut;
use crate::sse::{Boundary, MAX_EVENT_BYTES};
use crate::usage::{ReportedUsage, UsageProblem};

mod event;
mod inspect;
mod output_bound;
mod relay;
mod tee;

pub(crate) use event::{error as read_error, members_of as read_members, text as read_text};
pub use relay::Relay;

/// Content kept for estimates when a stream ends without usage.
pub const TEE_BYTES: usize = 64 << 10;

/// The last event of a Responses stream repeats the whole answer, and images come in one event each.
pub const MAX_RESPONSES_EVENT_BYTES: usize = 16 << 20;

/// How to watch.
#[derive(Debug, Clone, Copy)]
pub struct ObserverOptions {
    /// Hold back the event that carries only usage: we asked for it, the client did not.
    pub remove_usage_event: bool,
    /// Hold back the start of an event until its end has come, so that an event can be judged before it leaves.
    pub whole_events: bool,
    pub tee_bytes: usize,
    pub max_event_bytes: usize,
}

impl Default for ObserverOptions {
    fn default() -> Self {
        Self {
            remove_usage_event: false,
            whole_events: false,
            tee_bytes: TEE_BYTES,
            max_event_bytes: MAX_EVENT_BYTES,
        }
    }
}

impl ObserverOptions {
    /// The defaults, with the longest event that the dialect needs.
    pub fn for_dialect(dialect: Dialect) -> Self {
        let max_event_bytes = match dialect {
            Dialect::OpenaiResponses => MAX_RESPONSES_EVENT_BYTES,
            _ => MAX_EVENT_BYTES,
        };
        Self { max_event_bytes, ..Self::default() }
    }

    const fn holds_back(&self) -> bool {
        self.remove_usage_event || self.whole_events
    }
}

/// Why a stream is not what its dialect says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamProblem {
    #[error("an event of the stream is longer than {limit} bytes")]
    EventTooLarge { limit: usize },
    #[error("an event of the stream is not valid UTF-8")]
    InvalidUtf8,
    #[error("an event of the stream is not valid JSON")]
    InvalidJson,
}

/// An error that the provider put into the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamError {
    /// The provider's `type`.
    pub kind: Option<Box<str>>,
    pub code: Option<Box<str>>,
    /// Shortened.
    pub message: Option<Box<str>>,
}

/// What a stream has told so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    content: bool,
    terminated: bool,
    finish_reason: Option<Box<str>>,
    model: Option<Box<str>>,
    id: Option<Box<str>>,
    error: Option<StreamError>,
    handed_out: Vec<HandedOut>,
    usage: ReportedUsage,
    usage_is_final: bool,
    problem: Option<StreamProblem>,
    events: u64,
    content_events: u64,
    output_bound: output_bound::OutputBound,
}

/// Watches one stream. Give it every chunk, relay what it returns.
#[derive(Debug)]
pub struct StreamObserver {
    dialect: Dialect,
    options: ObserverOptions,
    boundary: Boundary,
    /// The start of an event whose end has not come yet; held back where the options say so.
    partial: BytesMut,
    /// Passing over the rest of an event that is too large.
    skipping: bool,
    mid_event: bool,
    /// Then the rest of its line ending goes too.
    last_was_removed: bool,
    is_first: bool,
    facts: Facts,
    tee: tee::Tee,
}

impl StreamObserver {
    pub fn new(dialect: Dialect, options: ObserverOptions) -> Self {
        Self {
            dialect,
            options,
            boundary: Boundary::default(),
            partial: BytesMut::new(),
            skipping: false,
            mid_event: false,
            last_was_removed: false,
            is_first: true,
            facts: Facts::default(),
            tee: tee::Tee::new(options.tee_bytes),
        }
    }

    /// Whether content was seen. Until then what came may be thrown away and the call made elsewhere.
    pub const fn content_seen(&self) -> bool {
        self.facts.content
    }

    /// From here on the stream belongs to the client: content, or a regular end without any.
    pub const fn is_committed(&self) -> bool {
        self.facts.content
            || self.facts.error.is_none() && (self.facts.terminated || self.facts.finish_reason.is_some())
    }

    /// The dialect's terminator was seen.
    pub const fn terminated(&self) -> bool {
        self.facts.terminated
    }

    /// Whether the answer is whole. Some compatible servers stop after the finish reason without a terminator.
    pub const fn is_complete(&self) -> bool {
        let reason_ends = matches!(self.dialect, Dialect::OpenaiChat | Dialect::OpenaiCompletions);
        self.facts.error.is_none()
            && (self.facts.terminated || reason_ends && self.facts.finish_reason.is_some())
    }

    /// The provider's word for why the answer ended.
    pub fn finish_reason(&self) -> Option<&str> {
        self.facts.finish_reason.as_deref()
    }

    /// The model that the provider says has answered.
    pub fn model(&self) -> Option<&str> {
        self.facts.model.as_deref()
    }

    /// The provider's id of the answer.
    pub fn response_id(&self) -> Option<&str> {
        self.facts.id.as_deref()
    }

    /// Ids beside [`Self::response_id`] that later requests may refer to, as the end of the stream tells them.
    pub fn handed_out(&self) -> &[HandedOut] {
        &self.facts.handed_out
    }

    /// An error that came inside the stream.
    pub const fn error(&self) -> Option<&StreamError> {
        self.facts.error.as_ref()
    }

    /// The first thing that was wrong with the stream itself.
    pub const fn problem(&self) -> Option<StreamProblem> {
        self.facts.problem
    }

    /// Usage as last reported; `None` when the provider has not told (at the start of a stream of Anthropic's, its
    /// input is already known).
    ///
    /// # Errors
    /// [`UsageProblem`] when it cannot be true.
    pub fn usage(&self) -> Result<Option<TokenUsage>, UsageProblem> {
        self.facts.usage.meters(crate::dialect_inclusion(self.dialect))
    }

    /// Whether the usage covers the whole answer, not only what a stream told at its start or on its way.
    pub const fn usage_is_final(&self) -> bool {
        self.facts.usage_is_final
    }

    /// Events with data.
    pub const fn events(&self) -> u64 {
        self.facts.events
    }

    /// Events that carried content.
    pub const fn content_events(&self) -> u64 {
        self.facts.content_events
    }

    /// At most so many output tokens have come so far, all answers of the stream together: what a model thinks unseen is
    /// not in it.
    pub const fn output_bound_tokens(&self) -> u64 {
        self.facts.output_bound.tokens()
    }

    /// Whether what was relayed ends within an event: an event of our own must be preceded by a blank line.
    pub const fn mid_event(&self) -> bool {
        self.mid_event
    }

    /// The text produced so far (answers, reasoning and tool calls) and by how much to multiply its token count
    /// because not all of it was kept. For streams that end without usage.
    pub fn produced_text(&self) -> (String, f64) {
        (self.tee.text(self.dialect), self.tee.extrapolation_factor())
    }

    /// Takes the next chunk and returns what to relay of it: the chunk itself, unless usage events are removed.
    pub fn push(&mut self, chunk: Bytes) -> Relay {
        let mut relay = Relay::default();
        let holds_back = self.options.holds_back();
        // The start of the bytes to relay, and of the event being read.
        let (mut keep, mut at) = (0, 0);
        if self.partial.is_empty() {
            at = self.boundary.take_line_feed(&chunk);
            keep = if self.last_was_removed { at } else { 0 };
        }
        while let Some(end) = self.boundary.next_end(&chunk, at) {
            let part = chunk.get(at..end).unwrap_or_default();
            let is_joined = !self.partial.is_empty();
            let removed = self.complete(part);
            self.last_was_removed = removed;
            if holds_back && (removed || is_joined) {
                relay.push(chunk.slice(keep..at));
                if !removed {
                    relay.push(self.partial.split().freeze());
                }
                keep = end;
            }
            self.partial.clear();
            at = end;
        }
        let rest = chunk.get(at..).unwrap_or_default();
        self.mid_event = !rest.is_empty() || (at == 0 && self.mid_event);
        self.keep_partial(rest);
        if !holds_back {
            return Relay::from(chunk);
        }
        self.mid_event = self.skipping;
        if self.skipping {
            relay.push(self.partial.split().freeze());
            relay.push(chunk.slice(keep..));
        } else {
            relay.push(chunk.slice(keep..at));
        }
        relay
    }

    /// The stream has ended: looks at a last event without its blank line, and returns what was held back of it.
    /// A cut event that was held back is dropped.
    pub fn finish(&mut self) -> Option<Bytes> {
        let block = self.partial.split().freeze();
        if block.is_empty() || self.skipping {
            return None;
        }
        let problem = self.facts.problem;
        let removed = self.read(&block);
        let is_cut = self.facts.problem != problem;
        self.facts.problem = problem;
        (self.options.holds_back() && !removed && !is_cut).then_some(block)
    }

    /// Reads an event whose last part is `part`; says whether to remove it.
    fn complete(&mut self, part: &[u8]) -> bool {
        if std::mem::take(&mut self.skipping) {
            return false;
        }
        if self.partial.len() + part.len() > self.options.max_event_bytes {
            self.too_large();
            self.partial.extend_from_slice(part);
            return false;
        }
        if self.partial.is_empty() {
            return self.inspect(part);
        }
        self.partial.extend_from_slice(part);
        let mut joined = std::mem::take(&mut self.partial);
        let removed = self.inspect(&joined);
        std::mem::swap(&mut self.partial, &mut joined);
        removed
    }

    fn keep_partial(&mut self, rest: &[u8]) {
        if self.skipping || rest.is_empty() {
            return;
        }
        if self.partial.len() + rest.len() > self.options.max_event_bytes {
            self.too_large();
            self.skipping = true;
            if !self.options.holds_back() {
                self.partial = BytesMut::new();
            }
            return;
        }
        self.partial.extend_from_slice(rest);
    }

    fn too_large(&mut self) {
        let problem = StreamProblem::EventTooLarge { limit: self.options.max_event_bytes };
        self.facts.problem.get_or_insert(problem);
    }
}

#[cfg(test)]
mod tests;

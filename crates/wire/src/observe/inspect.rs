//! Decides which events are read, and takes from them what the gateway needs.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use tollgate_core::Dialect;

use super::event::{self, EventFacts};
use super::{StreamObserver, StreamProblem};
use crate::sse::Fields;

/// The keys for which a chunk of OpenAI's chat or completions is read.
static TELLING_KEYS: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| ["\"usage\"", "\"finish_reason\"", "\"error\""].map(Finder::new));

impl StreamObserver {
    /// Looks at one event; says whether it carries only usage and is to be removed.
    #[inline]
    pub(super) fn inspect(&mut self, block: &[u8]) -> bool {
        if self.facts.content && is_plain_content(self.dialect, block) && looks_whole(block) {
            self.facts.events += 1;
            self.count_content(block);
            return false;
        }
        self.read(block)
    }

    fn count_content(&mut self, block: &[u8]) {
        self.facts.content_events += 1;
        self.facts.output_bound.add_content(self.dialect, block);
        self.tee.push(block);
    }

    /// As [`Self::inspect`], however plain the event looks.
    pub(super) fn read(&mut self, block: &[u8]) -> bool {
        let fields = Fields::parse(block, std::mem::take(&mut self.is_first));
        let Some(data) = fields.data else { return false };
        self.facts.events += 1;
        if is_chat(self.dialect) && data.trim_ascii() == b"[DONE]" {
            self.facts.terminated = true;
            return false;
        }
        if matches!(fields.name, Some(b"content_block_start" | b"response.output_item.added")) {
            self.facts.output_bound.add_block_start(block);
        }
        if fields.name.is_some_and(|name| says_nothing(self.dialect, name, self.facts.content)) {
            return false;
        }
        if simdutf8::basic::from_utf8(&data).is_err() {
            self.facts.problem.get_or_insert(StreamProblem::InvalidUtf8);
            return false;
        }
        match event::read(self.dialect, fields.name, &data) {
            Ok(event) => self.take(block, event),
            Err(_) => {
                self.facts.problem.get_or_insert(StreamProblem::InvalidJson);
                false
            }
        }
    }

    fn take(&mut self, block: &[u8], event: EventFacts) -> bool {
        let only_usage = event.is_only_usage();
        let facts = &mut self.facts;
        facts.content |= event.content;
        facts.terminated |= event.terminator;
        facts.finish_reason = event.finish_reason.or(facts.finish_reason.take());
        facts.usage_is_final |=
            event.usage.seen && !event.usage_is_early && (only_usage || facts.finish_reason.is_some());
        facts.model = facts.model.take().or(event.model);
        facts.id = facts.id.take().or(event.id);
        facts.error = facts.error.take().or(event.error);
        if !event.handed_out.is_empty() {
            facts.handed_out = event.handed_out;
        }
        if self.dialect == Dialect::AnthropicMessages {
            facts.usage.override_with(&event.usage);
        } else if event.usage.seen {
            facts.usage = event.usage;
        }
        if event.content {
            self.count_content(block);
        }
        only_usage && self.options.remove_usage_event
    }
}

const fn is_chat(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::OpenaiChat | Dialect::OpenaiCompletions | Dialect::OpenaiEmbeddings)
}

/// Whether an event after the first content can only be more content.
#[inline]
fn is_plain_content(dialect: Dialect, block: &[u8]) -> bool {
    match dialect {
        Dialect::AnthropicMessages => block.starts_with(b"event: content_block_delta\n"),
        Dialect::OpenaiResponses => {
            let Some(name) = block.strip_prefix(b"event: ") else { return false };
            let line = name.get(..memchr::memchr(b'\n', name).unwrap_or(0)).unwrap_or_default();
            line.ends_with(b".delta")
        }
        _ => {
            let is_chunk = block.starts_with(b"data: {") || block.starts_with(b"data:{");
            is_chunk && !TELLING_KEYS.iter().any(|key| has_value(key, block))
        }
    }
}

/// What costs next to nothing to see of an event that is not read: its JSON ends, and its bytes are text.
#[inline]
fn looks_whole(block: &[u8]) -> bool {
    let is_text = |byte: &u8| *byte >= b' ' || *byte == b'\n' || *byte == b'\r';
    block.trim_ascii_end().last() == Some(&b'}')
        && block.iter().all(is_text)
        && simdutf8::basic::from_utf8(block).is_ok()
}

/// Whether `key`, quotes included, is a key with another value than `null` somewhere in `block`. Inside a JSON
/// string the closing quote would be escaped; a string that equals the key is not followed by a colon.
fn has_value(key: &Finder<'_>, block: &[u8]) -> bool {
    key.find_iter(block).any(|at| {
        let rest = block.get(at + key.needle().len()..).unwrap_or_default();
        let value = rest.trim_ascii_start().strip_prefix(b":");
        value.is_some_and(|value| !value.trim_ascii_start().starts_with(b"null"))
    })
}

/// Named events that need no look inside.
fn says_nothing(dialect: Dialect, name: &[u8], content_seen: bool) -> bool {
    match dialect {
        Dialect::AnthropicMessages => matches!(name, b"ping" | b"content_block_stop"),
        Dialect::OpenaiResponses => {
            let telling = matches!(
                name,
                b"response.completed"
                    | b"response.incomplete"
                    | b"response.failed"
                    | b"response.created"
                    | b"error"
            );
            content_seen && name.starts_with(b"response.") && !telling && !name.ends_with(b".delta")
        }
        _ => false,
    }
}

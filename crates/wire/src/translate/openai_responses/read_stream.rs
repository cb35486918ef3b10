//! Events of a response stream to canonical events.
//!
//! Items may be made at the same time. One at a time is followed by its deltas; the others come whole when they are
//! done, which is also how servers are understood that send no deltas or no beginnings.

use std::collections::BTreeSet;

use super::followed::Followed;
use super::read_response::{read_incomplete_reason, read_output_item};
use super::{api_error, read_stop_reason, usage};
use crate::canonical::{Block, BlockKind, Content, Losses, StreamEvent};
use crate::translate::error::{Side, TranslateError};
use crate::translate::read::{Node, Object};

/// More items than any answer has.
const MAXIMUM_ITEMS: usize = 10_000;
/// How much may wait for the followed item to be done.
const MAXIMUM_WAITING_BYTES: usize = 8 << 20;

type Events = Vec<StreamEvent>;
type Result<T> = std::result::Result<T, TranslateError>;

#[derive(Debug, Default)]
pub(in crate::translate) struct StreamReader {
    started: bool,
    followed: Option<Followed>,
    /// Indexes of items that have been told.
    done: BTreeSet<u64>,
    /// Items that were done while another one was followed.
    waiting: Events,
    waiting_bytes: usize,
    has_calls: bool,
    refused: bool,
    ended: bool,
}

impl StreamReader {
    pub(in crate::translate) fn event(
        &mut self,
        name: Option<&str>,
        data: &[u8],
        events: &mut Events,
    ) -> Result<()> {
        // Some servers end every kind of stream like this.
        if data.trim_ascii() == b"[DONE]" {
            return self.finish();
        }
        let mut event = Object::parse(data, Side::Response)?;
        let kind = event.text("type")?.or_else(|| name.map(str::to_owned)).unwrap_or_default();
        if self.ended {
            return Ok(());
        }
        match kind.as_str() {
            "error" => events.push(StreamEvent::Error(api_error::read_failure(&mut event))),
            "keepalive" => events.push(StreamEvent::KeepAlive),
            "response.created" | "response.queued" | "response.in_progress" => {
                let mut answer = event.require("response")?.object()?;
                self.start(Some(&mut answer), events)?;
            }
            "response.failed" | "response.cancelled" => {
                let mut answer = event.require("response")?.object()?;
                events.push(StreamEvent::Error(api_error::read_failure(&mut answer)));
            }
            "response.completed" | "response.incomplete" => {
                let mut answer = event.require("response")?.object()?;
                self.end(&kind, &mut answer, events)?;
            }
            "response.output_item.added" => self.item_added(&mut event, events)?,
            "response.output_item.done" => self.item_done(&mut event, events)?,
            _ => self.piece(&kind, &mut event, events)?,
        }
        Ok(())
    }

    pub(in crate::translate) fn finish(&self) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        Err(TranslateError::response("the stream ended without response.completed"))
    }

    fn start(&mut self, answer: Option<&mut Object<'_>>, events: &mut Events) -> Result<()> {
        if self.started {
            return Ok(());
        }
        self.started = true;
        let (mut id, mut model) = (String::new(), String::new());
        if let Some(answer) = answer {
            id = answer.text("id")?.unwrap_or_default();
            model = answer.text("model")?.unwrap_or_default();
        }
        events.push(StreamEvent::Start { id, model });
        Ok(())
    }

    fn item_added(&mut self, event: &mut Object<'_>, events: &mut Events) -> Result<()> {
        self.start(None, events)?;
        let index = event.require("output_index")?.unsigned()?;
        let Some(mut item) = event.object("item")? else { return Ok(()) };
        if self.followed.is_some() || self.done.contains(&index) {
            return Ok(());
        }
        self.followed = Followed::begin(index, &mut item, events)?;
        Ok(())
    }

    /// A delta, or the end of a part, of some item.
    fn piece(&mut self, kind: &str, event: &mut Object<'_>, events: &mut Events) -> Result<()> {
        if !Followed::knows(kind) {
            // New events may come any day; what matters is in the items.
            return Ok(());
        }
        let index = event.require("output_index")?.unsigned()?;
        if self.followed.is_none() && !self.done.contains(&index) {
            self.start(None, events)?;
            self.followed = Followed::guess(kind, index);
        }
        match &mut self.followed {
            Some(followed) if followed.index() == index => followed.piece(kind, event, events),
            _ => Ok(()),
        }
    }

    fn item_done(&mut self, event: &mut Object<'_>, events: &mut Events) -> Result<()> {
        self.start(None, events)?;
        let index = event.require("output_index")?.unsigned()?;
        let node = event.require("item")?;
        if self.done.len() >= MAXIMUM_ITEMS {
            return Err(TranslateError::response("the answer has too many items"));
        }
        if let Some(followed) = self.followed.take_if(|followed| followed.index() == index) {
            self.done.insert(index);
            self.end_followed(followed, Some(&node), events)?;
            return Ok(());
        }
        if !self.done.insert(index) {
            return Ok(());
        }
        let mut whole = Events::new();
        self.whole(&node, &mut whole)?;
        if self.followed.is_none() {
            events.append(&mut whole);
            return Ok(());
        }
        self.waiting_bytes = self.waiting_bytes.saturating_add(node.length_bytes());
        if self.waiting_bytes > MAXIMUM_WAITING_BYTES {
            return Err(TranslateError::response("items wait for one that is never done"));
        }
        self.waiting.append(&mut whole);
        Ok(())
    }

    fn end_followed(
        &mut self,
        followed: Followed,
        item: Option<&Node<'_>>,
        events: &mut Events,
    ) -> Result<()> {
        let told = followed.told();
        self.has_calls |= told.is_call;
        self.refused |= told.is_refusal;
        match item {
            Some(node) if told.is_nothing => self.whole(node, events)?,
            _ => followed.end(item, events)?,
        }
        events.append(&mut self.waiting);
        self.waiting_bytes = 0;
        Ok(())
    }

    /// Tells an item of which nothing has been told.
    fn whole(&mut self, node: &Node<'_>, events: &mut Events) -> Result<()> {
        let is_cut = node.object()?.text("status")?.is_some_and(|status| status == "incomplete");
        for block in read_output_item(node, is_cut, &mut Losses::default())? {
            self.has_calls |= matches!(block.content, Content::ToolCall(_));
            self.refused |= matches!(block.content, Content::Refusal(_));
            tell_block(block, events);
        }
        Ok(())
    }

    fn end(&mut self, kind: &str, answer: &mut Object<'_>, events: &mut Events) -> Result<()> {
        self.start(Some(answer), events)?;
        let output = answer.array("output")?;
        if self.followed.is_none() && self.done.is_empty() {
            for node in &output {
                self.whole(node, events)?;
            }
        }
        if let Some(followed) = self.followed.take() {
            self.end_followed(followed, None, events)?;
        }
        let status = kind.strip_prefix("response.").unwrap_or(kind);
        let reason = read_incomplete_reason(answer)?;
        let reason = read_stop_reason(status, reason.as_deref(), self.has_calls, self.refused);
        events.push(StreamEvent::Stop { reason, stop_sequence: None });
        if let Some(usage) = answer.object("usage")? {
            events.push(StreamEvent::Usage(usage::read_usage(usage)?));
        }
        self.ended = true;
        events.push(StreamEvent::End);
        Ok(())
    }
}

fn tell_block(block: Block, events: &mut Events) {
    match block.content {
        Content::Text(text) => {
            events.extend([StreamEvent::BlockStart(BlockKind::Text), StreamEvent::TextDelta(text)]);
        }
        Content::Refusal(text) => {
            events.extend([StreamEvent::BlockStart(BlockKind::Refusal), StreamEvent::TextDelta(text)]);
        }
        Content::Reasoning(reasoning) => {
            events.push(StreamEvent::BlockStart(BlockKind::Reasoning));
            if !reasoning.text.is_empty() {
                events.push(StreamEvent::TextDelta(reasoning.text));
            }
            events.extend(reasoning.signature.map(StreamEvent::Signature));
        }
        Content::RedactedReasoning { data } => {
            events.push(StreamEvent::BlockStart(BlockKind::RedactedReasoning { data }));
        }
        Content::ToolCall(call) => {
            events.push(StreamEvent::BlockStart(BlockKind::ToolCall { id: call.id, name: call.name }));
            events.push(StreamEvent::ToolInputDelta(call.input.as_str().to_owned()));
        }
        Content::Image(_) | Content::Document(_) | Content::ToolResult(_) => return,
    }
    events.push(StreamEvent::BlockEnd);
}

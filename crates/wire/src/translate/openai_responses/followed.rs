//! The item of an upstream's stream that is told as it is made.

use super::read_item::{read_call_head, read_function_call, read_reasoning};
use crate::canonical::{BlockKind, Content, Losses, StreamEvent};
use crate::translate::error::TranslateError;
use crate::translate::read::{Node, Object};

type Events = Vec<StreamEvent>;
type Result<T> = std::result::Result<T, TranslateError>;

#[derive(Debug)]
pub(super) struct Followed {
    index: u64,
    kind: Kind,
    /// The block that is open.
    open: Option<Open>,
    /// The event's stem and the index of the part that was told last.
    part: Option<(Stem, u64)>,
    has_input: bool,
    refused: bool,
    told_any: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Message,
    Reasoning,
    Call,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Refusal,
    Reasoning,
    Call,
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stem {
    Text,
    Refusal,
    Summary,
    Reasoning,
    Arguments,
}

/// What has been told of an item.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) is_nothing: bool,
    pub(super) is_call: bool,
    pub(super) is_refusal: bool,
}

/// What the event is about, and whether it is the whole instead of a piece.
fn parse(kind: &str) -> Option<(Stem, bool)> {
    let (stem, is_whole) = match kind.strip_suffix(".delta") {
        Some(stem) => (stem, false),
        None => (kind.strip_suffix(".done")?, true),
    };
    let stem = match stem {
        "response.output_text" => Stem::Text,
        "response.refusal" => Stem::Refusal,
        "response.reasoning_summary_text" => Stem::Summary,
        "response.reasoning_text" => Stem::Reasoning,
        "response.function_call_arguments" => Stem::Arguments,
        _ => return None,
    };
    Some((stem, is_whole))
}

impl Followed {
    pub(super) fn knows(kind: &str) -> bool {
        parse(kind).is_some()
    }

    /// Follows a new item, if it is of a kind that can be told in pieces.
    pub(super) fn begin(index: u64, item: &mut Object<'_>, events: &mut Events) -> Result<Option<Self>> {
        let kind = match item.require("type")?.text()?.as_str() {
            "message" => Kind::Message,
            "reasoning" => Kind::Reasoning,
            "function_call" => Kind::Call,
            _ => return Ok(None),
        };
        let mut followed = Self::new(index, kind);
        if kind == Kind::Call {
            let head = read_call_head(item)?;
            events.push(StreamEvent::BlockStart(BlockKind::ToolCall { id: head.id, name: head.name }));
            followed.open = Some(Open::Call);
            followed.told_any = true;
        }
        Ok(Some(followed))
    }

    /// Follows an item of which no beginning was sent. A call without one has no name, so it is told when it is done.
    pub(super) fn guess(kind: &str, index: u64) -> Option<Self> {
        match parse(kind)?.0 {
            Stem::Text | Stem::Refusal => Some(Self::new(index, Kind::Message)),
            Stem::Summary | Stem::Reasoning => Some(Self::new(index, Kind::Reasoning)),
            Stem::Arguments => None,
        }
    }

    const fn new(index: u64, kind: Kind) -> Self {
        Self { index, kind, open: None, part: None, has_input: false, refused: false, told_any: false }
    }

    pub(super) const fn index(&self) -> u64 {
        self.index
    }

    pub(super) fn told(&self) -> Told {
        Told { is_nothing: !self.told_any, is_call: self.kind == Kind::Call, is_refusal: self.refused }
    }

    pub(super) fn piece(&mut self, kind: &str, event: &mut Object<'_>, events: &mut Events) -> Result<()> {
        let Some((stem, is_whole)) = parse(kind) else { return Ok(()) };
        let block = match (self.kind, stem) {
            (Kind::Message, Stem::Text) => Open::Text,
            (Kind::Message, Stem::Refusal) => Open::Refusal,
            (Kind::Reasoning, Stem::Summary | Stem::Reasoning) => Open::Reasoning,
            (Kind::Call, Stem::Arguments) => return self.arguments(is_whole, event, events),
            _ => return Err(TranslateError::response(format!("{kind} in an item of another kind"))),
        };
        let part = (stem, event.unsigned("content_index")?.or(event.unsigned("summary_index")?).unwrap_or(0));
        let field = match (is_whole, stem) {
            (false, _) => "delta",
            (true, Stem::Refusal) => "refusal",
            (true, _) => "text",
        };
        let Some(text) = event.text(field)?.filter(|text| !text.is_empty()) else { return Ok(()) };
        let is_new_part = self.part != Some(part);
        // The whole of what came in pieces; or the same reasoning in its other form.
        let is_known = is_whole && !is_new_part
            || block == Open::Reasoning && self.part.is_some_and(|(known, _)| known != stem);
        if is_known {
            return Ok(());
        }
        if self.open != Some(block) {
            self.close(events);
            self.open = Some(block);
            self.told_any = true;
            self.refused |= block == Open::Refusal;
            events.push(StreamEvent::BlockStart(match block {
                Open::Refusal => BlockKind::Refusal,
                Open::Reasoning => BlockKind::Reasoning,
                Open::Text | Open::Call => BlockKind::Text,
            }));
        } else if is_new_part && block == Open::Reasoning {
            events.push(StreamEvent::TextDelta("\n\n".to_owned()));
        }
        self.part = Some(part);
        events.push(StreamEvent::TextDelta(text));
        Ok(())
    }

    fn arguments(&mut self, is_whole: bool, event: &mut Object<'_>, events: &mut Events) -> Result<()> {
        let field = if is_whole { "arguments" } else { "delta" };
        let input = event.text(field)?.filter(|input| !input.is_empty());
        if let Some(input) = input.filter(|_| !(is_whole && self.has_input)) {
            self.has_input = true;
            events.push(StreamEvent::ToolInputDelta(input));
        }
        Ok(())
    }

    /// Ends the item with what only its end tells.
    pub(super) fn end(mut self, item: Option<&Node<'_>>, events: &mut Events) -> Result<()> {
        if let Some(node) = item {
            let mut fields = node.object()?;
            if fields.text("type")?.is_some_and(|kind| kind == "reasoning")
                && self.open == Some(Open::Reasoning)
            {
                let whole = read_reasoning(&mut fields, &mut Losses::default())?;
                if let Some(Content::Reasoning(reasoning)) = whole.map(|block| block.content) {
                    events.extend(reasoning.signature.map(StreamEvent::Signature));
                }
            } else if self.open == Some(Open::Call) && !self.has_input {
                let (_, arguments) = read_function_call(&mut fields)?;
                events.extend((!arguments.is_empty()).then_some(StreamEvent::ToolInputDelta(arguments)));
            }
        }
        self.close(events);
        Ok(())
    }

    fn close(&mut self, events: &mut Events) {
        if self.open.take().is_some() {
            events.push(StreamEvent::BlockEnd);
        }
    }
}

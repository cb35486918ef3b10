//! The item of a stream that is being made, and the events that tell of it.

use super::item_writer::{Item, Made};
use crate::translate::tool_input;
use crate::translate::write::{self, ObjectWriter};

/// Where events go, and how they are numbered.
pub(super) struct Events<'w> {
    pub(super) out: &'w mut Vec<u8>,
    pub(super) sequence_number: &'w mut u64,
}

impl Events<'_> {
    /// One event with its name twice, as the dialect has it.
    pub(super) fn write(&mut self, kind: &str, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        self.out.extend_from_slice(b"event: ");
        self.out.extend_from_slice(kind.as_bytes());
        self.out.extend_from_slice(b"\ndata: ");
        write::object(self.out, |out| {
            out.text("type", kind);
            out.number("sequence_number", *self.sequence_number);
            fill(out);
        });
        self.out.extend_from_slice(b"\n\n");
        *self.sequence_number += 1;
    }
}

#[derive(Debug)]
pub(super) struct OpenItem {
    item: Item,
    id: String,
    /// Position among the items of the answer.
    position: u64,
    made: Made,
    /// The part of a message or summary has begun.
    has_part: bool,
    /// Its block has ended. It stays open until the next event tells whether it was cut off.
    is_over: bool,
}

impl OpenItem {
    pub(super) fn begin(item: Item, answer_id: &str, position: usize, events: &mut Events<'_>) -> Self {
        let id = item.id(answer_id, position);
        let beginning = item.write(&id, None, "in_progress");
        let is_message = matches!(item, Item::Text | Item::Refusal);
        let position = position as u64;
        let mut open = Self { item, id, position, made: Made::default(), has_part: false, is_over: false };
        events.write("response.output_item.added", |out| {
            out.number("output_index", position);
            out.encoded("item", &beginning);
        });
        if is_message {
            open.begin_part(events);
        }
        open
    }

    pub(super) const fn is_refusal(&self) -> bool {
        matches!(self.item, Item::Refusal)
    }

    pub(super) const fn block_ended(&mut self) {
        self.is_over = true;
    }

    pub(super) fn sign(&mut self, more: &str) {
        self.made.signature.get_or_insert_default().push_str(more);
    }

    pub(super) fn text(&mut self, text: &str, events: &mut Events<'_>) {
        if !self.has_part {
            self.begin_part(events);
        }
        self.made.text.push_str(text);
        let [_, delta, ..] = self.part_events();
        self.tell_part(events, delta, |out| {
            out.text("delta", text);
            self.logprobs(out);
        });
    }

    pub(super) fn tool_input(&mut self, input: &str, events: &mut Events<'_>) {
        self.made.text.push_str(input);
        // Plain text is inside JSON here; it can be told only when all of it has come.
        if matches!(self.item, Item::Call { .. }) {
            self.tell(events, "response.function_call_arguments.delta", |out| out.text("delta", input));
        }
    }

    /// Ends the item; `status` is that of the answer's last item. Returns it as JSON.
    pub(super) fn end(self, status: &str, events: &mut Events<'_>) -> Vec<u8> {
        let status = if self.is_over { status } else { "incomplete" };
        if self.has_part {
            self.end_part(events);
        }
        match &self.item {
            Item::Call { name, .. } => {
                let input = if self.made.text.is_empty() { "{}" } else { &self.made.text };
                self.tell(events, "response.function_call_arguments.done", |out| {
                    out.text("name", name);
                    out.text("arguments", input);
                });
            }
            Item::FreeTextCall { .. } => {
                let input = tool_input::free_text(&self.made.text);
                self.tell(events, "response.custom_tool_call_input.delta", |out| out.text("delta", &input));
                self.tell(events, "response.custom_tool_call_input.done", |out| out.text("input", &input));
            }
            _ => {}
        }
        let item = self.item.write(&self.id, Some(&self.made), status);
        events.write("response.output_item.done", |out| {
            out.number("output_index", self.position);
            out.encoded("item", &item);
        });
        item
    }

    fn begin_part(&mut self, events: &mut Events<'_>) {
        self.has_part = true;
        let [added, ..] = self.part_events();
        self.tell_part(events, added, |out| out.object("part", |part| self.item.write_part(part, "")));
    }

    fn end_part(&self, events: &mut Events<'_>) {
        let [_, _, text_done, part_done] = self.part_events();
        let field = if self.is_refusal() { "refusal" } else { "text" };
        self.tell_part(events, text_done, |out| {
            out.text(field, &self.made.text);
            self.logprobs(out);
        });
        self.tell_part(events, part_done, |out| {
            out.object("part", |part| self.item.write_part(part, &self.made.text));
        });
    }

    /// The events of a part: it is added, grows, its text is done, it is done.
    const fn part_events(&self) -> [&'static str; 4] {
        match self.item {
            Item::Reasoning | Item::RedactedReasoning { .. } => [
                "response.reasoning_summary_part.added",
                "response.reasoning_summary_text.delta",
                "response.reasoning_summary_text.done",
                "response.reasoning_summary_part.done",
            ],
            Item::Refusal => [
                "response.content_part.added",
                "response.refusal.delta",
                "response.refusal.done",
                "response.content_part.done",
            ],
            _ => [
                "response.content_part.added",
                "response.output_text.delta",
                "response.output_text.done",
                "response.content_part.done",
            ],
        }
    }

    fn logprobs(&self, out: &mut ObjectWriter<'_>) {
        if self.item == Item::Text {
            out.array("logprobs", |_| {});
        }
    }

    fn tell_part(&self, events: &mut Events<'_>, kind: &str, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        let is_summary = self.item == Item::Reasoning;
        self.tell(events, kind, |out| {
            out.number(if is_summary { "summary_index" } else { "content_index" }, 0);
            fill(out);
        });
    }

    fn tell(&self, events: &mut Events<'_>, kind: &str, fill: impl FnOnce(&mut ObjectWriter<'_>)) {
        events.write(kind, |out| {
            out.text("item_id", &self.id);
            out.number("output_index", self.position);
            fill(out);
        });
    }
}

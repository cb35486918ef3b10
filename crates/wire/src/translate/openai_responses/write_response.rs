//! Canonical form to response object.

use super::answer::{self, Stage};
use super::incomplete_reason;
use super::item_writer::Item;
use crate::canonical::{Content, Losses, Response, StopReason};
use crate::translate::carry::Carry;
use crate::translate::write;

pub(in crate::translate) fn write_response(
    response: &Response,
    carry: &Carry,
    losses: &mut Losses,
) -> Vec<u8> {
    if response.stop_sequence.is_some() {
        losses.dropped("stop_sequence", "the responses dialect has no stop sequences");
    }
    if let StopReason::Other(_) = response.stop {
        losses.changed("finish_reason", "is not known to the responses dialect and became completed");
    }
    let id = answer::response_id(&response.id);
    let refusal_text = response.blocks.iter().any(|block| matches!(block.content, Content::Refusal(_)));
    // A model that says why it declines has answered.
    let stage = match incomplete_reason(&response.stop).filter(|_| !refusal_text) {
        Some(reason) => Stage::Incomplete(reason, &response.usage),
        None => Stage::Completed(&response.usage),
    };
    let mut items = Vec::with_capacity(response.blocks.len());
    for (position, block) in response.blocks.iter().enumerate() {
        if matches!(&block.content, Content::Text(text) if text.is_empty()) {
            continue;
        }
        let Some((item, made)) = Item::of(block, carry) else { continue };
        let is_cut = matches!(stage, Stage::Incomplete(..)) && position + 1 == response.blocks.len();
        let item_id = item.id(&id, items.len());
        items.push(item.write(&item_id, Some(&made), if is_cut { "incomplete" } else { "completed" }));
    }
    let model = if response.model.is_empty() { &carry.model } else { &response.model };
    let mut body = Vec::new();
    write::object(&mut body, |out| answer::write_answer(out, (&id, model), carry, stage, &items));
    body
}

//! Turns as Anthropic wants them: no blank text, tool results first in the turn after their calls, a user to start.

use crate::canonical::{Block, Content, Losses, Message, Request, Role};
use crate::translate::carry::Capabilities;
use crate::translate::reasoning_proof;

/// Rewrites the conversation of `request` in place.
pub(super) fn arrange(request: &mut Request, capabilities: &Capabilities, losses: &mut Losses) {
    let mut turns: Vec<Message> = Vec::with_capacity(request.messages.len());
    for message in std::mem::take(&mut request.messages) {
        let message = if message.role == Role::System && !capabilities.mid_conversation_system {
            losses.emulated("messages[*].role", "instructions between turns became tagged user text");
            as_user_text(message)
        } else {
            message
        };
        let blocks: Vec<Block> =
            message.blocks.into_iter().filter_map(|block| acceptable(block, message.role, losses)).collect();
        if blocks.is_empty() {
            continue;
        }
        append(&mut turns, Message { role: message.role, blocks });
    }
    start_with_user(request, &mut turns, losses);
    finish_prefill(&mut turns, capabilities, losses);
    request.messages = turns;
}

fn as_user_text(message: Message) -> Message {
    let blocks = message.blocks.into_iter().map(|block| match block.content {
        Content::Text(text) if !text.trim().is_empty() => {
            Block { content: Content::Text(format!("<system>\n{text}\n</system>")), cache: block.cache }
        }
        content => Block { content, cache: block.cache },
    });
    Message { role: Role::User, blocks: blocks.collect() }
}

/// What the dialect takes of a block.
fn acceptable(mut block: Block, role: Role, losses: &mut Losses) -> Option<Block> {
    match &mut block.content {
        Content::Text(text) | Content::Refusal(text) if text.trim().is_empty() => {
            if !text.is_empty() {
                losses.dropped("messages[*].content", "blank text is not allowed");
            }
            return None;
        }
        Content::Refusal(text) => block.content = Content::Text(std::mem::take(text)),
        Content::Reasoning(reasoning) if reasoning.signature.is_none() => {
            losses.dropped(
                "messages[*].reasoning_content",
                "reasoning without its provider's signature is refused",
            );
            return None;
        }
        Content::Reasoning(reasoning) if reasoning_proof::is_of_responses(reasoning) => {
            losses.dropped("messages[*].reasoning", "only its own provider can read it back");
            return None;
        }
        Content::ToolResult(result) => {
            result.content.retain(|inner| !matches!(&inner.content, Content::Text(text) if text.is_empty()));
        }
        Content::Image(_) | Content::Document(_) if role != Role::User => {
            losses.dropped("messages[*].content[*]", "only users send images and documents");
            return None;
        }
        _ => {}
    }
    Some(block)
}

const fn is_result(block: &Block) -> bool {
    matches!(block.content, Content::ToolResult(_))
}

/// Adds a turn; tool results and what the user says next become one turn with the results first.
fn append(turns: &mut Vec<Message>, message: Message) {
    if let Some(last) = turns.last_mut()
        && last.role == Role::User
        && message.role == Role::User
        && last.blocks.iter().chain(&message.blocks).any(is_result)
    {
        last.blocks.extend(message.blocks);
        last.blocks.sort_by_key(|block| !is_result(block));
        return;
    }
    turns.push(message);
}

fn start_with_user(request: &mut Request, turns: &mut Vec<Message>, losses: &mut Losses) {
    if turns.is_empty()
        && let Some(last) = request.system.pop()
    {
        losses.changed("messages", "a conversation needs a user turn; the last instruction became one");
        turns.push(Message { role: Role::User, blocks: vec![last] });
    } else if turns.first().is_some_and(|first| first.role == Role::Assistant) {
        losses.emulated("messages", "a conversation must start with a user turn; one was added");
        turns.insert(0, Message { role: Role::User, blocks: vec![Block::text("Continue.")] });
    }
}

/// A conversation may end with the beginning of the answer, if the model can continue it.
fn finish_prefill(turns: &mut Vec<Message>, capabilities: &Capabilities, losses: &mut Losses) {
    let Some(last) = turns.last_mut().filter(|last| last.role == Role::Assistant) else { return };
    if last.blocks.iter().any(|block| matches!(block.content, Content::ToolCall(_))) {
        return;
    }
    if !capabilities.assistant_prefill {
        losses.emulated("messages", "the model cannot continue an answer; it was asked to in a user turn");
        let request = Block::text("Continue your last message exactly where it ends.");
        turns.push(Message { role: Role::User, blocks: vec![request] });
        return;
    }
    if let Some(Block { content: Content::Text(text), .. }) = last.blocks.last_mut()
        && text.trim_end().len() != text.len()
    {
        losses.changed("messages", "white space at the end of the last assistant turn was removed");
        text.truncate(text.trim_end().len());
    }
}

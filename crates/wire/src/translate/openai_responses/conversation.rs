//! Items in a row become turns: what the assistant did between two words of the user is one turn, and results of tools
//! stand right behind their calls, wherever the client has put them.

use std::collections::BTreeMap;

use crate::canonical::{Block, Content, Message, Request, Role, ToolResult};

#[derive(Debug, Default)]
pub(super) struct Conversation {
    turns: Vec<Turn>,
    /// Which turn made a call.
    calls: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct Turn {
    message: Message,
    results: Vec<Block>,
}

impl Conversation {
    /// Instructions before the first turn belong to the system prompt.
    pub(super) fn instructions(&mut self, blocks: Vec<Block>, request: &mut Request) {
        if self.turns.is_empty() {
            request.system.extend(blocks);
        } else {
            self.push(Role::System, blocks);
        }
    }

    pub(super) fn user(&mut self, blocks: Vec<Block>) {
        self.push(Role::User, blocks);
    }

    pub(super) fn assistant(&mut self, blocks: Vec<Block>) {
        if blocks.is_empty() {
            return;
        }
        let open = self
            .turns
            .last_mut()
            .filter(|turn| turn.message.role == Role::Assistant && turn.results.is_empty());
        match open {
            Some(turn) => turn.message.blocks.extend(blocks),
            None => self.push(Role::Assistant, blocks),
        }
    }

    pub(super) fn call(&mut self, block: Block) {
        let id = match &block.content {
            Content::ToolCall(call) => call.id.clone(),
            _ => String::new(),
        };
        self.assistant(vec![block]);
        self.calls.insert(id, self.turns.len().saturating_sub(1));
    }

    pub(super) fn result(&mut self, result: ToolResult) {
        let calling = self.calls.get(&result.call_id).and_then(|position| self.turns.get_mut(*position));
        let block = Block::new(Content::ToolResult(result));
        match calling {
            Some(turn) => turn.results.push(block),
            None => self.push(Role::User, vec![block]),
        }
    }

    pub(super) fn into_messages(self) -> Vec<Message> {
        let mut messages = Vec::with_capacity(self.turns.len());
        for turn in self.turns {
            messages.push(turn.message);
            if !turn.results.is_empty() {
                messages.push(Message { role: Role::User, blocks: turn.results });
            }
        }
        messages
    }

    fn push(&mut self, role: Role, blocks: Vec<Block>) {
        self.turns.push(Turn { message: Message { role, blocks }, results: Vec::new() });
    }
}

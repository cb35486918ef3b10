//! Items of an answer, at their beginning and at their end.

use super::NAMESPACE_SEPARATOR;
use crate::canonical::{Block, Content};
use crate::translate::carry::Carry;
use crate::translate::write::{self, ObjectWriter};
use crate::translate::{reasoning_proof, tool_input};

/// One item of an answer: what is known when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Text,
    Refusal,
    Reasoning,
    RedactedReasoning { data: String },
    Call { call_id: String, name: String, namespace: Option<String> },
    FreeTextCall { call_id: String, name: String, namespace: Option<String> },
}

/// What has come of an item.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Text, summary, or the input of a call.
    pub(super) text: String,
    pub(super) signature: Option<String>,
}

impl Item {
    /// A call by the client's name of the tool.
    pub(super) fn call(call_id: String, name: String, carry: &Carry) -> Self {
        let is_free_text = carry.free_text_tools.contains(&name);
        let namespace = carry.namespaces.get(&name).cloned();
        let own = namespace.as_ref().and_then(|namespace| {
            name.strip_prefix(namespace.as_str())?.strip_prefix(NAMESPACE_SEPARATOR).map(str::to_owned)
        });
        let name = own.unwrap_or(name);
        if is_free_text {
            Self::FreeTextCall { call_id, name, namespace }
        } else {
            Self::Call { call_id, name, namespace }
        }
    }

    /// The item and its content, where the block is of an assistant's turn.
    pub(super) fn of(block: &Block, carry: &Carry) -> Option<(Self, Made)> {
        let text = |text: &str| Made { text: text.to_owned(), signature: None };
        Some(match &block.content {
            Content::Text(words) => (Self::Text, text(words)),
            Content::Refusal(words) => (Self::Refusal, text(words)),
            Content::Reasoning(reasoning) => (
                Self::Reasoning,
                Made { text: reasoning.text.clone(), signature: reasoning.signature.clone() },
            ),
            Content::RedactedReasoning { data } => {
                (Self::RedactedReasoning { data: data.clone() }, Made::default())
            }
            Content::ToolCall(call) => {
                (Self::call(call.id.clone(), call.name.clone(), carry), text(call.input.as_str()))
            }
            Content::Image(_) | Content::Document(_) | Content::ToolResult(_) => return None,
        })
    }

    /// An id within an answer; the answer's own makes it unique.
    pub(super) fn id(&self, response_id: &str, position: usize) -> String {
        let kind = match self {
            Self::Text | Self::Refusal => "msg",
            Self::Reasoning | Self::RedactedReasoning { .. } => "rs",
            Self::Call { .. } => "fc",
            Self::FreeTextCall { .. } => "ctc",
        };
        let answer = response_id.strip_prefix("resp_").unwrap_or(response_id);
        format!("{kind}_{answer}_{position}")
    }

    /// The item as JSON; `made` and `status` are those of this moment.
    pub(super) fn write(&self, id: &str, made: Option<&Made>, status: &str) -> Vec<u8> {
        let mut item = Vec::new();
        write::object(&mut item, |out| match self {
            Self::Text | Self::Refusal => self.write_message(out, id, made, status),
            Self::Reasoning => write_reasoning(out, id, made),
            Self::RedactedReasoning { data } => {
                out.text("id", id);
                out.text("type", "reasoning");
                out.array("summary", |_| {});
                out.text("encrypted_content", &reasoning_proof::redacted_content(data));
            }
            Self::Call { call_id, name, namespace } => {
                out.text("id", id);
                out.text("type", "function_call");
                out.text("status", status);
                let nothing = if made.is_some() { "{}" } else { "" };
                let input = made.map(|made| made.text.as_str()).filter(|input| !input.is_empty());
                out.text("arguments", input.unwrap_or(nothing));
                write_call_head(out, call_id, name, namespace.as_deref());
            }
            Self::FreeTextCall { call_id, name, namespace } => {
                out.text("id", id);
                out.text("type", "custom_tool_call");
                out.text("status", status);
                out.text("input", &made.map_or_else(String::new, |made| tool_input::free_text(&made.text)));
                write_call_head(out, call_id, name, namespace.as_deref());
            }
        });
        item
    }

    fn write_message(&self, out: &mut ObjectWriter<'_>, id: &str, made: Option<&Made>, status: &str) {
        out.text("id", id);
        out.text("type", "message");
        out.text("status", status);
        out.text("role", "assistant");
        out.array("content", |parts| {
            if let Some(made) = made {
                parts.object(|part| self.write_part(part, &made.text));
            }
        });
    }

    /// A part of a message or of a summary.
    pub(super) fn write_part(&self, part: &mut ObjectWriter<'_>, text: &str) {
        match self {
            Self::Refusal => {
                part.text("type", "refusal");
                part.text("refusal", text);
            }
            Self::Reasoning => {
                part.text("type", "summary_text");
                part.text("text", text);
            }
            _ => {
                part.text("type", "output_text");
                part.text("text", text);
                part.array("annotations", |_| {});
                part.array("logprobs", |_| {});
            }
        }
    }
}

fn write_call_head(out: &mut ObjectWriter<'_>, call_id: &str, name: &str, namespace: Option<&str>) {
    out.text("call_id", call_id);
    out.text("name", name);
    out.optional("namespace", namespace);
}

fn write_reasoning(out: &mut ObjectWriter<'_>, id: &str, made: Option<&Made>) {
    // An item of the upstream's own goes by its own id, which its provider may check.
    let signature = made.and_then(|made| made.signature.as_deref());
    let own = signature.and_then(reasoning_proof::as_item);
    out.text("id", own.as_ref().map_or(id, |(own_id, _)| own_id));
    out.text("type", "reasoning");
    out.array("summary", |summary| {
        if let Some(made) = made.filter(|made| !made.text.is_empty()) {
            summary.object(|part| Item::Reasoning.write_part(part, &made.text));
        }
    });
    match (made, &own) {
        (None, _) => {}
        (_, Some((_, encrypted_content))) => out.text("encrypted_content", encrypted_content),
        (Some(made), None) => {
            out.text("encrypted_content", &reasoning_proof::encrypted_content(&made.text, signature));
        }
    }
}

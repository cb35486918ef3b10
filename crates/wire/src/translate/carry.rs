//! What a translation is told beside the body, and what the way back must remember.

use std::collections::{BTreeMap, BTreeSet};

use super::names;
use crate::canonical::{Json, Request};

/// Facts about the deployment that a request is translated for.
#[derive(Debug, Clone)]
pub struct RequestContext<'a> {
    /// The model's name at the provider.
    pub upstream_model: &'a str,
    /// Sent where the dialect demands a limit and the client set none.
    pub default_max_output_tokens: u64,
    /// The most that one answer may generate, whatever the client asked for.
    pub output_cap_tokens: Option<u64>,
    pub capabilities: Capabilities,
}

/// What the upstream model takes. The default is a current OpenAI model or a classic Claude.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// `temperature`, `top_p`, `top_k`.
    pub sampling_params: bool,
    /// Anthropic `thinking: {"type":"adaptive"}` with an effort, instead of a token budget.
    pub adaptive_thinking: bool,
    /// Thinking cannot be switched off.
    pub thinking_always_on: bool,
    /// A choice of tool other than `auto` and `none`.
    pub forced_tool_choice: bool,
    /// A conversation may end with the beginning of the answer.
    pub assistant_prefill: bool,
    /// Anthropic `role: "system"` between turns.
    pub mid_conversation_system: bool,
    /// A JSON schema for the answer.
    pub native_structured_output: bool,
    /// OpenAI `reasoning_effort`.
    pub reasoning_effort: bool,
    /// Reasoning text of earlier turns may be sent back as `reasoning_content`.
    pub replay_reasoning: bool,
    /// OpenAI `max_completion_tokens`; otherwise `max_tokens`.
    pub max_completion_tokens: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            sampling_params: true,
            adaptive_thinking: false,
            thinking_always_on: false,
            forced_tool_choice: true,
            assistant_prefill: true,
            mid_conversation_system: false,
            native_structured_output: true,
            reasoning_effort: true,
            replay_reasoning: true,
            max_completion_tokens: true,
        }
    }
}

/// What the way back needs to know of the request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carry {
    /// The public name that the client asked for; answers carry it where the upstream names no model.
    pub model: String,
    /// The client asked for usage inside the stream.
    pub include_usage: bool,
    pub stream: bool,
    /// Seconds since 1970 for dialects whose answers are dated. The caller sets it; the translation reads no clock.
    pub created_unix_s: u64,
    /// Names that had to be shortened: upstream's name to the client's.
    pub tool_names: BTreeMap<String, String>,
    /// Tools whose input the client takes as plain text, by the client's name.
    pub free_text_tools: BTreeSet<String>,
    /// Tools that the client has put into groups: the client's name to the name of the group.
    pub namespaces: BTreeMap<String, String>,
    /// Fields of the request that the answer repeats.
    pub echo: Vec<(&'static str, Json)>,
}

impl Carry {
    /// What the answers to `request` need, when the upstream takes tool names of at most `name_limit` characters.
    pub(crate) fn of(request: &Request, name_limit: usize) -> Self {
        let mut carry = Self {
            model: request.model.clone(),
            include_usage: request.include_usage,
            stream: request.stream,
            echo: request.echo.clone(),
            ..Self::default()
        };
        for tool in &request.tools {
            let upstream = names::fit(&tool.name, name_limit);
            if upstream != tool.name {
                carry.tool_names.insert(upstream.into_owned(), tool.name.clone());
            }
            if tool.free_text.is_some() {
                carry.free_text_tools.insert(tool.name.clone());
            }
            if let Some(namespace) = &tool.namespace {
                carry.namespaces.insert(tool.name.clone(), namespace.clone());
            }
        }
        carry
    }

    /// The client's name of a tool that the upstream called.
    pub(crate) fn client_tool_name(&self, upstream: String) -> String {
        self.tool_names.get(&upstream).cloned().unwrap_or(upstream)
    }
}

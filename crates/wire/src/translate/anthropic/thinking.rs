//! How much the model thinks, and what thinking forbids.

use crate::canonical::{Content, Effort, Losses, ReasoningMode, Request, Role};
use crate::splice::MINIMUM_THINKING_TOKENS;
use crate::translate::carry::Capabilities;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Thinking {
    pub(super) mode: Option<ReasoningMode>,
    pub(super) effort: Option<Effort>,
}

impl Thinking {
    /// Thinking forbids forced tools and sampling parameters.
    pub(super) const fn is_on(self) -> bool {
        matches!(self.mode, Some(ReasoningMode::Budget(_) | ReasoningMode::Adaptive))
    }
}

pub(super) fn plan(
    request: &Request,
    max_tokens: u64,
    capabilities: &Capabilities,
    losses: &mut Losses,
) -> Thinking {
    let wanted = &request.reasoning;
    if wanted.mode == Some(ReasoningMode::Disabled) {
        if capabilities.thinking_always_on {
            losses.dropped("reasoning_effort", "the model cannot stop thinking");
            return Thinking::default();
        }
        return Thinking { mode: wanted.mode, effort: None };
    }
    if capabilities.adaptive_thinking {
        let from_budget = match wanted.mode {
            Some(ReasoningMode::Budget(tokens)) => Some(Effort::from_budget_tokens(tokens)),
            _ => None,
        };
        return adaptive(wanted.effort.or(from_budget), wanted.mode, losses);
    }
    // An effort says nothing about length, so at least half of the output limit stays for the answer.
    let effort_budget = |effort: Effort| effort.budget_tokens().min(max_tokens / 2);
    let budget = match (wanted.mode, wanted.effort) {
        (Some(ReasoningMode::Budget(tokens)), _) => tokens.min(max_tokens.saturating_sub(1)),
        (_, Some(effort)) => effort_budget(effort),
        (Some(ReasoningMode::Adaptive), None) => effort_budget(Effort::Medium),
        _ => return Thinking::default(),
    };
    with_budget(request, budget, losses)
}

fn adaptive(effort: Option<Effort>, mode: Option<ReasoningMode>, losses: &mut Losses) -> Thinking {
    if effort.is_none() && mode.is_none() {
        return Thinking::default();
    }
    let effort = match effort {
        Some(Effort::Minimal) => {
            losses.changed("reasoning_effort", "minimal became low");
            Some(Effort::Low)
        }
        other => other,
    };
    Thinking { mode: Some(ReasoningMode::Adaptive), effort }
}

fn with_budget(request: &Request, budget: u64, losses: &mut Losses) -> Thinking {
    if budget < MINIMUM_THINKING_TOKENS {
        losses.dropped("reasoning_effort", "the output limit leaves no room for thinking");
        return Thinking::default();
    }
    if continues_unsigned_tool_turn(request) {
        losses.dropped(
            "reasoning_effort",
            "the tool calls in progress carry no signed reasoning to continue from",
        );
        return Thinking::default();
    }
    if !matches!(request.reasoning.mode, Some(ReasoningMode::Budget(asked)) if asked == budget) {
        losses.changed("reasoning_effort", "became a token budget");
    }
    Thinking { mode: Some(ReasoningMode::Budget(budget)), effort: None }
}

/// Anthropic refuses thinking when the tool results answer a turn that began without a thinking block.
fn continues_unsigned_tool_turn(request: &Request) -> bool {
    let Some(last) = request.messages.last() else { return false };
    let answers_tools = last.blocks.iter().any(|block| matches!(block.content, Content::ToolResult(_)));
    let calling = request.messages.iter().rev().find(|message| message.role == Role::Assistant);
    answers_tools
        && calling.and_then(|turn| turn.blocks.first()).is_some_and(|first| {
            !matches!(first.content, Content::Reasoning(_) | Content::RedactedReasoning { .. })
        })
}

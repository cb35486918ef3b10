//! The first requests of coding agents, as they send them by default: their fields, tools and sizes, with text of our
//! own in the place of their prompts.

/// Claude Code 2.1: `POST /v1/messages`, a cap of 32,000 tokens, adaptive thinking, fourteen tools of the caller's,
/// cache marks, and a system message among the messages.
pub const CLAUDE_CODE: &str = include_str!("../fixtures/claude_code.json");
/// The `anthropic-beta` that goes along with it.
pub const CLAUDE_CODE_BETA: &str = "claude-code-20250219,interleaved-thinking-2025-05-14,\
    context-management-2025-06-27,thinking-token-count-2026-05-13,effort-2025-11-24";

/// Codex 0.169: `POST /v1/responses`, no output cap, ten tools of which the provider runs one (`web_search`, and
/// `tool_search` for all that is known here), nothing stored.
pub const CODEX: &str = include_str!("../fixtures/codex.json");

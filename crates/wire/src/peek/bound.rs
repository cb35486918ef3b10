//! An upper bound of a request's input tokens that needs no tokenizer.

use super::{Field, Peeked};

/// Allowed for each image or file that the body only points at.
pub const TOKENS_PER_REFERENCE: u64 = 8_192;
/// What chat templates add around the whole prompt; some open models' have a system prompt of their own.
const TEMPLATE_TOKENS: u64 = 1_024;
/// The largest prompt that providers add by themselves when tools are given.
const TOOL_PROMPT_TOKENS: u64 = 2_048;

/// No byte-level tokenizer makes more tokens than there are bytes, and the JSON around a message is longer than what a
/// chat template adds for it. Referenced content is allowed for at [`TOKENS_PER_REFERENCE`]; a stored context (a
/// `previous_response_id`, a conversation) is not in the body and not in the bound.
pub fn input_bound_tokens(peeked: &Peeked) -> u64 {
    let tools = if peeked.has(Field::Tools) { TOOL_PROMPT_TOKENS } else { 0 };
    let references = u64::from(peeked.references()).saturating_mul(TOKENS_PER_REFERENCE);
    (peeked.body().len() as u64).saturating_add(TEMPLATE_TOKENS + tools).saturating_add(references)
}

//! Message to canonical form.

use super::read_request::read_blocks;
use super::usage::Counters;
use super::{UNSIGNED, api_error, read_stop_reason};
use crate::canonical::{Losses, Response};
use crate::translate::error::{Side, TranslateError};
use crate::translate::read::Object;

pub(in crate::translate) fn read_response(
    body: &[u8],
    losses: &mut Losses,
) -> Result<Response, TranslateError> {
    let mut fields = Object::parse(body, Side::Response)?;
    if let Some(error) = fields.take("error") {
        return Err(TranslateError::response(api_error::read_error_node(&error).message));
    }
    let mut counters = Counters::default();
    if let Some(usage) = fields.object("usage")? {
        counters.merge(usage)?;
    }
    let response = Response {
        id: fields.text("id")?.unwrap_or_default(),
        model: fields.text("model")?.unwrap_or_default(),
        blocks: read_blocks(&fields.require("content")?.array()?, losses)?,
        stop: read_stop_reason(fields.require("stop_reason")?.text()?),
        stop_sequence: fields.text("stop_sequence")?,
        usage: counters.usage(),
    };
    fields.ignore(&["type", "role"]);
    fields.report_rest(losses);
    Ok(response)
}

/// A signature that proves something, or nothing.
pub(super) fn proof(signature: String) -> Option<String> {
    (!signature.is_empty() && signature != UNSIGNED).then_some(signature)
}

//! The response object, whole and at every stage of a stream.

use tollgate_core::TokenUsage;

use super::{api_error, usage};
use crate::canonical::ApiError;
use crate::translate::carry::Carry;
use crate::translate::write::ObjectWriter;

/// Fields that strict readers expect when the request did not set them, as JSON.
const DEFAULTS: [(&str, &str); 12] = [
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("temperature", "null"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_p", "null"),
    ("truncation", "\"disabled\""),
    ("user", "null"),
];

/// How far an answer has come.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stage<'a> {
    InProgress,
    Completed(&'a TokenUsage),
    Incomplete(&'static str, &'a TokenUsage),
    Failed(&'a ApiError),
}

impl Stage<'_> {
    const fn status(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed(_) => "completed",
            Self::Incomplete(..) => "incomplete",
            Self::Failed(_) => "failed",
        }
    }
}

/// The upstream's id, recognizable as a response's.
pub(super) fn response_id(id: &str) -> String {
    if id.starts_with("resp_") { id.to_owned() } else { format!("resp_{id}") }
}

/// Writes the members of the response object; `items` are the finished ones.
pub(super) fn write_answer(
    out: &mut ObjectWriter<'_>,
    (id, model): (&str, &str),
    carry: &Carry,
    stage: Stage<'_>,
    items: &[Vec<u8>],
) {
    out.text("id", id);
    out.text("object", "response");
    out.number("created_at", carry.created_unix_s);
    out.text("status", stage.status());
    out.value("background", &false);
    match stage {
        Stage::Failed(error) => out.object("error", |out| {
            out.text("code", api_error::failure_code(error));
            out.text("message", &error.message);
        }),
        _ => out.null("error"),
    }
    match stage {
        Stage::Incomplete(reason, _) => out.object("incomplete_details", |out| out.text("reason", reason)),
        _ => out.null("incomplete_details"),
    }
    out.text("model", model);
    out.array("output", |list| items.iter().for_each(|item| list.encoded(item)));
    out.null("previous_response_id");
    // Nothing is kept, whatever the request asked for.
    out.value("store", &false);
    for (key, json) in &carry.echo {
        out.json(key, json);
    }
    for (key, default) in DEFAULTS {
        if !carry.echo.iter().any(|(echoed, _)| *echoed == key) {
            out.encoded(key, default.as_bytes());
        }
    }
    match stage {
        Stage::Completed(usage) | Stage::Incomplete(_, usage) => usage::write_usage(out, usage),
        Stage::InProgress | Stage::Failed(_) => out.null("usage"),
    }
}

//! Streams of the Responses API.

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_core::Dialect;

use super::{Malformed, Outcome, Outcome::*, stream};
use crate::{canned, scripted::Reply};

/// Positions in the good stream: created, in_progress, output_item.added, content_part.added, six deltas,
/// output_text.done, content_part.done, output_item.done, completed.
const ITEM_ADDED: usize = 2;
const FIRST_TEXT: usize = 4;
const COMPLETED: usize = 13;

fn parts() -> Vec<Bytes> {
    canned::text_stream(Dialect::OpenaiResponses).parts
}

fn until(position: usize) -> Vec<Bytes> {
    parts().into_iter().take(position).collect()
}

fn broken(name: &'static str, reply: Reply, outcome: Outcome, expectation: &'static str) -> Malformed {
    stream(Dialect::OpenaiResponses, name, reply, outcome, expectation)
}

/// The response object of the good stream's last event.
fn completed_response() -> Value {
    serde_json::from_slice(&canned::text(Dialect::OpenaiResponses).body())
        .expect("the canned response is JSON")
}

fn ending_with(response: &Value, kind: &str) -> Reply {
    let last = json!({"type": kind, "sequence_number": COMPLETED, "response": response});
    Reply::events([until(COMPLETED), vec![canned::event(&last)]].concat())
}

pub(super) fn all() -> Vec<Malformed> {
    let mut without_usage = completed_response();
    without_usage["usage"] = Value::Null;
    let mut failed = completed_response();
    failed["status"] = json!("failed");
    failed["error"] = json!({"code": "server_error", "message": "scripted failure"});
    let mut late_item = parts();
    late_item.swap(ITEM_ADDED, FIRST_TEXT);
    vec![
        broken(
            "responses-completed-missing",
            Reply::events(until(COMPLETED)),
            FailsMidStream,
            "without a final event the client would start again",
        ),
        broken(
            "responses-end-before-content",
            Reply::events(until(ITEM_ADDED)),
            FailsBeforeContent,
            "a response that was only begun",
        ),
        broken(
            "responses-failed",
            ending_with(&failed, "response.failed"),
            FailsMidStream,
            "the provider's failure is passed on and recorded as one",
        ),
        broken(
            "responses-error-event",
            Reply::events(
                [until(FIRST_TEXT + 2), vec![canned::error_event(Dialect::OpenaiResponses)]].concat(),
            ),
            FailsMidStream,
            "the provider's error is passed on and recorded as one",
        ),
        broken(
            "responses-usage-missing",
            ending_with(&without_usage, "response.completed"),
            CompleteEstimated,
            "no usage: counted here",
        ),
        broken(
            "responses-delta-before-item",
            Reply::events(late_item),
            NoFalseSuccess,
            "out of order: relayed as it came",
        ),
    ]
}

//! Chat streams whose events are wrong, missing or out of order.

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate_core::Dialect;

use super::{
    DONE, FINISH, FIRST_TEXT, Malformed, Outcome::*, USAGE, chat, chat_parts, chat_with, chat_without,
};
use crate::{
    canned,
    scripted::{Framing, Reply},
};

pub(super) fn all() -> Vec<Malformed> {
    [bad_events(), ends(), orders(), not_streamed()].concat()
}

/// The good stream up to a position, ended properly as HTTP.
fn until(position: usize) -> Reply {
    Reply::events(chat_parts().into_iter().take(position))
}

fn bad_events() -> Vec<Malformed> {
    let error = canned::error_event(Dialect::OpenaiChat);
    let deep = format!("data: {}{}\n\n", "[".repeat(10_000), "]".repeat(10_000));
    vec![
        chat(
            "bad-json",
            chat_with(FIRST_TEXT + 2, &b"data: {\"choices\":[{\"delta\":{\n\n"[..]),
            FailsMidStream,
            "an event that is no JSON after content ends the stream with an error",
        ),
        chat(
            "bad-json-first",
            chat_with(0, &b"data: {oops}\n\n"[..]),
            FailsBeforeContent,
            "an event that is no JSON before content fails the attempt",
        ),
        chat(
            "not-an-object",
            chat_with(FIRST_TEXT + 2, &b"data: 42\n\n"[..]),
            NoFalseSuccess,
            "JSON that is no chunk is passed on or refused",
        ),
        chat(
            "deep-json",
            chat_with(FIRST_TEXT + 2, deep),
            NoFalseSuccess,
            "nesting must not exhaust the stack",
        ),
        chat(
            "error-event-mid-stream",
            chat_with(FIRST_TEXT + 2, error.clone()),
            FailsMidStream,
            "the provider's error is passed on, and what follows is no success",
        ),
        chat(
            "error-event-first",
            Reply::events([error]),
            FailsBeforeContent,
            "an error before content is an error status and may be retried",
        ),
        chat(
            "unknown-events",
            chat_with(
                FIRST_TEXT + 2,
                &b"event: telemetry\ndata: {\"object\":\"vendor.extra\",\"x\":1}\n\n"[..],
            ),
            Complete,
            "objects of another kind pass",
        ),
    ]
}

fn ends() -> Vec<Malformed> {
    vec![
        chat("end-before-first-event", until(0), FailsBeforeContent, "a stream without events is no answer"),
        chat("end-before-content", until(FIRST_TEXT), FailsBeforeContent, "a role alone is no answer"),
        chat(
            "end-after-first-content",
            until(FIRST_TEXT + 1),
            FailsMidStream,
            "neither finish reason nor terminator: cut",
        ),
        chat("end-before-finish", until(FINISH), FailsMidStream, "all the text but no finish reason: cut"),
        chat(
            "end-before-usage",
            until(USAGE),
            CompleteEstimated,
            "with a finish reason and a proper end of the body the answer is whole",
        ),
        chat("end-before-terminator", until(DONE), Complete, "some servers never send [DONE]"),
        chat(
            "done-twice",
            chat_with(DONE, &b"data: [DONE]\n\n"[..]),
            Complete,
            "the second one means nothing",
        ),
        chat(
            "done-first",
            Reply::events([&b"data: [DONE]\n\n"[..]]),
            FailsBeforeContent,
            "an end without content is no answer",
        ),
        chat(
            "content-after-done",
            chat_with(DONE, &b"data: [DONE]\n\n"[..]).send(text_chunk("late")),
            Complete,
            "what follows the terminator is not part of the answer",
        ),
    ]
}

fn orders() -> Vec<Malformed> {
    let mut content_first = chat_parts();
    content_first.swap(0, 1);
    let no_choices = canned::data(&json!({
        "id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [],
    }));
    let choices_null = canned::data(&json!({"object": "chat.completion.chunk", "choices": null}));
    vec![
        chat("content-before-role", Reply::events(content_first), Complete, "the role may come late"),
        chat("role-missing", chat_without(&[0]), Complete, "the role is assistant anyway"),
        chat(
            "finish-reason-missing",
            chat_without(&[FINISH]),
            Complete,
            "with [DONE] the answer is whole; its finish reason is unknown",
        ),
        chat(
            "choices-empty-first",
            chat_with(0, no_choices),
            Complete,
            "Azure sends its filter results first",
        ),
        chat("choices-null", chat_with(FIRST_TEXT + 1, choices_null), NoFalseSuccess, "null is not a list"),
    ]
}

fn not_streamed() -> Vec<Malformed> {
    let good = canned::text(Dialect::OpenaiChat);
    let body = good.body();
    let plain = |name, reply, outcome, expectation| Malformed {
        stream: false,
        ..chat(name, reply, outcome, expectation)
    };
    vec![
        plain(
            "json-truncated",
            Reply::json(200, body.slice(..body.len() / 2)),
            FailsBeforeContent,
            "half a JSON document is no answer, however honest its length",
        ),
        plain("json-is-a-list", Reply::json(200, "[]"), FailsBeforeContent, "a list is no completion"),
        plain("json-without-choices", Reply::json(200, "{}"), NoFalseSuccess, "an answer without choices"),
        plain("json-empty-body", Reply::json(200, ""), FailsBeforeContent, "nothing is no answer"),
        plain(
            "json-body-cut",
            good.reply().first_half().cut(),
            FailsBeforeContent,
            "fewer bytes than promised",
        ),
        plain(
            "json-stream-instead",
            canned::text_stream(Dialect::OpenaiChat).reply().framing(Framing::Chunked),
            NoFalseSuccess,
            "a stream that nobody asked for",
        ),
    ]
}

fn text_chunk(text: &str) -> Bytes {
    canned::data(&json!({
        "id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": Value::Null}],
    }))
}

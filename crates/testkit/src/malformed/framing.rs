//! Event-stream syntax: line ends, encodings, splits and sizes.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::{FIRST_TEXT, Malformed, Outcome::*, chat, chat_parts, chat_text, chat_with};
use crate::{canned, scripted::Reply};

pub(super) fn all() -> Vec<Malformed> {
    [line_ends(), encodings(), odd_but_legal()].concat()
}

fn whole(text: impl Into<Bytes>) -> Reply {
    Reply::events([text.into()])
}

fn line_ends() -> Vec<Malformed> {
    let text = chat_text();
    vec![
        chat("cr-only", whole(text.replace('\n', "\r")), Complete, "CR alone ends a line"),
        chat("crlf", whole(text.replace('\n', "\r\n")), Complete, "CRLF ends a line"),
        chat(
            "crlf-split",
            Reply::events(text.replace('\n', "\r\n").split_inclusive('\r').map(str::to_owned)),
            Complete,
            "a CRLF in two writes is one line end",
        ),
        chat(
            "no-blank-line",
            whole(text.replace("\n\n", "\n")),
            FailsBeforeContent,
            "lines without a blank line are one event that is no JSON",
        ),
        chat(
            "last-event-unterminated",
            whole(text.trim_end().to_owned()),
            NoFalseSuccess,
            "an event without its blank line at the end of the body may be read or dropped",
        ),
    ]
}

fn encodings() -> Vec<Malformed> {
    let text = chat_text();
    let split: Vec<Bytes> = split_inside_characters(&text);
    let broken = |bad: &[u8]| {
        let mut event = br#"data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"a"#.to_vec();
        event.extend_from_slice(bad);
        event.extend_from_slice(b"b\"},\"finish_reason\":null}]}\n\n");
        event
    };
    let mut with_mark = b"\xef\xbb\xbf".to_vec();
    with_mark.extend_from_slice(text.as_bytes());
    vec![
        chat("split-utf8", Reply::events(split), Complete, "characters split between two writes stay whole"),
        chat(
            "byte-by-byte",
            Reply::events(Vec::<Bytes>::new()).send_slowly(text, 1, Duration::ZERO),
            Complete,
            "where writes end means nothing",
        ),
        chat(
            "invalid-utf8",
            chat_with(FIRST_TEXT + 2, broken(b"\xff\xfe")),
            FailsMidStream,
            "JSON is UTF-8: an event that is not is a provider's fault",
        ),
        chat(
            "nul-byte",
            chat_with(FIRST_TEXT + 2, broken(b"\0")),
            FailsMidStream,
            "a raw control character inside a JSON string is not JSON",
        ),
        chat("byte-order-mark", whole(with_mark), Complete, "one mark at the beginning is skipped"),
    ]
}

fn odd_but_legal() -> Vec<Malformed> {
    let text = chat_text();
    let huge = canned::data(&json!({
        "id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"content": "x".repeat(3 << 19)}, "finish_reason": null}],
    }));
    let comments: Vec<Bytes> =
        chat_parts().into_iter().flat_map(|part| [Bytes::from_static(b": keep-alive\n\n"), part]).collect();
    vec![
        chat(
            "huge-data-line",
            chat_with(FIRST_TEXT + 1, huge),
            NoFalseSuccess,
            "a data line of 1.5 MiB is relayed whole or refused with an error event; memory stays bounded",
        ),
        chat(
            "event-without-data",
            chat_with(FIRST_TEXT + 1, &b"event: nothing\n\n"[..]),
            Complete,
            "an event without data is none",
        ),
        chat(
            "unknown-fields",
            chat_with(FIRST_TEXT + 1, &b"id: 7\nretry: 100\nfoo: bar\nnocolon\n\n"[..]),
            Complete,
            "unknown lines are skipped",
        ),
        chat(
            "comments-between",
            Reply::events(comments),
            Complete,
            "comments keep a connection alive, no more",
        ),
        chat(
            "no-space-after-colon",
            whole(text.replace("data: ", "data:")),
            Complete,
            "the space is optional",
        ),
        chat(
            "data-on-two-lines",
            whole(text.replace(",\"object\"", ",\ndata: \"object\"")),
            Complete,
            "data lines of one event are joined with a line feed",
        ),
    ]
}

/// Cuts before each continuation byte, so that every character of more than one byte is torn.
fn split_inside_characters(text: &str) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    for &byte in text.as_bytes() {
        if byte & 0b1100_0000 == 0b1000_0000 && !piece.is_empty() {
            pieces.push(Bytes::from(std::mem::take(&mut piece)));
        }
        piece.push(byte);
    }
    pieces.push(Bytes::from(piece));
    pieces
}

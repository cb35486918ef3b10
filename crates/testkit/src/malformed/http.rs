//! Answers that break HTTP, or that are not the answer of a model at all.

use bytes::Bytes;
use tollgate_core::Dialect;

use super::{FIRST_TEXT, Malformed, Outcome::*, chat, chat_parts, chat_text};
use crate::{
    canned,
    scripted::{Framing, Reply},
};

const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
const PAGE: &str = "<!doctype html><title>Sign in</title><p>Your session has expired.";

pub(super) fn all() -> Vec<Malformed> {
    [heads(), lengths(), silences(), foreign()].concat()
}

fn good() -> Reply {
    Reply::events(chat_parts())
}

fn raw(bytes: impl Into<Bytes>) -> Reply {
    Reply::raw().send(bytes)
}

fn heads() -> Vec<Malformed> {
    let early: Bytes = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(10_000).into();
    let long = "x".repeat(2 << 20);
    let many: String = (0..2_000).map(|number| format!("x-{number}: y\r\n")).collect();
    vec![
        chat("head-cut", raw("HTTP/1.1 200 OK\r\ncontent-ty").cut(), FailsBeforeContent, "half a head"),
        chat("no-head", Reply::raw().cut(), FailsBeforeContent, "closed without a byte"),
        chat("reset-at-once", Reply::raw().reset(), FailsBeforeContent, "reset without a byte"),
        chat("not-http", raw("SSH-2.0-OpenSSH_10.2\r\n").cut(), FailsBeforeContent, "another protocol"),
        chat("early-hints-flood", raw(early).cut(), FailsBeforeContent, "10,000 interim heads and no answer"),
        chat(
            "header-oversized",
            raw(format!("{STREAM_HEAD}x-long: {long}\r\n\r\n")).cut(),
            FailsBeforeContent,
            "a header of 2 MiB is refused",
        ),
        chat(
            "headers-too-many",
            raw(format!("{STREAM_HEAD}{many}\r\n")).cut(),
            FailsBeforeContent,
            "2,000 headers are refused",
        ),
        chat(
            "lengths-conflict",
            raw(format!("{STREAM_HEAD}content-length: 5\r\ncontent-length: 9\r\n\r\n{}", chat_text())).cut(),
            FailsBeforeContent,
            "two lengths are a smuggling attempt",
        ),
        chat(
            "status-204",
            raw("HTTP/1.1 204 No Content\r\n\r\n").cut(),
            FailsBeforeContent,
            "success without content is no answer",
        ),
        chat(
            "redirect",
            Reply::status(302).header("location", "http://127.0.0.1:9/"),
            FailsBeforeContent,
            "redirects are not followed",
        ),
    ]
}

fn lengths() -> Vec<Malformed> {
    let text = chat_text();
    let length = text.len() as u64;
    let plain = || Reply::status(200).header("content-type", "text/event-stream").send(text.clone());
    let until_text = || Reply::events(chat_parts().into_iter().take(FIRST_TEXT + 2));
    vec![
        chat(
            "content-length-too-long",
            plain().framing(Framing::ClaimedLength(length + 100)).cut(),
            Complete,
            "the terminator has come; the missing bytes are none of the answer",
        ),
        chat(
            "content-length-too-short",
            plain().framing(Framing::ClaimedLength(length / 2)).keep_alive(false),
            FailsMidStream,
            "HTTP ends the answer in its middle, and the connection is not used again",
        ),
        chat(
            "chunk-size-not-hex",
            until_text().send_unframed("zz\r\n").send("lost"),
            FailsMidStream,
            "broken framing after content",
        ),
        chat(
            "chunk-size-first-not-hex",
            Reply::events([&b""[..]]).send_unframed("zz\r\nlost"),
            FailsBeforeContent,
            "broken framing before content",
        ),
        chat(
            "chunk-longer-than-sent",
            until_text().send_unframed("fff\r\ndata: {").cut(),
            FailsMidStream,
            "a chunk that promises more than comes",
        ),
        chat(
            "last-chunk-missing",
            good().without_terminator().cut(),
            Complete,
            "the stream's own terminator has come",
        ),
        chat(
            "cut-mid-stream",
            until_text().without_terminator().cut(),
            FailsMidStream,
            "the connection ends between two events",
        ),
        chat("reset-mid-stream", until_text().reset(), FailsMidStream, "the connection is reset"),
        chat(
            "trailing-garbage",
            good()
                .send_unframed("0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstale")
                .without_terminator(),
            Complete,
            "bytes behind the answer must never answer the next request",
        ),
        chat(
            "ends-with-connection",
            plain().framing(Framing::UntilClose),
            Complete,
            "neither length nor chunks: the body ends with the connection",
        ),
    ]
}

fn silences() -> Vec<Malformed> {
    let until_text = Reply::events(chat_parts().into_iter().take(FIRST_TEXT + 2));
    vec![
        chat("silence", Reply::raw().stall(), FailsBeforeContent, "no head: the first-byte time-out ends it"),
        chat(
            "silence-after-head",
            Reply::events(Vec::<Bytes>::new()).stall(),
            FailsBeforeContent,
            "a head and then nothing: a time-out ends it",
        ),
        chat(
            "silence-mid-stream",
            until_text.stall(),
            FailsMidStream,
            "the idle time-out ends it with an error",
        ),
    ]
}

fn foreign() -> Vec<Malformed> {
    let typed = |kind: &str, body: Bytes| {
        Reply::status(200).header("content-type", kind).framing(Framing::Chunked).send(body)
    };
    let text = Bytes::from(chat_text());
    let whole = canned::text(Dialect::OpenaiChat).reply();
    vec![
        chat("html-200", typed("text/html", PAGE.into()), FailsBeforeContent, "a log-in page is no answer"),
        chat(
            "html-as-stream",
            typed("text/event-stream", PAGE.into()),
            FailsBeforeContent,
            "a page that claims to be a stream has no events",
        ),
        chat(
            "empty-200",
            Reply::status(200).header("content-type", "text/event-stream"),
            FailsBeforeContent,
            "nothing is no answer",
        ),
        chat(
            "wrong-content-type",
            typed("text/plain", text.clone()),
            NoFalseSuccess,
            "a stream by another name",
        ),
        chat("json-for-stream", whole, NoFalseSuccess, "a whole answer although a stream was asked for"),
        chat(
            "gzip-lie",
            Reply::events([text]).header("content-encoding", "gzip"),
            FailsBeforeContent,
            "not what the header says, and compression was not asked for",
        ),
        chat(
            "error-html-502",
            Reply::status(502).header("content-type", "text/html").send(PAGE),
            FailsBeforeContent,
            "a proxy's page becomes the dialect's error",
        ),
    ]
}

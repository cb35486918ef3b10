//! Calls from a runtime with several threads.

use std::future::Future;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tollgate_upstream::{
    Egress, FetchError, FetchedResponse, OneShot, Origin, ReadError, SendError, Timeouts, client_config,
    fetch,
};

use crate::server::{OK, internal};

fn fetch_anywhere(call: OneShot) -> Result<FetchedResponse, FetchError> {
    fn on_any_thread<F: Future + Send + 'static>(future: F) -> F::Output
    where
        F::Output: Send,
    {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async { tokio::spawn(future).await.unwrap() })
    }
    on_any_thread(fetch(call))
}

/// Answers one request; the receiver gets the request, and then a message when the client has closed.
fn answering_once(answer: &'static str) -> (OneShot, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = internal(&format!("http://{}", listener.local_addr().unwrap()));
    let (sender, events) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).unwrap();
        sender.send(String::from_utf8_lossy(&buffer[..count]).into_owned()).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        while let Ok(1..) = stream.read(&mut buffer) {}
        sender.send("closed".to_owned()).unwrap();
    });
    let call = OneShot {
        origin,
        tls: client_config(None).unwrap(),
        method: Method::POST,
        path: "/v1/models?limit=1".to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{}"),
        timeouts: Timeouts::default(),
        max_response_bytes: 1_000,
    };
    (call, events)
}

#[test]
fn a_call_returns_the_whole_answer_and_closes() {
    let (call, events) = answering_once(OK);
    let response = fetch_anywhere(call).unwrap();
    assert_eq!((response.status.as_u16(), &response.body[..]), (200, &b"ok"[..]));
    let request = events.recv().unwrap();
    assert!(request.starts_with("POST /v1/models?limit=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("content-length: 2\r\n\r\n{}"), "{request}");
    assert_eq!(events.recv().unwrap(), "closed");
}

#[test]
fn an_answer_that_is_too_long_is_refused() {
    let (call, _events) = answering_once(OK);
    let outcome = fetch_anywhere(OneShot { max_response_bytes: 1, ..call });
    assert!(matches!(outcome, Err(FetchError::TooLong { limit_bytes: 1 })), "{outcome:?}");
}

#[test]
fn faults_are_told_apart() {
    let (call, _events) = answering_once("garbage\r\n\r\n");
    let outcome = fetch_anywhere(call);
    assert!(matches!(outcome, Err(FetchError::Send(SendError::Malformed(_)))), "{outcome:?}");

    let (mut call, _events) = answering_once("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
    call.timeouts.idle_ms = 50;
    call.timeouts.first_byte_ms = 50;
    let outcome = fetch_anywhere(call);
    assert!(matches!(outcome, Err(FetchError::Read(ReadError::IdleTimeout))), "{outcome:?}");

    let (call, _events) = answering_once(OK);
    for path in ["v1", "http://evil.test/", "", "/a b"] {
        let outcome = fetch_anywhere(OneShot { path: path.to_owned(), ..call.clone() });
        assert!(matches!(outcome, Err(FetchError::Path(_))), "{path:?}: {outcome:?}");
    }
}

#[test]
fn a_public_origin_cannot_name_this_machine() {
    let (call, events) = answering_once(OK);
    let port = call.origin.port();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]"] {
        assert!(Origin::parse(&format!("http://{host}:{port}"), Egress::Public).is_err(), "{host}");
    }
    assert!(events.try_recv().is_err());
}

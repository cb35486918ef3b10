//! Heads and bodies that are cut, lie or are merely unusual.

use tollgate_core::Fault;
use tollgate_upstream::{ReadError, SendError};

use crate::server::*;

fn send_error(answer: impl Into<Vec<u8>>) -> SendError {
    let answer = answer.into();
    let mut result = None;
    run(async {
        let server = Server::answering_once(answer).await;
        let client = client();
        result = get(&client, &server.origin).await.err();
        assert_eq!((client.statistics().idle, client.statistics().in_use), (0, 0));
    });
    result.expect("the answer was accepted")
}

/// The text of the body if it was read completely, and how many connections are left for reuse.
fn body_outcome(answer: impl Into<Vec<u8>>) -> (Result<String, ReadError>, u64) {
    let answer = answer.into();
    let mut outcome = None;
    run(async {
        let server = Server::answering_once(answer).await;
        let client = client();
        let response = get(&client, &server.origin).await.unwrap();
        outcome = Some((read(response).await, client.statistics().idle));
        assert_eq!(client.statistics().in_use, 0);
    });
    outcome.unwrap()
}

#[test]
fn a_cut_before_or_in_the_head_is_closed() {
    for answer in ["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"] {
        let error = send_error(answer);
        assert!(matches!(error, SendError::Closed { request_sent: true }), "{answer:?}: {error:?}");
        assert_eq!(error.fault(), Fault::Provider);
    }
}

#[test]
fn a_head_that_is_not_http_is_malformed() {
    for answer in [
        "SSH-2.0-OpenSSH_9.9\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 999999 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok!",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nx: a\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: \0\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ] {
        let error = send_error(answer);
        assert!(matches!(error, SendError::Malformed(_)), "{answer:?}: {error:?}");
        assert!(error.may_have_reached_provider());
    }
}

fn headers(count: usize) -> String {
    let lines: String = (1..count).map(|number| format!("x-{number}: 1\r\n")).collect();
    format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n{lines}\r\nok")
}

#[test]
fn response_heads_are_bounded() {
    assert_eq!(body_outcome(headers(100)).0.unwrap(), "ok");
    assert!(matches!(send_error(headers(101)), SendError::Malformed(_)));
    let long =
        |length| format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx: {}\r\n\r\nok", "a".repeat(length));
    assert_eq!(body_outcome(long(60_000)).0.unwrap(), "ok");
    assert!(matches!(send_error(long(70_000)), SendError::Malformed(_)));
}

#[test]
fn interim_responses_are_skipped() {
    let answer = format!(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n{OK}"
    );
    assert_eq!(body_outcome(answer).0.unwrap(), "ok");
}

#[test]
fn redirects_and_encodings_are_returned_as_they_are() {
    run(async {
        let server = Server::answering(
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nraw",
        )
        .await;
        let response = get(&client(), &server.origin).await.unwrap();
        assert_eq!(response.status(), 302);
        assert_eq!(response.headers()["location"], "http://127.0.0.1:1/");
        assert_eq!(response.headers()["content-encoding"], "gzip");
        assert_eq!(read(response).await.unwrap(), "raw");
        assert_eq!(server.requests.borrow().len(), 1);
    });
}

#[test]
fn a_body_that_ends_too_early_is_cut() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
    ] {
        assert_eq!(body_outcome(answer), (Err(ReadError::Cut), 0), "{answer:?}");
    }
}

#[test]
fn a_body_with_broken_chunks_is_malformed() {
    for answer in [
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{\"not\":\"chunked\"}\r\n",
    ] {
        assert_eq!(body_outcome(answer), (Err(ReadError::Malformed), 0), "{answer:?}");
    }
}

#[test]
fn bytes_beyond_the_body_are_not_taken_for_the_next_answer() {
    run(async {
        let server =
            Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n").await;
        let client = client();
        for _ in 0..3 {
            assert_eq!(get_text(&client, &server.origin).await, "ok");
        }
        assert_eq!(server.connections.get(), 3);
    });
}

#[test]
fn a_body_without_length_lasts_until_the_connection_ends() {
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        assert_eq!(body_outcome(format!("{version} 200 OK\r\n\r\nall of it")), (Ok("all of it".into()), 0));
    }
}

#[test]
fn a_connection_is_not_kept_when_the_provider_says_so() {
    let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    assert_eq!(body_outcome(answer), (Ok("ok".into()), 0));
    let answer = "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok";
    assert_eq!(body_outcome(answer), (Ok("ok".into()), 0));
}

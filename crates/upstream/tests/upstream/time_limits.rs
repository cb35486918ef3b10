//! Each limit rings for its own reason, and closes the connection.

use bytes::Bytes;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Duration, sleep};
use tollgate_upstream::{OutboundBody, ReadError, SendError, Timeouts};

use crate::server::*;

const SHORT_MS: u64 = 60;

async fn get_within(server: &Server, timeouts: Timeouts) -> Result<String, Result<SendError, ReadError>> {
    let client = client();
    let head = head(Method::GET, "/");
    let sent = client.send(&server.origin, head, OutboundBody::empty(), &timeouts).await;
    let text = read(sent.map_err(Ok)?).await.map_err(Err);
    assert_eq!((client.statistics().in_use, client.statistics().idle), (0, 0));
    text
}

#[test]
fn a_silent_provider_is_left_after_the_first_byte_limit() {
    run(async {
        let server = Server::start(|mut peer| async move {
            peer.request().await;
            peer.closed().await;
        })
        .await;
        let outcome = get_within(&server, Timeouts { first_byte_ms: SHORT_MS, ..patient() }).await;
        assert!(matches!(outcome, Err(Ok(SendError::FirstByteTimeout))), "{outcome:?}");
        server.ended.notified().await;
    });
}

#[test]
fn interim_responses_do_not_extend_the_first_byte_limit() {
    run(async {
        let server = Server::start(|mut peer| async move {
            peer.request().await;
            while peer.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_ok() {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        let outcome = get_within(&server, Timeouts { first_byte_ms: SHORT_MS, ..patient() }).await;
        assert!(matches!(outcome, Err(Ok(SendError::FirstByteTimeout))), "{outcome:?}");
        server.ended.notified().await;
    });
}

#[test]
fn a_stall_between_chunks_is_an_idle_timeout() {
    run(async {
        let server = Server::start(|mut peer| async move {
            peer.request().await;
            peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n").await;
            peer.closed().await;
        })
        .await;
        let outcome = get_within(&server, Timeouts { idle_ms: SHORT_MS, ..patient() }).await;
        assert!(matches!(outcome, Err(Err(ReadError::IdleTimeout))), "{outcome:?}");
        server.ended.notified().await;
    });
}

#[test]
fn the_first_piece_of_a_body_may_take_as_long_as_the_first_byte() {
    run(async {
        let server = Server::start(|mut peer| async move {
            peer.request().await;
            peer.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n").await;
            sleep(Duration::from_millis(3 * SHORT_MS)).await;
            peer.write("ok").await;
            peer.closed().await;
        })
        .await;
        let client = client();
        let timeouts = Timeouts { idle_ms: SHORT_MS, first_byte_ms: 20_000, ..patient() };
        let sent =
            client.send(&server.origin, head(Method::GET, "/"), OutboundBody::empty(), &timeouts).await;
        let mut body = sent.unwrap().into_body();
        let frame = http_body_util::BodyExt::frame(&mut body).await.unwrap();
        assert_eq!(frame.unwrap().into_data().unwrap(), "ok");
        let frame = http_body_util::BodyExt::frame(&mut body).await.unwrap();
        assert_eq!(frame.err(), Some(ReadError::IdleTimeout));
        assert!(http_body_util::BodyExt::frame(&mut body).await.is_none());
        server.ended.notified().await;
    });
}

#[test]
fn a_trickle_and_a_flood_both_end_at_the_total_limit() {
    for pause_ms in [Some(5), None] {
        run(async move {
            let server = Server::start(move |mut peer| async move {
                peer.request().await;
                peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
                while peer.stream.write_all(b"1\r\n.\r\n").await.is_ok() {
                    match pause_ms {
                        Some(pause_ms) => sleep(Duration::from_millis(pause_ms)).await,
                        None => tokio::task::yield_now().await,
                    }
                }
            })
            .await;
            let outcome = get_within(&server, Timeouts { total_ms: 2 * SHORT_MS, ..patient() }).await;
            assert!(matches!(outcome, Err(Err(ReadError::TotalTimeout))), "{outcome:?}");
            server.ended.notified().await;
        });
    }
}

#[test]
fn the_total_limit_holds_before_the_head_too() {
    run(async {
        let server = Server::start(|mut peer| async move {
            peer.request().await;
            peer.closed().await;
        })
        .await;
        let outcome = get_within(&server, Timeouts { total_ms: SHORT_MS, ..patient() }).await;
        assert!(matches!(outcome, Err(Ok(SendError::TotalTimeout { request_sent: true }))), "{outcome:?}");
        server.ended.notified().await;
    });
}

#[test]
fn a_provider_that_does_not_read_is_left_after_the_write_limit() {
    run(async {
        let server = Server::start(|peer| async move {
            let _open = peer;
            std::future::pending::<()>().await;
        })
        .await;
        let client = client();
        let body = OutboundBody::from(Bytes::from(vec![b' '; 64 << 20]));
        let timeouts = Timeouts { write_ms: 2 * SHORT_MS, first_byte_ms: SHORT_MS, ..patient() };
        let sent = client.send(&server.origin, head(Method::POST, "/"), body, &timeouts).await;
        let error = sent.err().unwrap();
        assert!(matches!(error, SendError::WriteTimeout), "{error:?}");
        assert!(error.may_have_reached_provider());
    });
}

#[test]
fn the_first_byte_limit_starts_when_the_request_is_written() {
    const LENGTH: usize = 16 << 20;
    run(async {
        let server = Server::start(|mut peer| async move {
            sleep(Duration::from_millis(800)).await;
            let mut block = vec![0; 1 << 20];
            let mut received = 0;
            while received < LENGTH {
                received += peer.stream.read(&mut block).await.unwrap();
            }
            peer.write(OK).await;
        })
        .await;
        let client = client();
        let body = OutboundBody::from(Bytes::from(vec![b' '; LENGTH]));
        let timeouts = Timeouts { first_byte_ms: 500, ..patient() };
        let sent = client.send(&server.origin, head(Method::POST, "/"), body, &timeouts).await;
        assert_eq!(read(sent.unwrap()).await.unwrap(), "ok");
    });
}

#[test]
fn a_connection_used_again_gets_a_fresh_limit() {
    run(async {
        let server = Server::start(|mut peer| async move {
            while peer.request().await.is_some() {
                sleep(Duration::from_millis(100)).await;
                peer.write(OK).await;
            }
        })
        .await;
        let client = client();
        let timeouts = Timeouts { first_byte_ms: 500, idle_ms: 500, ..patient() };
        for _ in 0..8 {
            let sent =
                client.send(&server.origin, head(Method::GET, "/"), OutboundBody::empty(), &timeouts).await;
            assert_eq!(read(sent.unwrap()).await.unwrap(), "ok");
        }
        assert_eq!(client.statistics().opened, 1);
    });
}

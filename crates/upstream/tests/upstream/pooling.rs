//! Reuse, bounds and death of pooled connections.

use std::io::{Read, Write};
use std::sync::{Arc, mpsc};

use http::{Method, StatusCode};
use tollgate_upstream::{Client, ClientSettings, Origin, OutboundBody, PoolStatistics, SendError};

use crate::server::*;

#[test]
fn connections_are_reused_after_every_kind_of_complete_body() {
    for answer in [
        OK,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-trailer: 1\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
    ] {
        run(async move {
            let server = Server::answering(answer).await;
            let client = client();
            for _ in 0..20 {
                get_text(&client, &server.origin).await;
            }
            assert_eq!(server.connections.get(), 1, "{answer}");
            let expected = PoolStatistics { opened: 1, reused: 19, idle: 1, ..PoolStatistics::default() };
            assert_eq!(client.statistics(), expected, "{answer}");
        });
    }
}

#[test]
fn a_body_of_known_length_gives_its_connection_back_with_its_last_byte() {
    run(async {
        let server = Server::answering(OK).await;
        let client = client();
        let mut body = get(&client, &server.origin).await.unwrap().into_body();
        let frame = http_body_util::BodyExt::frame(&mut body).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "ok");
        assert!(http_body::Body::is_end_stream(&body));
        assert_eq!((client.statistics().idle, client.statistics().in_use), (1, 0));
        drop(body);
        assert_eq!(get_text(&client, &server.origin).await, "ok");
        assert_eq!(server.connections.get(), 1);
    });
}

#[test]
fn a_body_split_over_many_packets_is_whole_and_the_connection_is_reused() {
    run(async {
        let server = Server::start(|mut peer| async move {
            while peer.request().await.is_some() {
                peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
                for piece in ["3\r\nda", "t\r\n", "2\r\na:\r", "\n0\r", "\n\r\n"] {
                    peer.write(piece).await;
                    tokio::task::yield_now().await;
                }
            }
        })
        .await;
        let client = client();
        for _ in 0..5 {
            assert_eq!(get_text(&client, &server.origin).await, "data:");
        }
        assert_eq!(server.connections.get(), 1);
    });
}

#[test]
fn the_request_on_the_wire_has_one_host_and_one_exact_length() {
    run(async {
        let server = Server::answering(OK).await;
        let client = client();
        let mut head = head(Method::POST, "http://evil.test/v1/chat?x=1");
        for (name, value) in
            [("host", "evil.test"), ("content-length", "3"), ("transfer-encoding", "chunked")]
        {
            head.headers.insert(name, value.parse().unwrap());
        }
        let pieces = ["{\"a\"", ":", "1}"].map(|piece| bytes::Bytes::from_static(piece.as_bytes()));
        let body = OutboundBody::from_chunks(pieces);
        let response = client.send(&server.origin, head, body, &patient()).await.unwrap();
        assert_eq!(read(response).await.unwrap(), "ok");
        let host = format!("127.0.0.1:{}", server.origin.port());
        let expected =
            format!("POST /v1/chat?x=1 HTTP/1.1\r\nhost: {host}\r\ncontent-length: 7\r\n\r\n{{\"a\":1}}");
        assert_eq!(server.requests.borrow().as_slice(), [expected]);
    });
}

/// A server on its own thread, so that it can act while the client's runtime stands still.
struct Threaded {
    origin: Arc<Origin>,
    requests: mpsc::Receiver<String>,
    close: mpsc::Sender<()>,
    closed: mpsc::Receiver<()>,
}

impl Threaded {
    /// Answers one request on each of two connections, and closes each when told.
    fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = internal(&format!("http://{}", listener.local_addr().unwrap()));
        let (request_seen, requests) = mpsc::channel();
        let (close, close_wanted) = mpsc::channel();
        let (close_done, closed) = mpsc::channel();
        std::thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                let mut buffer = [0; 4096];
                let count = stream.read(&mut buffer).unwrap();
                request_seen.send(String::from_utf8_lossy(&buffer[..count]).into_owned()).unwrap();
                stream.write_all(OK.as_bytes()).unwrap();
                close_wanted.recv().unwrap();
                drop(stream);
                close_done.send(()).unwrap();
            }
        });
        Self { origin, requests, close, closed }
    }
}

#[test]
fn a_request_on_a_connection_that_died_unnoticed_is_sent_again_whole() {
    run(async {
        let server = Threaded::start();
        let client = client();
        assert_eq!(get_text(&client, &server.origin).await, "ok");
        server.requests.recv().unwrap();
        // The close is seen when the connection is taken, or, if its news has not come through by then, when the
        // request cannot be written. Either way the request reaches the provider once and whole.
        server.close.send(()).unwrap();
        server.closed.recv().unwrap();
        tokio::task::yield_now().await;
        assert_eq!(client.statistics().idle, 1);
        let response = post(&client, &server.origin, "{\"model\":\"a\"}").await.unwrap();
        assert_eq!(read(response).await.unwrap(), "ok");
        assert!(server.requests.recv().unwrap().ends_with("{\"model\":\"a\"}"));
        let statistics = client.statistics();
        assert_eq!(statistics.opened, 2);
        assert_eq!(statistics.reused, statistics.replayed);
        server.close.send(()).unwrap();
    });
}

#[test]
fn connections_that_the_provider_closes_cost_no_request() {
    run(async {
        let server = Server::answering_once(OK).await;
        let client = client();
        for count in 1..=5 {
            assert_eq!(get_text(&client, &server.origin).await, "ok");
            server.ended.notified().await;
            assert_eq!((server.connections.get(), server.requests.borrow().len()), (count, count));
        }
        assert_eq!(client.statistics().opened, 5);
    });
}

#[test]
fn a_request_that_was_written_is_never_sent_again() {
    run(async {
        let server = Server::start(|mut peer| async move {
            peer.request().await;
            peer.write(OK).await;
            peer.request().await;
        })
        .await;
        let client = client();
        assert_eq!(get_text(&client, &server.origin).await, "ok");
        let error = post(&client, &server.origin, "{}").await.err().unwrap();
        assert!(matches!(error, SendError::Closed { request_sent: true }), "{error:?}");
        assert!(error.may_have_reached_provider() && error.is_retryable());
        assert_eq!((server.connections.get(), server.requests.borrow().len()), (1, 2));
        assert_eq!(client.statistics().in_use, 0);
    });
}

#[test]
fn the_number_of_connections_is_bounded() {
    run(async {
        let server = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok").await;
        let client = Client::new(ClientSettings { max_connections_per_origin: 2, ..settings() });
        let first = get(&client, &server.origin).await.unwrap();
        let second = get(&client, &server.origin).await.unwrap();
        let error = get(&client, &server.origin).await.err().unwrap();
        assert!(matches!(error, SendError::TooManyConnections), "{error:?}");
        assert_eq!((client.statistics().in_use, client.statistics().refused), (2, 1));
        drop(first);
        assert_eq!(client.statistics().in_use, 1);
        get(&client, &server.origin).await.unwrap();
        drop(second);
    });
}

#[test]
fn only_so_many_idle_connections_are_kept_and_the_last_used_comes_first() {
    run(async {
        let server = Server::start(|mut peer| async move {
            while peer.request().await.is_some() {
                let number = peer.number;
                peer.write(&format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}")).await;
            }
        })
        .await;
        let client = Client::new(ClientSettings { max_idle_per_origin: 2, ..settings() });
        let mut open = Vec::new();
        for _ in 0..3 {
            open.push(get(&client, &server.origin).await.unwrap());
        }
        for response in open {
            read(response).await.unwrap();
        }
        assert_eq!(client.statistics().idle, 2);
        assert_eq!(get_text(&client, &server.origin).await, "1");
        assert_eq!(get_text(&client, &server.origin).await, "1");
    });
}

#[test]
fn idle_connections_are_closed_after_a_while_and_with_their_client() {
    run(async {
        let server = Server::start(|mut peer| async move {
            peer.request().await;
            peer.write(OK).await;
            peer.closed().await;
        })
        .await;
        let short = Client::new(ClientSettings { idle_timeout_ms: 40, ..settings() });
        get_text(&short, &server.origin).await;
        server.ended.notified().await;
        assert_eq!((short.statistics().idle, short.statistics().in_use), (0, 0));
        let dropped = client();
        get_text(&dropped, &server.origin).await;
        drop(dropped);
        server.ended.notified().await;
    });
}

#[test]
fn a_provider_that_refuses_connections_is_reported() {
    run(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = internal(&format!("http://{}", listener.local_addr().unwrap()));
        drop(listener);
        let client = client();
        let error = get(&client, &origin).await.err().unwrap();
        assert!(matches!(error, SendError::Connect(std::io::ErrorKind::ConnectionRefused)), "{error:?}");
        assert!(!error.may_have_reached_provider());
        assert_eq!(client.statistics(), PoolStatistics::default());
    });
}

#[test]
fn an_answer_to_a_request_that_was_not_read_is_delivered_and_ends_the_connection() {
    run(async {
        let server = Server::start(|mut peer| async move {
            tokio::io::AsyncReadExt::read(&mut peer.stream, &mut [0; 4096]).await.unwrap();
            peer.write("HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno").await;
            std::future::pending::<()>().await;
        })
        .await;
        let client = client();
        let response = post(&client, &server.origin, vec![b' '; 32 << 20]).await.unwrap();
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(read(response).await.unwrap(), "no");
        assert_eq!((client.statistics().idle, client.statistics().in_use), (0, 0));
    });
}

//! Whoever stops waiting closes the connection, and the provider sees it.

use std::cell::Cell;
use std::rc::Rc;
use std::task::Poll;

use http_body_util::BodyExt;
use tokio::sync::Notify;
use tokio::time::{Duration, timeout};

use crate::server::*;

const WITHIN: Duration = Duration::from_secs(1);

#[test]
fn dropping_a_body_closes_its_connection() {
    for polls_first in [false, true] {
        run(async move {
            let server = Server::start(|mut peer| async move {
                peer.request().await;
                peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n").await;
                peer.closed().await;
            })
            .await;
            let client = client();
            let mut body = get(&client, &server.origin).await.unwrap().into_body();
            if polls_first {
                assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ok");
            }
            assert_eq!(client.statistics().in_use, 1);
            drop(body);
            timeout(WITHIN, server.ended.notified()).await.expect("the connection stays open");
            assert_eq!((client.statistics().in_use, client.statistics().idle), (0, 0));
        });
    }
}

#[test]
fn dropping_a_call_before_its_answer_closes_its_connection() {
    run(async {
        let server = Server::start(|mut peer| async move {
            peer.request().await;
            peer.closed().await;
        })
        .await;
        let client = client();
        let call = post(&client, &server.origin, "{}");
        let seen = async {
            while server.requests.borrow().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = call => panic!("the provider never answers"),
            () = seen => {}
        }
        timeout(WITHIN, server.ended.notified()).await.expect("the connection stays open");
        assert_eq!((client.statistics().in_use, client.statistics().idle), (0, 0));
    });
}

#[test]
fn a_flooding_provider_is_held_back_and_then_cut_off() {
    run(async {
        let server = Server::start(|mut peer| async move {
            peer.request().await;
            peer.write("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
            let block = [b'.'; 64 * 1024];
            while tokio::io::AsyncWriteExt::write_all(&mut peer.stream, &block).await.is_ok() {}
        })
        .await;
        let body = get(&client(), &server.origin).await.unwrap().into_body();
        drop(body);
        timeout(WITHIN, server.ended.notified()).await.expect("the connection stays open");
    });
}

#[test]
fn a_call_dropped_at_any_point_leaves_nothing_behind() {
    run(async {
        let open = Rc::new(Cell::new(0_u32));
        let closed = Rc::new(Notify::new());
        let (opened, ended) = (open.clone(), closed.clone());
        let server = Server::start(move |mut peer| {
            let (open, closed) = (opened.clone(), ended.clone());
            async move {
                open.set(open.get() + 1);
                while peer.request().await.is_some() {
                    peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
                    for _ in 0..3 {
                        tokio::task::yield_now().await;
                        let piece = b"2\r\nok\r\n";
                        let _ = tokio::io::AsyncWriteExt::write_all(&mut peer.stream, piece).await;
                    }
                    let _ = tokio::io::AsyncWriteExt::write_all(&mut peer.stream, b"0\r\n\r\n").await;
                }
                open.set(open.get() - 1);
                closed.notify_one();
            }
        })
        .await;
        let client = client();
        let mut completed = 0;
        for round in 0..1_000_u32 {
            let mut call = Box::pin(async { get_text(&client, &server.origin).await });
            // Polls the call a growing number of times, letting everything else run in between.
            for _ in 0..round % 20 {
                let done =
                    std::future::poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_ready()));
                if done.await {
                    completed += 1;
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(call);
            assert_eq!(client.statistics().in_use, 0);
        }
        assert!((1..1_000).contains(&completed), "{completed}");
        drop(client);
        while open.get() > 0 {
            timeout(WITHIN, closed.notified()).await.expect("a connection stays open");
        }
    });
}

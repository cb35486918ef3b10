//! Whoever stops waiting closes the connection, and the provider sees it.

use http_body_util::BodyExt;
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

//! Connections are renewed: no client stays on one core for ever, and none loses a request by it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::net::TcpStream;
use tollgate_core::Dialect;
use tollgate_testkit::{GatewayPlan, Match, RawClient, Reply, ScriptedProvider, Signal, TestGateway, canned};

const PATIENCE: Duration = Duration::from_secs(20);

fn plan(provider: &ScriptedProvider, age_ms: u64, requests: u64) -> GatewayPlan {
    let mut plan = GatewayPlan::default()
        .provider("oa", "openai_compatible", &provider.url())
        .model("m", &[("oa", "upstream", 1)]);
    (plan.settings.connection_age_ms, plan.settings.connection_requests) = (age_ms, requests);
    plan
}

fn health() -> http::Request<Full<Bytes>> {
    http::Request::get("http://t/healthz").body(Full::default()).unwrap()
}

#[tokio::test]
async fn an_http2_connection_that_is_due_finishes_its_streams_and_takes_no_more() {
    for (age_ms, requests) in [(200, 1_000), (60_000, 2)] {
        let provider = ScriptedProvider::start().await;
        let gateway = TestGateway::start(plan(&provider, age_ms, requests));
        let (arrived, go_on) = (Signal::new(), Signal::new());
        let parts = canned::text_stream(Dialect::OpenaiChat).parts;
        let reply = Reply::events(parts.iter().take(2).cloned()).raise(&arrived).wait_for(&go_on);
        provider.on(Match::any(), parts.into_iter().skip(2).fold(reply, Reply::send));

        let stream = TcpStream::connect(gateway.address).await.unwrap();
        let (mut client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let call = json!({"model": "m", "stream": true, "messages": []}).to_string();
        let request = http::Request::post("http://t/v1/chat/completions")
            .header("authorization", format!("Bearer {}", gateway.key))
            .body(Full::from(call))
            .unwrap();
        let answer = client.send_request(request).await.unwrap();
        arrived.raised().await;
        if requests == 2 {
            assert_eq!(client.send_request(health()).await.unwrap().status(), 200);
        }
        let refused = async {
            while client.send_request(health()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, refused).await.expect("the connection takes no more requests");
        go_on.raise();
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(text.ends_with(b"data: [DONE]\n\n"), "{text:?}");
        tokio::time::timeout(PATIENCE, connection).await.expect("the connection ends").unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_http1_connection_that_is_due_says_so_with_its_answer() {
    let provider = ScriptedProvider::start().await;
    let gateway = TestGateway::start(plan(&provider, 60_000, 3));
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    for expected in [None, None, Some("close")] {
        let answer = client.get("/healthz", &[]).await.unwrap();
        assert_eq!((answer.status, answer.header("connection")), (200, expected));
    }
    drop(gateway);

    let gateway = TestGateway::start(plan(&provider, 200, 1_000));
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    assert_eq!(client.get("/healthz", &[]).await.unwrap().header("connection"), None);
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Idle, it is not closed: a request may be on its way.
    let answer = client.get("/healthz", &[]).await.unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
}

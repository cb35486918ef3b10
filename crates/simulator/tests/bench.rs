//! The bench provider: sizes and counts as wished, every dialect parses, connections live on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use tollgate_simulator::{BenchProfile, Profile, SimulatedProvider};
use tollgate_testkit::RawClient;

fn start(profile: BenchProfile) -> SimulatedProvider {
    let builder = SimulatedProvider::builder().profile(Profile::Bench(profile));
    builder.bind("127.0.0.1:0".parse().unwrap()).unwrap().spawn_on_thread().unwrap()
}

#[tokio::test]
async fn bodies_have_the_wished_size() {
    let provider = start(BenchProfile { response_bytes: 100 << 10, ..BenchProfile::default() });
    let mut client = RawClient::connect(provider.address()).await.unwrap();
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"] {
        let response = client.post(path, &[], r#"{"model":"x"}"#).await.unwrap();
        assert_eq!(response.body.len(), 100 << 10, "{path}");
        assert!(response.json().is_object());
    }
    for path in ["/v1/embeddings", "/v1/messages/count_tokens"] {
        assert!(client.post(path, &[], "{}").await.unwrap().json().is_object());
    }
    assert!(client.get("/v1/models", &[]).await.unwrap().json()["data"].is_array());
}

#[tokio::test]
async fn streams_have_the_wished_events_however_they_are_written() {
    for events_per_write in [1, 5, usize::MAX] {
        let provider = start(BenchProfile { events: 36, events_per_write, ..BenchProfile::default() });
        let mut client = RawClient::connect(provider.address()).await.unwrap();
        for (path, content) in [
            ("/v1/chat/completions", "/choices/0/delta/content"),
            ("/v1/messages", "/delta/text"),
            ("/v1/responses", "/delta"),
        ] {
            let response = client.post(path, &[], r#"{"stream": true}"#).await.unwrap();
            assert!(response.complete);
            let text = response.text();
            let with_content = text
                .lines()
                .filter_map(|line| line.strip_prefix("data: "))
                .filter(|data| *data != "[DONE]")
                .map(|data| serde_json::from_str::<Value>(data).unwrap())
                .filter(|event| event.pointer(content).is_some_and(Value::is_string))
                .count();
            assert_eq!(with_content, 36, "{path}");
        }
    }
}

#[tokio::test]
async fn requests_may_come_in_pieces_or_together() {
    let provider = start(BenchProfile::default());
    let mut client = RawClient::connect(provider.address()).await.unwrap();
    let one = b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}";
    let (first, second) = one.split_at(30);
    client.send(first).await.unwrap();
    tokio::task::yield_now().await;
    client.send(&[second, one].concat()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(client.response().await.unwrap().body.len(), 1024);
    }
    client
        .send(b"POST /v1/messages HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(client.response().await.unwrap().json()["type"], "message");
}

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use bytes::Bytes;
use http::StatusCode;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tollgate_core::{Clock, SecretText, UnixMicros};
use tollgate_store::{AlertEvent, NewAlert};

use crate::alerts::{Deliverer, DeliveryCounts, Signer};
use crate::test_plane::TestPlane;

/// Remembers what it got, and fails as often as told.
#[derive(Default)]
struct Receiver {
    failures: Mutex<u32>,
    got: Mutex<Vec<(HeaderMap, Bytes)>>,
}

impl Receiver {
    async fn start(failures: u32) -> (Arc<Self>, String) {
        let receiver = Arc::new(Self { failures: Mutex::new(failures), got: Mutex::default() });
        let router = axum::Router::new().route("/hook", axum::routing::post(take));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?secret=path", listener.local_addr().unwrap());
        let service = router.with_state(Arc::clone(&receiver));
        tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        (receiver, url)
    }
}

async fn take(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    receiver.got.lock().push((headers, body));
    let mut failures = receiver.failures.lock();
    match *failures {
        0 => StatusCode::NO_CONTENT,
        _ => {
            *failures -= 1;
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

/// So long ago that every retry is due at once.
struct LongAgo;

impl Clock for LongAgo {
    fn now(&self) -> UnixMicros {
        UnixMicros(1_000_000_000_000_000)
    }
}

fn deliverer(plane: &TestPlane) -> Deliverer {
    Deliverer {
        connection: Arc::clone(&plane.connection),
        tls: tollgate_upstream::client_config(None).unwrap(),
        clock: Arc::new(LongAgo),
        counts: Arc::<DeliveryCounts>::default(),
    }
}

#[tokio::test]
async fn an_alert_reaches_a_receiver_that_fails_twice_signed_and_once() {
    let plane = TestPlane::new().await;
    let tree = plane.with_tree().await;
    let (receiver, url) = Receiver::start(2).await;
    let made = plane.post("/api/v1/webhooks", json!({"name": "ops", "url": url, "internal": true})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    let body = json!({"budget": "search", "member": "all", "threshold_percent": 50});
    let organization_id = tree.organization.parse().unwrap();
    let alert = NewAlert::new(Some(organization_id), AlertEvent::BudgetThreshold, body);
    let id = plane.installation().store.system_raise_alert(&alert).await.unwrap().unwrap();

    // The plane delivers too, every two seconds: whoever is faster, each attempt is made once.
    let deliverer = deliverer(&plane);
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while receiver.got.lock().len() < 3 {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", receiver.got.lock());
        deliverer.deliver_due().await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let got = receiver.got.lock().clone();
    assert_eq!(got.len(), 3);
    let signer = Signer::new(&SecretText::new(secret.clone())).unwrap();
    for (headers, body) in &got {
        let header = |name: &str| headers[name].to_str().unwrap().to_owned();
        assert_eq!(header("webhook-id"), id.to_string());
        let timestamp = header("webhook-timestamp").parse().unwrap();
        assert_eq!(header("webhook-signature"), signer.sign(&id.to_string(), timestamp, body));
        let payload: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(
            (&payload["type"], &payload["data"]["budget"]),
            (&json!("budget_threshold"), &json!("search"))
        );
    }
    deliverer.deliver_due().await.unwrap();
    assert_eq!(receiver.got.lock().len(), 3, "what was taken is not sent again");

    let webhook = made.json()["webhook"]["id"].as_str().unwrap().to_owned();
    let listed = plane.get("/api/v1/webhooks").await;
    assert!(!listed.text.contains(&secret) && listed.text.contains("ops"), "{}", listed.text);
    let deliveries = plane.get(&format!("/api/v1/webhooks/{webhook}/deliveries")).await.json();
    assert_eq!(deliveries["items"][0]["attempts"], 3);
    let alerts = plane.get("/api/v1/alerts").await.json();
    assert_eq!(alerts["items"][0]["event"], "budget_threshold");
    assert!(alerts["items"][0]["message"].as_str().unwrap().contains("`search`"), "{alerts}");
}

#[tokio::test]
async fn private_receivers_must_be_declared_and_secrets_be_secrets() {
    let plane = TestPlane::new().await;
    plane.with_tree().await;
    for (body, field) in [
        (json!({"name": "a", "url": "http://127.0.0.1:9/x"}), "url"),
        (json!({"name": "a", "url": "ftp://hooks.example/"}), "url"),
        (json!({"name": "a", "url": "https://hooks.example/", "secret": "password"}), "secret"),
        (json!({"name": "a", "url": "https://hooks.example/", "events": ["all"]}), "events[0]"),
        (json!({"name": "", "url": "https://hooks.example/"}), "name"),
    ] {
        let answer = plane.post("/api/v1/webhooks", body.clone()).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", answer.text);
        assert_eq!(answer.json()["errors"][0]["field"], field, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_test_event_tells_what_the_receiver_answered() {
    let plane = TestPlane::new().await;
    plane.with_tree().await;
    let (receiver, url) = Receiver::start(1).await;
    let made = plane.post("/api/v1/webhooks", json!({"name": "ops", "url": url, "internal": true})).await;
    let path = format!("/api/v1/webhooks/{}/test", made.json()["webhook"]["id"].as_str().unwrap());
    let failed = plane.post(&path, json!({})).await.json();
    assert_eq!((&failed["ok"], &failed["status"]), (&json!(false), &json!(500)));
    assert_eq!(plane.post(&path, json!({})).await.json()["ok"], true);
    let payload: Value = serde_json::from_slice(&receiver.got.lock()[1].1).unwrap();
    assert_eq!(payload["type"], "test");
    assert_eq!(plane.delete(path.strip_suffix("/test").unwrap()).await.status, StatusCode::NO_CONTENT);
}

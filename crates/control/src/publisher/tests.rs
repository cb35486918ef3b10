use std::sync::Arc;

use serde_json::json;
use tollgate_access::token::{self, TokenKind};
use tollgate_access::{Actor, Scope};
use tollgate_core::{KeyId, RequestId};
use tollgate_state::CredentialLookup;

use super::BootError;
use crate::test_plane::{TestPlane, Tree, start};

async fn key(plane: &TestPlane, tree: &Tree, name: &str) -> (KeyId, CredentialLookup) {
    let body = json!({ "name": name, "owned_by": { "team": tree.team }, "grants": { "allow": ["*"] } });
    let made = plane.post("/api/v1/keys", body).await.json();
    let lookup = token::parse(TokenKind::Key, made["secret"].as_str().unwrap().as_bytes()).unwrap();
    (made["key"]["id"].as_str().unwrap().parse().unwrap(), lookup)
}

async fn model(plane: &TestPlane, tree: &Tree, name: &str) {
    plane
        .made("/api/v1/models", json!({ "name": name, "deployments": [{ "provider_id": tree.provider }] }))
        .await;
}

#[tokio::test]
async fn a_new_key_shares_the_models_and_a_new_model_keeps_the_keys() {
    let plane = TestPlane::new().await;
    let tree = plane.with_tree().await;
    model(&plane, &tree, "gpt-5.5").await;
    let before = plane.sink.latest();
    let (_, first) = key(&plane, &tree, "first").await;
    let with_key = plane.sink.latest();
    assert!(Arc::ptr_eq(&before.deployments, &with_key.deployments));
    assert!(with_key.version > before.version && with_key.credential(first).is_some());

    model(&plane, &tree, "gpt-5").await;
    let with_model = plane.sink.latest();
    assert_eq!(with_model.deployments.len(), 2);
    assert!(Arc::ptr_eq(with_model.credential(first).unwrap(), with_key.credential(first).unwrap()));
}

#[tokio::test]
async fn what_another_process_wrote_is_published() {
    let plane = TestPlane::new().await;
    let tree = plane.with_tree().await;
    let (id, lookup) = key(&plane, &tree, "first").await;
    let location = plane.directory.path().join("store.db");
    let elsewhere = tempfile::tempdir().unwrap();
    let (_, _, other, boot, _stop) = start(location.to_str().unwrap(), elsewhere.path().into()).await;
    assert_eq!(boot.unwrap().version, plane.sink.latest().version);
    assert!(other.latest().credential(lookup).is_some());

    let proof = Actor::system("test").authorize(Scope::Installation).unwrap();
    plane.installation().store.revoke_key(&proof, id).await.unwrap();
    // The other process's poll, without waiting for its clock.
    plane.control.publisher().publish_latest().await.unwrap();
    assert!(plane.sink.latest().credential(lookup).is_none());
}

#[tokio::test]
async fn what_cannot_be_published_is_shown_and_does_not_keep_a_revoked_key_alive() {
    let plane = TestPlane::new().await;
    let tree = plane.with_tree().await;
    let (id, lookup) = key(&plane, &tree, "first").await;
    model(&plane, &tree, "gpt-5.5").await;
    *plane.sink.most_deployments.lock() = Some(1);
    model(&plane, &tree, "gpt-5").await;
    assert_eq!(plane.sink.latest().deployments.len(), 1);
    let status = plane.get("/api/v1/system").await.json()["publishing"].clone();
    assert_eq!(status["problems"], json!(["too many deployments"]));

    let revoked = plane.post(&format!("/api/v1/keys/{id}/revoke"), json!({})).await;
    assert_eq!(revoked.status, http::StatusCode::OK, "{}", revoked.text);
    let latest = plane.sink.latest();
    assert!(latest.credential(lookup).is_none());
    assert_eq!(latest.deployments.len(), 1);

    *plane.sink.most_deployments.lock() = None;
    plane.control.publisher().publish_latest().await.unwrap();
    assert_eq!(plane.sink.latest().deployments.len(), 2);
    assert_eq!(plane.get("/api/v1/system").await.json()["publishing"]["problems"], json!([]));
}

#[tokio::test]
async fn the_process_starts_from_the_last_known_good_file_when_the_store_is_down() {
    let plane = TestPlane::new().await;
    let tree = plane.with_tree().await;
    model(&plane, &tree, "gpt-5.5").await;
    let (_, lookup) = key(&plane, &tree, "first").await;
    let budget =
        serde_json::json!({"name": "b", "amount_usd": "1.5", "window": {"kind": "day"}, "mode": "hard"});
    plane.made("/api/v1/budgets", budget).await;
    let limit = serde_json::json!({"name": "l", "meter": "requests", "amount": 60});
    plane.made("/api/v1/limits", limit).await;
    plane.control.publisher().save_last_known_good().await.unwrap();
    let directory = plane.directory.path();
    let file = std::fs::read(directory.join("last-known-good")).unwrap();
    assert!(!file.windows(9).any(|window| window == b"sk-canary" || window == b"gpt-5.5\",\""));

    // A path that cannot be opened is a store that is down.
    let down = directory.join("missing").join("store.db");
    let (control, _, sink, boot, _stop) = start(down.to_str().unwrap(), directory.into()).await;
    let boot = boot.unwrap();
    assert!(boot.from_last_known_good.is_some());
    let snapshot = sink.latest();
    let credential = snapshot.credential(lookup).unwrap();
    assert_eq!(snapshot.deployments[0].provider.secret.as_ref().unwrap().hint(), "…cdef");
    let original = plane.sink.latest();
    assert_eq!(credential.hash, original.credential(lookup).unwrap().hash);
    assert_eq!(snapshot.governance.budgets(), original.governance.budgets());
    assert_eq!(snapshot.governance.budgets()[0].amount_nano_usd.get(), 1_500_000_000);
    assert_eq!(snapshot.governance.limits(), original.governance.limits());
    assert_eq!(snapshot.governance.limits().len(), 1);
    assert_eq!(boot.peppers.hash(b"x"), plane.installation().peppers().hash(b"x"));

    // Nobody can be identified, and that is not the caller's fault.
    let status = {
        use tower::ServiceExt;
        let request = plane.request(http::Method::GET, "/api/v1/keys", None);
        control.router().oneshot(request).await.unwrap().status()
    };
    assert_eq!(status, http::StatusCode::SERVICE_UNAVAILABLE);
    let lookups = control.lookups();
    assert!(lookups.credential(lookup).await.is_err());
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_does_not_keep_the_process_from_starting() {
    let plane = TestPlane::new().await;
    let tree = plane.with_tree().await;
    model(&plane, &tree, "gpt-5.5").await;
    plane.control.publisher().save_last_known_good().await.unwrap();
    model(&plane, &tree, "gpt-5").await;

    let directory = plane.directory.path();
    let location = directory.join("store.db");
    let connection = Arc::new(crate::Connection::new(
        location.to_str().unwrap(),
        tollgate_access::RootKey::from_bytes(crate::test_plane::ROOT),
    ));
    let control = crate::ControlPlane::new(crate::test_plane::parts(connection, directory.into()));
    let sink = Arc::new(crate::test_plane::Sink::default());
    *sink.most_deployments.lock() = Some(1);
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let as_sink: Arc<dyn crate::ports::SnapshotSink> = Arc::clone(&sink) as _;
    let boot = control.start(as_sink, Arc::new(crate::test_plane::View), stopped).await.unwrap();
    assert!(boot.from_last_known_good.unwrap().contains("too many deployments"));
    assert_eq!(sink.latest().deployments.len(), 1);
    assert_eq!(control.publisher().status().problems, ["too many deployments"]);
}

#[tokio::test]
async fn nothing_to_start_from_is_an_error_that_names_both_reasons() {
    let directory = tempfile::tempdir().unwrap();
    let down = directory.path().join("missing").join("store.db");
    let (_, _, _, boot, _stop) = start(down.to_str().unwrap(), directory.path().into()).await;
    let error = boot.unwrap_err();
    assert!(matches!(error, BootError::NothingToStartFrom { .. }), "{error}");
    assert!(error.to_string().contains("last-known-good"), "{error}");
}

#[tokio::test]
async fn a_wrong_root_key_does_not_start_and_says_so() {
    let plane = TestPlane::new().await;
    plane.with_tree().await;
    let location = plane.directory.path().join("store.db");
    let root = tollgate_access::RootKey::from_bytes([6; 32]);
    let error = crate::Installation::open(location.to_str().unwrap(), &root).await.unwrap_err();
    assert!(error.to_string().contains("root key"), "{error}");
    assert!(!error.is_unavailable());
}

#[tokio::test]
async fn lookups_find_new_keys_once_and_remember_absent_ones() {
    let plane = TestPlane::new().await;
    let tree = plane.with_tree().await;
    let (_, lookup) = key(&plane, &tree, "first").await;
    let lookups = plane.control.lookups();
    let (one, two) = tokio::join!(lookups.credential(lookup), lookups.credential(lookup));
    let (one, two) = (one.unwrap().unwrap(), two.unwrap().unwrap());
    assert!(Arc::ptr_eq(&one, &two), "both callers get the one answer");
    assert_eq!(one.lookup, lookup);

    let absent = CredentialLookup(*b"absentabsent");
    assert!(lookups.credential(absent).await.unwrap().is_none());
    assert!(lookups.credential(absent).await.unwrap().is_none());
    let organization_id = tree.organization.parse().unwrap();
    let object = RequestId::generate().to_string();
    assert!(lookups.provider_object(organization_id, &object).await.unwrap().is_none());
}

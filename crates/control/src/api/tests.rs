mod governing;
mod webhooks;

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use tollgate_access::token::{self, TokenKind};

use super::table;
use crate::route::Guard;
use crate::test_plane::TestPlane;

const CANARY: &str = "sk-canary-0123456789abcdef";

/// A path of the table with ids that exist nowhere.
fn concrete(path: &str) -> String {
    let mut path = path.to_owned();
    for (name, prefix) in [
        ("{organization_id}", "org"),
        ("{team_id}", "team"),
        ("{project_id}", "proj"),
        ("{provider_id}", "prov"),
        ("{model_id}", "model"),
        ("{key_id}", "key"),
        ("{request_id}", "req"),
        ("{budget_id}", "bud"),
        ("{increase_id}", "inc"),
        ("{limit_id}", "lim"),
        ("{webhook_id}", "hook"),
    ] {
        path = path.replace(name, &format!("{prefix}_{}", "0".repeat(22)));
    }
    assert!(!path.contains('{'), "{path}");
    path
}

#[tokio::test]
async fn every_route_but_the_open_ones_refuses_without_a_credential() {
    let plane = TestPlane::new().await;
    let unknown = token::generate(TokenKind::Admin).unwrap();
    let key = token::generate(TokenKind::Key).unwrap();
    let wrong = [
        None,
        Some(String::new()),
        Some("Bearer".into()),
        Some(format!("Basic {}", plane.token)),
        Some(format!("Bearer {}", unknown.text.expose())),
        Some(format!("Bearer {}", key.text.expose())),
        Some(format!("Bearer {}x", plane.token)),
    ];
    for route in table() {
        for credential in &wrong {
            let mut request = Request::builder().method(route.method.clone()).uri(concrete(route.path));
            if let Some(credential) = credential {
                request = request.header(header::AUTHORIZATION, credential);
            }
            let answer = plane.send(request.body(Body::from("{")).unwrap()).await;
            match route.guard {
                Guard::Open => assert_eq!(answer.status, StatusCode::OK, "{}", route.path),
                Guard::Permission(_) => {
                    assert_eq!(
                        answer.status,
                        StatusCode::UNAUTHORIZED,
                        "{} {credential:?}",
                        route.operation_id
                    );
                    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
                    assert!(answer.headers.contains_key(header::WWW_AUTHENTICATE));
                }
            }
        }
    }
    let open: Vec<_> =
        table().into_iter().filter(|route| route.guard == Guard::Open).map(|route| route.path).collect();
    assert_eq!(open, ["/api/v1/openapi.json", "/"]);
}

#[tokio::test]
async fn every_route_passes_with_a_credential_and_no_route_fails_inside() {
    let plane = TestPlane::new().await;
    for route in table() {
        let body = (route.method == Method::POST || route.method == Method::PATCH).then(|| json!({}));
        let answer =
            plane.send(plane.request(route.method.clone(), &concrete(route.path), body.as_ref())).await;
        assert!(!answer.status.is_server_error(), "{}: {}", route.operation_id, answer.text);
        assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "{}", route.operation_id);
        assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{}", route.operation_id);
    }
}

#[tokio::test]
async fn the_tree_is_made_renamed_listed_and_deleted_from_its_leaves() {
    let plane = TestPlane::new().await;
    let tree = plane.with_tree().await;
    let renamed = plane.patch(&format!("/api/v1/teams/{}", tree.team), json!({ "name": "platform" })).await;
    assert_eq!(renamed.json()["name"], "platform");
    assert_eq!(plane.get("/api/v1/projects").await.json()["items"][0]["team_id"], json!(tree.team));

    let used = plane.delete(&format!("/api/v1/teams/{}", tree.team)).await;
    assert_eq!(
        (used.status, used.json()["type"].as_str().unwrap().rsplit(':').next()),
        (StatusCode::CONFLICT, Some("in_use"))
    );
    assert_eq!(
        plane.delete(&format!("/api/v1/projects/{}", tree.project)).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(plane.delete(&format!("/api/v1/teams/{}", tree.team)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(plane.get(&format!("/api/v1/teams/{}", tree.team)).await.status, StatusCode::NOT_FOUND);

    let taken = plane.post("/api/v1/organizations", json!({ "name": "acme" })).await;
    assert_eq!(taken.status, StatusCode::CONFLICT);
    plane.made("/api/v1/organizations", json!({ "name": "second" })).await;
    let ambiguous = plane.get("/api/v1/teams").await;
    assert_eq!(ambiguous.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(ambiguous.json()["errors"][0]["field"], "organization_id");
    assert_eq!(
        plane.get(&format!("/api/v1/teams?organization_id={}", tree.organization)).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn an_empty_installation_lists_nothing_and_makes_its_organization_when_it_is_filled() {
    let plane = TestPlane::new().await;
    for what in
        ["teams", "projects", "providers", "models", "keys", "budgets", "limits", "webhooks", "requests"]
    {
        let listed = plane.get(&format!("/api/v1/{what}")).await;
        assert_eq!(listed.json()["items"], json!([]), "{what}: {}", listed.text);
    }
    let usage = plane.get("/api/v1/usage").await;
    assert_eq!(usage.status, StatusCode::OK, "{}", usage.text);

    plane
        .made("/api/v1/budgets", json!({ "name": "all", "amount_usd": 5, "window": { "kind": "month" } }))
        .await;
    plane.made("/api/v1/providers", json!({ "name": "openai", "kind": "openai" })).await;
    let organizations = plane.get("/api/v1/organizations").await.json();
    assert_eq!(organizations["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(organizations["items"][0]["name"], "main");
    let audit = plane.get("/api/v1/audit-events").await.text;
    assert!(audit.contains(r#""main""#), "{audit}");
}

#[tokio::test]
async fn unknown_fields_and_wrong_values_are_refused_by_field() {
    let plane = TestPlane::new().await;
    let tree = plane.with_tree().await;
    let refused = async |path: &str, body: Value| {
        let answer = plane.post(path, body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
        answer.json()["errors"][0]["field"].as_str().unwrap().to_owned()
    };
    let provider = json!({ "name": "a", "kind": "openai", "owner": "file" });
    assert_eq!(refused("/api/v1/providers", provider).await, "owner");
    let provider = json!({ "name": "a", "kind": "openai", "sealed_secret": "AA==" });
    assert_eq!(refused("/api/v1/providers", provider).await, "sealed_secret");
    assert_eq!(refused("/api/v1/providers", json!({ "name": "a", "kind": "none" })).await, "kind");
    assert_eq!(
        refused("/api/v1/providers", json!({ "name": "a", "kind": "openai_compatible" })).await,
        "base_url"
    );
    let private = json!({ "name": "a", "kind": "openai_compatible", "base_url": "http://169.254.169.254" });
    assert_eq!(refused("/api/v1/providers", private).await, "base_url");
    let key = json!({ "name": "k", "owned_by": { "team": tree.team }, "grants": {}, "revoked_at": null });
    assert_eq!(refused("/api/v1/keys", key).await, "revoked_at");
    let key = json!({ "name": "k", "owned_by": { "team": tree.team }, "grants": { "allow": ["a**"] } });
    assert_eq!(refused("/api/v1/keys", key).await, "grants.allow[0]");
    let key =
        json!({ "name": "k", "owned_by": { "team": format!("team_{}", "0".repeat(22)) }, "grants": {} });
    assert_eq!(refused("/api/v1/keys", key).await, "owned_by.team");
    let key = json!({ "name": "k", "owned_by": { "team": tree.team }, "grants": {}, "expires_at": 1 });
    assert_eq!(refused("/api/v1/keys", key).await, "expires_at");
    assert_eq!(plane.get("/api/v1/keys?limit=0").await.json()["errors"][0]["field"], "limit");
    assert_eq!(plane.get("/api/v1/keys?all=true").await.json()["errors"][0]["field"], "all");
    assert_eq!(plane.get("/api/v1/requests?cursor=x").await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_body_that_is_too_long_or_not_json_is_refused() {
    let plane = TestPlane::new().await;
    let long = json!({ "name": "x".repeat(1024 * 1024) });
    assert_eq!(plane.post("/api/v1/organizations", long).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let mut request = plane.request(Method::POST, "/api/v1/organizations", Some(&json!({})));
    *request.body_mut() = Body::from("{\"name\":");
    assert_eq!(plane.send(request).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(plane.get("/v1/chat/completions").await.status, StatusCode::NOT_FOUND);
    assert_eq!(plane.get("/v1/x").await.headers[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(plane.post("/api/v1/system", json!({})).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_key_is_known_when_its_making_returns_and_dead_when_its_revoking_does() {
    let plane = TestPlane::new().await;
    let tree = plane.with_tree().await;
    let body =
        json!({ "name": "ci", "owned_by": { "project": tree.project }, "grants": { "allow": ["gpt-*"] } });
    let made = plane.post("/api/v1/keys", body).await.json();
    let secret = made["secret"].as_str().unwrap();
    let lookup = token::parse(TokenKind::Key, secret.as_bytes()).unwrap();
    let credential = plane.sink.latest().credential(lookup).cloned().unwrap();
    assert_eq!(credential.principal.payer.team_id.unwrap().to_string(), tree.team);
    let peppers = plane.installation().peppers();
    assert!(peppers.verify(
        credential.algorithm,
        credential.pepper_version,
        &credential.hash,
        secret.as_bytes()
    ));

    let key = format!("/api/v1/keys/{}", made["key"]["id"].as_str().unwrap());
    assert!(!plane.get(&key).await.text.contains(secret));
    let changed = plane.patch(&key, json!({ "grants": { "allow": ["*"] } })).await;
    assert_eq!(changed.json()["name"], "ci");
    assert!(plane.sink.latest().credential(lookup).unwrap().key.grants.check("claude").is_ok());

    let rotated = plane.post(&format!("{key}/rotate"), json!({ "grace_seconds": 60 })).await.json();
    let new_lookup = token::parse(TokenKind::Key, rotated["secret"].as_str().unwrap().as_bytes()).unwrap();
    let snapshot = plane.sink.latest();
    assert!(snapshot.credential(lookup).unwrap().expires_at.is_some());
    assert!(snapshot.credential(new_lookup).unwrap().expires_at.is_none());

    assert_eq!(plane.post(&format!("{key}/revoke"), json!({})).await.status, StatusCode::OK);
    let snapshot = plane.sink.latest();
    assert!(snapshot.credential(lookup).is_none() && snapshot.credential(new_lookup).is_none());
    assert_eq!(plane.post(&format!("{key}/revoke"), json!({})).await.status, StatusCode::OK);
    assert_eq!(plane.post(&format!("{key}/rotate"), json!({})).await.status, StatusCode::CONFLICT);
    assert_eq!(plane.get("/api/v1/keys").await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_model_that_could_not_be_published_is_not_stored() {
    let plane = TestPlane::new().await;
    let tree = plane.with_tree().await;
    let deployment = json!({ "provider_id": tree.provider, "upstream_model": "gpt-5.5", "weight": 3 });
    let bad_price = json!({ "name": "m", "deployments": [{ "provider_id": tree.provider, "price": [] }] });
    let refused = plane.post("/api/v1/models", bad_price).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(refused.json()["errors"][0]["field"], "model \"m\", deployment 1");
    assert_eq!(plane.get("/api/v1/models").await.json()["items"], json!([]));

    let id = plane.made("/api/v1/models", json!({ "name": "m", "deployments": [deployment] })).await;
    let path = format!("/api/v1/models/{id}");
    let before = plane.get(&path).await.json();
    let weighed = json!({ "deployments": [{ "id": before["deployments"][0]["id"], "provider_id": tree.provider,
        "upstream_model": "gpt-5.5", "weight": 1, "price": { "input": "1.5", "output": "2" } }] });
    let after = plane.patch(&path, weighed).await.json();
    assert_eq!(after["deployments"][0]["id"], before["deployments"][0]["id"]);
    assert_eq!(after["deployments"][0]["price"][0]["input"], "1.5");
    assert_eq!(plane.sink.latest().deployments.len(), 1);
    assert_eq!(plane.get(&format!("{path}/health")).await.json()["deployments"], json!([]));

    let off = plane.patch(&path, json!({ "enabled": false })).await;
    assert_eq!((off.status, off.json()["deployments"].as_array().unwrap().len()), (StatusCode::OK, 1));
    assert_eq!(plane.sink.latest().deployments.len(), 0);
    assert_eq!(
        plane.delete(&format!("/api/v1/providers/{}", tree.provider)).await.status,
        StatusCode::CONFLICT
    );
    assert_eq!(plane.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(
        plane.delete(&format!("/api/v1/providers/{}", tree.provider)).await.status,
        StatusCode::NO_CONTENT
    );
}

#[tokio::test]
async fn secrets_are_in_no_answer_and_no_audit_event() {
    let plane = TestPlane::new().await;
    let tree = plane.with_tree().await;
    let provider = format!("/api/v1/providers/{}", tree.provider);
    let answers = [
        plane.get(&provider).await,
        plane.get("/api/v1/providers").await,
        plane.patch(&provider, json!({ "region": "eu" })).await,
        plane.patch(&provider, json!({ "secret": CANARY, "nonsense": 1 })).await,
        plane.patch(&provider, json!({ "secret": [CANARY] })).await,
        plane.patch(&provider, json!({ "secret": format!("{CANARY}\n") })).await,
        plane.get("/api/v1/audit-events").await,
        plane.get("/api/v1/system").await,
    ];
    for answer in &answers {
        assert!(!answer.text.contains("canary"), "{}", answer.text);
    }
    assert_eq!(answers[0].json()["secret_hint"], "…cdef");
    assert_eq!(answers[2].json()["has_secret"], true);
    let created = answers[6].json()["items"].as_array().unwrap().len();
    assert_eq!(created, 6, "four objects, one update and the admin credential: {}", answers[6].text);
    let stored = std::fs::read(plane.directory.path().join("store.db")).unwrap();
    let log = std::fs::read(plane.directory.path().join("store.db-wal")).unwrap_or_default();
    for bytes in [stored, log] {
        assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
    }
    let moved = plane.patch(&provider, json!({ "base_url": "https://elsewhere.example/v1" })).await;
    assert_eq!(moved.json()["errors"][0]["field"], "secret");
    let removed = plane.patch(&provider, json!({ "secret": null })).await;
    assert_eq!(removed.json()["has_secret"], false);
}

#[tokio::test]
async fn every_answer_tells_browsers_to_be_careful() {
    let plane = TestPlane::new().await;
    for path in ["/", "/api/v1/keys", "/nowhere", "/metrics"] {
        let headers = plane.get(path).await.headers;
        assert!(headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().starts_with("default-src 'self'"));
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert_eq!(headers[header::REFERRER_POLICY], "no-referrer", "{path}");
        assert_eq!(headers[header::X_FRAME_OPTIONS], "DENY", "{path}");
    }
}

#[tokio::test]
async fn the_system_and_metrics_tell_the_state() {
    let plane = TestPlane::new().await;
    plane.with_tree().await;
    let system = plane.get("/api/v1/system").await.json();
    assert_eq!((&system["store"], &system["journal"]["lag_bytes"]), (&json!("sqlite"), &json!(7)));
    assert_eq!(system["publishing"]["problems"], json!([]));
    assert!(plane.get("/metrics").await.text.ends_with("# EOF\n"));
    assert!(plane.get("/api/v1/catalog?provider=openai").await.json()["items"].as_array().unwrap().len() > 3);
    assert!(plane.get("/").await.text.contains("openapi.json"));
    let usage = plane.get("/api/v1/usage?group_by=day,team").await;
    assert_eq!((usage.status, &usage.json()["groups"]), (StatusCode::OK, &json!([])));
    assert_eq!(plane.get("/api/v1/usage?group_by=shoe").await.json()["errors"][0]["field"], "group_by");
}

/// A provider that lists two models and answers calls that carry the right credential.
async fn fake_provider() -> String {
    use axum::routing::{get, post};
    async fn call(headers: http::HeaderMap) -> (StatusCode, String) {
        let authorized = headers.get(header::AUTHORIZATION).is_some_and(|value| value == "Bearer right");
        match authorized {
            true => (StatusCode::OK, "{}".into()),
            false => (StatusCode::UNAUTHORIZED, format!("wrong credential {headers:?}")),
        }
    }
    let models = || async { r#"{"data":[{"id":"small"},{"id":"large"},{"id":"not a name"}]}"# };
    let router =
        axum::Router::new().route("/v1/models", get(models)).route("/v1/chat/completions", post(call));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn a_provider_is_tested_and_its_models_are_discovered() {
    let plane = TestPlane::new().await;
    plane.with_tree().await;
    let url = fake_provider().await;
    let body = json!({ "name": "local", "kind": "openai_compatible", "base_url": url, "secret": "wrong-canary-0123456",
        "internal": true });
    let provider = format!("/api/v1/providers/{}", plane.made("/api/v1/providers", body).await);
    let refused = plane.post(&format!("{provider}/test"), json!({})).await;
    assert_eq!((refused.status, &refused.json()["ok"]), (StatusCode::OK, &json!(false)));
    assert!(refused.json()["steps"][1]["detail"].as_str().unwrap().contains("refuses the secret"));
    assert!(!refused.text.contains("canary"), "{}", refused.text);

    assert_eq!(plane.patch(&provider, json!({ "secret": "right" })).await.status, StatusCode::OK);
    let passed = plane.post(&format!("{provider}/test"), json!({ "model": "large" })).await.json();
    assert_eq!((&passed["ok"], &passed["steps"][1]["status"]), (&json!(true), &json!(200)));

    let discovered = plane.post(&format!("{provider}/discover"), json!({})).await.json();
    assert_eq!(discovered, json!({ "discovered_models": ["large", "small"], "changed": true }));
    let again = plane.post(&format!("{provider}/discover"), json!({})).await.json();
    assert_eq!(again["changed"], false);
    assert_eq!(plane.get(&provider).await.json()["discovered_models"], json!(["large", "small"]));

    let lost = json!({ "base_url": url.replace("/v1", ""), "secret": "right" });
    assert_eq!(plane.patch(&provider, lost).await.status, StatusCode::OK);
    let lost = plane.post(&format!("{provider}/discover"), json!({})).await;
    assert_eq!(lost.status, StatusCode::CONFLICT);
    assert!(lost.text.contains("/v1"), "{}", lost.text);
}

#[tokio::test]
async fn the_first_credential_is_made_once_and_a_reset_ends_it() {
    let plane = TestPlane::new().await;
    let installation = plane.installation();
    assert!(crate::bootstrap::first_admin_credential(installation).await.unwrap().is_none());
    assert_eq!(plane.get("/api/v1/keys/x").await.status, StatusCode::NOT_FOUND);
    let new = crate::bootstrap::reset_admin_credential(installation).await.unwrap();
    assert_eq!(plane.get("/api/v1/organizations").await.status, StatusCode::UNAUTHORIZED);
    let request = Request::builder()
        .uri("/api/v1/organizations")
        .header(header::AUTHORIZATION, format!("Bearer {}", new.expose()))
        .body(Body::empty())
        .unwrap();
    assert_eq!(plane.send(request).await.status, StatusCode::OK);
}

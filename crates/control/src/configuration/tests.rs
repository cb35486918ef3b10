mod governing;

use std::path::Path;

use serde_json::json;
use tollgate_access::token::{self, TokenKind};
use tollgate_testkit::PostgresDatabase;

use super::{ApplyError, FileObjects, read};
use crate::test_plane::TestPlane;

const OBJECTS: &str = r#"
organizations:
  - name: acme
    teams:
      - name: research
        projects: [search]
    providers:
      - name: openai
        kind: openai
        secret: ${OPENAI}
      - name: local
        kind: openai_compatible
        base_url: http://127.0.0.1:8000/v1
        internal: true
    models:
      - name: gpt-5.5
        deployments:
          - provider: openai
          - {provider: local, upstream_model: llama, weight: 0, price: free}
    keys:
      - name: ci
        owned_by: {project: search}
        token: env:CI_KEY
        grants: {allow: ["gpt-*"]}
        expires_at: 2100-01-31T00:00:00Z
"#;

fn environment(key: &str) -> impl Fn(&str) -> Option<String> + '_ {
    move |name| match name {
        "OPENAI" => Some("sk-canary-0123456789abcdef".into()),
        "CI_KEY" => Some(key.into()),
        _ => None,
    }
}

fn new_key() -> String {
    token::generate(TokenKind::Key).unwrap().text.expose().to_owned()
}

fn write(directory: &Path, name: &str, content: &str) {
    std::fs::create_dir_all(directory.join(name).parent().unwrap()).unwrap();
    std::fs::write(directory.join(name), content).unwrap();
}

fn objects(directory: &Path, key: &str, content: &str) -> FileObjects {
    write(directory, "tollgate.yaml", "objects: objects\n");
    write(directory, "objects/all.yaml", content);
    read(&directory.join("tollgate.yaml"), &environment(key)).unwrap().objects.unwrap()
}

#[test]
fn every_mistake_is_reported_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let main = r"
listen: 127.0.0.1
lisen: 127.0.0.1:8080
data: data
limits:
  max_conections: 10
  max_attempts: -1
database: {url: mysql://x}
otlp: {endpoint: 'http://localhost:4318', sample_ratio: 2}
objects: objects
";
    let objects = r#"
organizations:
  - name: acme
    team: []
    teams:
      - name: research
    providers:
      - name: openai
        kind: opnai
        sercet: env:X
        base-url: x
      - name: literal
        kind: openai
        secret: sk-literal
      - name: unset
        kind: openai
        secret: env:NOT_SET
    models:
      - name: a b
        deployments: []
      - name: one
        deployments:
          - provider: nobody
            wieght: 2
      - name: two
        deployments:
          - provider: nobody
    keys:
      - name: ci
        owned_by: {team: nobody}
        token: env:CI_KEY
        grants: {}
"#;
    write(directory.path(), "tollgate.yaml", main);
    write(directory.path(), "objects/a.yaml", objects);
    write(directory.path(), "objects/b.yaml", "organizations: [\n");
    write(directory.path(), "objects/ignored.txt", "nonsense");
    let problems = read(&directory.path().join("tollgate.yaml"), &environment("tg_mistyped")).unwrap_err();
    let prefix = format!("{}/", directory.path().display());
    let text: Vec<_> = problems.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn an_empty_file_is_a_configuration_without_objects() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "tollgate.yaml", "# nothing\n");
    let read = read(&directory.path().join("tollgate.yaml"), &environment("")).unwrap();
    assert!(read.objects.is_none());
    assert_eq!(read.process, super::ProcessSettings::default());
}

#[tokio::test]
async fn files_are_applied_changed_and_removed_and_applying_again_changes_nothing() {
    let plane = TestPlane::new().await;
    let (directory, key) = (tempfile::tempdir().unwrap(), new_key());
    let wanted = objects(directory.path(), &key, OBJECTS);
    assert!(plane.control.apply(&wanted).await.unwrap().writes >= 6);
    assert_eq!(plane.control.apply(&wanted).await.unwrap().writes, 0);

    let snapshot = plane.sink.latest();
    let lookup = token::parse(TokenKind::Key, key.as_bytes()).unwrap();
    let credential = snapshot.credential(lookup).unwrap();
    assert!(plane.installation().peppers().verify(credential.algorithm, 1, &credential.hash, key.as_bytes()));
    assert_eq!(snapshot.deployments.len(), 2);
    let models = plane.get("/api/v1/models").await.json();
    assert_eq!(models["items"][0]["owner"], "file");

    let lighter = OBJECTS.replace("weight: 0", "weight: 5");
    let again = objects(directory.path(), &key, &lighter);
    assert_eq!(plane.control.apply(&again).await.unwrap().writes, 1);
    let changed = plane.get("/api/v1/models").await.json();
    assert_eq!(changed["items"][0]["deployments"][1]["weight"], 5);
    assert_eq!(changed["items"][0]["deployments"][1]["id"], models["items"][0]["deployments"][1]["id"]);

    let nothing = objects(directory.path(), &key, "organizations: [{name: acme}]\n");
    plane.control.apply(&nothing).await.unwrap();
    assert!(plane.sink.latest().credential(lookup).is_none());
    assert_eq!(plane.get("/api/v1/models").await.json()["items"], json!([]));
    assert_eq!(plane.get("/api/v1/providers").await.json()["items"], json!([]));
    // A revoked key does not come back with its file.
    plane.control.apply(&wanted).await.unwrap();
    assert!(plane.sink.latest().credential(lookup).is_none());
    assert_eq!(plane.get("/api/v1/providers").await.json()["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_files_key_that_was_revoked_by_hand_stays_dead_and_holds_nothing_up() {
    let plane = TestPlane::new().await;
    let (directory, key) = (tempfile::tempdir().unwrap(), new_key());
    plane.control.apply(&objects(directory.path(), &key, OBJECTS)).await.unwrap();
    let id = plane.get("/api/v1/keys").await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(plane.post(&format!("/api/v1/keys/{id}/revoke"), json!({})).await.status, 200);
    let lighter = objects(directory.path(), &key, &OBJECTS.replace("weight: 0", "weight: 5"));
    plane.control.apply(&lighter).await.unwrap();
    let lookup = token::parse(TokenKind::Key, key.as_bytes()).unwrap();
    assert!(plane.sink.latest().credential(lookup).is_none());
    let models = plane.get("/api/v1/models").await.json();
    assert_eq!(models["items"][0]["deployments"][1]["weight"], 5);
}

#[tokio::test]
async fn neither_side_edits_what_the_other_owns() {
    let plane = TestPlane::new().await;
    let (directory, key) = (tempfile::tempdir().unwrap(), new_key());
    let wanted = objects(directory.path(), &key, OBJECTS);
    plane.control.apply(&wanted).await.unwrap();
    let id = |list: serde_json::Value| list["items"][0]["id"].as_str().unwrap().to_owned();
    let model = id(plane.get("/api/v1/models").await.json());
    let provider = id(plane.get("/api/v1/providers").await.json());
    let file_key = id(plane.get("/api/v1/keys").await.json());
    for answer in [
        plane.patch(&format!("/api/v1/models/{model}"), json!({ "open": true })).await,
        plane.delete(&format!("/api/v1/models/{model}")).await,
        plane.patch(&format!("/api/v1/providers/{provider}"), json!({ "region": "eu" })).await,
        plane.patch(&format!("/api/v1/keys/{file_key}"), json!({ "name": "other" })).await,
        plane.post(&format!("/api/v1/keys/{file_key}/rotate"), json!({})).await,
    ] {
        assert_eq!(answer.status, http::StatusCode::CONFLICT, "{}", answer.text);
        assert!(answer.text.contains("configuration files"), "{}", answer.text);
    }

    plane.made("/api/v1/providers", json!({ "name": "mine", "kind": "openai" })).await;
    let theirs =
        OBJECTS.replace("- name: local", "- name: mine").replace("provider: local", "provider: mine");
    let before = plane.installation().store.system_version().await.unwrap();
    let error = plane.control.apply(&objects(directory.path(), &key, &theirs)).await.unwrap_err();
    assert!(matches!(&error, ApplyError::Conflicts(list) if list.len() == 1), "{error}");
    assert_eq!(plane.installation().store.system_version().await.unwrap(), before, "nothing was changed");
}

/// What must hold on both databases. Each gets an empty installation and where its store is.
macro_rules! on_both_databases {
    ($($name:ident)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn sqlite() {
                let directory = tempfile::tempdir().unwrap();
                let location = directory.path().join("store.db").display().to_string();
                super::$name(TestPlane::at(&location, directory).await, location).await;
            }

            #[tokio::test]
            async fn postgres() {
                let Some(database) = PostgresDatabase::create().await.unwrap() else { return };
                let plane = TestPlane::at(&database.url, tempfile::tempdir().unwrap()).await;
                super::$name(plane, database.url.clone()).await;
                database.remove().await.unwrap();
            }
        }
    )*};
}

on_both_databases! {
    processes_that_apply_at_once_do_so_one_after_the_other
    files_whose_last_object_conflicts_change_nothing
    an_error_on_the_way_undoes_what_was_done
}

async fn audit_events(plane: &TestPlane) -> usize {
    plane.get("/api/v1/audit-events?limit=500").await.json()["items"].as_array().unwrap().len()
}

async fn files_whose_last_object_conflicts_change_nothing(plane: TestPlane, _location: String) {
    let tree = plane.with_tree().await;
    let (directory, key) = (tempfile::tempdir().unwrap(), new_key());
    let owned_by = json!({ "team": tree.team });
    let grants = json!({ "allow": ["*"], "deny": [] });
    plane.made("/api/v1/keys", json!({ "name": "ci", "owned_by": owned_by, "grants": grants })).await;
    let before = (plane.installation().store.system_version().await.unwrap(), audit_events(&plane).await);
    let theirs =
        OBJECTS.replace("name: openai\n", "name: remote\n").replace("provider: openai", "provider: remote");
    let theirs = theirs
        .replace("projects: [search]", "projects: [assistant]")
        .replace("project: search", "project: assistant");
    let error = plane.control.apply(&objects(directory.path(), &key, &theirs)).await.unwrap_err();
    assert!(matches!(&error, ApplyError::Conflicts(list) if list.len() == 1), "{error}");
    assert!(error.to_string().contains("all.yaml:21: the name of the key `ci` is taken"), "{error}");
    let after = (plane.installation().store.system_version().await.unwrap(), audit_events(&plane).await);
    assert_eq!(before, after);
    assert_eq!(plane.get("/api/v1/models").await.json()["items"], json!([]));

    // All that stands in the way is told at once, and again nothing is changed.
    let error = plane.control.apply(&objects(directory.path(), &key, OBJECTS)).await.unwrap_err().to_string();
    for conflict in
        ["the project `search` belongs to another team", "the provider `openai` was made", "`ci` is taken"]
    {
        assert!(error.contains(conflict), "{error}");
    }
    assert_eq!(plane.installation().store.system_version().await.unwrap(), before.0);
}

async fn an_error_on_the_way_undoes_what_was_done(plane: TestPlane, _location: String) {
    let (directory, key, other) = (tempfile::tempdir().unwrap(), new_key(), new_key());
    std::fs::write(directory.path().join("second"), &other).unwrap();
    let second = "
      - {name: second, owned_by: {team: research}, token: 'file:../second', grants: {allow: ['*']}}
";
    let wanted = format!("{OBJECTS}{}", second.trim_start_matches('\n'));
    let events = audit_events(&plane).await;
    let applied = plane.control.apply(&objects(directory.path(), &key, &wanted)).await.unwrap();
    assert_eq!(audit_events(&plane).await, events + 8, "one audit event for each object");
    assert_eq!(applied.writes, 8);

    // No order of single changes swaps two names.
    let swapped = wanted
        .replace("name: ci", "name: third")
        .replace("name: second", "name: ci")
        .replace("name: third", "name: second")
        .replace("weight: 0", "weight: 5");
    let before = plane.installation().store.system_version().await.unwrap();
    let error = plane.control.apply(&objects(directory.path(), &key, &swapped)).await.unwrap_err();
    assert!(error.to_string().contains("is already taken"), "{error}");
    assert_eq!(plane.installation().store.system_version().await.unwrap(), before);
    let models = plane.get("/api/v1/models").await.json();
    assert_eq!(models["items"][0]["deployments"][1]["weight"], 0);
    assert_eq!(audit_events(&plane).await, events + 8);
}

async fn processes_that_apply_at_once_do_so_one_after_the_other(plane: TestPlane, location: String) {
    let (directory, key) = (tempfile::tempdir().unwrap(), new_key());
    let wanted = objects(directory.path(), &key, OBJECTS);
    let root = tollgate_access::RootKey::from_bytes(crate::test_plane::ROOT);
    let other = crate::Installation::open(&location, &root).await.unwrap();
    let before = other.store.system_version().await.unwrap();
    let (one, two) = tokio::join!(super::apply(plane.installation(), &wanted), super::apply(&other, &wanted));
    let writes = [one.unwrap().writes, two.unwrap().writes];
    assert!(writes.contains(&0) && writes.contains(&7), "{writes:?}");
    assert_eq!(other.store.system_version().await.unwrap(), before + 1, "all of it is one version");
    assert_eq!(super::apply(&other, &wanted).await.unwrap().writes, 0);
    assert_eq!(plane.get("/api/v1/models").await.json()["items"].as_array().unwrap().len(), 1);
}

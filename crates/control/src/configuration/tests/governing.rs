use serde_json::json;
use tollgate_state::governance::Place;

use super::{OBJECTS, environment, new_key, objects, write};
use crate::configuration::{ApplyError, read};
use crate::test_plane::TestPlane;

const GOVERNANCE: &str = r#"    budgets:
      - name: search-monthly
        scope: {place: {project: search}, model: {tag: cheap}}
        amount_usd: 50
        window: {kind: month, time_zone: Europe/Berlin}
        mode: hard
      - name: each-key
        scope: {each: key}
        amount_usd: "0.25"
        window: {kind: {rolling_s: 3600}}
        on_exhausted: {substitute: {model: gpt-5.5}}
    limits:
      - name: ci
        scope: {place: {key: ci}}
        meter: requests
        amount: 60
"#;

fn governed() -> String {
    let tagged = OBJECTS.replace("- name: gpt-5.5\n", "- name: gpt-5.5\n        tags: [cheap]\n");
    format!("{}\n{GOVERNANCE}", tagged.trim_end())
}

#[tokio::test]
async fn budgets_and_limits_of_files_are_applied_changed_and_removed() {
    let plane = TestPlane::new().await;
    let (directory, key) = (tempfile::tempdir().unwrap(), new_key());
    let wanted = objects(directory.path(), &key, &governed());
    plane.control.apply(&wanted).await.unwrap();
    assert_eq!(plane.control.apply(&wanted).await.unwrap().writes, 0);
    let governance = std::sync::Arc::clone(&plane.sink.latest().governance);
    assert_eq!((governance.budgets().len(), governance.limits().len()), (2, 1));
    assert!(matches!(governance.budgets()[0].scope.place, Place::Project(_)));
    assert!(matches!(governance.limits()[0].scope.place, Place::Key(_)));

    let id = plane.get("/api/v1/budgets").await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    let refused = plane.patch(&format!("/api/v1/budgets/{id}"), json!({"amount_usd": "1"})).await;
    assert_eq!(refused.status, http::StatusCode::CONFLICT, "{}", refused.text);

    let dearer = objects(directory.path(), &key, &governed().replace("amount_usd: 50", "amount_usd: 60"));
    assert_eq!(plane.control.apply(&dearer).await.unwrap().writes, 1);
    assert_eq!(plane.sink.latest().governance.budgets()[0].amount_nano_usd.get(), 60_000_000_000);

    let moved = objects(directory.path(), &key, &governed().replace("kind: month", "kind: year"));
    let error = plane.control.apply(&moved).await.unwrap_err();
    assert!(matches!(&error, ApplyError::Conflicts(list) if list.len() == 1), "{error}");
    assert!(error.to_string().contains("all.yaml"), "{error}");

    let ungoverned = objects(directory.path(), &key, OBJECTS);
    plane.control.apply(&ungoverned).await.unwrap();
    assert!(plane.sink.latest().governance.budgets().is_empty());
}

#[test]
fn mistakes_in_budgets_and_limits_are_told_with_their_place() {
    let directory = tempfile::tempdir().unwrap();
    let wrong = r#"
organizations:
  - name: acme
    teams: [{name: research}]
    budgets:
      - name: a
        scope: {place: {team: nobody}}
        amount_usd: 0.1
        window: {kind: month}
      - name: b
        scope: {place: {team: nobody}}
        amount_usd: 0
        window: {kind: month, time_zone: Mars}
      - name: c
        amount: 5
        amount_usd: 5
        window: {kind: month}
      - name: d
        amount_usd: -5
        window: {kind: fortnight}
    limits:
      - name: a
        meter: requests
        amount: 0
"#;
    write(directory.path(), "tollgate.yaml", "objects: objects\n");
    write(directory.path(), "objects/a.yaml", wrong);
    let problems = read(&directory.path().join("tollgate.yaml"), &environment("")).unwrap_err();
    let prefix = format!("{}/", directory.path().display());
    let text: Vec<_> = problems.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect();
    let places: Vec<_> =
        text.iter().map(|line| line.splitn(3, ": ").take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        places,
        [
            "objects/a.yaml:8 organizations[0].budgets[0].amount_usd",
            "objects/a.yaml:10 organizations[0].budgets[1].amount_usd",
            "objects/a.yaml:10 organizations[0].budgets[1].scope.place.team",
            "objects/a.yaml:10 organizations[0].budgets[1].window.time_zone",
            "objects/a.yaml:15 organizations[0].budgets[2].amount",
            "objects/a.yaml:19 organizations[0].budgets[3].amount_usd",
            "objects/a.yaml:22 organizations[0].limits[0].amount",
        ],
        "{text:#?}"
    );
}

use http::StatusCode;
use serde_json::{Value, json};
use tollgate_state::governance::Member;

use crate::test_plane::TestPlane;

fn fields(answer: &Value) -> Vec<&str> {
    let errors = answer["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().filter_map(|error| error["field"].as_str()).collect()
}

fn budget(change: &Value) -> Value {
    let mut body = json!({"name": "search", "amount_usd": "50", "window": {"kind": "month"}, "mode": "hard"});
    let fields = body.as_object_mut().unwrap();
    fields.extend(change.as_object().unwrap().clone());
    fields.retain(|_, value| !value.is_null());
    body
}

#[tokio::test]
async fn a_budget_is_made_changed_raised_and_deleted_and_each_time_published() {
    let plane = TestPlane::new().await;
    let tree = plane.with_tree().await;
    let scope = json!({"place": {"team": tree.team}, "each": "key", "model": {"tag": "cheap"}});
    let made = plane.post("/api/v1/budgets", budget(&json!({"amount_usd": "12.50", "scope": scope}))).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let made = made.json();
    assert_eq!((&made["amount_usd"], &made["thresholds_percent"]), (&json!("12.5"), &json!([50, 80, 100])));
    assert_eq!((&made["window"]["time_zone"], &made["scope"]), (&json!("UTC"), &scope));
    let id = made["id"].as_str().unwrap();
    let path = format!("/api/v1/budgets/{id}");
    let published = |plane: &TestPlane| plane.sink.latest().governance.budgets().to_vec();
    assert_eq!(published(&plane)[0].amount_nano_usd.get(), 12_500_000_000);

    let changed = plane.patch(&path, json!({"amount_usd": 20, "server_tools_usd": "0.1"})).await;
    assert_eq!((changed.status, &changed.json()["amount_usd"]), (StatusCode::OK, &json!("20")));
    let removed = plane.patch(&path, json!({"server_tools_usd": null})).await.json();
    assert_eq!(removed["server_tools_usd"], Value::Null);
    assert_eq!(published(&plane)[0].amount_nano_usd.get(), 20_000_000_000);

    let raise = json!({"amount_usd": "5", "expires_at": 4_000_000_000_000_000_i64, "reason": "launch"});
    let raised = plane.post(&format!("{path}/increases"), raise).await;
    assert_eq!(raised.status, StatusCode::CREATED, "{}", raised.text);
    assert!(raised.json()["author"].as_str().unwrap().starts_with("adm_"));
    assert_eq!(published(&plane)[0].increases.len(), 1);
    let increase = format!("{path}/increases/{}", raised.json()["id"].as_str().unwrap());
    assert_eq!(plane.delete(&increase).await.status, StatusCode::NO_CONTENT);
    assert_eq!(plane.delete(&increase).await.status, StatusCode::NOT_FOUND);

    let taken = plane.post("/api/v1/budgets", budget(&json!({}))).await;
    assert_eq!(taken.status, StatusCode::CONFLICT, "{}", taken.text);
    assert_eq!(plane.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert!(published(&plane).is_empty());
    assert_eq!(plane.get(&path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_wrong_field_of_a_budget_is_named() {
    let plane = TestPlane::new().await;
    let tree = plane.with_tree().await;
    for (change, field) in [
        (json!({"amount_usd": "-1"}), "amount_usd"),
        (json!({"amount_usd": 0.5}), "amount_usd"),
        (json!({"amount_usd": "NaN"}), "amount_usd"),
        (json!({"amount_usd": "1e3"}), "amount_usd"),
        (json!({"amount_usd": "0.0000000001"}), "amount_usd"),
        (json!({"amount_usd": "1000000001"}), "amount_usd"),
        (json!({"amount_usd": u64::MAX}), "amount_usd"),
        (json!({"amount_usd": "0"}), "amount_usd"),
        (json!({"amount_usd": null}), "amount_usd"),
        (json!({"window": {"kind": "fortnight"}}), "window.kind"),
        (json!({"window": {"kind": "day", "time_zone": "Mars/Base"}}), "window.time_zone"),
        (json!({"window": {"kind": {"rolling_s": 59}}}), "window.kind.rolling_s"),
        (json!({"window": {"kind": {"rolling_s": 61}}}), "window.kind.rolling_s"),
        (json!({"thresholds_percent": [80, 50]}), "thresholds_percent"),
        (json!({"thresholds_percent": [0]}), "thresholds_percent"),
        (json!({"mode": "strict"}), "mode"),
        (json!({"unpriced": {"flat_usd": "0"}}), "unpriced.flat_usd"),
        (json!({"on_exhausted": {"substitute": {"model": "nobody"}}}), "on_exhausted.substitute.model"),
        (json!({"scope": {"place": {"team": tree.project}}}), "scope.place.team"),
        (json!({"scope": {"place": {"team": "team_0000000000000000000001"}}}), "scope.place.team"),
        (json!({"scope": {"place": {"project": tree.project}, "each": "team"}}), "scope.each"),
        (json!({"scope": {"place": {"customer": ""}}}), "scope.place.customer"),
        (json!({"scope": {"model": {"name": "unknown"}}}), "scope.model.name"),
        (json!({"scope": {"model": {"tag": "a b"}}}), "scope.model.tag"),
        (json!({"name": ""}), "name"),
        (json!({"owner": "file"}), "owner"),
    ] {
        let answer = plane.post("/api/v1/budgets", budget(&change)).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{change}: {}", answer.text);
        assert_eq!(fields(&answer.json()), [field], "{change}: {}", answer.text);
    }
    let several = json!({"amount_usd": "0", "thresholds_percent": [0], "window": {"kind": {"rolling_s": 1}}});
    let answer = plane.post("/api/v1/budgets", budget(&several)).await.json();
    assert_eq!(fields(&answer), ["amount_usd", "window.kind.rolling_s", "thresholds_percent"]);
    assert!(plane.sink.latest().governance.budgets().is_empty());
}

#[tokio::test]
async fn the_state_shows_what_the_book_counted_by_member_and_page() {
    let plane = TestPlane::new().await;
    plane.with_tree().await;
    let all = plane.made("/api/v1/budgets", budget(&json!({"name": "all"}))).await;
    let unused = plane.get(&format!("/api/v1/budgets/{all}/state")).await.json();
    assert_eq!(unused["items"][0]["member"], "all");
    assert_eq!(
        (&unused["items"][0]["left_usd"], &unused["items"][0]["runs_out_at"]),
        (&json!("50"), &Value::Null)
    );
    assert!(unused["items"][0]["resets_at"].as_i64().is_some());

    let each = budget(&json!({"name": "each", "scope": {"each": "customer"}}));
    let each = plane.made("/api/v1/budgets", each).await;
    let governance = std::sync::Arc::clone(&plane.sink.latest().governance);
    let lines = plane.budgets.lines(&governance);
    let line = lines.iter().find(|line| line.budget_id().to_string() == each).unwrap();
    let now = tollgate_core::Clock::now(&tollgate_core::SystemClock);
    for name in ["a", "b", "c"] {
        let claim = tollgate_ledger::budget::Claim {
            line,
            member: Member::Customer(name.into()),
            amount: tollgate_core::NanoUsd::new(3_000_000_000),
        };
        let hold = plane.budgets.reserve(now, &[claim]).await.unwrap();
        if name == "b" {
            std::mem::forget(hold);
        } else {
            hold.settle(&[tollgate_core::NanoUsd::new(1_250_000_000)]).commit();
        }
    }
    let page = plane.get(&format!("/api/v1/budgets/{each}/state?limit=2")).await.json();
    let items = page["items"].as_array().unwrap();
    assert_eq!((&items[0]["member"], &items[0]["spent_usd"]), (&json!({"customer": "a"}), &json!("1.25")));
    assert_eq!((&items[1]["reserved_usd"], &items[1]["left_usd"]), (&json!("3"), &json!("47")));
    assert!(items[0]["runs_out_at"].is_null(), "a budget made just now has no rate yet");
    let next = page["next"].as_str().unwrap();
    let page = plane.get(&format!("/api/v1/budgets/{each}/state?cursor={next}")).await.json();
    assert_eq!((page["items"].as_array().unwrap().len(), &page["next"]), (1, &Value::Null));
}

#[tokio::test]
async fn a_limit_is_made_changed_and_deleted_and_its_mistakes_are_named() {
    let plane = TestPlane::new().await;
    plane.with_tree().await;
    let limit = |change: Value| {
        let mut body = json!({"name": "steady", "meter": "requests", "amount": 60, "per": "minute"});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        body
    };
    for (change, field) in [
        (json!({"amount": 0}), "amount"),
        (json!({"amount": -1}), "amount"),
        (json!({"amount": 1.5}), "amount"),
        (json!({"amount": u64::MAX}), "amount"),
        (json!({"burst": 0}), "burst"),
        (json!({"burst": 61}), "burst"),
        (json!({"meter": "concurrency", "burst": 5}), "burst"),
        (json!({"meter": "dollars"}), "meter"),
        (json!({"per": "month"}), "per"),
    ] {
        let answer = plane.post("/api/v1/limits", limit(change.clone())).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{change}: {}", answer.text);
        assert_eq!(fields(&answer.json()), [field], "{change}: {}", answer.text);
    }
    let id = plane.made("/api/v1/limits", limit(json!({"scope": {"each": "key"}}))).await;
    let path = format!("/api/v1/limits/{id}");
    let changed = plane.patch(&path, json!({"amount": 90, "burst": 9})).await.json();
    assert_eq!((&changed["amount"], &changed["burst"]), (&json!(90), &json!(9)));
    assert_eq!(plane.sink.latest().governance.limits()[0].amount, 90);
    assert_eq!(plane.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert!(plane.sink.latest().governance.limits().is_empty());
}

#[tokio::test]
async fn models_have_tags_and_publishing_one_shares_the_budgets() {
    let plane = TestPlane::new().await;
    let tree = plane.with_tree().await;
    plane.made("/api/v1/budgets", budget(&json!({}))).await;
    let before = plane.sink.latest();
    let model =
        json!({"name": "gpt-5.5", "tags": ["cheap"], "deployments": [{"provider_id": tree.provider}]});
    let id = plane.made("/api/v1/models", model).await;
    let with_model = plane.sink.latest();
    assert!(std::sync::Arc::ptr_eq(&before.governance, &with_model.governance));
    let path = format!("/api/v1/models/{id}");
    assert_eq!(plane.get(&path).await.json()["tags"], json!(["cheap"]));
    let wrong = plane.patch(&path, json!({"tags": ["fine", "not fine"]})).await.json();
    assert_eq!(fields(&wrong), ["tags[1]"]);

    plane.made("/api/v1/budgets", budget(&json!({"name": "second"}))).await;
    let with_budget = plane.sink.latest();
    assert!(std::sync::Arc::ptr_eq(&with_model.deployments, &with_budget.deployments));
    assert_eq!(with_budget.governance.budgets().len(), 2);
}

#[tokio::test]
async fn a_verified_ledger_of_nothing_is_in_order_and_an_unknown_process_cannot_be_written_off() {
    let plane = TestPlane::new().await;
    let report = plane.post("/api/v1/ledger/verify", json!({})).await;
    assert_eq!((report.status, &report.json()["differences"]), (StatusCode::OK, &json!([])));
    let body = json!({"instance_id": "inst_0000000000000000000001", "money": "returns", "reason": "gone"});
    let refused = plane.post("/api/v1/ledger/write-off", body).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND, "{}", refused.text);
}

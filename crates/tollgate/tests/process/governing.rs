use serde_json::Value;
use tollgate_testkit::{ScriptedProvider, TollgateProcess};

use crate::support::{Asking, call, settings, stderr};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_made_by_a_command_refuses_until_it_is_raised() {
    let provider = ScriptedProvider::start().await;
    let tollgate = TollgateProcess::start(settings(&[])).await.unwrap();
    let asking = Asking(&tollgate);
    let key = asking.configure(&provider).await;
    // Nobody knows what the scripted model costs: each call counts a cent.
    let create = ["budget", "create", "small", "--amount", "$0.03", "--per", "day", "--mode", "hard"];
    let made = asking.ok(&[&create[..], &["--team", "main", "--unpriced", "0.01"]].concat()).await;
    assert!(made.starts_with("made small (bud_"), "{made}");
    for _ in 0..3 {
        let answer = call(&tollgate, &key).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let refused = call(&tollgate, &key).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(
        refused.text().contains("budget_exceeded") && refused.text().contains("small"),
        "{}",
        refused.text()
    );

    let state = asking.json(&["budget", "state", "small", "--json"]).await;
    assert_eq!((&state[0]["spent_usd"], &state[0]["left_usd"]), (&"0.03".into(), &"0".into()), "{state}");
    let table = asking.ok(&["budget", "state", "small"]).await;
    assert!(table.contains("$0.03") && table.contains("all"), "{table}");
    asking.ok(&["budget", "raise", "small", "--by", "0.01", "--for", "1h", "--reason", "a test"]).await;
    assert_eq!(call(&tollgate, &key).await.status, 200);
    assert_eq!(call(&tollgate, &key).await.status, 429);

    asking.requests(6).await;
    let verified = asking.json(&["ledger", "verify", "--json"]).await;
    assert_eq!((&verified["differences"], &verified["balances"]), (&Value::Array(vec![]), &1.into()));
    assert!(asking.ok(&["ledger", "verify"]).await.contains("1 balance agrees"));
    let alerts = asking.ok(&["alerts"]).await;
    assert!(alerts.contains("budget_exhausted") && alerts.contains("budget_threshold"), "{alerts}");

    let listed = asking.ok(&["budget", "list"]).await;
    assert!(listed.contains("team main") && listed.contains("$0.03"), "{listed}");
    asking.ok(&["budget", "delete", "small"]).await;
    assert_eq!(call(&tollgate, &key).await.status, 200);
    let wrong = asking.run(&["budget", "create", "b", "--amount", "-5"]).await;
    assert_eq!(wrong.status.code(), Some(2), "{}", stderr(&wrong));
    let wrong = asking.run(&["budget", "create", "b", "--amount", "5", "--time-zone", "Mars"]).await;
    assert!(stderr(&wrong).contains("window.time_zone"), "{}", stderr(&wrong));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_budget_spent_is_known_after_a_restart_that_nobody_saw_coming() {
    let provider = ScriptedProvider::start().await;
    let mut tollgate = TollgateProcess::start(settings(&[])).await.unwrap();
    let key = {
        let asking = Asking(&tollgate);
        let key = asking.configure(&provider).await;
        let create = ["budget", "create", "small", "--amount", "0.05", "--per", "once", "--mode", "hard"];
        asking.ok(&[&create[..], &["--unpriced", "0.01"]].concat()).await;
        for _ in 0..4 {
            assert_eq!(call(&tollgate, &key).await.status, 200);
        }
        key
    };
    tollgate.kill().await.unwrap();
    tollgate.restart().await.unwrap();
    assert_eq!(call(&tollgate, &key).await.status, 200);
    assert_eq!(call(&tollgate, &key).await.status, 429);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_and_webhooks_are_made_listed_and_deleted_by_commands() {
    let provider = ScriptedProvider::start().await;
    let tollgate = TollgateProcess::start(settings(&[])).await.unwrap();
    let asking = Asking(&tollgate);
    let key = asking.configure(&provider).await;
    asking
        .ok(&[
            "limit",
            "create",
            "steady",
            "--requests",
            "2",
            "--per",
            "hour",
            "--burst",
            "2",
            "--each",
            "key",
        ])
        .await;
    let statuses = [call(&tollgate, &key).await, call(&tollgate, &key).await, call(&tollgate, &key).await];
    assert_eq!(statuses.map(|answer| answer.status), [200, 200, 429]);
    assert!(asking.ok(&["limit", "list"]).await.contains("2 requests per hour"));
    let state = asking.json(&["limit", "state", "steady", "--json"]).await;
    assert_eq!((&state[0]["limit"], &state[0]["remaining"]), (&2.into(), &0.into()), "{state}");
    assert!(asking.ok(&["limit", "state", "steady"]).await.contains("key first"));
    asking.ok(&["limit", "delete", "steady"]).await;
    assert_eq!(call(&tollgate, &key).await.status, 200);

    let url = "https://hooks.example/tollgate";
    let secret = asking.ok(&["webhook", "create", "ops", url, "--event", "budget_exhausted"]).await;
    assert!(secret.starts_with("whsec_"), "{secret}");
    let listed = asking.ok(&["webhook", "list"]).await;
    assert!(
        listed.contains(url) && listed.contains("budget_exhausted") && !listed.contains(&secret),
        "{listed}"
    );
    asking.ok(&["webhook", "delete", "ops"]).await;
    assert_eq!(asking.json(&["webhook", "list", "--json"]).await, Value::Array(vec![]));
}

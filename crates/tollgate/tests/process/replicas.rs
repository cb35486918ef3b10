//! Two processes on one PostgreSQL.

use std::time::{Duration, Instant};

use tollgate_testkit::{PostgresDatabase, RawClient, ScriptedProvider, Settings, TollgateProcess};

use crate::support::{Asking, PATIENCE, call, chat, settings};

/// Liveness on a busy machine; a second is what Tollgate promises.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

fn on(database: &PostgresDatabase, root_key: &str) -> Settings {
    let mut settings = settings(&["--database", &database.url, "--threads", "1"]);
    settings.environment = vec![("TOLLGATE_ROOT_KEY".into(), root_key.into())];
    settings
}

/// Asks again and again until the status comes, and says how long that took. Other statuses are `meanwhile` only.
async fn until_status(
    tollgate: &TollgateProcess,
    body: &str,
    key: &str,
    status: u16,
    meanwhile: u16,
) -> Duration {
    let started = Instant::now();
    let authorization = format!("Bearer {key}");
    let mut client: RawClient = tollgate.connect().await.unwrap();
    loop {
        let headers = [("authorization", authorization.as_str())];
        let answer = client.post("/v1/chat/completions", &headers, body.to_owned()).await.unwrap();
        if answer.status == status {
            return started.elapsed();
        }
        assert_eq!(answer.status, meanwhile, "{}", answer.text());
        assert!(started.elapsed() < PATIENCE, "{status} did not come: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_process_changes_the_other_sees() {
    let Some(database) = PostgresDatabase::create().await.unwrap() else { return };
    let provider = ScriptedProvider::start().await;
    // 32 bytes as base64.
    let root_key = format!("{}=", "A".repeat(43));
    let first = TollgateProcess::start(on(&database, &root_key)).await.unwrap();
    let second = TollgateProcess::start_beside(on(&database, &root_key), &first).await.unwrap();
    let asking = Asking(&first);
    let key = asking.configure(&provider).await;

    let seen = until_status(&second, &chat(false), &key, 200, 404).await;
    println!("a model is usable at the other process after {seen:?}");
    assert!(seen < SEEN_WITHIN, "{seen:?}");

    // The other process looks up what it does not know: no waiting at all.
    let made = asking.ok(&["key", "create", "later", "--team", "main"]).await;
    assert_eq!(call(&second, &made).await.status, 200);

    asking.ok(&["key", "revoke", "later"]).await;
    let seen = until_status(&second, &chat(false), &made, 401, 200).await;
    println!("a key is refused at the other process {seen:?} after it was revoked");
    assert!(seen < SEEN_WITHIN, "{seen:?}");
    // Its own process refuses it when the command has returned.
    assert_eq!(call(&first, &made).await.status, 401);
    assert_eq!(call(&second, &key).await.status, 200);

    drop((first, second));
    database.remove().await.unwrap();
}

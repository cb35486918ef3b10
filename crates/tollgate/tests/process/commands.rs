use std::os::unix::fs::PermissionsExt;

use tollgate_testkit::{ScriptedProvider, TollgateProcess};

use crate::support::{Asking, PATIENCE, call, run, settings, stderr, stdout};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_a_command_made_works_until_a_command_revokes_it() {
    let provider = ScriptedProvider::start().await;
    let tollgate = TollgateProcess::start(settings(&[])).await.unwrap();
    let asking = Asking(&tollgate);
    let key = asking.configure(&provider).await;
    assert!(key.starts_with("tg_") && !key.contains('\n'), "{key}");
    assert_eq!(call(&tollgate, &key).await.status, 200);

    let rotated = asking.ok(&["key", "rotate", "first", "--grace", "1h"]).await;
    assert_ne!(rotated, key);
    assert_eq!((call(&tollgate, &key).await.status, call(&tollgate, &rotated).await.status), (200, 200));

    asking.ok(&["key", "revoke", "first"]).await;
    assert_eq!((call(&tollgate, &key).await.status, call(&tollgate, &rotated).await.status), (401, 401));
    assert_eq!(asking.json(&["key", "list", "--json"]).await.as_array().unwrap().len(), 0);
    assert_eq!(asking.json(&["key", "list", "--revoked", "--json"]).await[0]["name"], "first");

    let requests = asking.requests(3).await;
    assert!(requests.iter().all(|request| request["key_name"] == "first"), "{requests:?}");
    let id = requests[0]["id"].as_str().unwrap();
    let detail = asking.json(&["requests", id, "--json"]).await;
    assert_eq!(detail["attempts"][0]["served"], true);
    assert!(asking.ok(&["requests", id]).await.contains("DECISION"));
    let usage = asking.json(&["usage", "--total", "--json"]).await;
    assert_eq!(usage["groups"][0]["totals"]["requests"], requests.len());
    assert!(asking.ok(&["usage", "--by", "day,model"]).await.contains("gpt-5.5"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_name_the_fix_and_have_exit_codes() {
    let nowhere = run(&["key", "list", "--data", "/nonexistent"], &[]).await;
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(stderr(&nowhere).contains("TOLLGATE_ADMIN_TOKEN"), "{}", stderr(&nowhere));

    let silent = run(&["key", "list", "--url", "http://127.0.0.1:1", "--token", "tga_x"], &[]).await;
    assert_eq!(silent.status.code(), Some(1));
    assert!(stderr(&silent).contains("tollgate serve"), "{}", stderr(&silent));
    assert_eq!(run(&["key", "forge"], &[]).await.status.code(), Some(2));

    let tollgate = TollgateProcess::start(settings(&[])).await.unwrap();
    let wrong = run(&["key", "list", "--url", &tollgate.bootstrap.url, "--token", "tga_x"], &[]).await;
    assert!(stderr(&wrong).contains("admin reset"), "{}", stderr(&wrong));
    let asking = Asking(&tollgate);
    let teamless = asking.run(&["key", "create", "first"]).await;
    assert!(stderr(&teamless).contains("--create-team"), "{}", stderr(&teamless));
    let unknown = asking.run(&["model", "add", "m", "--provider", "nobody"]).await;
    assert!(!unknown.status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_credential_is_replaced_and_the_old_one_dies() {
    let tollgate = TollgateProcess::start(settings(&[])).await.unwrap();
    let data = tollgate.data_directory();
    let reset = run(&["admin", "reset", "--data", data.to_str().unwrap()], &[]).await;
    assert!(reset.status.success(), "{}", stderr(&reset));
    let url = &tollgate.bootstrap.url;
    let list = |token: String| async move {
        run(&["key", "list", "--url", url, "--token", &token, "--revoked"], &[]).await
    };
    let refused = list(tollgate.bootstrap.admin_token.clone()).await;
    assert_eq!(refused.status.code(), Some(1));
    let taken = stderr(&list(stdout(&reset)).await);
    assert!(!taken.contains("credential"), "{taken}");
}

#[tokio::test]
async fn check_tells_every_mistake_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tollgate.yaml");
    std::fs::write(&path, "listen: nowhere\nlimits: {max_attempts: many}\nlisten_twice: 1\n").unwrap();
    let checked = run(&["check", path.to_str().unwrap()], &[]).await;
    assert_eq!(checked.status.code(), Some(1));
    let (lines, summary) = (stdout(&checked), stderr(&checked));
    for place in ["tollgate.yaml:1: listen", "tollgate.yaml:2: limits", "tollgate.yaml:3: listen_twice"] {
        assert!(lines.contains(place), "{place} is missing in\n{lines}");
    }
    assert!(summary.contains("3 mistakes"), "{summary}");

    let started =
        run(&["serve", "--config", path.to_str().unwrap(), "--data", "/nonexistent/data"], &[]).await;
    assert_eq!(started.status.code(), Some(1));
    assert!(stderr(&started).contains("listen_twice"), "{}", stderr(&started));

    std::fs::write(&path, "listen: 127.0.0.1:9000\n").unwrap();
    assert!(run(&["check", path.to_str().unwrap()], &[]).await.status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_running_tollgate_can_be_restored_and_served() {
    let provider = ScriptedProvider::start().await;
    let tollgate = TollgateProcess::start(settings(&[])).await.unwrap();
    let key = Asking(&tollgate).configure(&provider).await;
    let parent = tempfile::tempdir().unwrap();
    let path = |name: &str| parent.path().join(name).to_str().unwrap().to_owned();
    let data = tollgate.data_directory();
    std::fs::write(path("theirs"), "").unwrap();
    std::os::unix::fs::symlink(path("theirs"), path("backup.partial")).unwrap();
    let backup = ["backup", &path("backup"), "--data", data.to_str().unwrap()];
    let written = run(&backup, &[]).await;
    assert!(written.status.success(), "{}", stderr(&written));
    assert_eq!(std::fs::metadata(path("backup")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(run(&backup, &[]).await.status.code(), Some(1), "a file that exists is not overwritten");

    std::fs::create_dir(path("restored")).unwrap();
    std::os::unix::fs::symlink(path("theirs"), path("restored/tollgate.new")).unwrap();
    let restore = ["restore", &path("backup"), "--data", &path("restored")];
    let restored = run(&restore, &[]).await;
    assert!(restored.status.success(), "{}", stderr(&restored));
    assert_eq!(run(&restore, &[]).await.status.code(), Some(1), "a store that exists is not overwritten");
    assert_eq!(std::fs::read(path("theirs")).unwrap(), b"", "nothing is written through links in the way");
    std::fs::copy(data.join("root.key"), parent.path().join("restored/root.key")).unwrap();

    drop(tollgate);
    let mut serve = tokio::process::Command::new(crate::support::binary());
    serve.args(["serve", "--listen", "127.0.0.1:0", "--data", &path("restored")]);
    serve.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).kill_on_drop(true);
    let mut child = serve.spawn().unwrap();
    let address = crate::support::address_on_screen(child.stdout.take().unwrap()).await;
    let mut client = tollgate_testkit::RawClient::connect(address).await.unwrap();
    let authorization = format!("Bearer {key}");
    let headers = [("authorization", authorization.as_str())];
    let answer = client.post("/v1/chat/completions", &headers, crate::support::chat(false)).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn the_description_of_the_admin_api_is_printed() {
    let printed = run(&["openapi"], &[]).await;
    let document: serde_json::Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(stdout(&run(&["version"], &[]).await).starts_with("tollgate "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_copied_only_while_nobody_uses_it() {
    let mut tollgate = TollgateProcess::start(settings(&[])).await.unwrap();
    let from = tollgate.data_directory().join("tollgate.db");
    let to = tollgate.data_directory().parent().unwrap().join("copy.db");
    let copy = ["store", "copy", "--from", from.to_str().unwrap(), "--to", to.to_str().unwrap()];
    let refused = run(&copy, &[]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("another Tollgate"), "{}", stderr(&refused));
    assert!(!to.exists());
    assert!(tollgate.terminate(PATIENCE).await.unwrap().success());
    let copied = run(&copy, &[]).await;
    assert!(copied.status.success(), "{}", stderr(&copied));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_there_is_named_once_and_at_once() {
    let data = tempfile::tempdir().unwrap();
    let serve = |database: &'static str| {
        let data = data.path().to_str().unwrap();
        async move {
            run(&["serve", "--listen", "127.0.0.1:0", "--data", data, "--database", database], &[]).await
        }
    };
    let refused = stderr(&serve("postgres://nobody@127.0.0.1:1/none").await);
    let error = refused.lines().find(|line| line.contains("error: ")).unwrap();
    assert_eq!(error.matches("onnection refused").count(), 1, "{error}");
    assert!(!refused.contains("pool timed out"), "{refused}");
    let other = stderr(&serve("mysql://root:canary@127.0.0.1/x").await);
    assert!(other.contains("must be a postgres:// URL") && !other.contains("canary"), "{other}");
}

use std::os::unix::fs::PermissionsExt;

use tollgate_core::Dialect;
use tollgate_testkit::{Match, RawClient, Reply, ScriptedProvider, Signal, TollgateProcess, canned};

use crate::support::{Asking, PATIENCE, call, chat, run, settings, stderr};

/// The request that the screen shows for pasting: path, authorization, body.
fn pasted(log: &str) -> (String, String, String) {
    let part = |before: &str, after: &str| {
        let (_, rest) = log.split_once(before).unwrap_or_else(|| panic!("{before} is missing in {log}"));
        rest.split_once(after).unwrap().0.to_owned()
    };
    let url = part("curl ", " ");
    let path = url.splitn(4, '/').last().unwrap();
    (format!("/{path}"), part("'Authorization: ", "'"), part("-d '", "'"))
}

/// Waits until the log has a text more often than `before`: another process writes it in its own time.
async fn log_shows(tollgate: &TollgateProcess, text: &str, before: usize) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while tollgate.log().matches(text).count() <= before {
        assert!(tokio::time::Instant::now() < deadline, "{text} is missing in {}", tollgate.log());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printed_request_of_the_demo_works_and_its_cost_is_seen() {
    let tollgate = TollgateProcess::start(settings(&["--demo"])).await.unwrap();
    log_shows(&tollgate, "-d '", 0).await;
    let (path, authorization, body) = pasted(&tollgate.log());
    let key = tollgate.bootstrap.key.clone().unwrap();
    assert_eq!(authorization, format!("Bearer {key}"));
    let mut client = tollgate.connect().await.unwrap();
    let answer = client.post(&path, &[("authorization", &authorization)], body).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = answer.header("x-tollgate-request-id").unwrap().to_owned();

    let asking = Asking(&tollgate);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let record = loop {
        let found = asking.run(&["requests", &id, "--json"]).await;
        if found.status.success() {
            break serde_json::from_slice::<serde_json::Value>(&found.stdout).unwrap();
        }
        assert!(tokio::time::Instant::now() < deadline, "{}", stderr(&found));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert!(record["request"]["cost_nanos_usd"].as_i64().unwrap() > 0, "{record}");
    let usage = asking.json(&["usage", "--by", "team", "--json"]).await;
    assert_eq!(usage["groups"].as_array().unwrap().len(), 3);

    let metrics = client.get("/metrics", &[]).await.unwrap();
    assert!(metrics.text().contains("tollgate_requests_total{"), "{}", metrics.text());
    assert!(!tollgate.log().contains("\"level\":\"ERROR\""), "{}", tollgate.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bootstrap_file_is_private_and_made_once() {
    let mut tollgate = TollgateProcess::start(settings(&["--demo"])).await.unwrap();
    log_shows(&tollgate, "shown only now", 0).await;
    let path = tollgate.data_directory().parent().unwrap().join("bootstrap.json");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let (token, key) = (tollgate.bootstrap.admin_token.clone(), tollgate.bootstrap.key.clone().unwrap());
    std::fs::remove_file(&path).unwrap();
    tollgate.restart().await.unwrap();
    assert!(!path.exists());
    // What the first start gave goes on working, the simulated providers included.
    assert_eq!(Asking(&tollgate).json(&["key", "list", "--json"]).await.as_array().unwrap().len(), 7);
    let authorization = format!("Bearer {key}");
    let body = chat(false).replace("gpt-5.5", "sim-fast");
    let mut client = tollgate.connect().await.unwrap();
    let answer =
        client.post("/v1/chat/completions", &[("authorization", &authorization)], body).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(tollgate.log().matches(&token).count(), 1, "the credential is shown once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_the_same_data_or_address_is_refused() {
    let tollgate = TollgateProcess::start(settings(&[])).await.unwrap();
    let data = tollgate.data_directory();
    let same_data = run(&["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()], &[]).await;
    assert_eq!(same_data.status.code(), Some(1));
    assert!(stderr(&same_data).contains("--data"), "{}", stderr(&same_data));
    let other = tempfile::tempdir().unwrap();
    let address = tollgate.address.to_string();
    let same_address =
        run(&["serve", "--listen", &address, "--data", other.path().to_str().unwrap()], &[]).await;
    assert_eq!(same_address.status.code(), Some(1));
    assert!(stderr(&same_address).contains("--listen"), "{}", stderr(&same_address));
    let mut client = tollgate.connect().await.unwrap();
    assert_eq!(client.get("/readyz", &[]).await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_lets_a_running_stream_finish_and_accounts_for_it() {
    let provider = ScriptedProvider::start().await;
    let mut tollgate = TollgateProcess::start(settings(&[])).await.unwrap();
    let key = Asking(&tollgate).configure(&provider).await;
    let go_on = Signal::new();
    let parts = canned::text_stream(Dialect::OpenaiChat).parts;
    let (first, rest) = parts.split_at(3);
    let mut reply = Reply::events(first.iter().cloned()).wait_for(&go_on);
    for part in rest {
        reply = reply.send(part.clone());
    }
    provider.on(Match::any(), reply);

    let mut client = tollgate.connect().await.unwrap();
    let body = chat(true);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.send(&[head.as_bytes(), body.as_bytes()].concat()).await.unwrap();
    assert_eq!(client.response_head().await.unwrap().status, 200);
    tollgate.signal("TERM").await.unwrap();
    log_shows(&tollgate, "shutting down", 0).await;
    go_on.raise();
    let mut received = Vec::new();
    loop {
        let piece = client.read_some().await.unwrap();
        if piece.is_empty() {
            break;
        }
        received.extend_from_slice(&piece);
    }
    assert!(String::from_utf8_lossy(&received).contains("[DONE]"));
    assert!(tollgate.wait(PATIENCE).await.unwrap().success(), "{}", tollgate.log());

    provider.forget_rules();
    tollgate.restart().await.unwrap();
    let requests = Asking(&tollgate).requests(1).await;
    assert_eq!((requests.len(), &requests[0]["outcome"]), (1, &serde_json::json!("completed")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_api_can_have_an_address_of_its_own() {
    let tollgate = TollgateProcess::start(settings(&["--admin-listen", "127.0.0.1:0"])).await.unwrap();
    assert_ne!(tollgate.bootstrap.url, tollgate.bootstrap.admin_url);
    let mut client = tollgate.connect().await.unwrap();
    for path in ["/metrics", "/api/v1/keys", "/"] {
        assert_eq!(client.get(path, &[]).await.unwrap().status, 404, "{path}");
    }
    let admin = tollgate.bootstrap.admin_url.trim_start_matches("http://").parse().unwrap();
    let mut admin = RawClient::connect(admin).await.unwrap();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(admin.get(path, &[]).await.unwrap().status, 200, "{path}");
    }
    let provider = ScriptedProvider::start().await;
    let key = Asking(&tollgate).configure(&provider).await;
    assert_eq!(call(&tollgate, &key).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_takes_over_the_files_all_or_not_at_all() {
    let provider = ScriptedProvider::start().await;
    let configuration = |models: &str| {
        format!(
            "objects:\n  organizations:\n    - name: main\n      teams: [{{name: all}}]\n      providers:\n        - {{name: scripted, kind: \
             openai_compatible, base_url: \"{}/v1\", internal: true}}\n      models:\n{models}",
            provider.url()
        )
    };
    let model = |name: &str| format!("        - {{name: {name}, deployments: [{{provider: scripted}}]}}\n");
    let mut settings = settings(&[]);
    settings.config = Some(configuration(&model("gpt-5.5")));
    let tollgate = TollgateProcess::start(settings).await.unwrap();
    let asking = Asking(&tollgate);
    let names = || async {
        let models = asking.json(&["model", "list", "--json"]).await;
        models
            .as_array()
            .unwrap()
            .iter()
            .map(|model| model["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["gpt-5.5"]);
    let path = tollgate.data_directory().parent().unwrap().join("tollgate.yaml");
    let reload = |content: String, logged: &'static str| {
        let (tollgate, path) = (&tollgate, path.clone());
        async move {
            let before = tollgate.log().matches(logged).count();
            std::fs::write(path, content).unwrap();
            tollgate.signal("HUP").await.unwrap();
            log_shows(tollgate, logged, before).await;
        }
    };
    let broken = configuration(&format!(
        "{}        - {{name: second, deployments: [{{provider: nobody}}]}}\n",
        model("other")
    ));
    reload(broken, "everything stays as it was").await;
    assert_eq!(names().await, ["gpt-5.5"]);
    reload(configuration(&model("other")), "is in effect").await;
    assert_eq!(names().await, ["other"]);
    assert!(!tollgate.log().contains("takes effect at the next start"), "{}", tollgate.log());
    let with_settings =
        format!("limits: {{max_attempts: 2}}\nlog: {{access: true}}\n{}", configuration(&model("third")));
    reload(with_settings, "takes effect at the next start").await;
    assert!(tollgate.log().contains("limits, log"), "{}", tollgate.log());
    assert_eq!(names().await, ["third"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn detection_uses_the_credentials_of_the_environment_and_says_so() {
    const CANARY: &str = "sk-canary-0123456789abcdef";
    let mut settings = settings(&["--detect"]);
    settings.environment =
        vec![("OPENAI_API_KEY".into(), CANARY.into()), ("ANTHROPIC_API_KEY".into(), String::new())];
    let mut tollgate = TollgateProcess::start(settings).await.unwrap();
    let found = "OpenAI: credential in OPENAI_API_KEY";
    log_shows(&tollgate, found, 0).await;
    assert!(
        tollgate.log().contains("Anthropic: not found (ANTHROPIC_API_KEY is not set)"),
        "{}",
        tollgate.log()
    );
    let asking = Asking(&tollgate);
    assert!(asking.ok(&["provider", "list"]).await.contains("…cdef"));
    assert!(asking.ok(&["model", "list"]).await.contains("gpt-*"));
    let key = asking.ok(&["key", "create", "first", "--team", "main", "--create-team"]).await;
    let authorization = format!("Bearer {key}");
    let mut client = tollgate.connect().await.unwrap();
    let models = client.get("/v1/models", &[("authorization", &authorization)]).await.unwrap().json();
    let names: Vec<_> =
        models["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert!(names.iter().any(|name| name.starts_with("gpt-")), "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("openai/gpt-")), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("gpt-gpt-")), "{names:?}");
    tollgate.restart().await.unwrap();
    log_shows(&tollgate, "OpenAI: configured already", 0).await;
    assert!(!tollgate.log().contains(CANARY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_a_kill_interrupted_is_recorded_at_the_next_start() {
    let provider = ScriptedProvider::start().await;
    let mut tollgate = TollgateProcess::start(settings(&[])).await.unwrap();
    let key = Asking(&tollgate).configure(&provider).await;
    provider.on(Match::any(), Reply::status(200).stall());
    let mut client = tollgate.connect().await.unwrap();
    let body = chat(false);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.send(&[head.as_bytes(), body.as_bytes()].concat()).await.unwrap();
    provider.wait_for_requests(1).await;
    tollgate.kill().await.unwrap();
    tollgate.restart().await.unwrap();
    let requests = Asking(&tollgate).requests(1).await;
    assert_eq!((requests.len(), &requests[0]["outcome"]), (1, &serde_json::json!("interrupted")));
    // An openai_compatible provider's prices are nobody's to know.
    assert_eq!(requests[0]["cost_nanos_usd"], serde_json::Value::Null);
}

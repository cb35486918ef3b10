use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tollgate_core::FaultPoint;
use tollgate_testkit::{Match, RawClient, Reply, ScriptedProvider, Settings};

use crate::MACHINE;
use crate::books::Books;
use crate::installation::Installation;
use crate::load::Received;

/// A process that does not come to the place within this time never will.
const LONGEST_WAY: Duration = Duration::from_secs(20);

/// Nanos of the budget: enough for all calls of the test, so that only what is counted is looked at.
const AMOUNT_USD: &str = "100000";

fn config(provider_url: &str) -> String {
    format!(
        r#"objects:
  organizations:
    - name: main
      teams: [{{name: all}}]
      providers:
        - {{name: upstream, kind: openai_compatible, base_url: "{provider_url}/v1", internal: true}}
        - {{name: broken, kind: openai_compatible, base_url: "{provider_url}/broken", internal: true}}
      models:
        - name: good
          deployments:
            - {{provider: upstream, upstream_model: good, price: [{{input: "2", output: "10", per_request: "0.001"}}]}}
        - name: retried
          deployments:
            - {{provider: broken, upstream_model: bad, weight: 1, price: [{{input: "2", output: "10"}}]}}
            - {{provider: upstream, upstream_model: good, weight: 0, price: [{{input: "2", output: "10"}}]}}
      budgets:
        - name: all
          amount_usd: "{AMOUNT_USD}"
          window: {{kind: once}}
        - name: each key
          amount_usd: "{AMOUNT_USD}"
          window: {{kind: year}}
          scope: {{each: key}}
      limits:
        - {{name: plenty, meter: total_tokens, amount: 1000000000}}
"#
    )
}

/// A provider with a model that fails and streams long enough to be paid for in steps.
async fn provider() -> ScriptedProvider {
    let provider = ScriptedProvider::start().await;
    provider.on(Match::model("bad"), Reply::status(503));
    let chunk = |delta: Value, finish: Value, usage: Value| {
        let choices = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        let event = json!({
            "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "x", "choices": choices, "usage": usage,
        });
        format!("data: {event}\n\n")
    };
    let words = "word ".repeat(60);
    let mut reply = Reply::events(Vec::<String>::new());
    for _ in 0..12 {
        let event = chunk(json!({"content": words}), Value::Null, Value::Null);
        reply = reply.send(event).wait(Duration::from_millis(2));
    }
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 720, "total_tokens": 730});
    let end = chunk(json!({}), json!("stop"), usage);
    provider
        .on(Match::any().and_stream(true).and_model("good"), reply.send(format!("{end}data: [DONE]\n\n")));
    provider
}

fn body(model: &str, stream: bool) -> String {
    json!({
        "model": model, "stream": stream, "max_tokens": 4_000, "messages": [{"role": "user", "content": "Hi"}],
    })
    .to_string()
}

/// Callers of every kind: whole answers, retried ones, streams, and streams that are left.
struct Callers(JoinSet<Received>);

impl Callers {
    fn start(installation: &Installation) -> Self {
        let mut callers = JoinSet::new();
        for (model, stream, leaves) in
            [("good", false, false), ("retried", false, false), ("good", true, false), ("good", true, true)]
        {
            // More callers than threads: one thread stands still while the others go on.
            for _ in 0..3 {
                let authorization = installation.authorization();
                let address = installation.tollgate.address;
                callers.spawn(async move {
                    let mut received = Received::default();
                    let headers = [("authorization", authorization.as_str())];
                    while let Ok(mut client) = RawClient::connect(address).await {
                        let body = body(model, stream);
                        if leaves {
                            let call = client.post("/v1/chat/completions", &headers, &body);
                            // Whoever leaves has received nothing in full.
                            drop(timeout(Duration::from_millis(10), call).await);
                            sleep(Duration::from_millis(20)).await;
                            continue;
                        }
                        match client.post("/v1/chat/completions", &headers, &body).await {
                            Ok(response) => received.note(&response, stream),
                            Err(_) => received.cut += 1,
                        }
                        sleep(Duration::from_millis(5)).await;
                    }
                    received
                });
            }
        }
        Self(callers)
    }

    async fn received(self) -> Received {
        let mut all = Received::default();
        for received in self.0.join_all().await {
            all.add(received);
        }
        all
    }
}

/// Calls until something comes to the place. The shipper comes to its places before the process is ready.
async fn call_until_stopped(installation: &Installation, point: FaultPoint) -> Option<Callers> {
    let line = format!("stopped at {}", point.name());
    let deadline = Instant::now() + LONGEST_WAY;
    let mut callers = None;
    loop {
        if installation.tollgate.log().contains(&line) {
            return callers;
        }
        if callers.is_none() && installation.tollgate.is_ready().await {
            callers = Some(Callers::start(installation));
        }
        let log = || installation.tollgate.log();
        assert!(Instant::now() < deadline, "nothing came to `{}`:\n{}", point.name(), log());
        // Another process comes there: there is nothing here to be woken by.
        sleep(Duration::from_millis(10)).await;
    }
}

/// What the budgets say must be what the records say, to the nano, and nothing may stay reserved.
async fn check_books(installation: &Installation, whole: &BTreeSet<String>, point: FaultPoint) {
    let books = Books::read(installation, whole).await;
    let completed = books.with_outcome("completed");
    let lost: Vec<&String> = whole.difference(&completed).collect();
    assert!(lost.is_empty(), "{}: answers received in full have another outcome: {lost:?}", point.name());
    let cost: u64 = books.requests.values().map(|record| record["cost_nanos_usd"].as_u64().unwrap()).sum();
    let budgets = installation.get("/api/v1/budgets").await;
    for budget in budgets["items"].as_array().unwrap() {
        let path = format!("/api/v1/budgets/{}/state", budget["id"].as_str().unwrap());
        let state = installation.get(&path).await;
        // Before the first call nothing has been counted.
        let Some(one) = state["items"].get(0) else { continue };
        assert_eq!(one["reserved_usd"], "0", "{}: {state:#}", point.name());
        let spent = one["spent_usd"].as_str().unwrap();
        assert_eq!(nanos(spent), cost, "{}: {} of budget {budget:#}", point.name(), spent);
    }
    let verified = installation.post("/api/v1/ledger/verify", &json!({})).await;
    assert_eq!(verified["differences"], json!([]), "{}: {verified:#}", point.name());
}

fn nanos(usd: &str) -> u64 {
    let (whole, part) = usd.split_once('.').unwrap_or((usd, ""));
    whole.parse::<u64>().unwrap() * 1_000_000_000 + format!("{part:0<9}").parse::<u64>().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_named_place_every_attempt_is_settled_or_void_once() {
    let _machine = MACHINE.lock().await;
    let provider = provider().await;
    let settings = Settings {
        config: Some(config(&provider.url())),
        arguments: vec!["--threads".into(), "2".into()],
        binary: Some(env!("CARGO_BIN_EXE_tollgate").into()),
        ..Settings::default()
    };
    let mut installation = Installation::start_with(settings).await;
    let mut received = Received::default();
    for point in FaultPoint::ALL {
        installation.tollgate.terminate(crate::PATIENCE).await.unwrap();
        let stop_at = ("TOLLGATE_STOP_AT".to_owned(), point.name().to_owned());
        installation.tollgate.spawn_with(vec![stop_at]).unwrap();
        let callers = call_until_stopped(&installation, *point).await;
        installation.tollgate.kill().await.unwrap();
        if let Some(callers) = callers {
            received.add(callers.received().await);
        }
        installation.tollgate.set_environment(Vec::new());
        installation.tollgate.restart().await.unwrap();
        check_books(&installation, &received.whole, *point).await;
    }
    assert!(received.refusals.is_empty(), "{:?}", received.refusals);
    let installation = Arc::new(installation);
    let books = Books::read(&installation, &received.whole).await;
    assert!(!books.with_outcome("interrupted").is_empty(), "no kill hit a call under way");
    books.balance(installation).await;
}

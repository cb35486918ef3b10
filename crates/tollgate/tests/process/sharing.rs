//! Three processes that share budgets through PostgreSQL and limits through Redis, with links that break.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;
use tollgate_testkit::{
    Link, PostgresDatabase, RawClient, RawResponse, RedisServer, ScriptedProvider, Settings, TollgateProcess,
};

use crate::support::{PATIENCE, settings};

/// Money of a process that needs none comes back within this; then all can be spent.
const ALL_SPENT_WITHIN: Duration = Duration::from_secs(20);

fn config(provider_url: &str) -> String {
    format!(
        r#"objects:
  organizations:
    - name: main
      teams: [{{name: all}}]
      providers:
        - {{name: upstream, kind: openai_compatible, base_url: "{provider_url}/v1", internal: true}}
      models:
        - name: cent
          deployments:
            - {{provider: upstream, price: [{{per_request: "0.01"}}]}}
        - name: free
          deployments:
            - {{provider: upstream, price: free}}
      budgets:
        - name: dollar
          amount_usd: "1"
          window: {{kind: once}}
          mode: hard
      limits:
        - {{name: calm, meter: requests, amount: 60, sharing: exact, scope: {{model: {{name: free}}}}}}
"#
    )
}

/// Three processes, each with a link of its own to the store.
struct Cluster {
    database: PostgresDatabase,
    provider: ScriptedProvider,
    links: Vec<Link>,
    processes: Vec<TollgateProcess>,
    key: String,
}

/// How a storm of calls was answered, by status.
type Answers = BTreeMap<u16, Vec<RawResponse>>;

fn served(answers: &Answers) -> usize {
    answers.get(&200).map_or(0, Vec::len)
}

impl Cluster {
    async fn start(further: &[&str]) -> Option<Self> {
        let database = PostgresDatabase::create().await.unwrap()?;
        let provider = ScriptedProvider::start().await;
        let (mut links, mut processes) = (Vec::new(), Vec::<TollgateProcess>::new());
        for number in 0..3 {
            let link = Link::to(database.address()).await.unwrap();
            let url = database.url_through(link.address());
            let mut settings: Settings = settings(&["--database", &url, "--threads", "1"]);
            settings.arguments.extend(further.iter().map(|argument| (*argument).to_owned()));
            settings.environment = vec![("TOLLGATE_ROOT_KEY".into(), format!("{}=", "A".repeat(43)))];
            if number == 0 {
                settings.config = Some(config(&provider.url()));
            }
            processes.push(match processes.first() {
                None => TollgateProcess::start(settings).await.unwrap(),
                Some(first) => TollgateProcess::start_beside(settings, first).await.unwrap(),
            });
            links.push(link);
        }
        let mut this = Self { database, provider, links, processes, key: String::new() };
        let team = this.get("/api/v1/teams").await["items"][0]["id"].clone();
        let key = json!({"name": "load", "owned_by": {"team": team}, "grants": {"allow": ["*"], "deny": []}});
        this.key = this.post("/api/v1/keys", &key).await["secret"].as_str().unwrap().to_owned();
        Some(this)
    }

    async fn get(&self, path: &str) -> Value {
        let mut client = self.processes[0].connect().await.unwrap();
        let bearer = format!("Bearer {}", self.processes[0].bootstrap.admin_token);
        let answer = client.get(path, &[("authorization", bearer.as_str())]).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let mut client = self.processes[0].connect().await.unwrap();
        let bearer = format!("Bearer {}", self.processes[0].bootstrap.admin_token);
        let headers = [("authorization", bearer.as_str())];
        let answer = client.post(path, &headers, body.to_string()).await.unwrap();
        assert!(answer.status < 300, "{path}: {}", answer.text());
        answer.json()
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.processes.iter().map(|process| process.address).collect()
    }

    async fn storm(&self, addresses: &[SocketAddr], calls: usize) -> Answers {
        self.storm_on("cent", addresses, calls).await
    }

    async fn storm_on(&self, model: &str, addresses: &[SocketAddr], calls: usize) -> Answers {
        let left = Arc::new(AtomicUsize::new(calls));
        let body = json!({"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9});
        let mut callers = tokio::task::JoinSet::new();
        for number in 0..30 {
            let (left, body) = (Arc::clone(&left), body.to_string());
            let address = addresses[number % addresses.len()];
            let bearer = format!("Bearer {}", self.key);
            callers.spawn(async move {
                let mut client = RawClient::connect(address).await.unwrap();
                let headers = [("authorization", bearer.as_str())];
                let mut answers = Vec::new();
                let next = || {
                    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                        .is_ok()
                };
                while next() {
                    answers.push(client.post("/v1/chat/completions", &headers, &body).await.unwrap());
                }
                answers
            });
        }
        let mut answers = Answers::new();
        for answer in callers.join_all().await.into_iter().flatten() {
            answers.entry(answer.status).or_default().push(answer);
        }
        answers
    }

    /// Asks all that are given again and again until so many were served or the time is over.
    async fn until_served(&self, addresses: &[SocketAddr], wanted: usize, within: Duration) -> usize {
        let started = Instant::now();
        let mut count = 0;
        while count < wanted && started.elapsed() < within {
            count += served(&self.storm(addresses, 3).await);
            sleep(Duration::from_millis(50)).await;
        }
        count
    }

    /// The budget's spending, once the store has all records.
    async fn spent(&self, wanted: &str) -> Value {
        let budget = self.get("/api/v1/budgets").await["items"][0]["id"].as_str().unwrap().to_owned();
        let started = Instant::now();
        loop {
            let state = self.get(&format!("/api/v1/budgets/{budget}/state")).await;
            if state["items"][0]["spent_usd"] == wanted || started.elapsed() > PATIENCE {
                return state;
            }
            // Other processes ship: there is nothing here to be woken by.
            sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_spend_a_dollar_to_the_cent() {
    let Some(cluster) = Cluster::start(&[]).await else { return };
    let answers = cluster.storm(&cluster.addresses(), 900).await;
    let at_once = served(&answers);
    let refused = answers.get(&429).expect("refusals");
    assert_eq!(at_once + refused.len(), 900, "{:?}", answers.keys());
    let budget_refuses = |answer: &RawResponse| answer.json()["error"]["type"] == "budget_exceeded";
    assert!(refused.iter().all(budget_refuses), "{}", refused[0].text());
    let later = cluster.until_served(&cluster.addresses(), 100 - at_once, ALL_SPENT_WITHIN).await;
    println!("{at_once} were served at once and {later} later");
    assert_eq!(at_once + later, 100);
    assert!(at_once >= 95, "only {at_once} were served at once");
    assert_eq!(served(&cluster.storm(&cluster.addresses(), 30).await), 0);
    assert_eq!(cluster.provider.requests().len(), 100);
    let state = cluster.spent("1").await;
    assert_eq!(state["items"][0]["spent_usd"], "1", "{state:#}");
    let verified = cluster.post("/api/v1/ledger/verify", &json!({})).await;
    assert_eq!(verified["differences"], json!([]), "{verified:#}");
    let Cluster { database, processes, links, .. } = cluster;
    drop((processes, links));
    database.remove().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_store_leased_money_is_used_and_then_nothing_is_guessed() {
    let Some(mut cluster) = Cluster::start(&[]).await else { return };
    let seconds =
        std::env::var("TOLLGATE_TEST_OUTAGE_S").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    // Each process leases something.
    let mut count = served(&cluster.storm(&cluster.addresses(), 12).await);
    assert_eq!(count, 12);
    // By now each has heard of the key: without the store it could not be looked up.
    sleep(Duration::from_secs(2)).await;
    for link in &cluster.links {
        link.cut();
    }
    let outage = Instant::now();
    while outage.elapsed() < Duration::from_secs(seconds) {
        let answers = cluster.storm(&cluster.addresses(), 30).await;
        for (status, answers) in &answers {
            let told = answers[0].text();
            assert!([200, 429, 503].contains(status), "{status}: {told}");
            assert!(*status != 503 || told.contains("budget_backend_unavailable"), "{told}");
        }
        count += served(&answers);
        sleep(Duration::from_millis(100)).await;
    }
    assert!(count <= 100, "{count}");
    // One stays cut off, and is then killed: what it leased stays counted until its journal is shipped.
    cluster.links[0].mend();
    cluster.links[1].mend();
    cluster.processes[2].kill().await.unwrap();
    let living = [cluster.processes[0].address, cluster.processes[1].address];
    count += cluster.until_served(&living, 100 - count, Duration::from_secs(5)).await;
    assert!(count <= 100, "{count}");
    // It comes back, ships what it had, and gives back what it did not use.
    cluster.links[2].mend();
    cluster.processes[2].restart().await.unwrap();
    count += cluster.until_served(&cluster.addresses(), 100 - count, ALL_SPENT_WITHIN).await;
    assert_eq!(count, 100);
    assert_eq!(served(&cluster.storm(&cluster.addresses(), 30).await), 0);
    assert_eq!(cluster.provider.requests().len(), 100);
    let state = cluster.spent("1").await;
    assert_eq!(state["items"][0]["spent_usd"], "1", "{state:#}");
    let verified = cluster.post("/api/v1/ledger/verify", &json!({})).await;
    assert_eq!(verified["differences"], json!([]), "{verified:#}");
    let Cluster { database, processes, links, .. } = cluster;
    drop((processes, links));
    database.remove().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exact_limit_is_one_for_all_processes_and_a_share_for_each_without_redis() {
    let mut redis = RedisServer::start().await.unwrap();
    let Some(cluster) = Cluster::start(&["--redis-url", &redis.url()]).await else { return };
    let attack = async |seconds| {
        let started = Instant::now();
        let mut count = 0;
        while started.elapsed() < Duration::from_secs(seconds) {
            count += served(&cluster.storm_on("free", &cluster.addresses(), 60).await);
        }
        (count, usize::try_from(started.elapsed().as_secs()).unwrap())
    };
    // All know the limit by now, and that they are three.
    sleep(Duration::from_secs(2)).await;
    let (count, seconds) = attack(3).await;
    println!("{count} in {seconds} seconds by Redis");
    assert!((6..=6 + seconds + 1).contains(&count), "{count} in {seconds} seconds");
    redis.stop().unwrap();
    // Each keeps a third of the rate, and of the burst that Redis has not let it use already.
    let (count, seconds) = attack(3).await;
    println!("{count} in {seconds} seconds by share");
    assert!(count <= 6 + seconds + 3, "{count} in {seconds} seconds");
    let Cluster { database, processes, links, .. } = cluster;
    drop((processes, links));
    database.remove().await.unwrap();
}

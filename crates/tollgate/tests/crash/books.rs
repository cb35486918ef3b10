//! What Tollgate has written down, and whether it agrees with itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep};

use crate::installation::Installation;

const PATIENCE: Duration = Duration::from_secs(60);
const READERS: usize = 4;

/// All request records, by id.
pub(crate) struct Books {
    pub(crate) requests: BTreeMap<String, Value>,
}

/// Sums, of records or of rollups.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    requests: u64,
    attempts: u64,
    cost_nanos_usd: u64,
    unknown_costs: u64,
    tokens: BTreeMap<String, u64>,
}

impl Books {
    /// Reads them once everything has been shipped and these requests are there.
    pub(crate) async fn read(installation: &Installation, expected: &BTreeSet<String>) -> Self {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let system = installation.get("/api/v1/system").await;
            let books = Self::read_now(installation).await;
            let total = installation.get("/api/v1/usage").await;
            let summed = total["groups"][0]["totals"]["requests"].as_u64().unwrap_or(0);
            let missing: Vec<&String> =
                expected.iter().filter(|id| !books.requests.contains_key(*id)).collect();
            let shipped = system["journal"]["lag_bytes"] == 0;
            if shipped && missing.is_empty() && summed == books.requests.len() as u64 {
                return books;
            }
            assert!(
                Instant::now() < deadline,
                "{} of {} received answers have no record, there are {} records and {summed} in the rollups: \
                 {missing:?}\n{system:#}\n{}",
                missing.len(),
                expected.len(),
                books.requests.len(),
                installation.tollgate.log(),
            );
            // Another process ships: there is nothing here to be woken by.
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn read_now(installation: &Installation) -> Self {
        let mut requests = BTreeMap::new();
        let mut client = installation.tollgate.connect().await.unwrap();
        let mut path = "/api/v1/requests?limit=500".to_owned();
        loop {
            let mut page = installation.get_over(&mut client, &path).await;
            let Value::Array(items) = page["items"].take() else { panic!("no list") };
            for item in items {
                let id = item["id"].as_str().unwrap().to_owned();
                let twice = requests.insert(id, item);
                assert!(twice.is_none(), "a request has two records: {twice:?}");
            }
            let Some(next) = page["next"].as_str() else { return Self { requests } };
            path = format!("/api/v1/requests?limit=500&cursor={next}");
        }
    }

    pub(crate) fn with_outcome(&self, outcome: &str) -> BTreeSet<String> {
        let matching = self.requests.iter().filter(|(_, record)| record["outcome"] == outcome);
        matching.map(|(id, _)| id.clone()).collect()
    }

    /// Each request has its attempts, and the rollups are the sums of the records, outcome by outcome.
    pub(crate) async fn balance(&self, installation: Arc<Installation>) {
        let usage = installation.get("/api/v1/usage?group_by=outcome").await;
        let mut rollups = BTreeMap::new();
        for group in usage["groups"].as_array().unwrap() {
            let totals = &group["totals"];
            let sums = Sums {
                requests: totals["requests"].as_u64().unwrap(),
                attempts: totals["attempts"].as_u64().unwrap(),
                cost_nanos_usd: totals["cost_nanos_usd"].as_u64().unwrap(),
                unknown_costs: totals["unknown_cost_requests"].as_u64().unwrap(),
                tokens: numbers(&totals["tokens"]),
            };
            rollups.insert(group["outcome"].as_str().unwrap().to_owned(), sums);
        }
        let mut records: BTreeMap<String, Sums> = BTreeMap::new();
        for record in self.requests.values() {
            records.entry(record["outcome"].as_str().unwrap().to_owned()).or_default().add(record);
        }
        assert_eq!(rollups, records);
        self.check_attempts(installation).await;
    }

    async fn check_attempts(&self, installation: Arc<Installation>) {
        let ids: Vec<String> = self.requests.keys().cloned().collect();
        let mut readers = JoinSet::new();
        for ids in ids.chunks(ids.len().div_ceil(READERS).max(1)) {
            let (ids, installation) = (ids.to_vec(), Arc::clone(&installation));
            readers.spawn(async move {
                let mut client = installation.tollgate.connect().await.unwrap();
                for id in ids {
                    let path = format!("/api/v1/requests/{id}");
                    check_detail(&installation.get_over(&mut client, &path).await);
                }
            });
        }
        readers.join_all().await;
    }
}

fn check_detail(detail: &Value) {
    let request = &detail["request"];
    let attempts = detail["attempts"].as_array().unwrap();
    assert_eq!(attempts.len() as u64, request["attempts"].as_u64().unwrap(), "{detail:#}");
    let served = attempts.iter().filter(|attempt| attempt["served"] == true).count();
    assert_eq!(served, usize::from(request["outcome"] == "completed"), "{detail:#}");
    if let Some(cost) = request["cost_nanos_usd"].as_u64() {
        let sum: u64 = attempts.iter().map(|attempt| attempt["cost_nanos_usd"].as_u64().unwrap()).sum();
        assert_eq!(sum, cost, "{detail:#}");
    }
}

impl Sums {
    fn add(&mut self, record: &Value) {
        self.requests += 1;
        self.attempts += record["attempts"].as_u64().unwrap();
        match record["cost_nanos_usd"].as_u64() {
            Some(cost) => self.cost_nanos_usd += cost,
            None => self.unknown_costs += 1,
        }
        for (name, number) in numbers(&record["usage"]) {
            *self.tokens.entry(name).or_default() += number;
        }
    }
}

fn numbers(object: &Value) -> BTreeMap<String, u64> {
    let fields = object.as_object().unwrap().iter();
    fields.map(|(name, value)| (name.clone(), value.as_u64().unwrap())).collect()
}

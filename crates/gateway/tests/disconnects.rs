//! Clients that leave at any moment: the call is settled once, streams are closed at the provider, nothing leaks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tollgate_core::{Clock, Dialect, NanoUsd, SystemClock};
use tollgate_ledger::record::{Outcome, UsageSource};
use tollgate_state::governance::{BudgetMode, LimitMeter};
use tollgate_testkit::{
    Behaviour, GatewayPlan, Match, RawClient, RecordedRequest, Reply, ScriptedProvider, Signal, TestGateway,
    canned,
};

const CALLS: usize = 10_000;
const CONCURRENT: usize = 300;
/// Of the concurrency limit: more than there are clients.
const PERMITS: u64 = 20_000;

/// The descriptors of the process are counted, so one test runs at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Tests that wait for their turn have made their runtimes by then, which hold some.
const OF_RUNTIMES: usize = 16;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    }
}

fn start(provider: &ScriptedProvider) -> TestGateway {
    let plan = GatewayPlan::default()
        .provider("oa", "openai_compatible", &provider.url())
        .model("m", &[("oa", "upstream", 1)])
        .budget("plenty", NanoUsd::new(1_000_000_000_000), |budget| budget.mode = BudgetMode::Stepped)
        .limit("room for all", LimitMeter::Concurrency, PERMITS, |_| {});
    TestGateway::start(plan)
}

fn body(stream: bool) -> String {
    json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hello"}]}).to_string()
}

fn request(key: &str, case: usize, stream: bool) -> Vec<u8> {
    let body = body(stream);
    let length = body.len();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\nauthorization: Bearer {key}\r\nx-case: {case}\r\n\
         x-tollgate-customer: {case}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Makes one call and leaves somewhere; says whether anything came back, and whether all of it.
async fn leave_somewhere(address: SocketAddr, key: &str, case: usize) -> (bool, bool) {
    let mut random = Random(0x9E37_79B9 + case as u64 * 7_919);
    let bytes = request(key, case, case.is_multiple_of(2));
    let Ok(mut client) = RawClient::connect(address).await else { return (false, false) };
    let point = random.below(10);
    let sent = if point < 2 { random.below(bytes.len() as u64) as usize } else { bytes.len() };
    if client.send(&bytes[..sent]).await.is_err() {
        return (false, false);
    }
    let mut wanted = match point {
        0..=3 => 0,
        _ if stalls(case) => 1 + random.below(600) as usize,
        4..=8 => 1 + random.below(3_000) as usize,
        _ => usize::MAX,
    };
    let pause = Duration::from_millis(random.below(8));
    if point == 3 {
        tokio::time::sleep(pause).await;
    }
    let (mut answered, mut whole, mut received) = (false, false, Vec::new());
    let end = canned::text(Dialect::OpenaiChat).body();
    while wanted > 0 {
        let Ok(piece) = client.read_some().await else { break };
        if piece.is_empty() {
            break;
        }
        answered = true;
        received.extend_from_slice(&piece);
        whole = received.ends_with(b"\r\n0\r\n\r\n") || received.ends_with(&end);
        if whole {
            break;
        }
        wanted = wanted.saturating_sub(piece.len());
    }
    if random.below(2) == 0 {
        client.reset();
    }
    (answered, whole)
}

/// Such a stream never ends by itself, so that its client is gone for certain once it has left.
const fn stalls(case: usize) -> bool {
    case.is_multiple_of(4)
}

/// Streams take some milliseconds between events, whole answers up to twenty before they come.
fn reply(request: &RecordedRequest, number: usize) -> Reply {
    if !request.wants_stream() {
        let whole = canned::text(Dialect::OpenaiChat);
        let wait = Duration::from_millis((number % 20) as u64);
        let head = Reply::status(200).header("content-type", "application/json");
        return head.wait(wait).send(whole.body());
    }
    let case = request.header("x-case").and_then(|case| case.parse().ok()).unwrap_or(1);
    let mut reply = Reply::events(Vec::<Bytes>::new());
    let parts = canned::text_stream(Dialect::OpenaiChat).parts;
    let sent = if stalls(case) { parts.len() / 2 } else { parts.len() };
    for part in parts.into_iter().take(sent) {
        reply = reply.send(part).wait(Duration::from_millis((number % 4) as u64));
    }
    if stalls(case) { reply.stall() } else { reply }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "waited for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_clients_leave_and_nothing_is_left() {
    let _alone = ALONE.lock().await;
    let before = descriptors();
    let provider = ScriptedProvider::start().await;
    provider.on(Match::any(), Behaviour::from_fn(reply));
    let mut gateway = start(&provider);

    let told = Arc::new(std::sync::Mutex::new(HashMap::new()));
    let mut clients = JoinSet::new();
    for worker in 0..CONCURRENT {
        let (address, key, told) = (gateway.address, gateway.key.clone(), Arc::clone(&told));
        clients.spawn(async move {
            for case in (worker..CALLS).step_by(CONCURRENT) {
                let left = leave_somewhere(address, &key, case).await;
                told.lock().unwrap_or_else(PoisonError::into_inner).insert(case, left);
            }
        });
    }
    clients.join_all().await;

    let metrics = Arc::clone(&gateway.gateway.metrics);
    eventually("no open connection", || metrics.connections.load(Ordering::Relaxed) == 0).await;
    eventually("no request in flight", || metrics.requests_in_flight.load(Ordering::Relaxed) == 0).await;
    eventually("no upstream connection in use", || gateway.pool.read().in_use == 0).await;
    let idle = usize::try_from(gateway.pool.read().idle).unwrap();
    eventually("no other upstream connection", || provider.open_connections() <= idle).await;

    let limit = gateway.configuration.limits[0].id;
    let permits = || gateway.gateway.limits.reports(limit, SystemClock.now())[0].remaining;
    eventually("all permits back", || permits() == PERMITS).await;
    let balance = gateway.gateway.budgets.balances(gateway.configuration.budgets[0].id, SystemClock.now());
    assert_eq!(balance[0].reserved_nano_usd, NanoUsd::ZERO);
    let costs = gateway.settlements().into_iter().map(|settlement| settlement.request.cost.unwrap().get());
    assert_eq!(balance[0].spent_nano_usd.get(), costs.sum::<i64>(), "each was charged what its record says");

    let mut settled: HashMap<usize, Outcome> = HashMap::new();
    for settlement in gateway.settlements() {
        let request = settlement.request;
        assert!(request.usage_source != UsageSource::Reported || request.usage.output > 0);
        let Some(customer) = request.customer else {
            // It left before its body, and with it its number, was read.
            assert!(settlement.attempts.is_empty() && request.outcome != Outcome::Completed);
            continue;
        };
        let case = customer.parse().unwrap();
        assert_eq!(settlement.attempts.len(), 1, "case {case}");
        assert!(settled.insert(case, request.outcome).is_none(), "case {case} was settled twice");
    }
    let told = told.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let requests = provider.requests();
    for received in &requests {
        let case: usize = received.header("x-case").unwrap().parse().unwrap();
        assert!(settled.contains_key(&case), "case {case} reached the provider and was not settled");
        let ended = received.answered_at.is_some() || received.peer_closed_at.is_some();
        assert!(ended, "case {case} is still open at the provider");
        let cut = received.peer_closed_at.is_some() && !received.wants_stream();
        assert!(!cut, "case {case} was not read to its end");
    }
    for (case, (answered, whole)) in &told {
        assert!(!answered || settled.contains_key(case), "case {case} was answered and not settled");
        assert!(!whole || settled[case] != Outcome::Failed, "case {case}");
    }
    assert!(requests.len() > CALLS / 2, "{}", requests.len());
    assert!(settled.values().filter(|outcome| **outcome == Outcome::ClientGone).count() > CALLS / 10);
    assert!(settled.values().filter(|outcome| **outcome == Outcome::Completed).count() > CALLS / 10);

    tokio::task::block_in_place(|| gateway.stop());
    drop((gateway, provider));
    eventually("the descriptors of before", || descriptors() <= before + OF_RUNTIMES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_provider_of_a_left_stream_notices_within_a_second() {
    let _alone = ALONE.lock().await;
    let provider = ScriptedProvider::start().await;
    let gateway = start(&provider);
    let parts = canned::text_stream(Dialect::OpenaiChat).parts;
    for (number, sent) in [0, 1, 3, 5].into_iter().enumerate() {
        provider.forget_rules();
        provider.on(Match::any(), Reply::events(parts.iter().take(sent).cloned()).stall());
        let mut client = RawClient::connect(gateway.address).await.unwrap();
        client.send(&request(&gateway.key, number, true)).await.unwrap();
        if sent > 1 {
            assert_eq!(client.response_head().await.unwrap().status, 200);
        } else {
            provider.wait_for_requests(number + 1).await;
        }
        let left = Instant::now();
        drop(client);
        let noticed = provider.wait_for_peer_close(number).await;
        assert!(noticed.duration_since(left) < Duration::from_secs(1), "after {sent} events");
        let settlements = gateway.wait_for_settlements(number + 1).await;
        let settlement = &settlements[number];
        assert_eq!(settlement.request.outcome, Outcome::ClientGone);
        assert_eq!(settlement.request.usage_source, UsageSource::Estimated);
        assert!(settlement.request.usage.input > 0);
        assert_eq!(settlement.request.usage.output > 0, sent > 1, "after {sent} events");
        assert_eq!(settlement.attempts.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_answer_is_read_to_its_end_when_its_client_has_left() {
    let _alone = ALONE.lock().await;
    let provider = ScriptedProvider::start().await;
    let gateway = start(&provider);
    let (halfway, go_on) = (Signal::new(), Signal::new());
    let whole = canned::text(Dialect::OpenaiChat);
    let (first, rest) = (whole.body().slice(..100), whole.body().slice(100..));
    let reply = Reply::status(200).header("content-type", "application/json");
    provider.on(Match::any(), reply.send(first).raise(&halfway).wait_for(&go_on).send(rest));
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    client.send(&request(&gateway.key, 0, false)).await.unwrap();
    halfway.raised().await;
    drop(client);
    eventually("that the client's leaving is seen", || {
        gateway.gateway.metrics.connections.load(Ordering::Relaxed) == 0
    })
    .await;
    go_on.raise();
    assert!(provider.wait_for_answer(0).await.peer_closed_at.is_none());
    let settlement = gateway.wait_for_settlements(1).await.remove(0);
    assert_eq!(settlement.request.outcome, Outcome::ClientGone);
    assert_eq!(
        (settlement.request.usage, settlement.request.usage_source),
        (whole.usage, UsageSource::Reported)
    );
    assert!(settlement.request.cost.unwrap().get() > 0);
}

//! Disks that fail under the journal: billable calls are refused, nothing that was served is lost, and it recovers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tollgate_core::{Dialect, UnixMicros};
use tollgate_ledger::journal::{DiskStorage, SegmentFile, SegmentName, Storage};
use tollgate_ledger::record::{JournalRecord, Outcome};
use tollgate_testkit::{
    GatewayPlan, Match, RawClient, RawResponse, Reply, ScriptedProvider, Signal, TestGateway, canned,
};

const PATHS: [&str; 2] = ["/v1/chat/completions", "/v1/messages"];
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Fault {
    None,
    /// No byte can be written.
    Full,
    /// Half of each write arrives.
    TornWrites,
    /// Bytes arrive, and may not stay.
    Sync,
    /// Nothing works any more.
    Everything,
}

/// What the test breaks, shared with the storage and its files.
#[derive(Debug)]
struct Faults {
    fault: AtomicU8,
    free_bytes: AtomicU64,
}

impl Faults {
    fn new() -> Arc<Self> {
        Arc::new(Self { fault: AtomicU8::new(Fault::None as u8), free_bytes: AtomicU64::new(u64::MAX) })
    }

    fn set(&self, fault: Fault) {
        self.fault.store(fault as u8, Ordering::SeqCst);
    }

    fn is(&self, faults: &[Fault]) -> bool {
        let now = self.fault.load(Ordering::SeqCst);
        faults.iter().any(|fault| *fault as u8 == now)
    }

    fn fail(&self, faults: &[Fault]) -> io::Result<()> {
        if self.is(faults) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

struct Faulty {
    disk: DiskStorage,
    faults: Arc<Faults>,
}

struct FaultyFile {
    file: Arc<dyn SegmentFile>,
    faults: Arc<Faults>,
}

impl Storage for Faulty {
    fn list(&self) -> io::Result<Vec<SegmentName>> {
        self.disk.list()
    }

    fn create(&self, name: SegmentName) -> io::Result<Arc<dyn SegmentFile>> {
        self.faults.fail(&[Fault::Everything])?;
        Ok(Arc::new(FaultyFile { file: self.disk.create(name)?, faults: Arc::clone(&self.faults) }))
    }

    fn open(&self, name: SegmentName) -> io::Result<Arc<dyn SegmentFile>> {
        self.disk.open(name)
    }

    fn remove(&self, name: SegmentName) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn modified(&self, name: SegmentName) -> io::Result<UnixMicros> {
        self.disk.modified(name)
    }

    fn sync_directory(&self, core: u16) -> io::Result<()> {
        self.faults.fail(&[Fault::Everything, Fault::Sync])?;
        self.disk.sync_directory(core)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.faults.free_bytes.load(Ordering::SeqCst))
    }
}

impl SegmentFile for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if self.faults.is(&[Fault::TornWrites]) && bytes.len() > 1 {
            self.file.write_at(&bytes[..bytes.len() / 2], offset)?;
        }
        self.faults.fail(&[Fault::Full, Fault::TornWrites, Fault::Everything])?;
        self.file.write_at(bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.faults.fail(&[Fault::Everything])?;
        self.file.truncate(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.fail(&[Fault::Sync, Fault::Everything])?;
        self.file.sync()
    }
}

fn plan(provider: &ScriptedProvider) -> GatewayPlan {
    GatewayPlan::default()
        .provider("oa", "openai_compatible", &provider.url())
        .model("m", &[("oa", "upstream", 1)])
        .model("held", &[("oa", "held", 1)])
}

fn start(plan: GatewayPlan, faults: &Arc<Faults>) -> TestGateway {
    let faults = Arc::clone(faults);
    TestGateway::start_with(plan, move |directory| {
        Arc::new(Faulty { disk: DiskStorage::open(directory).expect("a directory"), faults })
    })
}

async fn call(gateway: &TestGateway, path: &str, model: &str, stream: bool) -> RawResponse {
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    let body = json!({
        "model": model, "stream": stream, "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}],
    });
    let headers = [("x-api-key", gateway.key.as_str())];
    let answer = client.post(path, &headers, body.to_string());
    tokio::time::timeout(PATIENCE, answer).await.expect("an answer in time").unwrap()
}

async fn get(gateway: &TestGateway, path: &str) -> u16 {
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    client.get(path, &[("x-api-key", gateway.key.as_str())]).await.unwrap().status
}

async fn until_ready(gateway: &TestGateway) {
    let ready = async {
        while get(gateway, "/readyz").await != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.expect("it recovers without a restart");
}

fn id(answer: &RawResponse) -> String {
    answer.header("x-tollgate-request-id").expect("an id").to_owned()
}

fn assert_refused(answer: &RawResponse, path: &str) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    let body = answer.json();
    assert!(body["error"]["message"].as_str().is_some_and(|text| text.contains("usage cannot be recorded")));
    if path == "/v1/messages" {
        assert_eq!(body["type"], "error", "{body}");
    } else {
        assert_eq!(body["error"]["code"], "journal_unavailable", "{body}");
    }
    assert_eq!(answer.header("retry-after"), Some("1"));
}

/// Answers to the model "held" wait for the signal.
fn hold(provider: &ScriptedProvider) -> Signal {
    let go_on = Signal::new();
    let mut parts = canned::text_stream(Dialect::OpenaiChat).parts;
    let rest = parts.split_off(3);
    let stream = rest.into_iter().fold(Reply::events(parts).wait_for(&go_on), Reply::send);
    provider.on(Match::model("held").and_stream(true), stream);
    let whole = canned::text(Dialect::OpenaiChat).body();
    let held = Reply::status(200).header("content-type", "application/json").wait_for(&go_on).send(whole);
    provider.on(Match::model("held").and_stream(false), held);
    go_on
}

async fn assert_recorded(gateway: &TestGateway, ids: Vec<String>, completed: usize) {
    let settlements = gateway.wait_for_settlements(ids.len()).await;
    let settled: HashSet<String> = settlements.iter().map(|one| one.request.request_id.to_string()).collect();
    assert_eq!(settled, ids.into_iter().collect());
    let records = gateway.records();
    let has_intent = |id| {
        records
            .iter()
            .any(|record| matches!(record, JournalRecord::Intent(intent) if intent.request_id == id))
    };
    let served = settlements.iter().filter(|one| one.request.outcome == Outcome::Completed);
    assert_eq!(served.clone().count(), completed);
    for settlement in served {
        let id = settlement.request.request_id;
        assert!(has_intent(id), "the intent of {id} is lost");
        assert!(settlement.request.usage.output > 0 && settlement.request.cost.unwrap().get() > 0);
    }
}

async fn survives(fault: Fault) {
    let provider = ScriptedProvider::start().await;
    let go_on = hold(&provider);
    let faults = Faults::new();
    let gateway = Arc::new(start(plan(&provider), &faults));

    let mut ids = vec![id(&call(&gateway, PATHS[0], "m", false).await)];
    let running: Vec<_> = [(PATHS[0], true), (PATHS[0], false), (PATHS[1], true), (PATHS[1], false)]
        .into_iter()
        .map(|(path, stream)| {
            let gateway = Arc::clone(&gateway);
            tokio::spawn(async move { call(&gateway, path, "held", stream).await })
        })
        .collect();
    provider.wait_for_requests(5).await;

    faults.set(fault);
    // A failing sync is noticed after some calls, which are served and must be recorded.
    let mut served = 0;
    loop {
        let answer = call(&gateway, PATHS[0], "m", false).await;
        ids.push(id(&answer));
        if answer.status != 200 {
            assert_refused(&answer, PATHS[0]);
            break;
        }
        served += 1;
        assert!(served < 1_000, "{fault:?} is not noticed");
    }
    let reached = provider.requests().len();
    for path in PATHS {
        for stream in [false, true] {
            let answer = call(&gateway, path, "m", stream).await;
            assert_refused(&answer, path);
            ids.push(id(&answer));
        }
    }
    assert_eq!(provider.requests().len(), reached, "what cannot be recorded is not sent");
    assert_eq!((get(&gateway, "/readyz").await, get(&gateway, "/healthz").await), (503, 200));
    assert_eq!(get(&gateway, "/v1/models").await, 200, "what costs nothing is served");

    go_on.raise();
    for answer in running {
        let answer = answer.await.unwrap();
        assert!(answer.status == 200 && answer.complete, "{fault:?}: what runs is served: {}", answer.text());
        ids.push(id(&answer));
    }
    assert_eq!(get(&gateway, "/readyz").await, 503);

    faults.set(Fault::None);
    until_ready(&gateway).await;
    let answer = call(&gateway, PATHS[1], "m", true).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    ids.push(id(&answer));

    assert_recorded(&gateway, ids, 1 + served + 4 + 1).await;
}

#[tokio::test]
async fn a_full_disk() {
    survives(Fault::Full).await;
}

#[tokio::test]
async fn writes_that_arrive_in_part() {
    survives(Fault::TornWrites).await;
}

#[tokio::test]
async fn a_failing_sync() {
    survives(Fault::Sync).await;
}

#[tokio::test]
async fn a_disk_that_is_gone() {
    survives(Fault::Everything).await;
}

#[tokio::test]
async fn a_nearly_full_disk_refuses_new_calls_and_still_records() {
    let provider = ScriptedProvider::start().await;
    let faults = Faults::new();
    let mut plan = plan(&provider);
    plan.minimum_free_bytes = 1 << 20;
    let gateway = start(plan, &faults);
    assert_eq!(call(&gateway, PATHS[0], "m", false).await.status, 200);
    faults.free_bytes.store(1 << 10, Ordering::SeqCst);
    let noticed = async {
        while get(&gateway, "/readyz").await == 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, noticed).await.expect("low space is noticed");
    let reached = provider.requests().len();
    for path in PATHS {
        assert_refused(&call(&gateway, path, "m", false).await, path);
    }
    assert_eq!(provider.requests().len(), reached);
    gateway.wait_for_settlements(3).await;
    faults.free_bytes.store(u64::MAX, Ordering::SeqCst);
    until_ready(&gateway).await;
    assert_eq!(call(&gateway, PATHS[0], "m", false).await.status, 200);
    gateway.wait_for_settlements(4).await;
}

//! Limits that several processes keep as one, with a real Redis server.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "redis/server.rs"]
mod server;

use std::sync::Arc;
use std::time::Duration;

use server::Server;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tollgate_core::{Clock, LimitId, OrganizationId, SystemClock, UnixMicros};
use tollgate_ledger::limit::{
    LimitBook, LimitLine, OverLimit, RedisLimiter, Retry, SharedLimiter, Taken, Want,
};
use tollgate_state::governance::{
    Governance, LimitMeter, LimitObject, LimitPeriod, LimitSharing, Member, Scope,
};
use tollgate_state::objects::Owner;

/// More than the product's, so that a busy machine does not look like a server that is gone.
const PATIENCE: Duration = Duration::from_secs(2);

fn limit(meter: LimitMeter, amount: u64, per: LimitPeriod, burst: u64) -> LimitObject {
    LimitObject {
        id: LimitId::generate(),
        organization_id: OrganizationId::from_bytes([7; 16]),
        name: "shared".to_owned(),
        scope: Scope { place: tollgate_state::governance::Place::Organization, each: None, model: None },
        meter,
        amount,
        per,
        burst: Some(burst),
        sharing: LimitSharing::Exact,
        enabled: true,
        owner: Owner::Api,
        created_at: UnixMicros(0),
        updated_at: UnixMicros(0),
    }
}

/// One of several processes.
struct Process {
    book: LimitBook,
    limiter: Arc<RedisLimiter>,
    limits: Vec<LimitObject>,
    lines: Arc<[Arc<LimitLine>]>,
}

impl Process {
    async fn new(url: &str, limits: &[LimitObject], live_processes: u32) -> Self {
        let limiter = Arc::new(RedisLimiter::start(url, Handle::current(), PATIENCE).unwrap());
        let book = LimitBook::default().with_shared(Arc::clone(&limiter) as Arc<dyn SharedLimiter>);
        book.set_share(live_processes);
        let lines = book.lines(&Governance::new(&[], limits));
        let this = Self { book, limiter, limits: limits.to_vec(), lines };
        this.reaches(true).await;
        this
    }

    async fn reaches(&self, expected: bool) {
        let reached = async {
            while self.limiter.is_reachable() != expected {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), reached).await.expect("the limiter notices");
    }

    async fn take(&self, slot: usize, cost: u64) -> Result<Taken, OverLimit> {
        let want = Want { line: &self.lines[slot], config: &self.limits[slot], member: Member::All, cost };
        self.book.admit(SystemClock.now(), &[want]).await
    }

    async fn take_all(&self) -> Result<Taken, OverLimit> {
        let pairs = self.lines.iter().zip(&self.limits);
        let wants: Vec<Want<'_>> =
            pairs.map(|(line, config)| Want { line, config, member: Member::All, cost: 1 }).collect();
        self.book.admit(SystemClock.now(), &wants).await
    }

    /// How many calls of cost 1 are admitted at once.
    async fn burst(&self, slot: usize) -> usize {
        let mut taken = Vec::new();
        while let Ok(one) = self.take(slot, 1).await {
            taken.push(one);
            assert!(taken.len() <= 1_000, "without limit");
        }
        taken.len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_share_one_count() {
    let server = Server::start().await;
    let limits = [
        limit(LimitMeter::Requests, 240, LimitPeriod::Day, 24),
        limit(LimitMeter::Concurrency, 5, LimitPeriod::Minute, 1),
    ];
    let one = Process::new(&server.url(), &limits, 2).await;
    let two = Process::new(&server.url(), &limits, 2).await;
    let mut admitted = 0;
    for _ in 0..30 {
        admitted += usize::from(one.take(0, 1).await.is_ok()) + usize::from(two.take(0, 1).await.is_ok());
    }
    assert_eq!(admitted, 24);
    let over = two.take(0, 1).await.unwrap_err();
    let Retry::AfterMs(ms) = over.retry else { panic!("{over:?}") };
    assert!((300_000..=360_000).contains(&ms), "{ms}");
    let told = over.standing.requests.unwrap();
    assert_eq!((told.limit, told.remaining), (240, 0));
    // All or none: the full limit keeps the other one untouched.
    for _ in 0..10 {
        assert_eq!(one.take_all().await.unwrap_err().want, 0);
    }
    let mut held = Vec::new();
    for turn in 0..5 {
        held.push(if turn % 2 == 0 { one.take(1, 1).await } else { two.take(1, 1).await }.unwrap());
    }
    assert_eq!(one.take(1, 1).await.unwrap_err().retry, Retry::WhenAnotherEnds);
    assert_eq!(one.take(1, 6).await.unwrap_err().retry, Retry::Never);
    held.pop();
    let released = async {
        while one.take(1, 1).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), released).await.expect("the permit comes back");
}

#[tokio::test(flavor = "multi_thread")]
async fn token_estimates_are_corrected_for_all() {
    let server = Server::start().await;
    let limits = [limit(LimitMeter::TotalTokens, 10_000, LimitPeriod::Day, 1_000)];
    let one = Process::new(&server.url(), &limits, 2).await;
    let two = Process::new(&server.url(), &limits, 2).await;
    assert_eq!(one.take(0, 10_001).await.unwrap_err().retry, Retry::Never);
    let taken = one.take(0, 10_000).await.unwrap();
    let over = two.take(0, 900).await.unwrap_err();
    assert!(matches!(over.retry, Retry::AfterMs(82_000_000..=85_600_000)), "{over:?}");
    taken.correct(SystemClock.now(), 0, 100);
    let admitted = async {
        while two.take(0, 900).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), admitted).await.expect("the correction arrives");
    assert!(one.take(0, 10).await.is_err());
    assert!(taken.standing(SystemClock.now()).tokens.unwrap().remaining >= 900);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_process_keeps_its_part_while_the_server_is_gone() {
    let mut server = Server::start().await;
    let limits = [
        limit(LimitMeter::Requests, 240, LimitPeriod::Day, 24),
        limit(LimitMeter::Requests, 240, LimitPeriod::Day, 24),
        limit(LimitMeter::Concurrency, 6, LimitPeriod::Minute, 1),
    ];
    let one = Process::new(&server.url(), &limits, 3).await;
    let two = Process::new(&server.url(), &limits, 3).await;
    let held = one.take(2, 1).await.unwrap();
    assert_eq!(one.burst(0).await, 24);
    server.stop();
    assert_eq!(one.burst(0).await, 0, "what was admitted before is remembered");
    assert_eq!(one.burst(1).await, 8);
    assert_eq!(two.burst(1).await, 8);
    let mut more = Vec::new();
    while let Ok(taken) = one.take(2, 1).await {
        more.push(taken);
    }
    assert_eq!(more.len(), 1, "two permits of six belong to this process, and one is held");
    assert!(!one.limiter.is_reachable());
    server.run().await;
    one.reaches(true).await;
    two.reaches(true).await;
    let again = one.burst(1).await + two.burst(1).await;
    assert_eq!(again, 24, "a server that has forgotten everything admits one burst more");
    drop((held, more));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_delays_one_decision_and_is_left_alone() {
    let server = Server::start().await;
    let limits = [limit(LimitMeter::Requests, 240, LimitPeriod::Day, 24)];
    let one = Process::new(&server.url(), &limits, 3).await;
    one.take(0, 1).await.unwrap();
    server.pause();
    let decided = timeout(Duration::from_secs(10), one.take(0, 1)).await.expect("decided here");
    assert!(!one.limiter.is_reachable());
    assert!(decided.is_ok());
    let rest = timeout(Duration::from_secs(10), one.burst(0)).await.expect("decided here");
    assert_eq!(rest, 6, "eight are this process's part, and two were admitted");
    server.resume();
    one.reaches(true).await;
    let over = one.burst(0).await;
    assert!(
        (22..=23).contains(&over),
        "{over}: the server counts on, the question that timed out perhaps included"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flushed_server_forgets_rates_and_learns_permits_again() {
    let server = Server::start().await;
    let limits = [
        limit(LimitMeter::Requests, 240, LimitPeriod::Day, 24),
        limit(LimitMeter::Concurrency, 2, LimitPeriod::Minute, 1),
    ];
    let one = Process::new(&server.url(), &limits, 1).await;
    assert_eq!(one.burst(0).await, 24);
    let held = one.take(1, 1).await.unwrap();
    server.command(&["FLUSHALL"]).await.unwrap();
    server.command(&["SCRIPT", "FLUSH"]).await.unwrap();
    assert_eq!(one.burst(0).await, 24);
    // A lost connection is noticed by the next decision; what is held is told again when there is a new one.
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]).await.ok();
    let organization = limits[1].organization_id.as_uuid().simple();
    let key = format!("tollgate:{{{organization}}}:limit:{}:all", limits[1].id.as_uuid().simple());
    let learned = async {
        while server.command(&["ZCARD", &key]).await.ok() != Some(redis::Value::Int(1)) {
            drop(one.take(0, 1).await);
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), learned).await.expect("the permit that is held is known again");
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_leave_while_it_is_decided_hold_nothing() {
    let server = Server::start().await;
    let limits = [limit(LimitMeter::Concurrency, 8, LimitPeriod::Minute, 1)];
    let one = Process::new(&server.url(), &limits, 1).await;
    for _ in 0..200 {
        let mut asking = Box::pin(one.take(0, 1));
        // Polled once, so that the question is on its way, then dropped.
        let _ = timeout(Duration::ZERO, &mut asking).await;
    }
    let free = async {
        loop {
            let mut taken = Vec::new();
            while let Ok(permit) = one.take(0, 1).await {
                taken.push(permit);
            }
            if taken.len() == 8 {
                return;
            }
            drop(taken);
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), free).await.expect("all permits come back");
}

#[tokio::test]
async fn a_wrong_address_is_said_so_without_its_password() {
    let error = RedisLimiter::start("http://user:secret@localhost", Handle::current(), PATIENCE).unwrap_err();
    assert!(error.to_string().contains("expected redis://") && !error.to_string().contains("secret"));
}

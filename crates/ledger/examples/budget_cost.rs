//! What budgets cost a call: `cargo run --release -p tollgate-ledger --example budget_cost`.

use std::sync::Arc;
use std::time::Duration;

use tollgate_core::{BudgetId, Clock, NanoUsd, OrganizationId, SystemClock, UnixMicros};
use tollgate_ledger::budget::{BudgetBook, BudgetLine, Claim};
use tollgate_state::governance::{
    BudgetMode, BudgetObject, Clamp, Each, Governance, Member, OnExhausted, Place, Scope, Unpriced, Window,
    WindowKind,
};
use tollgate_state::objects::Owner;

const CALLS: u128 = 1_000_000;
const PRICE: NanoUsd = NanoUsd::new(10);

#[allow(clippy::print_stdout)]
fn main() {
    println!("reserving, settling and committing one call; CPU time of its thread");
    for scopes in [1, 4, 16] {
        let (book, lines) = book_of(scopes, WindowKind::Month, None);
        let cost = cpu_time(|call| spend(&book, &lines, |_| Member::All, call));
        println!("{scopes:>2} scopes: {} ns", cost.as_nanos() / CALLS);
    }
    let (book, lines) = book_of(4, WindowKind::RollingS(3_600), None);
    let cost = cpu_time(|call| spend(&book, &lines, |_| Member::All, call));
    println!(" 4 scopes, rolling windows: {} ns", cost.as_nanos() / CALLS);
    for (keys, each_of) in [(1, 4), (100_000, 2), (100_000, 4)] {
        let (book, lines) = book_of(4, WindowKind::Month, Some(Each::Key));
        let member = |slot: usize, call: u128| {
            let key = Member::Id((call * 7_919 % keys).to_le_bytes());
            if slot < each_of { key } else { Member::All }
        };
        (0..keys).for_each(|call| spend(&book, &lines, |slot| member(slot, call), call));
        let cost = cpu_time(|call| spend(&book, &lines, |slot| member(slot, call), call));
        println!(" 4 scopes, {each_of} of them each of {keys:>6} keys: {} ns", cost.as_nanos() / CALLS);
    }
    for threads in [1, 2, 4, 16] {
        let (book, lines) = book_of(1, WindowKind::Month, None);
        let total: Duration = std::thread::scope(|scope| {
            let run = || cpu_time(|call| spend(&book, &lines, |_| Member::All, call));
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).sum()
        });
        println!(" 1 hot scope, {threads:>2} threads: {} ns", total.as_nanos() / CALLS / threads);
    }
}

/// A call's way through the book, without the clock that the gateway has read anyway.
fn spend(book: &BudgetBook, lines: &[Arc<BudgetLine>], member: impl Fn(usize) -> Member, call: u128) {
    const NOON: UnixMicros = UnixMicros(1_700_000_000_000_000);
    let now = UnixMicros(NOON.0 + i64::try_from(call).unwrap_or(0));
    let claims: Vec<_> = lines
        .iter()
        .enumerate()
        .map(|(slot, line)| Claim { line, member: member(slot), amount: PRICE })
        .collect();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let reserved = std::pin::pin!(book.reserve(now, &claims)).poll(&mut context);
    if let std::task::Poll::Ready(Ok(hold)) = reserved {
        hold.settle(&[PRICE; 16]).commit();
    }
}

fn book_of(scopes: usize, kind: WindowKind, each: Option<Each>) -> (BudgetBook, Arc<[Arc<BudgetLine>]>) {
    let book = BudgetBook::sole();
    let budgets: Vec<_> = (0..scopes).map(|_| budget(kind, each)).collect();
    let lines = book.lines(&Governance::new(&budgets, &[]));
    (book, lines)
}

fn budget(kind: WindowKind, each: Option<Each>) -> BudgetObject {
    let now = SystemClock.now();
    BudgetObject {
        id: BudgetId::generate(),
        organization_id: OrganizationId::generate(),
        name: String::new(),
        scope: Scope { place: Place::Organization, each, model: None },
        amount_nano_usd: NanoUsd::new(i64::MAX / 2),
        window: Window { kind, time_zone: "Europe/Berlin".into() },
        mode: BudgetMode::Hard,
        clamp: Clamp::default(),
        thresholds_percent: Vec::new(),
        on_exhausted: OnExhausted::default(),
        unpriced: Unpriced::default(),
        server_tools_nano_usd: None,
        increases: Vec::new(),
        enabled: true,
        owner: Owner::Api,
        created_at: now,
        updated_at: now,
    }
}

fn cpu_time(mut call: impl FnMut(u128)) -> Duration {
    let begun = thread_cpu_time();
    (0..CALLS).for_each(&mut call);
    thread_cpu_time().saturating_sub(begun)
}

/// `utime + stime` would count in ticks of 10 ms; the scheduler's own figure is in nanoseconds.
fn thread_cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|field| field.parse().ok()).unwrap_or(0);
    Duration::from_nanos(nanoseconds)
}

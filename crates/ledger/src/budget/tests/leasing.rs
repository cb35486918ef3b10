//! Leases: one allowance by itself, and several processes on one budget.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tollgate_core::SystemClock;

use super::super::balance::Ceiling;
use super::super::lease::{Allowance, Asking, Uncovered};
use super::simulated::store::{Link, Store};
use super::*;

const NOON: UnixMicros = UnixMicros(1_700_000_000_000_000);

fn grant(granted: i64, left: i64) -> Option<LeaseGrant> {
    Some(LeaseGrant { granted: usd(granted), expires_in: Duration::from_secs(10), left: usd(left) })
}

fn under(amount: i64) -> Ceiling {
    Ceiling { amount: usd(amount), revision: 1 }
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// One that wished for 10, was asked for at `begun`, and got the answer at once.
fn leased(begun: Instant, answer: Option<LeaseGrant>) -> Allowance {
    let mut lease = Allowance::new(begun);
    assert_eq!(lease.cover(usd(0), under(100), usd(10), begun), Err(Uncovered::Ask));
    assert!(lease.wish(usd(10)));
    let asking = lease.begin_asking(usd(0), under(100), begun).unwrap();
    assert_eq!(asking, Asking { keeps: usd(0), at_least: usd(10), at_most: usd(10) });
    lease.finish_asking(usd(0), answer, begun, begun);
    lease
}

#[test]
fn a_lease_is_not_used_in_the_last_two_seconds() {
    let begun = Instant::now();
    let mut lease = leased(begun, grant(30, 70));
    assert_eq!(lease.cover(usd(20), under(100), usd(10), begun + ms(7_999)), Ok(()));
    assert_eq!(lease.cover(usd(20), under(100), usd(11), begun), Err(Uncovered::Ask));
    assert_eq!(lease.cover(usd(0), under(100), usd(1), begun + ms(8_000)), Err(Uncovered::Ask));
    lease.renewed(begun + ms(8_000), Duration::from_secs(10));
    assert_eq!(lease.cover(usd(0), under(100), usd(1), begun + ms(15_999)), Ok(()));
}

#[test]
fn an_answer_that_does_not_help_is_believed_for_a_moment() {
    let begun = Instant::now();
    let mut nothing_left = leased(begun, grant(4, 3));
    let exhausted = Err(Uncovered::Exhausted { left: usd(7) });
    assert_eq!(nothing_left.cover(usd(0), under(100), usd(10), begun + ms(249)), exhausted);
    assert_eq!(nothing_left.cover(usd(0), under(100), usd(7), begun + ms(249)), Err(Uncovered::Ask));
    assert_eq!(nothing_left.cover(usd(0), under(100), usd(10), begun + ms(250)), Err(Uncovered::Ask));
    let mut silent = leased(begun, None);
    assert_eq!(silent.cover(usd(0), under(100), usd(1), begun + ms(249)), Err(Uncovered::Unavailable));
    assert_eq!(silent.cover(usd(0), under(100), usd(1), begun + ms(250)), Err(Uncovered::Ask));
}

#[test]
fn idle_money_goes_back_and_a_closed_window_gives_it_back_at_once() {
    let begun = Instant::now();
    let mut lease = leased(begun, grant(30, 70));
    assert_eq!(lease.begin_giving_back(usd(12), true, begun + ms(1_499)), None);
    assert_eq!(lease.begin_giving_back(usd(12), true, begun + ms(1_500)), Some(usd(12)));
    assert_eq!(lease.cover(usd(12), under(100), usd(1), begun + ms(1_500)), Err(Uncovered::Ask));
    assert!(leased(begun, grant(30, 70)).begin_giving_back(usd(12), false, begun).is_some());
}

#[test]
fn a_lowered_budget_uses_nothing_before_the_store_was_asked() {
    let begun = Instant::now();
    let mut lease = leased(begun, grant(30, 70));
    assert_eq!(lease.cover(usd(5), under(99), usd(1), begun), Err(Uncovered::Ask));
    assert!(lease.wish(usd(1)));
    let asking = lease.begin_asking(usd(5), under(99), begun).unwrap();
    assert_eq!((asking.keeps, asking.at_least), (usd(5), usd(1)));
    lease.finish_asking(usd(5), grant(5, -20), begun, begun);
    let exhausted = Err(Uncovered::Exhausted { left: NanoUsd::ZERO });
    assert_eq!(
        lease.cover(usd(3), under(99), usd(1), begun),
        exhausted,
        "what becomes free is not ours to use"
    );
}

/// Other processes may have leased what it was raised to.
#[test]
fn a_changed_budget_uses_nothing_before_the_store_was_asked() {
    let begun = Instant::now();
    let mut lease = leased(begun, grant(30, 70));
    let changed = Ceiling { revision: 2, ..under(120) };
    assert_eq!(lease.cover(usd(5), changed, usd(1), begun), Err(Uncovered::Ask));
    assert!(lease.wish(usd(1)));
    let asking = lease.begin_asking(usd(5), changed, begun).unwrap();
    assert_eq!((asking.keeps, asking.at_least), (usd(30), usd(0)), "it may still be ours");
    lease.finish_asking(usd(5), grant(30, 0), begun, begun);
    assert_eq!(lease.cover(usd(5), changed, usd(25), begun), Ok(()));
}

#[test]
fn an_increase_that_came_and_went_counts_as_lowered() {
    let begun = Instant::now();
    let mut lease = leased(begun, grant(30, 70));
    assert_eq!(lease.cover(usd(5), under(150), usd(1), begun), Ok(()));
    assert_eq!(lease.cover(usd(6), under(100), usd(1), begun), Err(Uncovered::Ask));
}

/// What another process leased while it was raised is not there a second time when it is lowered, even to more than it
/// was at first.
#[tokio::test(start_paused = true)]
async fn a_budget_that_was_raised_and_lowered_is_not_spent_twice() {
    let store: Arc<Mutex<Store>> = Arc::default();
    let mut object = budget(68, WindowKind::Day, BudgetMode::Hard);
    let process = |epoch| {
        let link = Link { store: Arc::clone(&store), epoch, faults: None };
        let book = Arc::new(BudgetBook::leased(Arc::new(link), Arc::new(SystemClock)));
        let kept = Arc::clone(&book);
        tokio::spawn(async move { kept.keep_leases().await });
        book
    };
    let (quiet, busy) = (process(1), process(2));
    let publish_to =
        |book: &BudgetBook, object: &_| Arc::clone(&publish(book, std::slice::from_ref(object))[0]);
    let line = publish_to(&quiet, &object);
    quiet.reserve(NOON, &[claim(&line, 40)]).await.unwrap().settle(&[usd(30)]).commit();
    sleep(ms(100)).await;
    object.amount_nano_usd = usd(223);
    let (line, busy_line) = (publish_to(&quiet, &object), publish_to(&busy, &object));
    let hold = busy.reserve(NOON, &[claim(&busy_line, 150)]).await.unwrap();
    object.amount_nano_usd = usd(86);
    publish_to(&quiet, &object);
    publish_to(&busy, &object);
    let refused = quiet.reserve(NOON, &[claim(&line, 4)]).await.unwrap_err();
    assert!(matches!(refused, Shortage::Exhausted { left: NanoUsd::ZERO, .. }), "{refused}");
    drop(hold);
}

#[tokio::test(start_paused = true)]
async fn three_processes_spend_a_budget_to_its_end_and_not_beyond() {
    let store: Arc<Mutex<Store>> = Arc::default();
    let object = budget(100, WindowKind::Day, BudgetMode::Hard);
    let mut processes = Vec::new();
    for epoch in 0..3 {
        let link = Link { store: Arc::clone(&store), epoch, faults: None };
        let book = Arc::new(BudgetBook::leased(Arc::new(link), Arc::new(SystemClock)));
        let line = Arc::clone(&publish(&book, std::slice::from_ref(&object))[0]);
        let kept = Arc::clone(&book);
        tokio::spawn(async move { kept.keep_leases().await });
        processes.push((book, line));
    }
    let mut served = 0;
    for call in 0..1_000 {
        let (book, line) = &processes[call % 3];
        if let Ok(hold) = book.reserve(NOON, &[claim(line, 1)]).await {
            served += 1;
            hold.settle(&[usd(1)]).commit();
        }
    }
    assert!((95..=100).contains(&served), "{served} were served at once");
    let retrying_since = Instant::now();
    while served < 100 && retrying_since.elapsed() < Duration::from_secs(5) {
        sleep(ms(100)).await;
        for (book, line) in &processes {
            if let Ok(hold) = book.reserve(NOON, &[claim(line, 1)]).await {
                served += 1;
                hold.settle(&[usd(1)]).commit();
            }
        }
    }
    assert_eq!(served, 100);
}

#[tokio::test(start_paused = true)]
async fn without_a_store_what_is_leased_is_used_and_then_nothing() {
    let store: Arc<Mutex<Store>> = Arc::default();
    let link = Link { store: Arc::clone(&store), epoch: 1, faults: None };
    let book = Arc::new(BudgetBook::leased(Arc::new(link), Arc::new(SystemClock)));
    let line = Arc::clone(&publish(&book, &[budget(100, WindowKind::Day, BudgetMode::Hard)])[0]);
    let soft = Arc::clone(&publish(&book, &[budget(1, WindowKind::Day, BudgetMode::Soft)])[0]);
    let kept = Arc::clone(&book);
    tokio::spawn(async move { kept.keep_leases().await });
    drop(book.reserve(NOON, &[claim(&line, 10)]).await.unwrap());
    store.lock().unreachable = true;
    let hold = book.reserve(NOON, &[claim(&line, 10)]).await.unwrap();
    let refused = book.reserve(NOON, &[claim(&line, 1)]).await.unwrap_err();
    assert_eq!(refused, Shortage::Unavailable { claim: 0 });
    drop(book.reserve(NOON, &[claim(&soft, 50)]).await.unwrap());
    store.lock().unreachable = false;
    sleep(ms(300)).await;
    drop(book.reserve(NOON, &[claim(&line, 90)]).await.unwrap());
    drop(hold);
}

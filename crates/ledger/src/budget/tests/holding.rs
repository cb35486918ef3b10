//! Reserving, extending and settling, through the book.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::*;

const NOON: UnixMicros = UnixMicros(1_700_000_000_000_000);

/// A future that must not wait.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("a sole book suspended"),
    }
}

fn hard(amount: i64) -> BudgetObject {
    budget(amount, WindowKind::Day, BudgetMode::Hard)
}

fn left(book: &BudgetBook, line: &BudgetLine) -> i64 {
    book.left(NOON, line, &Member::All).unwrap().get()
}

#[test]
fn what_is_reserved_is_gone_until_it_is_settled_or_dropped() {
    let book = BudgetBook::sole();
    let line = &publish(&book, &[hard(100)])[0];
    let first = ready(book.reserve(NOON, &[claim(line, 60)])).unwrap();
    let refused = ready(book.reserve(NOON, &[claim(line, 41)])).unwrap_err();
    assert!(matches!(refused, Shortage::Exhausted { claim: 0, left, .. } if left == usd(40)), "{refused:?}");
    drop(first);
    assert_eq!(left(&book, line), 100);

    let second = ready(book.reserve(NOON, &[claim(line, 100)])).unwrap();
    let settled = second.settle(&[usd(30)]);
    assert_eq!(settled.charges()[0].amount_nano_usd, usd(30));
    assert_eq!(left(&book, line), 0, "until the journal has it, the whole reservation stands");
    settled.commit();
    assert_eq!(left(&book, line), 70);
}

#[test]
fn a_claim_that_fails_anywhere_reserves_nowhere_and_names_the_tightest() {
    let book = BudgetBook::sole();
    let lines = publish(&book, &[hard(1_000), hard(50), hard(20), hard(1_000)]);
    let claims: Vec<_> = lines.iter().map(|line| claim(line, 60)).collect();
    let Err(Shortage::Exhausted { claim, left: there, balance, resets_at }) =
        ready(book.reserve(NOON, &claims))
    else {
        panic!("more was reserved than there is")
    };
    assert_eq!((claim, there), (2, usd(20)));
    assert_eq!(balance.budget_id, lines[2].budget_id());
    assert_eq!(resets_at, Some(at("2023-11-15T00:00:00Z")));
    assert_eq!(lines.iter().map(|line| left(&book, line)).collect::<Vec<_>>(), [1_000, 50, 20, 1_000]);
}

#[test]
fn extensions_are_all_or_none_and_never_lower_what_is_held() {
    let book = BudgetBook::sole();
    let lines = publish(&book, &[hard(100), hard(50)]);
    let mut hold = ready(book.reserve(NOON, &[claim(&lines[0], 10), claim(&lines[1], 10)])).unwrap();
    let refused = ready(hold.extend(NOON, &[usd(60), usd(60)])).unwrap_err();
    assert!(matches!(refused, Shortage::Exhausted { claim: 1, left, .. } if left == usd(40)));
    assert_eq!([left(&book, &lines[0]), left(&book, &lines[1])], [90, 40]);
    ready(hold.extend(NOON, &[usd(5), usd(50)])).unwrap();
    assert_eq!([left(&book, &lines[0]), left(&book, &lines[1])], [90, 0]);
    hold.settle(&[]).commit();
    assert_eq!(
        [left(&book, &lines[0]), left(&book, &lines[1])],
        [90, 0],
        "no amount means all that was held"
    );
}

#[test]
fn soft_budgets_count_without_refusing() {
    let book = BudgetBook::sole();
    let soft = budget(10, WindowKind::Month, BudgetMode::Soft);
    let line = &publish(&book, std::slice::from_ref(&soft))[0];
    ready(book.reserve(NOON, &[claim(line, 400)])).unwrap().settle(&[usd(300)]).commit();
    assert_eq!(book.left(NOON, line, &Member::All), None);
    assert_eq!(book.balances(soft.id, NOON)[0].spent_nano_usd, usd(300));
}

#[test]
fn absurd_amounts_are_refused_and_raise_no_balance() {
    let book = BudgetBook::sole();
    let lines = publish(&book, &[hard(100), budget(1, WindowKind::Day, BudgetMode::Observe)]);
    ready(book.reserve(NOON, &[claim(&lines[1], 5)])).unwrap().settle(&[usd(5)]).commit();
    for line in lines.iter() {
        for amount in [-1, i64::MIN, i64::MAX] {
            assert!(ready(book.reserve(NOON, &[claim(line, amount)])).is_err(), "{amount}");
        }
    }
    ready(book.reserve(NOON, &[claim(&lines[0], 40)])).unwrap().settle(&[usd(-40)]).commit();
    assert_eq!(left(&book, &lines[0]), 100);
}

#[test]
fn a_balance_that_is_claimed_twice_counts_once() {
    let book = BudgetBook::sole();
    let line = &publish(&book, &[hard(100)])[0];
    let hold = ready(book.reserve(NOON, &[claim(line, 60), claim(line, 60)])).unwrap();
    assert_eq!(hold.charges().len(), 1);
}

#[test]
fn lowered_amounts_hold_at_once_and_state_survives_publishing() {
    let book = BudgetBook::sole();
    let mut object = hard(100);
    let line = Arc::clone(&publish(&book, std::slice::from_ref(&object))[0]);
    let mut hold = ready(book.reserve(NOON, &[claim(&line, 50)])).unwrap();
    object.amount_nano_usd = usd(40);
    assert!(Arc::ptr_eq(&line, &publish(&book, std::slice::from_ref(&object))[0]));
    assert!(ready(book.reserve(NOON, &[claim(&line, 1)])).is_err());
    assert!(ready(hold.extend(NOON, &[usd(51)])).is_err());
    hold.settle(&[usd(45)]).commit();
    publish(&book, &[]);
    object.amount_nano_usd = usd(50);
    publish(&book, &[object]);
    assert_eq!(left(&book, &line), 5);
}

#[test]
fn restored_balances_count_whether_or_not_their_budget_is_known_yet() {
    let object = hard(100);
    let key =
        BalanceKey { budget_id: object.id, member: Member::All, window_start: at("2023-11-14T00:00:00Z") };
    let yesterday = BalanceKey { window_start: at("2023-11-13T00:00:00Z"), ..key.clone() };
    for budget_first in [true, false] {
        let book = BudgetBook::sole();
        if budget_first {
            publish(&book, std::slice::from_ref(&object));
        }
        book.restore([(key.clone(), usd(70)), (yesterday.clone(), usd(99))]);
        let line = &publish(&book, std::slice::from_ref(&object))[0];
        assert_eq!(left(&book, line), 30);
    }
}

#[test]
fn threads_on_one_hot_budget_get_exactly_what_is_there() {
    for _ in 0..20 {
        let book = BudgetBook::sole();
        let lines = publish(&book, &[hard(100), hard(1_000_000)]);
        let (served, barrier) = (AtomicUsize::new(0), Barrier::new(16));
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    barrier.wait();
                    for _ in 0..50 {
                        let claims = [claim(&lines[0], 1), claim(&lines[1], 1)];
                        if let Ok(hold) = ready(book.reserve(NOON, &claims)) {
                            served.fetch_add(1, Relaxed);
                            hold.settle(&[usd(1), usd(1)]).commit();
                        }
                    }
                });
            }
        });
        assert_eq!(served.load(Relaxed), 100);
        assert_eq!([left(&book, &lines[0]), left(&book, &lines[1])], [0, 999_900]);
        assert_eq!(book.counts().violations, 0);
    }
}

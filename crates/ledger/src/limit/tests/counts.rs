//! Whose count it is, and what survives.

use super::*;

#[test]
fn all_or_none() {
    let wide = limit(LimitMeter::Requests, 1_000, LimitPeriod::Minute, Some(100));
    let narrow = limit(LimitMeter::TotalTokens, 100, LimitPeriod::Minute, Some(10));
    let bench = Bench::new(vec![wide, narrow]);
    let both = [bench.want(0, Member::All, 1), bench.want(1, Member::All, 10)];
    bench.book.take(START, &both).unwrap();
    for _ in 0..1_000 {
        let over = bench.book.take(START, &both).unwrap_err();
        assert_eq!((over.want, over.retry), (1, Retry::AfterMs(6_000)));
    }
    let left = bench.book.take(START, &both[..1]).unwrap().standing(START).requests.unwrap();
    assert_eq!((left.limit, left.remaining, left.reset_after_ms), (1_000, 98, 120));
}

#[test]
fn ten_thousand_calls_that_are_given_up_leave_no_concurrency() {
    let bench = Bench::new(vec![limit(LimitMeter::Concurrency, 3, LimitPeriod::Minute, None)]);
    for _ in 0..10_000 {
        let taken: Vec<Taken> = (0..3).map(|_| bench.take(START, 1).unwrap()).collect();
        assert_eq!(bench.take(START, 1).unwrap_err().retry, Retry::WhenAnotherEnds);
        drop(taken);
    }
    let all: Vec<_> = (0..3).map(|_| bench.take(START, 1)).collect();
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(bench.take(START, 4).unwrap_err().retry, Retry::Never);
}

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

#[test]
fn customers_beyond_the_bound_share_a_count_until_there_is_room() {
    let one_a_minute = each_customer(limit(LimitMeter::Requests, 1, LimitPeriod::Minute, Some(1)));
    let bench = Bench::of(LimitBook::new(2), vec![one_a_minute]);
    let take = |name: &str, now| bench.book.take(now, &[bench.want(0, customer(name), 1)]).map(drop);
    assert!(take("a", START).is_ok() && take("b", START).is_ok());
    assert!(take("a", START).is_err());
    assert!(take("c", START).is_ok(), "the first of the others");
    assert!(take("d", START).is_err(), "the others share one call a minute");
    assert!(take("e", after_ms(61_000)).is_ok(), "still one of the others");
    assert!(bench.book.take_crowded());
    // a and b are idle by now and make room.
    bench.book.sweep(after_ms(61_000));
    assert!(take("e", after_ms(61_000)).is_ok() && take("f", after_ms(61_000)).is_ok());
    assert!(take("e", after_ms(61_000)).is_err());
}

#[test]
fn a_count_that_a_call_still_holds_is_not_dropped() {
    let bench =
        Bench::new(vec![each_customer(limit(LimitMeter::TotalTokens, 60, LimitPeriod::Minute, Some(60)))]);
    let taken = bench.book.take(START, &[bench.want(0, customer("a"), 1)]).unwrap();
    let later = after_ms(120_000);
    bench.book.sweep(later);
    taken.correct(later, 0, 120);
    let over = bench.book.take(later, &[bench.want(0, customer("a"), 60)]).unwrap_err();
    assert_eq!(over.retry, Retry::AfterMs(59_000));
    drop(taken);
    bench.book.sweep(after_ms(300_000));
    assert!(bench.lines[0].is_idle(later_ns()));
}

fn later_ns() -> i64 {
    START.0 * 1_000 + 300_000_000_000
}

#[test]
fn threads_on_one_count_admit_what_one_would() {
    let bench = Bench::new(vec![
        each_customer(limit(LimitMeter::Requests, 10_000, LimitPeriod::Day, Some(1_000))),
        limit(LimitMeter::Concurrency, 4, LimitPeriod::Day, None),
    ]);
    let admitted = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for turn in 0..20_000 {
                    let wants = [bench.want(0, customer("a"), 1), bench.want(1, Member::All, 1)];
                    if bench.book.take(START, &wants).is_ok() {
                        admitted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                    if turn % 100 == 0 {
                        // Nothing of a day limit that is in use may be swept away.
                        bench.book.sweep(START);
                    }
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), 1_000);
    let free: Vec<_> = (0..5).map(|_| bench.book.take(START, &[bench.want(1, Member::All, 1)])).collect();
    assert_eq!(free.iter().filter(|taken| taken.is_ok()).count(), 4);
}

#[test]
fn shares_of_small_limits_are_at_least_one() {
    let bench = Bench::new(vec![
        limit(LimitMeter::Concurrency, 7, LimitPeriod::Minute, None),
        limit(LimitMeter::Concurrency, 2, LimitPeriod::Minute, None),
    ]);
    let most = |slot| {
        let taken: Vec<_> =
            (0..10).map(|_| bench.book.take(START, &[bench.want(slot, Member::All, 1)])).collect();
        taken.iter().filter(|taken| taken.is_ok()).count()
    };
    assert_eq!((most(0), most(1)), (7, 2));
    bench.book.set_share(3);
    assert_eq!((most(0), most(1)), (2, 1));
    bench.book.set_share(0);
    assert_eq!((most(0), most(1)), (7, 2));
}

#[test]
fn the_tightest_limit_of_a_meter_is_told() {
    let bench = Bench::new(vec![
        limit(LimitMeter::Requests, 1_000, LimitPeriod::Hour, Some(1_000)),
        limit(LimitMeter::Requests, 60, LimitPeriod::Minute, Some(6)),
        limit(LimitMeter::InputTokens, 600, LimitPeriod::Minute, Some(60)),
        limit(LimitMeter::Concurrency, 9, LimitPeriod::Minute, None),
    ]);
    let taken = bench.take(START, 1).unwrap();
    let standing = taken.standing(START);
    let requests = standing.requests.unwrap();
    assert_eq!((requests.limit, requests.remaining, requests.reset_after_ms), (60, 5, 1_000));
    assert_eq!(standing.input_tokens.unwrap().remaining, 59);
    assert_eq!((standing.tokens, standing.output_tokens), (None, None));
    taken.correct(START, 2, 31);
    assert_eq!(taken.standing(START).input_tokens.unwrap().remaining, 29);
    assert_eq!(bench.book.take(START, &[bench.want(2, Member::All, 29)]).map(drop), Ok(()));
    assert!(bench.book.take(START, &[bench.want(2, Member::All, 1)]).is_err());
}

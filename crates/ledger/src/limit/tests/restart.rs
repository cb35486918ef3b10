//! What survives a publish and a restart.

use std::fs;

use super::*;

const DAY_MS: i64 = 86_400_000;

fn day_limit() -> LimitObject {
    limit(LimitMeter::Requests, 24, LimitPeriod::Day, Some(3))
}

fn takes(bench: &Bench, now: UnixMicros) -> usize {
    (0..100).take_while(|_| bench.take(now, 1).is_ok()).count()
}

#[test]
fn hour_and_day_limits_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let file = LimitFile::in_directory(directory.path());
    let mut limits =
        vec![each_customer(day_limit()), limit(LimitMeter::InputTokens, 600, LimitPeriod::Hour, Some(60))];
    limits.push(limit(LimitMeter::Requests, 60, LimitPeriod::Minute, None));
    let before = Bench::new(limits.clone());
    let wants = |bench: &Bench| {
        [bench.want(0, customer("a"), 3), bench.want(1, Member::All, 40), bench.want(2, Member::All, 6)]
            .map(|want| bench.book.take(START, &[want]).map(|taken| taken.standing(START)))
    };
    assert!(wants(&before).iter().all(Result::is_ok));
    assert!(file.save(&before.book, START).unwrap());
    assert!(!file.save(&before.book, START).unwrap(), "nothing has changed");

    let book = LimitBook::default();
    assert_eq!(file.load(&book, START).unwrap(), 2);
    assert_eq!(book.snapshot(START).counts(), 2, "counts wait for their limit and are not lost");
    let after = Bench::of(book, limits);
    let [day, hour, minute] = wants(&after);
    assert_eq!(day.unwrap_err().retry, Retry::AfterMs(3 * 3_600_000));
    assert_eq!(hour.unwrap_err().retry, Retry::AfterMs(20 * 6_000));
    assert!(minute.is_ok());
    assert!(after.book.take(START, &[after.want(0, customer("b"), 3)]).is_ok());
}

#[test]
fn a_damaged_file_costs_the_burst_and_locks_nobody_out() {
    let directory = tempfile::tempdir().unwrap();
    let file = LimitFile::in_directory(directory.path());
    let first = Bench::new(vec![day_limit()]);
    assert_eq!(file.load(&first.book, START).unwrap(), 0, "a first start");
    assert_eq!(takes(&first, START), 3);
    file.save(&first.book, START).unwrap();
    let path = directory.path().join("limits");
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damaged in [&whole[..whole.len() - 1], &whole[..3], &[], &flipped] {
        fs::write(&path, damaged).unwrap();
        let book = LimitBook::default();
        assert!(matches!(file.load(&book, START), Err(LimitFileError::Damaged { .. })));
        let bench =
            Bench::of(book, vec![day_limit(), limit(LimitMeter::Requests, 60, LimitPeriod::Minute, None)]);
        let take = |slot, now| bench.book.take(now, &[bench.want(slot, Member::All, 1)]);
        assert_eq!(take(0, START).unwrap_err().retry, Retry::AfterMs(3_600_000));
        assert!(take(0, after_ms(DAY_MS / 24)).is_ok());
        assert!(take(1, START).is_ok(), "a short limit needs no memory");
    }
}

#[tokio::test(start_paused = true)]
async fn what_changed_is_saved_every_second_and_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let file = LimitFile::in_directory(directory.path());
    let bench = Bench::new(vec![day_limit()]);
    let Bench { book, limits, lines } = bench;
    let book = Arc::new(book);
    let take = || {
        let want = Want { line: &lines[0], config: &limits[0], member: Member::All, cost: 1 };
        book.take(START, &[want]).unwrap();
    };
    let saved = || LimitSnapshot::from_bytes(&fs::read(directory.path().join("limits")).unwrap()).unwrap();
    struct Still;
    impl tollgate_core::Clock for Still {
        fn now(&self) -> UnixMicros {
            START
        }
    }
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async { stopped.await.unwrap_or_default() };
    let keeping = tokio::spawn(file.keep(Arc::clone(&book), Arc::new(Still), stopped));
    take();
    while !directory.path().join("limits").exists() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let first = saved();
    take();
    drop(stop);
    keeping.await.unwrap();
    assert_ne!(saved(), first);
    assert_eq!(saved(), book.snapshot(START));
}

#[test]
fn counts_survive_publishes_and_changes_of_the_amount() {
    let mut bench = Bench::new(vec![limit(LimitMeter::Requests, 60, LimitPeriod::Minute, Some(6))]);
    assert_eq!(takes(&bench, START), 6);
    let publish = |bench: &mut Bench| bench.lines = bench.book.lines(&Governance::new(&[], &bench.limits));
    publish(&mut bench);
    assert_eq!(takes(&bench, START), 0);
    // Six seconds are owed, whatever a second is worth.
    (bench.limits[0].amount, bench.limits[0].burst) = (600, Some(60));
    publish(&mut bench);
    assert_eq!(takes(&bench, after_ms(3_000)), 30);
    (bench.limits[0].amount, bench.limits[0].burst) = (6, Some(1));
    publish(&mut bench);
    assert_eq!(bench.take(after_ms(3_000), 1).unwrap_err().retry, Retry::AfterMs(6_000));
    // Switched off and on again.
    bench.book.lines(&Governance::default());
    bench.book.sweep(after_ms(3_000));
    publish(&mut bench);
    assert_eq!(takes(&bench, after_ms(3_000)), 0);
}

//! How much a rate limit admits.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// The most that was admitted in any window of this length.
fn heaviest_window(admitted: &[(i64, u64)], window_us: i64) -> u64 {
    let (mut inside, mut sum, mut most) = (VecDeque::new(), 0_u64, 0);
    for &(at_us, cost) in admitted {
        inside.push_back((at_us, cost));
        sum += cost;
        while inside.front().is_some_and(|(first_us, _)| first_us + window_us <= at_us) {
            sum -= inside.pop_front().map_or(0, |(_, cost)| cost);
        }
        most = most.max(sum);
    }
    most
}

#[test]
fn a_thousand_calls_a_second_for_five_minutes_pass_as_the_limit_says() {
    let bench = Bench::new(vec![limit(LimitMeter::Requests, 60, LimitPeriod::Minute, Some(6))]);
    let calls = (0..300_000).map(after_ms);
    let admitted: Vec<(i64, u64)> =
        calls.filter(|now| bench.take(*now, 1).is_ok()).map(|now| (now.0, 1)).collect();
    assert_eq!(heaviest_window(&admitted, 60_000_000), 65);
    assert_eq!(admitted.len(), 6 + 299);
}

#[test]
fn several_processes_together_keep_the_rate_and_at_least_one_call_of_burst_each() {
    let mut admitted = Vec::new();
    let benches: Vec<Bench> = (0..3)
        .map(|_| Bench::new(vec![limit(LimitMeter::Requests, 60, LimitPeriod::Minute, Some(2))]))
        .collect();
    benches.iter().for_each(|bench| bench.book.set_share(3));
    for now in (0..300_000).map(after_ms) {
        for bench in &benches {
            admitted.extend(bench.take(now, 1).is_ok().then_some((now.0, 1)));
        }
    }
    assert!(heaviest_window(&admitted, 60_000_000) <= 63);
    assert!(admitted.len() >= 299);
}

fn meters() -> impl Strategy<Value = LimitMeter> {
    prop_oneof![Just(LimitMeter::Requests), Just(LimitMeter::TotalTokens)]
}

fn periods() -> impl Strategy<Value = LimitPeriod> {
    prop_oneof![
        Just(LimitPeriod::Second),
        Just(LimitPeriod::Minute),
        Just(LimitPeriod::Hour),
        Just(LimitPeriod::Day)
    ]
}

proptest! {
    #[test]
    fn no_window_admits_more_than_amount_and_burst(
        meter in meters(),
        period in periods(),
        amount in 1..5_000_u64,
        burst in 1..6_000_u64,
        arrivals in prop::collection::vec((0..40_u32, 1..100_u64), 1..400),
    ) {
        let bench = Bench::new(vec![limit(meter, amount, period, Some(burst))]);
        let window_us = period.as_micros();
        let mut now = START;
        let mut admitted = Vec::new();
        let mut largest = burst;
        for (pause, part) in arrivals {
            now = UnixMicros(now.0 + i64::from(pause) * window_us / 397);
            let cost = if meter == LimitMeter::Requests { 1 } else { amount * part / 90 };
            if bench.take(now, cost).is_ok() {
                largest = largest.max(cost);
                admitted.push((now.0, cost));
            }
        }
        prop_assert!(heaviest_window(&admitted, window_us) <= amount + largest);
    }

    #[test]
    fn the_wait_is_true_to_the_millisecond(
        period in periods(),
        amounts in prop::collection::vec((meters(), 1..100_000_u64, 1..20_000_u64), 1..4),
        arrivals in prop::collection::vec((0..4_000_i64, 0..100_000_u64), 1..60),
    ) {
        let limits = amounts.iter().map(|(meter, amount, burst)| limit(*meter, *amount, period, Some(*burst)));
        let bench = Bench::new(limits.collect());
        let mut now = START;
        for (pause_us, cost) in arrivals {
            now = UnixMicros(now.0 + pause_us);
            let Err(over) = bench.take(now, cost) else { continue };
            let Retry::AfterMs(ms) = over.retry else {
                let least = bench.limits.iter().map(|one| one.amount.max(one.burst())).min();
                prop_assert!(over.retry == Retry::Never && Some(cost) > least);
                continue;
            };
            let then = UnixMicros(now.0 + i64::try_from(ms).unwrap() * 1_000);
            prop_assert!(ms > 0);
            if ms > 1 {
                prop_assert!(bench.take(UnixMicros(then.0 - 1_000), cost).is_err());
            }
            prop_assert!(bench.take(then, cost).map(Taken::abandon).is_ok());
        }
    }

    #[test]
    fn whatever_fits_the_limit_is_admitted_when_nothing_is_left_of_the_past(
        amount in 1..u64::MAX,
        burst in 1..1_000_u64,
        part in 0..=100_u64,
        processes in 0..50_u32,
    ) {
        let bench = Bench::new(vec![limit(LimitMeter::InputTokens, amount, LimitPeriod::Minute, Some(burst))]);
        bench.book.set_share(processes);
        prop_assert!(bench.take(START, amount / 100 * part).is_ok());
    }

    /// What is given back was reserved before; apart from it, corrections admit nothing.
    #[test]
    fn corrections_admit_what_was_given_back_and_no_more(
        amount in 100..10_000_u64,
        calls in prop::collection::vec((0..3_000_i64, 1..100_u64, 0..100_u64, 0..8_usize), 1..300),
    ) {
        let bench = Bench::new(vec![limit(LimitMeter::TotalTokens, amount, LimitPeriod::Minute, None)]);
        let mut now = START;
        let mut open: VecDeque<(Taken, u64, u64)> = VecDeque::new();
        let mut events: Vec<(i64, u64, u64)> = Vec::new();
        let mut largest = amount / 10;
        for (pause_ms, estimate, actual, ends) in calls {
            now = UnixMicros(now.0 + pause_ms * 1_000);
            for (taken, estimate, actual) in open.drain(..ends.min(open.len())) {
                taken.correct(now, 0, actual);
                events.push((now.0, 0, estimate.saturating_sub(actual)));
            }
            let estimate = amount * estimate / 100;
            if let Ok(taken) = bench.take(now, estimate) {
                largest = largest.max(estimate);
                events.push((now.0, estimate, 0));
                open.push_back((taken, estimate, amount * actual / 100));
            }
        }
        for (first, &(from_us, ..)) in events.iter().enumerate() {
            let window = events[first..].iter().take_while(|(at_us, ..)| *at_us < from_us + 60_000_000);
            let (taken, back) = window.fold((0, 0), |(taken, back), one| (taken + one.1, back + one.2));
            prop_assert!(taken <= amount + largest + back, "{taken} > {amount} + {largest} + {back}");
        }
    }
}

#[test]
fn hostile_amounts_are_safe() {
    for amount in [0, 1, u64::MAX] {
        for meter in [LimitMeter::Requests, LimitMeter::TotalTokens, LimitMeter::Concurrency] {
            for burst in [None, Some(0), Some(u64::MAX)] {
                let bench = Bench::new(vec![limit(meter, amount, LimitPeriod::Day, burst)]);
                for now in [UnixMicros(i64::MIN), UnixMicros(0), START, UnixMicros(i64::MAX)] {
                    for cost in [0, 1, u64::MAX] {
                        let taken = bench.take(now, cost);
                        if amount == 0 {
                            assert_eq!(taken.as_ref().err().map(|over| over.retry), Some(Retry::Never));
                        }
                        if let Ok(taken) = taken {
                            taken.correct(now, 0, u64::MAX);
                            taken.correct(now, 0, 0);
                            taken.standing(now);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_clock_that_jumps_back_neither_opens_the_gate_nor_locks_it() {
    let bench = Bench::new(vec![limit(LimitMeter::Requests, 60, LimitPeriod::Minute, Some(6))]);
    while bench.take(START, 1).is_ok() {}
    for days in [1, 3_000] {
        let back = UnixMicros(START.0 - days * 86_400_000_000);
        assert_eq!(bench.take(back, 1).err().map(|over| over.retry), Some(Retry::AfterMs(1_000)));
        assert!(bench.take(UnixMicros(back.0 + 1_000_000), 1).is_ok());
        assert!(bench.take(UnixMicros(back.0 + 1_000_000), 1).is_err());
        while bench.take(START, 1).is_ok() {}
    }
}

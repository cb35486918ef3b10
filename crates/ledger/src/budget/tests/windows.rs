//! Where windows begin and end.

use proptest::prelude::*;

use super::super::window::{Calendar, NEVER, Span};
use super::*;

fn calendar(kind: WindowKind, zone: &str) -> Calendar {
    Calendar::new(&Window { kind, time_zone: zone.into() })
}

fn check(kind: WindowKind, zone: &str, now: &str, start: &str, end: &str) {
    let span = calendar(kind, zone).span_at(at(now));
    assert_eq!(span, Span { start: at(start), end: at(end) }, "{kind:?} in {zone} at {now}");
}

#[test]
fn calendar_windows_follow_the_zone() {
    use WindowKind::{Day, Hour, Month, Quarter, Week, Year};
    let berlin = "Europe/Berlin";
    check(Day, "UTC", "2026-02-28T23:59:59.999999Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z");
    check(Day, "UTC", "2028-02-29T00:00:00Z", "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z");
    check(Month, "UTC", "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z");
    check(Month, "UTC", "2026-12-31T23:00:00Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z");
    check(Month, berlin, "2026-12-31T23:00:00Z", "2026-12-31T23:00:00Z", "2027-01-31T23:00:00Z");
    check(Week, "UTC", "2026-11-22T10:00:00Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z");
    check(Week, "UTC", "2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z");
    check(Quarter, "UTC", "2026-06-30T23:59:59Z", "2026-04-01T00:00:00Z", "2026-07-01T00:00:00Z");
    check(Quarter, berlin, "2026-11-21T00:00:00Z", "2026-09-30T22:00:00Z", "2026-12-31T23:00:00Z");
    check(Year, "Asia/Kolkata", "2026-12-31T18:30:00Z", "2026-12-31T18:30:00Z", "2027-12-31T18:30:00Z");
    check(Hour, "Asia/Kolkata", "2026-01-01T12:15:00Z", "2026-01-01T11:30:00Z", "2026-01-01T12:30:00Z");
}

#[test]
fn days_and_hours_are_as_long_as_clocks_make_them() {
    use WindowKind::{Day, Hour};
    let berlin = "Europe/Berlin";
    check(Day, berlin, "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
    check(Day, berlin, "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
    check(Hour, berlin, "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z");
    check(Hour, berlin, "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z");
    // Midnight does not exist, then it comes twice.
    check(Day, "Africa/Cairo", "2026-04-24T12:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z");
    check(Day, "America/Havana", "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z");
    // Clocks go back by half an hour: the hour is cut, and none comes twice.
    let lord_howe = "Australia/Lord_Howe";
    check(Hour, lord_howe, "2026-04-04T14:45:00Z", "2026-04-04T14:00:00Z", "2026-04-04T15:00:00Z");
    check(Hour, lord_howe, "2026-04-04T15:10:00Z", "2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z");
}

#[test]
fn windows_without_end_and_rolling_ones() {
    let once = calendar(WindowKind::Once, "UTC");
    assert_eq!(once.span_at(at("2026-01-01T00:00:00Z")), Span { start: UnixMicros(0), end: NEVER });
    let minute = calendar(WindowKind::RollingS(60), "UTC");
    let bucket = minute.span_at(UnixMicros(59_500_000));
    assert_eq!(bucket, Span { start: UnixMicros(59_000_000), end: UnixMicros(60_000_000) });
}

#[test]
fn unknown_zones_are_told_and_still_count() {
    assert!(check_time_zone("Europe/Berlin").is_ok());
    assert!(check_time_zone("Mars/Olympus").unwrap_err().to_string().contains("Mars/Olympus"));
    check(
        WindowKind::Day,
        "Mars/Olympus",
        "2026-01-01T05:00:00Z",
        "2026-01-01T00:00:00Z",
        "2026-01-02T00:00:00Z",
    );
}

const ZONES: [&str; 9] = [
    "UTC",
    "Europe/Berlin",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "America/Havana",
];

proptest! {
    /// Every instant is in one window, which agrees with all other instants in it, and windows follow each other.
    #[test]
    fn windows_cover_time_without_overlap(
        zone in proptest::sample::select(&ZONES[..]),
        kind in proptest::sample::select(vec![
            WindowKind::Hour, WindowKind::Day, WindowKind::Week, WindowKind::Month, WindowKind::Quarter,
            WindowKind::Year, WindowKind::RollingS(1), WindowKind::RollingS(3_601),
        ]),
        now_us in 1_600_000_000_000_000_i64..2_200_000_000_000_000,
    ) {
        let calendar = calendar(kind, zone);
        let span = calendar.span_at(UnixMicros(now_us));
        prop_assert!(span.start.0 <= now_us && now_us < span.end.0);
        prop_assert_eq!(calendar.span_at(span.start), span);
        prop_assert_eq!(calendar.span_at(UnixMicros(span.end.0 - 1)), span);
        prop_assert_eq!(calendar.span_at(span.end).start, span.end);
    }

    #[test]
    fn no_time_breaks_a_calendar(now_us in any::<i64>(), zone in proptest::sample::select(&ZONES[..])) {
        for kind in [WindowKind::Hour, WindowKind::Week, WindowKind::Year, WindowKind::RollingS(u32::MAX)] {
            let span = calendar(kind, zone).span_at(UnixMicros(now_us));
            prop_assert!(span.start <= span.end);
        }
    }
}

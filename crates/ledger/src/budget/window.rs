//! When windows begin and end.

use std::time::Duration;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use tollgate_core::UnixMicros;
use tollgate_state::governance::{Window, WindowKind};

/// Into how many buckets a rolling window is divided.
const ROLLING_BUCKETS: i64 = 60;

/// A time without end.
pub(super) const NEVER: UnixMicros = UnixMicros(i64::MAX);

/// Why a time zone cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time zone: use a name of the IANA database, for example `Europe/Berlin`")]
pub struct UnknownTimeZone(Box<str>);

/// Whether budgets can count by the calendar of this time zone.
///
/// # Errors
/// When the IANA database has no such name.
pub fn check_time_zone(name: &str) -> Result<(), UnknownTimeZone> {
    zone(name).map(drop)
}

fn zone(name: &str) -> Result<TimeZone, UnknownTimeZone> {
    TimeZone::get(name).map_err(|_| UnknownTimeZone(name.chars().take(64).collect()))
}

/// From `start` until just before `end`: a window, or a bucket of a rolling one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: UnixMicros,
    pub(super) end: UnixMicros,
}

/// How a budget divides time.
#[derive(Debug)]
pub(super) struct Calendar {
    kind: WindowKind,
    zone: TimeZone,
}

impl Calendar {
    /// The API lets no unknown time zone in. Should one get here (a smaller database after an update), money is still
    /// counted, by UTC.
    pub(super) fn new(window: &Window) -> Self {
        let zone = zone(&window.time_zone).unwrap_or_else(|error| {
            tracing::error!(%error, "a budget counts by UTC, because its time zone is unknown");
            TimeZone::UTC
        });
        Self { kind: window.kind, zone }
    }

    /// For how long after its end a bucket still counts; `None` where windows stand for themselves.
    pub(super) fn rolling(&self) -> Option<Duration> {
        match self.kind {
            WindowKind::RollingS(seconds) => Some(Duration::from_secs(u64::from(seconds.max(1)))),
            _ => None,
        }
    }

    /// The window, or the bucket, that `now` is in.
    pub(super) fn span_at(&self, now: UnixMicros) -> Span {
        match self.kind {
            WindowKind::Once => Span { start: UnixMicros(0), end: NEVER },
            WindowKind::RollingS(seconds) => bucket(seconds, now),
            WindowKind::Hour => self.hour(now),
            WindowKind::Day
            | WindowKind::Week
            | WindowKind::Month
            | WindowKind::Quarter
            | WindowKind::Year => self.dates(now),
        }
    }

    /// A whole number of days. They are as long as the zone makes them.
    fn dates(&self, now: UnixMicros) -> Span {
        let today = self.zone.to_datetime(timestamp(now)).date();
        let month_start = today.first_of_month();
        let (first, length) = match self.kind {
            WindowKind::Week => {
                let since_monday = i32::from(today.weekday().since(Weekday::Monday));
                (today.saturating_sub(since_monday.days()), 1.week())
            }
            WindowKind::Month => (month_start, 1.month()),
            WindowKind::Quarter => {
                let since_quarter = i32::from((today.month() - 1) % 3);
                (month_start.saturating_sub(since_quarter.months()), 3.months())
            }
            WindowKind::Year => (today.first_of_year(), 1.year()),
            _ => (today, 1.day()),
        };
        let end = first.checked_add(length).ok().and_then(|next| self.midnight(next));
        Span { start: self.midnight(first).unwrap_or(UnixMicros(i64::MIN)), end: end.unwrap_or(NEVER) }
    }

    /// The first instant of a day, which is not at 00:00 where clocks are set forward at midnight.
    fn midnight(&self, date: Date) -> Option<UnixMicros> {
        let start = self.zone.to_zoned(date.at(0, 0, 0, 0)).ok()?;
        Some(UnixMicros(start.timestamp().as_microsecond()))
    }

    /// An hour of the zone's clock. Where clocks are set by less than an hour, the hour in which that happens is cut.
    fn hour(&self, now: UnixMicros) -> Span {
        const HOUR_US: i64 = 3_600_000_000;
        let at = timestamp(now);
        let now_us = at.as_microsecond();
        let offset_us = i64::from(self.zone.to_offset(at).seconds()) * 1_000_000;
        let start = now_us - (now_us + offset_us).rem_euclid(HOUR_US);
        let set = |change: Option<jiff::tz::TimeZoneTransition<'_>>| {
            change.map(|change| change.timestamp().as_microsecond())
        };
        let just_after = at.checked_add(1.microsecond()).unwrap_or(at);
        let last_set = set(self.zone.preceding(just_after).next()).unwrap_or(i64::MIN);
        let next_set = set(self.zone.following(at).next()).unwrap_or(i64::MAX);
        Span { start: UnixMicros(start.max(last_set)), end: UnixMicros((start + HOUR_US).min(next_set)) }
    }
}

/// When the window that `now` is in began, and when it ends; of a rolling window, its newest bucket.
pub fn window_at(window: &Window, now: UnixMicros) -> (UnixMicros, Option<UnixMicros>) {
    let span = Calendar::new(window).span_at(now);
    (span.start, (span.end != NEVER).then_some(span.end))
}

fn bucket(seconds: u32, now: UnixMicros) -> Span {
    let length_us = (i64::from(seconds.max(1)) * 1_000_000).div_euclid(ROLLING_BUCKETS).max(1);
    let start = now.0.saturating_sub(now.0.rem_euclid(length_us));
    Span { start: UnixMicros(start), end: UnixMicros(start.saturating_add(length_us)) }
}

/// The nearest time that calendars reach.
fn timestamp(at: UnixMicros) -> Timestamp {
    let extreme = if at.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_microsecond(at.0).unwrap_or(extreme)
}

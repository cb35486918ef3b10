//! When a delivery that failed is tried again.

use std::time::Duration;

use tollgate_core::UnixMicros;

/// The pause after the first failure; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(2 * 60 * 60);
/// With these pauses, the last attempt is made about a day after the first.
const ATTEMPTS: u32 = 26;

/// When to try again after so many failed attempts, or `None` when it is time to give up. `random` is evenly
/// distributed over all values; it spreads the pause over its upper half, so that a receiver that comes back is not
/// called by everybody at once.
pub(super) fn next_attempt(now: UnixMicros, failed_attempts: u32, random: u32) -> Option<UnixMicros> {
    if failed_attempts >= ATTEMPTS {
        return None;
    }
    let doubled = 2_u32.saturating_pow(failed_attempts.saturating_sub(1));
    let pause = FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE);
    let half_ms = u64::try_from(pause.as_millis() / 2).unwrap_or(u64::MAX);
    let jitter_ms = half_ms.saturating_mul(u64::from(random)) / u64::from(u32::MAX);
    Some(now.plus(Duration::from_millis(half_ms + jitter_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole_span(random: u32) -> Duration {
        let mut now = UnixMicros(0);
        let mut failed = 1;
        while let Some(next) = next_attempt(now, failed, random) {
            assert!(next > now);
            now = next;
            failed += 1;
        }
        now.since(UnixMicros(0))
    }

    #[test]
    fn attempts_go_on_for_about_a_day() {
        let hours = |random| whole_span(random).as_secs() / 3_600;
        assert!((14..=17).contains(&hours(0)), "{}", hours(0));
        assert!((28..=34).contains(&hours(u32::MAX)), "{}", hours(u32::MAX));
    }

    #[test]
    fn pauses_grow_and_vary() {
        let pause = |failed, random| next_attempt(UnixMicros(0), failed, random).unwrap().0;
        assert_eq!(pause(1, u32::MAX), 5_000_000);
        assert_eq!(pause(1, 0), 2_500_000);
        assert_eq!(pause(3, u32::MAX), 20_000_000);
        assert_eq!(pause(21, u32::MAX), 7_200_000_000);
    }
}

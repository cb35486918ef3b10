//! What is known of each deployment's health: kept across configurations, used to choose, served to operators.
//!
//! A breaker opens after five failures in a row; after its time one probe is let through. "Too many requests" is no
//! failure: the deployment is left alone until the time the provider named.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tollgate_core::{DeploymentId, UnixMicros};

/// Failures in a row that open the breaker.
const FAILURES_TO_OPEN: u32 = 5;
const FIRST_OPEN: Duration = Duration::from_secs(5);
const LONGEST_OPEN: Duration = Duration::from_secs(60);
/// When a provider says 429 without saying for how long.
const DEFAULT_RATE_LIMIT: Duration = Duration::from_secs(1);
const LONGEST_RATE_LIMIT: Duration = Duration::from_secs(300);

/// Whether a deployment may be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    Available,
    /// The provider asked to wait.
    RateLimited,
    /// The breaker is open.
    Unhealthy,
}

/// One deployment's health. All fields are independent counters or times; a torn read misjudges one choice.
#[derive(Debug, Default)]
pub struct DeploymentHealth {
    successes: AtomicU64,
    failures: AtomicU64,
    failures_in_a_row: AtomicU32,
    /// Openings in a row: the exponent of the next opening's length.
    openings: AtomicU32,
    open_until_us: AtomicI64,
    rate_limited_until_us: AtomicI64,
    credential_refused_at_us: AtomicI64,
    /// Exponentially weighted mean of time to first byte, in microseconds; 0 when nothing is known.
    first_byte_mean_us: AtomicU64,
}

/// What operators see of a deployment's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthView {
    pub availability: Availability,
    pub successes: u64,
    pub failures: u64,
    pub first_byte_mean_us: u64,
    pub rate_limited_until: Option<UnixMicros>,
    pub open_until: Option<UnixMicros>,
    /// When the provider last refused the credential, if no call has succeeded since.
    pub credential_refused_at: Option<UnixMicros>,
}

impl DeploymentHealth {
    pub fn availability(&self, now: UnixMicros) -> Availability {
        if self.rate_limited_until_us.load(Ordering::Relaxed) > now.0 {
            return Availability::RateLimited;
        }
        if self.open_until_us.load(Ordering::Relaxed) > now.0 {
            return Availability::Unhealthy;
        }
        Availability::Available
    }

    /// Whether this call may be made: always while the breaker is closed; once it is half open, only by the one
    /// who takes the probe. To be asked right before the call, so that no probe is spent on a call that is not made.
    pub fn claim(&self, now: UnixMicros) -> bool {
        let open_until_us = self.open_until_us.load(Ordering::Relaxed);
        if open_until_us == 0 {
            return true;
        }
        // Whoever moves the time forward sends the probe.
        let next = now.plus(FIRST_OPEN).0;
        let move_on = |from| {
            self.open_until_us.compare_exchange(from, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        open_until_us <= now.0 && move_on(open_until_us)
    }

    pub fn succeeded(&self, first_byte: Duration) {
        self.successes.fetch_add(1, Ordering::Relaxed);
        for counter in [&self.failures_in_a_row, &self.openings] {
            if counter.load(Ordering::Relaxed) != 0 {
                counter.store(0, Ordering::Relaxed);
            }
        }
        for time in [&self.open_until_us, &self.credential_refused_at_us] {
            if time.load(Ordering::Relaxed) != 0 {
                time.store(0, Ordering::Relaxed);
            }
        }
        let sample_us = u64::try_from(first_byte.as_micros()).unwrap_or(u64::MAX).max(1);
        let mean_us = self.first_byte_mean_us.load(Ordering::Relaxed);
        let next = if mean_us == 0 { sample_us } else { mean_us - mean_us / 8 + sample_us / 8 };
        self.first_byte_mean_us.store(next, Ordering::Relaxed);
    }

    pub fn failed(&self, now: UnixMicros) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let in_a_row = self.failures_in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let was_open = self.open_until_us.load(Ordering::Relaxed) != 0;
        if in_a_row >= FAILURES_TO_OPEN && (was_open || in_a_row == FAILURES_TO_OPEN) {
            let openings = self.openings.fetch_add(1, Ordering::Relaxed).min(8);
            let length = FIRST_OPEN.saturating_mul(1 << openings).min(LONGEST_OPEN);
            self.open_until_us.store(now.plus(length).0, Ordering::Relaxed);
        }
    }

    pub fn rate_limited(&self, now: UnixMicros, retry_after_ms: Option<u64>) {
        let wait = retry_after_ms.map_or(DEFAULT_RATE_LIMIT, Duration::from_millis).min(LONGEST_RATE_LIMIT);
        self.rate_limited_until_us.fetch_max(now.plus(wait).0, Ordering::Relaxed);
    }

    /// The operator's credential does not work: an error of configuration, which no breaker heals.
    pub fn credential_refused(&self, now: UnixMicros) {
        self.credential_refused_at_us.store(now.0, Ordering::Relaxed);
        self.failed(now);
    }

    /// When the provider may be asked again, where it named a time that is not over.
    pub fn rate_limited_until(&self, now: UnixMicros) -> Option<UnixMicros> {
        let until_us = self.rate_limited_until_us.load(Ordering::Relaxed);
        (until_us > now.0).then_some(UnixMicros(until_us))
    }

    pub fn view(&self, now: UnixMicros) -> HealthView {
        let time = |at: &AtomicI64| Some(UnixMicros(at.load(Ordering::Relaxed))).filter(|at| at.0 != 0);
        let open_until = time(&self.open_until_us);
        let rate_limited_until = self.rate_limited_until(now);
        let availability = match (rate_limited_until, open_until) {
            (Some(_), _) => Availability::RateLimited,
            (None, Some(until)) if until > now => Availability::Unhealthy,
            _ => Availability::Available,
        };
        HealthView {
            availability,
            successes: self.successes.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            first_byte_mean_us: self.first_byte_mean_us.load(Ordering::Relaxed),
            rate_limited_until,
            open_until,
            credential_refused_at: time(&self.credential_refused_at_us),
        }
    }
}

/// The health of all deployments, found when a configuration is published.
#[derive(Debug, Default)]
pub struct HealthRegistry {
    all: Mutex<HashMap<DeploymentId, Arc<DeploymentHealth>>>,
}

impl HealthRegistry {
    /// The health of a deployment; the same one for the same id.
    pub fn of(&self, id: DeploymentId) -> Arc<DeploymentHealth> {
        Arc::clone(self.all.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default())
    }

    /// Forgets deployments that no longer exist.
    pub fn keep_only(&self, living: impl Iterator<Item = DeploymentId>) {
        let living: std::collections::HashSet<_> = living.collect();
        self.all.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| living.contains(id));
    }

    pub fn views(&self, now: UnixMicros) -> Vec<(DeploymentId, HealthView)> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(id, health)| (*id, health.view(now))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMicros = UnixMicros(1_000_000_000);

    #[test]
    fn the_breaker_opens_lets_one_probe_through_and_closes() {
        let health = DeploymentHealth::default();
        for _ in 0..4 {
            health.failed(NOW);
        }
        assert_eq!(health.availability(NOW), Availability::Available);
        health.failed(NOW);
        assert_eq!(health.availability(NOW), Availability::Unhealthy);
        let later = NOW.plus(FIRST_OPEN);
        assert_eq!(health.availability(later), Availability::Available);
        assert_eq!(health.availability(later), Availability::Available, "looking takes no probe");
        assert!(health.claim(later));
        assert!(!health.claim(later), "only one probe");
        assert_eq!(health.availability(later), Availability::Unhealthy);
        health.failed(later);
        assert_eq!(health.availability(later.plus(Duration::from_secs(9))), Availability::Unhealthy);
        let probe_at = later.plus(Duration::from_secs(10));
        assert!(health.claim(probe_at));
        health.succeeded(Duration::from_millis(3));
        assert_eq!(health.availability(probe_at), Availability::Available);
        assert!(health.claim(probe_at) && health.claim(probe_at));
    }

    #[test]
    fn a_rate_limit_holds_for_as_long_as_the_provider_said() {
        let health = DeploymentHealth::default();
        health.rate_limited(NOW, Some(30_000));
        health.rate_limited(NOW, Some(1_000));
        assert_eq!(health.availability(NOW.plus(Duration::from_secs(29))), Availability::RateLimited);
        assert_eq!(health.availability(NOW.plus(Duration::from_secs(30))), Availability::Available);
        assert_eq!(health.view(NOW).failures, 0);
    }

    #[test]
    fn a_refused_credential_is_remembered_until_it_works() {
        let health = DeploymentHealth::default();
        health.credential_refused(NOW);
        assert_eq!(health.view(NOW).credential_refused_at, Some(NOW));
        health.succeeded(Duration::from_millis(1));
        assert_eq!(health.view(NOW).credential_refused_at, None);
    }
}

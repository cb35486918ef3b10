//! A histogram that many cores may add to without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds in microseconds, from a quarter of a millisecond to ten minutes.
pub const LATENCY_BOUNDS_US: [u64; 20] = [
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    20_000_000,
    40_000_000,
    80_000_000,
    160_000_000,
    600_000_000,
];

/// Upper bounds in microseconds for time spent in Tollgate itself.
pub const OVERHEAD_BOUNDS_US: [u64; 12] = [10, 20, 40, 60, 80, 100, 150, 250, 500, 1_000, 5_000, 50_000];

/// Counts of observations by bucket, with their sum. Reads may tear between buckets, never within one.
#[derive(Debug)]
pub struct Histogram {
    bounds_us: &'static [u64],
    /// One more than bounds: the last is for what exceeds them all.
    buckets: Box<[AtomicU64]>,
    sum_us: AtomicU64,
}

impl Histogram {
    pub fn new(bounds_us: &'static [u64]) -> Self {
        let buckets = (0..=bounds_us.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds_us, buckets, sum_us: AtomicU64::new(0) }
    }

    pub fn observe_us(&self, value_us: u64) {
        let position = self.bounds_us.partition_point(|bound| *bound < value_us);
        if let Some(bucket) = self.buckets.get(position) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(value_us, Ordering::Relaxed);
    }

    /// Sum in seconds, count, and (upper bound in seconds, count in this bucket alone) for each bucket.
    pub fn read(&self) -> (f64, u64, Vec<(f64, u64)>) {
        let mut count = 0;
        let bounds = self.bounds_us.iter().map(|bound| *bound as f64 / 1e6).chain([f64::MAX]);
        let buckets: Vec<_> = bounds
            .zip(&self.buckets)
            .map(|(bound, bucket)| {
                let observed = bucket.load(Ordering::Relaxed);
                count += observed;
                (bound, observed)
            })
            .collect();
        (self.sum_us.load(Ordering::Relaxed) as f64 / 1e6, count, buckets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn observations_fall_into_the_first_bucket_that_holds_them() {
        let histogram = Histogram::new(&OVERHEAD_BOUNDS_US);
        for value_us in [0, 10, 11, 1_000_000] {
            histogram.observe_us(value_us);
        }
        let (sum, count, buckets) = histogram.read();
        assert_eq!((count, buckets[0].1, buckets[1].1, buckets[12].1), (4, 2, 1, 1));
        assert!((sum - 1.000_021).abs() < 1e-9);
    }
}

//! The arithmetic of a rate limit, on integers and without state.
//!
//! The generic cell rate algorithm (ITU-T I.371, annex A): each unit takes a slice of time, and what is kept of the past
//! is the *theoretical arrival time*, the moment at which everything admitted so far has drained at the limit's rate.
//! A call is admitted when that moment lies no further ahead than the burst's tolerance allows.
//!
//! Times and slices are nanoseconds. Slices are rounded up, so that rounding never admits more than the limit.

use tollgate_core::UnixMicros;
use tollgate_state::governance::{LimitMeter, LimitObject};

/// How far a correction may move the theoretical arrival time ahead of now, in periods. What a call used beyond its
/// estimate and beyond this is forgiven.
pub const CORRECTION_PERIODS: i64 = 2;

/// Processes beyond this many are not told apart.
const MOST_PROCESSES: u32 = 10_000;

/// More than any limit needs (73 years), and far enough from overflow to be added to a time.
const LONGEST_NS: i64 = i64::MAX / 4;

/// The same in microseconds, and exact in a double when added to a time.
const LONGEST_US: i64 = LONGEST_NS / 1_000;

/// Cores read the clock at slightly different moments; a difference up to this is not a jump.
const CLOCK_SLACK_NS: i64 = 1_000_000_000;

/// One process's part of a rate limit, ready to calculate with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// The whole limit.
    amount: u64,
    /// Units that may come at once in this process.
    burst: u64,
    /// The period times the number of processes: in this time, this process may admit `amount`.
    period_ns: u64,
    /// Where every unit takes the same slice. Tokens come in lumps, whose slice is rounded once per call.
    unit_ns: Option<u64>,
    tolerance_ns: i64,
}

/// Why a call is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The same call is admitted after this time if nothing else comes.
    WaitNs(i64),
    /// It is larger than the limit itself.
    Never,
}

/// Now, in nanoseconds, with room on both sides for any slice.
pub(crate) fn as_nanos(now: UnixMicros) -> i64 {
    now.0.saturating_mul(1_000).clamp(0, i64::MAX / 2)
}

fn micros_up(nanos: i64) -> i64 {
    i64::try_from(nanos.max(0).unsigned_abs().div_ceil(1_000)).unwrap_or(LONGEST_US)
}

fn div_ceil(amount: u64, period_ns: u64, by: u64) -> i64 {
    let by = by.max(1);
    let slice = match amount.checked_mul(period_ns) {
        Some(product) => u128::from(product.div_ceil(by)),
        None => (u128::from(amount) * u128::from(period_ns)).div_ceil(u128::from(by)),
    };
    i64::try_from(slice).unwrap_or(LONGEST_NS).min(LONGEST_NS)
}

impl Pace {
    /// The part of one among `processes`: that fraction of the rate, to the nanosecond, and of the burst, but at least
    /// one unit.
    pub(crate) fn new(limit: &LimitObject, processes: u32) -> Self {
        let processes = u64::from(processes.clamp(1, MOST_PROCESSES));
        let amount = limit.amount;
        let burst = (limit.burst() / processes).max(1);
        let period_ns = limit.per.as_micros().unsigned_abs().saturating_mul(1_000).saturating_mul(processes);
        let unit_ns = (limit.meter == LimitMeter::Requests)
            .then(|| div_ceil(1, period_ns, amount).unsigned_abs().max(1));
        let mut this = Self { amount, burst, period_ns, unit_ns, tolerance_ns: 0 };
        this.tolerance_ns = this.slice_ns(burst);
        this
    }

    pub(crate) const fn amount(&self) -> u64 {
        self.amount
    }

    /// The time that `cost` units take at the limit's rate.
    pub(crate) fn slice_ns(&self, cost: u64) -> i64 {
        match self.unit_ns {
            Some(unit_ns) => {
                i64::try_from(cost.saturating_mul(unit_ns)).unwrap_or(LONGEST_NS).min(LONGEST_NS)
            }
            None => div_ceil(cost, self.period_ns, self.amount),
        }
    }

    /// The theoretical arrival time after a call, or why there is none.
    ///
    /// A call that is larger than the burst but not than the limit is admitted when everything before it has drained.
    pub(crate) fn admit(&self, arrival_ns: i64, now_ns: i64, cost: u64) -> Result<i64, Refusal> {
        if self.never_admits(cost) {
            return Err(Refusal::Never);
        }
        let slice_ns = self.slice_ns(cost);
        let after = arrival_ns.max(now_ns).saturating_add(slice_ns);
        let latest = now_ns + self.tolerance_ns;
        if after <= latest {
            return Ok(after);
        }
        if self.is_beyond_burst(cost) {
            return if arrival_ns <= now_ns { Ok(after) } else { Err(Refusal::WaitNs(arrival_ns - now_ns)) };
        }
        Err(Refusal::WaitNs(after - latest))
    }

    /// Moves the theoretical arrival time by what a call used beyond its estimate, or less.
    ///
    /// Bounded to a tolerance before now and [`CORRECTION_PERIODS`] after it.
    pub(crate) fn correct(&self, arrival_ns: i64, now_ns: i64, estimate: u64, actual: u64) -> i64 {
        let difference = self.slice_ns(actual) - self.slice_ns(estimate);
        let earliest = now_ns.saturating_sub(self.tolerance_ns);
        let moved = arrival_ns.max(earliest).saturating_add(difference);
        moved.clamp(earliest, arrival_ns.max(now_ns + self.correction_ns()))
    }

    /// The kept time, unless the clock was set back: what lies further ahead than this limit can ever have moved it
    /// becomes a spent burst, which neither opens the gate nor locks it.
    pub(crate) fn plausible(&self, arrival_ns: i64, now_ns: i64) -> i64 {
        if arrival_ns > now_ns.saturating_add(self.furthest_ns()).saturating_add(CLOCK_SLACK_NS) {
            return self.spent_burst(now_ns);
        }
        arrival_ns
    }

    /// The theoretical arrival time at which no burst is left and the limit's rate goes on.
    pub(crate) const fn spent_burst(&self, now_ns: i64) -> i64 {
        now_ns + self.tolerance_ns
    }

    /// How much a single call may take now.
    pub(crate) fn remaining(&self, arrival_ns: i64, now_ns: i64) -> u64 {
        if self.amount == 0 {
            return 0;
        }
        if arrival_ns <= now_ns {
            return match self.unit_ns {
                Some(_) => self.burst,
                None => self.amount.max(self.burst),
            };
        }
        let room_ns = (now_ns + self.tolerance_ns).saturating_sub(arrival_ns).max(0).unsigned_abs();
        match self.unit_ns {
            Some(unit_ns) => room_ns / unit_ns.max(1),
            None => {
                let units = u128::from(room_ns) * u128::from(self.amount) / u128::from(self.period_ns.max(1));
                u64::try_from(units).unwrap_or(u64::MAX).min(self.burst)
            }
        }
    }

    /// [`Self::slice_ns`] for an authority that counts in microseconds, rounded up by the unit like everything here.
    pub(crate) fn slice_us(&self, cost: u64) -> i64 {
        match self.unit_ns {
            Some(unit_ns) => {
                let slice_us = cost.saturating_mul(unit_ns.div_ceil(1_000));
                i64::try_from(slice_us).unwrap_or(LONGEST_US).min(LONGEST_US)
            }
            None => micros_up(self.slice_ns(cost)),
        }
    }

    pub(crate) fn tolerance_us(&self) -> i64 {
        self.slice_us(self.burst)
    }

    pub(crate) fn furthest_us(&self) -> i64 {
        micros_up(self.furthest_ns()).max(self.tolerance_us())
    }

    pub(crate) const fn is_beyond_burst(&self, cost: u64) -> bool {
        cost > self.burst
    }

    /// Whether no pause helps.
    pub(crate) const fn never_admits(&self, cost: u64) -> bool {
        self.amount == 0 || (cost > self.amount && cost > self.burst)
    }

    fn furthest_ns(&self) -> i64 {
        self.correction_ns().max(self.tolerance_ns)
    }

    fn correction_ns(&self) -> i64 {
        i64::try_from(self.period_ns).unwrap_or(LONGEST_NS).saturating_mul(CORRECTION_PERIODS).min(LONGEST_NS)
    }
}

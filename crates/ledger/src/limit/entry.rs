//! One count that a call is part of.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use tollgate_state::governance::LimitMeter;
use tollgate_wire::rate_limits::Allowance;

use super::book::Want;
use super::cell::{Cell, Outcome, Permits};
use super::line::{LimitLine, outlives_restart};
use super::pace::{Pace, Refusal};
use super::shared::{self, SharedCorrection, SharedLimiter};
use super::taken::Retry;

#[derive(Debug)]
pub(super) struct Entry {
    cell: Arc<Cell>,
    pub(super) meter: LimitMeter,
    kind: Kind,
    /// What counts for the call: the estimate at first.
    cost: AtomicU64,
    /// Marked when a restart must remember the count.
    line: Option<Arc<LimitLine>>,
    /// What taking did to the cell.
    change: Option<(i64, i64)>,
    elsewhere: Option<Box<Elsewhere>>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Rate(Pace),
    Concurrency(Permits),
}

/// A rate that was decided for all processes at once.
#[derive(Debug)]
struct Elsewhere {
    limiter: Arc<dyn SharedLimiter>,
    key: String,
    /// Of the whole limit.
    pace: Pace,
    /// As of the decision, by this process's clock.
    arrival_ns: AtomicI64,
}

impl Entry {
    pub(super) fn of(want: &Want<'_>, processes: u32) -> Self {
        let limit = want.config;
        let kind = match limit.meter {
            LimitMeter::Concurrency => Kind::Concurrency(Permits::new(limit.amount, processes)),
            _ => Kind::Rate(Pace::new(limit, processes)),
        };
        Self {
            cell: want.line.cell(limit, &want.member),
            meter: limit.meter,
            kind,
            cost: AtomicU64::new(want.cost),
            line: outlives_restart(limit.meter, limit.per).then(|| Arc::clone(want.line)),
            change: None,
            elsewhere: None,
        }
    }

    pub(super) fn take(&mut self, want: &Want<'_>, now_ns: i64) -> bool {
        let outcome = self.on_living_cell(want, |cell, kind| match kind {
            Kind::Rate(pace) => cell.take(pace, now_ns, want.cost),
            Kind::Concurrency(permits) => cell.acquire(permits, want.cost),
        });
        if let Outcome::Taken { before, after } = outcome {
            self.change = Some((before, after));
        }
        self.change.is_some()
    }

    pub(super) fn refusal(&mut self, want: &Want<'_>, now_ns: i64) -> Option<Retry> {
        let outcome = self.on_living_cell(want, |cell, kind| match kind {
            Kind::Rate(pace) => cell.look(pace, now_ns, want.cost),
            Kind::Concurrency(permits) => cell.look_at(permits, want.cost),
        });
        match outcome {
            Outcome::Taken { .. } | Outcome::Retired => None,
            Outcome::Refused(Refusal::WaitNs(wait_ns)) => Some(Retry::AfterMs(millis_up(wait_ns).max(1))),
            Outcome::Refused(Refusal::Never) => Some(Retry::Never),
            Outcome::Busy => Some(Retry::WhenAnotherEnds),
        }
    }

    /// A cell may have been dropped for being idle since it was looked up.
    fn on_living_cell(&mut self, want: &Want<'_>, ask: impl Fn(&Cell, &Kind) -> Outcome) -> Outcome {
        loop {
            match ask(&self.cell, &self.kind) {
                Outcome::Retired => self.cell = want.line.cell(want.config, &want.member),
                outcome => return outcome,
            }
        }
    }

    /// Whether the call can never be admitted, whoever decides.
    pub(super) fn is_hopeless(&self, cost: u64) -> bool {
        match &self.kind {
            Kind::Rate(pace) => pace.never_admits(cost),
            Kind::Concurrency(permits) => permits.never_admits(cost),
        }
    }

    /// Another authority has decided; `ahead_us` is how far the rate is ahead there.
    pub(super) fn decided(
        &mut self,
        limiter: &Arc<dyn SharedLimiter>,
        want: &Want<'_>,
        now_ns: i64,
        ahead_us: i64,
    ) {
        if matches!(self.kind, Kind::Rate(_)) {
            self.elsewhere = Some(Box::new(Elsewhere {
                limiter: Arc::clone(limiter),
                key: shared::key(want.config, &want.member),
                pace: Pace::new(want.config, 1),
                arrival_ns: AtomicI64::new(now_ns.saturating_add(ahead_us.saturating_mul(1_000))),
            }));
        }
    }

    /// Counts here what was admitted elsewhere: should that authority go away, this process's part is used up as far.
    pub(super) fn note(&mut self, now_ns: i64) {
        let cost = self.cost.load(Ordering::Acquire);
        match &self.kind {
            Kind::Rate(pace) => self.cell.note(pace, now_ns, cost),
            Kind::Concurrency(_) => {
                self.cell.note_permit(cost);
                self.change = Some((0, 0));
            }
        }
    }

    pub(super) fn mark_changed(&self) {
        if let Some(line) = &self.line {
            line.mark_changed();
        }
    }

    pub(super) fn correct(&self, now_ns: i64, actual: u64) {
        let Kind::Rate(pace) = &self.kind else { return };
        let counted = self.cost.swap(actual, Ordering::AcqRel);
        if counted == actual {
            return;
        }
        match &self.elsewhere {
            Some(elsewhere) => elsewhere.correct(now_ns, counted, actual),
            None => self.cell.correct(pace, now_ns, counted, actual),
        }
        self.mark_changed();
    }

    /// Absent for concurrency.
    pub(super) fn allowance(&self, now_ns: i64) -> Option<Allowance> {
        let Kind::Rate(pace) = &self.kind else { return None };
        let (pace, arrival_ns) = match &self.elsewhere {
            Some(elsewhere) => (&elsewhere.pace, elsewhere.arrival_ns.load(Ordering::Acquire)),
            None => (pace, self.cell.word().unwrap_or(0)),
        };
        Some(Allowance {
            limit: pace.amount(),
            remaining: pace.remaining(arrival_ns, now_ns),
            reset_after_ms: millis_up(arrival_ns.saturating_sub(now_ns)),
        })
    }

    pub(super) const fn is_concurrency(&self) -> bool {
        matches!(self.kind, Kind::Concurrency(_))
    }

    /// Gives back what was taken here.
    pub(super) fn give_back(&mut self) {
        if let Some((before, after)) = self.change.take() {
            let cost = self.cost.load(Ordering::Acquire);
            match &self.kind {
                Kind::Rate(pace) => self.cell.undo(before, after, pace.slice_ns(cost)),
                Kind::Concurrency(_) => self.cell.release(cost),
            }
        }
    }

    /// Gives back what was taken, wherever it was.
    pub(super) fn abandon(&mut self, now_ns: i64) {
        if let Some(elsewhere) = &self.elsewhere {
            elsewhere.correct(now_ns, self.cost.swap(0, Ordering::AcqRel), 0);
        }
        self.give_back();
    }
}

impl Elsewhere {
    fn correct(&self, now_ns: i64, counted: u64, actual: u64) {
        let arrival_ns = self.arrival_ns.load(Ordering::Acquire);
        self.arrival_ns.store(self.pace.correct(arrival_ns, now_ns, counted, actual), Ordering::Release);
        self.limiter.correct(SharedCorrection {
            key: self.key.clone(),
            difference_us: self.pace.slice_us(actual) - self.pace.slice_us(counted),
            tolerance_us: self.pace.tolerance_us(),
            furthest_us: self.pace.furthest_us(),
        });
    }
}

pub(super) fn millis_up(nanos: i64) -> u64 {
    nanos.max(0).unsigned_abs().div_ceil(1_000_000)
}

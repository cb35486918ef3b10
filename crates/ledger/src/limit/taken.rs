//! What a call holds of its limits, or why it does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tollgate_core::UnixMicros;
use tollgate_state::governance::LimitMeter;
use tollgate_wire::rate_limits::{Allowance, Allowances};

use super::book::Want;
use super::cell::{Cell, Outcome, Permits};
use super::line::{LimitLine, outlives_restart};
use super::pace::{Pace, Refusal, as_nanos};

/// What a call holds. Concurrency is given back when this is dropped, so it lives as long as the answer's body.
#[derive(Debug)]
pub struct Taken {
    /// In the order of the wants.
    entries: Vec<Entry>,
}

/// Which limit a call is over, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverLimit {
    /// Position of the want that has to wait longest.
    pub want: usize,
    pub retry: Retry,
    /// What is left for others, for the answer's headers.
    pub standing: Allowances,
}

/// Whether coming again helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call is admitted after this many milliseconds, if nothing else comes.
    AfterMs(u64),
    /// As soon as another call ends.
    WhenAnotherEnds,
    /// It is larger than the limit itself.
    Never,
}

/// One count that a call is part of.
#[derive(Debug)]
struct Entry {
    cell: Arc<Cell>,
    meter: LimitMeter,
    kind: Kind,
    /// What counts for the call: the estimate at first.
    cost: AtomicU64,
    /// Marked when a restart must remember the count.
    line: Option<Arc<LimitLine>>,
    /// What taking did to the cell.
    change: Option<(i64, i64)>,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Rate(Pace),
    Concurrency(Permits),
}

impl Taken {
    pub(super) fn take(now_ns: i64, processes: u32, wants: &[Want<'_>]) -> Result<Self, OverLimit> {
        let entries = wants.iter().map(|want| Entry::of(want, processes, now_ns)).collect();
        let mut taken = Self { entries };
        // Nothing is touched for a call that is refused anyway: an attack leaves no trace.
        if let Some(over) = taken.over_limit(wants, now_ns) {
            return Err(over);
        }
        for (position, (entry, want)) in taken.entries.iter_mut().zip(wants).enumerate() {
            if entry.take(want, now_ns) {
                continue;
            }
            // Somebody else came in between.
            taken.give_back();
            let standing = taken.standing_at(now_ns);
            let nothing_left = OverLimit { want: position, retry: Retry::AfterMs(1), standing };
            return Err(taken.over_limit(wants, now_ns).unwrap_or(nothing_left));
        }
        for line in taken.entries.iter().filter_map(|entry| entry.line.as_ref()) {
            line.mark_changed();
        }
        Ok(taken)
    }

    /// Replaces what counts for a token meter, an estimate at first, by what was used. May be called again.
    ///
    /// What was reserved in excess is given back whenever that turns out, so within any one period a limit admits at
    /// most its amount, its burst (or the largest single call, if that is more), and what earlier calls gave back in
    /// that period. What was used in excess is owed for up to [`super::CORRECTION_PERIODS`] periods.
    pub fn correct(&self, now: UnixMicros, want: usize, actual: u64) {
        let Some(entry) = self.entries.get(want) else { return };
        let Kind::Rate(pace) = entry.kind else { return };
        let counted = entry.cost.swap(actual, Ordering::AcqRel);
        if counted != actual {
            entry.cell.correct(&pace, as_nanos(now), counted, actual);
            entry.line.iter().for_each(|line| line.mark_changed());
        }
    }

    /// The tightest limit of each meter, as it stands after this call.
    pub fn standing(&self, now: UnixMicros) -> Allowances {
        self.standing_at(as_nanos(now))
    }

    /// Undoes everything, as if the call had never come. For a call that is refused elsewhere before it was sent.
    pub fn abandon(mut self) {
        self.give_back();
    }

    fn give_back(&mut self) {
        self.entries.iter_mut().for_each(Entry::give_back);
    }

    fn standing_at(&self, now_ns: i64) -> Allowances {
        let mut all = Allowances::default();
        for entry in &self.entries {
            let Kind::Rate(pace) = entry.kind else { continue };
            let slot = match entry.meter {
                LimitMeter::Requests => &mut all.requests,
                LimitMeter::TotalTokens => &mut all.tokens,
                LimitMeter::InputTokens => &mut all.input_tokens,
                LimitMeter::OutputTokens => &mut all.output_tokens,
                LimitMeter::Concurrency => continue,
            };
            let arrival_ns = entry.cell.word().unwrap_or(0);
            let found = Allowance {
                limit: pace.amount(),
                remaining: pace.remaining(arrival_ns, now_ns),
                reset_after_ms: millis_up(arrival_ns.saturating_sub(now_ns)),
            };
            let is_tighter = |other: &Allowance| {
                (found.remaining, u64::MAX - found.reset_after_ms)
                    < (other.remaining, u64::MAX - other.reset_after_ms)
            };
            if slot.as_ref().is_none_or(is_tighter) {
                *slot = Some(found);
            }
        }
        all
    }

    /// The want that has to wait longest, if any has to.
    fn over_limit(&mut self, wants: &[Want<'_>], now_ns: i64) -> Option<OverLimit> {
        let mut worst: Option<(usize, Retry)> = None;
        for (position, (entry, want)) in self.entries.iter_mut().zip(wants).enumerate() {
            let Some(retry) = entry.refusal(want, now_ns) else { continue };
            if worst.is_none_or(|(_, other)| retry.is_worse_than(other)) {
                worst = Some((position, retry));
            }
        }
        worst.map(|(want, retry)| OverLimit { want, retry, standing: self.standing_at(now_ns) })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let permits = self.entries.iter_mut().filter(|entry| matches!(entry.kind, Kind::Concurrency(_)));
        permits.for_each(Entry::give_back);
    }
}

impl Retry {
    fn is_worse_than(self, other: Self) -> bool {
        let order = |retry| match retry {
            Self::WhenAnotherEnds => (0, 0),
            Self::AfterMs(ms) => (1, ms),
            Self::Never => (2, 0),
        };
        order(self) > order(other)
    }
}

impl Entry {
    fn of(want: &Want<'_>, processes: u32, now_ns: i64) -> Self {
        let limit = want.config;
        let kind = match limit.meter {
            LimitMeter::Concurrency => Kind::Concurrency(Permits::new(limit.amount, processes)),
            _ => Kind::Rate(Pace::new(limit, processes)),
        };
        Self {
            cell: want.line.cell(limit, &want.member, now_ns),
            meter: limit.meter,
            kind,
            cost: AtomicU64::new(want.cost),
            line: outlives_restart(limit.meter, limit.per).then(|| Arc::clone(want.line)),
            change: None,
        }
    }

    fn take(&mut self, want: &Want<'_>, now_ns: i64) -> bool {
        let outcome = self.on_living_cell(want, now_ns, |cell, kind| match kind {
            Kind::Rate(pace) => cell.take(pace, now_ns, want.cost),
            Kind::Concurrency(permits) => cell.acquire(permits, want.cost),
        });
        if let Outcome::Taken { before, after } = outcome {
            self.change = Some((before, after));
        }
        self.change.is_some()
    }

    fn refusal(&mut self, want: &Want<'_>, now_ns: i64) -> Option<Retry> {
        let outcome = self.on_living_cell(want, now_ns, |cell, kind| match kind {
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
    fn on_living_cell(
        &mut self,
        want: &Want<'_>,
        now_ns: i64,
        ask: impl Fn(&Cell, &Kind) -> Outcome,
    ) -> Outcome {
        loop {
            match ask(&self.cell, &self.kind) {
                Outcome::Retired => self.cell = want.line.cell(want.config, &want.member, now_ns),
                outcome => return outcome,
            }
        }
    }

    fn give_back(&mut self) {
        if let Some((before, after)) = self.change.take() {
            match self.kind {
                Kind::Rate(_) => self.cell.undo(before, after),
                Kind::Concurrency(_) => self.cell.release(self.cost.load(Ordering::Acquire)),
            }
        }
    }
}

fn millis_up(nanos: i64) -> u64 {
    nanos.max(0).unsigned_abs().div_ceil(1_000_000)
}

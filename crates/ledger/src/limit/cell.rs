//! What is kept of one count: a single word, changed by compare-and-swap.

use std::sync::atomic::{AtomicI64, Ordering};

use super::pace::{Pace, Refusal};

/// The word of a cell that was dropped for being idle. Whoever finds it looks the cell up again.
const RETIRED: i64 = i64::MIN;

/// A theoretical arrival time in nanoseconds, or a number of permits in use.
///
/// The filling makes a reference-counted cell 64 bytes: one cache line, shared with no other count.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Cell {
    word: AtomicI64,
    _own_cache_line: [u64; 5],
}

/// One process's part of a concurrency limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permits {
    /// The whole limit.
    pub(crate) amount: u64,
    /// What this process may have in use; a single call may have more when it is alone.
    pub(crate) share: u64,
}

impl Permits {
    pub(crate) fn new(amount: u64, processes: u32) -> Self {
        Self { amount, share: (amount / u64::from(processes.max(1))).max(1) }
    }

    pub(crate) const fn never_admits(&self, cost: u64) -> bool {
        self.amount == 0 || cost > self.amount
    }
}

/// What happened to an attempt to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The word was `before` and is `after`.
    Taken {
        before: i64,
        after: i64,
    },
    Refused(Refusal),
    /// All permits are in use; nobody knows for how long.
    Busy,
    Retired,
}

impl Cell {
    pub(crate) const fn new(word: i64) -> Self {
        Self { word: AtomicI64::new(word), _own_cache_line: [0; 5] }
    }

    /// Absent when it was retired.
    pub(crate) fn word(&self) -> Option<i64> {
        Some(self.word.load(Ordering::Acquire)).filter(|word| *word != RETIRED)
    }

    pub(crate) fn take(&self, pace: &Pace, now_ns: i64, cost: u64) -> Outcome {
        loop {
            let outcome = self.look(pace, now_ns, cost);
            let Outcome::Taken { before, after } = outcome else { return outcome };
            if self.swap(before, after) {
                return outcome;
            }
        }
    }

    /// What [`Self::take`] would do.
    pub(crate) fn look(&self, pace: &Pace, now_ns: i64, cost: u64) -> Outcome {
        loop {
            let Some(before) = self.word() else { return Outcome::Retired };
            let plausible = pace.plausible(before, now_ns);
            if plausible != before {
                // Kept, so that the jump of the clock counts once.
                self.swap(before, plausible);
                continue;
            }
            return match pace.admit(before, now_ns, cost) {
                Ok(after) => Outcome::Taken { before, after },
                Err(refusal) => Outcome::Refused(refusal),
            };
        }
    }

    /// Counts what another authority admitted, as far as a spent burst.
    pub(crate) fn note(&self, pace: &Pace, now_ns: i64, cost: u64) {
        self.change(|word| {
            let start = pace.plausible(word, now_ns).max(now_ns);
            start.saturating_add(pace.slice_ns(cost)).min(pace.spent_burst(now_ns).max(start))
        });
    }

    /// Takes back what [`Self::take`] did. Where others came since, only the slice is taken back: the pause before it is
    /// over for them too.
    pub(crate) fn undo(&self, before: i64, after: i64, slice_ns: i64) {
        if !self.swap(after, before) {
            self.change(|word| word.saturating_sub(slice_ns));
        }
    }

    pub(crate) fn correct(&self, pace: &Pace, now_ns: i64, estimate: u64, actual: u64) {
        self.change(|word| pace.correct(pace.plausible(word, now_ns), now_ns, estimate, actual));
    }

    /// Moves a theoretical arrival time ahead, never back.
    pub(crate) fn raise(&self, arrival_ns: i64) {
        self.change(|word| word.max(arrival_ns));
    }

    /// Takes permits.
    pub(crate) fn acquire(&self, permits: &Permits, cost: u64) -> Outcome {
        loop {
            let outcome = self.look_at(permits, cost);
            let Outcome::Taken { before, after } = outcome else { return outcome };
            if self.swap(before, after) {
                return outcome;
            }
        }
    }

    /// What [`Self::acquire`] would do.
    pub(crate) fn look_at(&self, permits: &Permits, cost: u64) -> Outcome {
        if permits.never_admits(cost) {
            return Outcome::Refused(Refusal::Never);
        }
        let Some(before) = self.word() else { return Outcome::Retired };
        let in_use = before.max(0).unsigned_abs();
        let after = in_use.saturating_add(cost);
        match i64::try_from(after) {
            Ok(word) if in_use == 0 || after <= permits.share => Outcome::Taken { before, after: word },
            _ => Outcome::Busy,
        }
    }

    /// Counts a permit that another authority gave.
    pub(crate) fn note_permit(&self, cost: u64) {
        let cost = i64::try_from(cost).unwrap_or(i64::MAX);
        self.change(|word| word.max(0).saturating_add(cost));
    }

    pub(crate) fn release(&self, cost: u64) {
        let cost = i64::try_from(cost).unwrap_or(i64::MAX);
        self.change(|word| word.saturating_sub(cost).max(0));
    }

    /// Ends the cell if nothing of it matters any more. The word must be found unchanged, so a concurrent taker is
    /// never lost.
    pub(crate) fn retire(&self, idle: impl Fn(i64) -> bool) -> bool {
        self.word().is_some_and(|word| idle(word) && self.swap(word, RETIRED))
    }

    fn swap(&self, from: i64, to: i64) -> bool {
        self.word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn change(&self, next: impl Fn(i64) -> i64) {
        while let Some(word) = self.word() {
            let changed = next(word);
            if changed == word || self.swap(word, changed) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tollgate_core::{LimitId, OrganizationId, UnixMicros};
    use tollgate_state::governance::{LimitMeter, LimitObject, LimitPeriod, LimitSharing, Place, Scope};
    use tollgate_state::objects::Owner;

    use super::*;

    #[test]
    fn undoing_leaves_what_others_took() {
        let limit = LimitObject {
            id: LimitId::generate(),
            organization_id: OrganizationId::from_bytes([1; 16]),
            name: String::new(),
            scope: Scope { place: Place::Organization, each: None, model: None },
            meter: LimitMeter::Requests,
            amount: 60,
            per: LimitPeriod::Minute,
            burst: Some(2),
            sharing: LimitSharing::Leased,
            enabled: true,
            owner: Owner::Api,
            created_at: UnixMicros(0),
            updated_at: UnixMicros(0),
        };
        let pace = Pace::new(&limit, 1);
        let now_ns = 1_760_000_000_000_000_000;
        let cell = Cell::new(0);
        let Outcome::Taken { before, after } = cell.take(&pace, now_ns, 1) else { panic!("refused") };
        cell.undo(before, after, pace.slice_ns(1));
        assert_eq!(cell.word(), Some(0));
        let Outcome::Taken { before, after } = cell.take(&pace, now_ns, 1) else { panic!("refused") };
        cell.take(&pace, now_ns, 1);
        cell.undo(before, after, pace.slice_ns(1));
        assert_eq!(cell.word(), Some(now_ns + pace.slice_ns(1)));
    }
}

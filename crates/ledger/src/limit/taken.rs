//! What a call holds of its limits, or why it does not.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use tollgate_core::UnixMicros;
use tollgate_state::governance::{LimitMeter, LimitObject};
use tollgate_wire::rate_limits::{Allowance, Allowances};

use super::book::Want;
use super::entry::{Entry, millis_up};
use super::pace::as_nanos;
use super::shared::{self, SharedDecision, SharedLimiter, SharedRefusal, SharedWant, Unreachable};

/// What a call holds. Concurrency is given back when this is dropped, so it lives as long as the answer's body.
pub struct Taken {
    /// In the order of the wants.
    entries: Vec<Entry>,
    taken_ns: i64,
    /// What another authority holds for the call.
    held_elsewhere: Option<Box<dyn Any + Send + Sync>>,
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

impl Taken {
    /// Holds nothing yet.
    pub(super) fn nothing(now_ns: i64, processes: u32, wants: &[Want<'_>]) -> Self {
        let entries = wants.iter().map(|want| Entry::of(want, processes)).collect();
        Self { entries, taken_ns: now_ns, held_elsewhere: None }
    }

    /// Takes what is `chosen` out of this process's part. Gives everything back when it is refused.
    pub(super) fn take_here(
        &mut self,
        now_ns: i64,
        wants: &[Want<'_>],
        chosen: impl Fn(&LimitObject) -> bool,
    ) -> Result<(), OverLimit> {
        // Nothing is touched for a call that is refused anyway: an attack leaves no trace.
        if let Some(over) = self.over_limit(wants, now_ns, &chosen) {
            self.give_back();
            return Err(over);
        }
        for (position, (entry, want)) in self.entries.iter_mut().zip(wants).enumerate() {
            if !chosen(want.config) {
                continue;
            }
            if entry.take(want, now_ns) {
                entry.mark_changed();
                continue;
            }
            // Somebody else came in between.
            self.give_back();
            let standing = self.standing_at(now_ns);
            let nothing_left = OverLimit { want: position, retry: Retry::AfterMs(1), standing };
            return Err(self.over_limit(wants, now_ns, &chosen).unwrap_or(nothing_left));
        }
        Ok(())
    }

    /// Asks the authority that all processes share for what is exact.
    pub(super) async fn take_elsewhere(
        &mut self,
        now_ns: i64,
        wants: &[Want<'_>],
        limiter: &Arc<dyn SharedLimiter>,
    ) -> Result<Result<(), OverLimit>, Unreachable> {
        let mut asked = Vec::new();
        for (position, (entry, want)) in self.entries.iter().zip(wants).enumerate() {
            if !shared::is_exact(want.config) {
                continue;
            }
            if entry.is_hopeless(want.cost) {
                self.give_back();
                let standing = self.standing_at(now_ns);
                return Ok(Err(OverLimit { want: position, retry: Retry::Never, standing }));
            }
            let key = shared::key(want.config, &want.member);
            asked.push(SharedWant { key, cost: shared::cost(want.config, want.cost) });
        }
        let SharedDecision { standings, held } = limiter.decide(asked).await?;
        let exact = self.entries.iter_mut().zip(wants).enumerate();
        let exact = exact.filter(|(_, (_, want))| shared::is_exact(want.config));
        let mut worst: Option<(usize, Retry)> = None;
        for ((position, (entry, want)), standing) in exact.zip(standings) {
            entry.decided(limiter, want, now_ns, standing.ahead_us);
            if held.is_some() {
                entry.note(now_ns);
                entry.mark_changed();
            }
            let retry = match standing.refusal {
                None => continue,
                Some(SharedRefusal::Busy) => Retry::WhenAnotherEnds,
                Some(SharedRefusal::WaitUs(us)) => Retry::AfterMs(millis_up(us.saturating_mul(1_000)).max(1)),
            };
            if worst.is_none_or(|(_, other)| retry.is_worse_than(other)) {
                worst = Some((position, retry));
            }
        }
        if held.is_some() {
            self.held_elsewhere = held;
            return Ok(Ok(()));
        }
        self.give_back();
        let (want, retry) = worst.unwrap_or((0, Retry::AfterMs(1)));
        Ok(Err(OverLimit { want, retry, standing: self.standing_at(now_ns) }))
    }

    /// Replaces what counts for a token meter, an estimate at first, by what was used. May be called again.
    ///
    /// What was reserved in excess is given back whenever that turns out, so within any one period a limit admits at
    /// most its amount, its burst (or the largest single call, if that is more), and what earlier calls gave back in
    /// that period. What was used in excess is owed for up to [`super::CORRECTION_PERIODS`] periods.
    pub fn correct(&self, now: UnixMicros, want: usize, actual: u64) {
        if let Some(entry) = self.entries.get(want) {
            entry.correct(as_nanos(now), actual);
        }
    }

    /// The tightest limit of each meter, as it stands after this call.
    pub fn standing(&self, now: UnixMicros) -> Allowances {
        self.standing_at(as_nanos(now))
    }

    /// Undoes everything, as if the call had never come. For a call that is refused elsewhere before it was sent.
    pub fn abandon(mut self) {
        let taken_ns = self.taken_ns;
        self.entries.iter_mut().for_each(|entry| entry.abandon(taken_ns));
    }

    fn give_back(&mut self) {
        self.entries.iter_mut().for_each(Entry::give_back);
    }

    fn standing_at(&self, now_ns: i64) -> Allowances {
        let mut all = Allowances::default();
        for entry in &self.entries {
            let slot = match entry.meter {
                LimitMeter::Requests => &mut all.requests,
                LimitMeter::TotalTokens => &mut all.tokens,
                LimitMeter::InputTokens => &mut all.input_tokens,
                LimitMeter::OutputTokens => &mut all.output_tokens,
                LimitMeter::Concurrency => continue,
            };
            let Some(found) = entry.allowance(now_ns) else { continue };
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
    fn over_limit(
        &mut self,
        wants: &[Want<'_>],
        now_ns: i64,
        chosen: impl Fn(&LimitObject) -> bool,
    ) -> Option<OverLimit> {
        let mut worst: Option<(usize, Retry)> = None;
        for (position, (entry, want)) in self.entries.iter_mut().zip(wants).enumerate() {
            if !chosen(want.config) {
                continue;
            }
            let Some(retry) = entry.refusal(want, now_ns) else { continue };
            if worst.is_none_or(|(_, other)| retry.is_worse_than(other)) {
                worst = Some((position, retry));
            }
        }
        worst.map(|(want, retry)| OverLimit { want, retry, standing: self.standing_at(now_ns) })
    }
}

impl fmt::Debug for Taken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Taken").field("entries", &self.entries).finish_non_exhaustive()
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.entries.iter_mut().filter(|entry| entry.is_concurrency()).for_each(Entry::give_back);
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

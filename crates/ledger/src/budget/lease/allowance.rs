//! What one process may reserve on one balance in one window, as a state machine. Time is a parameter, and monotonic.

use std::time::Duration;

use tokio::time::Instant;
use tollgate_core::NanoUsd;

use super::LeaseGrant;
use super::premise::Premise;
use crate::budget::balance::Ceiling;

/// How long before its expiry a lease is not used any more.
const EXPIRY_MARGIN: Duration = Duration::from_secs(2);
/// For how long an answer that did not help is believed, so that refusals do not ask again and again.
const ANSWER_BELIEVED: Duration = Duration::from_millis(250);
/// For how long leased money may be without use before others get it.
const IDLE: Duration = Duration::from_millis(1_500);
/// How long after an attempt to prolong a lease the next one comes.
const RENEW_PAUSE: Duration = Duration::from_secs(1);
/// How much spending a lease is meant to last for.
const PACE: Duration = Duration::from_secs(60);

/// A lease as its holder sees it. `committed` is always what is spent and reserved on the balance.
#[derive(Debug)]
pub(in crate::budget) struct Allowance {
    granted: NanoUsd,
    premise: Premise,
    /// Left by half, more is fetched in the background.
    after_last_grant: NanoUsd,
    usable_until: Option<Instant>,
    renew_at: Option<Instant>,
    needed_at: Instant,
    /// One operation at a time.
    busy: bool,
    wish: Option<Wish>,
    answer: Option<(Instant, Answer)>,
    pace: Pace,
    /// Whether the store may hold more for us than `granted`, because its answer was lost.
    unsure: bool,
}

/// What waits for money.
#[derive(Debug, Clone, Copy)]
struct Wish {
    smallest: NanoUsd,
    sum: NanoUsd,
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Left(NanoUsd),
    /// All processes together have more than they should.
    Overdrawn,
    /// There was none.
    None,
}

/// Why a reservation is not covered by the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::budget) enum Uncovered {
    /// Nobody can lease that much.
    Exhausted { left: NanoUsd },
    /// The authority did not answer a moment ago.
    Unavailable,
    /// It must be asked.
    Ask,
}

/// How much to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::budget) struct Asking {
    pub(in crate::budget) keeps: NanoUsd,
    pub(in crate::budget) at_least: NanoUsd,
    pub(in crate::budget) at_most: NanoUsd,
}

impl Allowance {
    pub(in crate::budget) fn new(now: Instant) -> Self {
        Self {
            granted: NanoUsd::ZERO,
            premise: Premise::default(),
            after_last_grant: NanoUsd::ZERO,
            usable_until: None,
            renew_at: None,
            needed_at: now,
            busy: false,
            wish: None,
            answer: None,
            pace: Pace { since: now, base: NanoUsd::ZERO, before: NanoUsd::ZERO },
            unsure: false,
        }
    }

    /// Whether `amount` may be reserved beside what is committed.
    pub(in crate::budget) fn cover(
        &mut self,
        committed: NanoUsd,
        ceiling: Ceiling,
        amount: NanoUsd,
        now: Instant,
    ) -> Result<(), Uncovered> {
        let holds = self.premise.holds_under(ceiling);
        let usable = self.is_usable(now) && holds && !self.is_overdrawn();
        let wanted = committed + amount;
        if usable && wanted <= self.granted {
            // What is left over but too little for anybody here is not needed here.
            self.needed_at = now;
            return Ok(());
        }
        let believed = self.answer.filter(|(at, _)| !self.busy && now < *at + ANSWER_BELIEVED);
        Err(match believed {
            Some((_, Answer::None)) => Uncovered::Unavailable,
            Some((_, Answer::Overdrawn)) if holds => Uncovered::Exhausted { left: NanoUsd::ZERO },
            Some((_, Answer::Left(left))) if usable && wanted > self.granted + left => {
                Uncovered::Exhausted { left: self.spare(committed) + left }
            }
            _ => Uncovered::Ask,
        })
    }

    /// Notes that somebody waits for `amount`. Whether the authority must be told of it.
    pub(in crate::budget) fn wish(&mut self, amount: NanoUsd) -> bool {
        let first = self.wish.is_none();
        let Wish { smallest, sum } = self.wish.unwrap_or(Wish { smallest: amount, sum: NanoUsd::ZERO });
        self.wish = Some(Wish { smallest: smallest.min(amount), sum: sum + amount });
        first && !self.busy
    }

    /// Whether more should be fetched before it is missed.
    pub(in crate::budget) fn runs_low(&self, committed: NanoUsd) -> bool {
        let nothing_left = !matches!(self.answer, Some((_, Answer::Left(left))) if left > NanoUsd::ZERO);
        let low = self.spare(committed).get() < self.after_last_grant.get() / 2;
        low && !nothing_left && !self.busy && self.wish.is_none()
    }

    /// Begins to ask for what is wished; `None` while another operation is under way, or when nothing is.
    pub(in crate::budget) fn begin_asking(
        &mut self,
        committed: NanoUsd,
        ceiling: Ceiling,
        now: Instant,
    ) -> Option<Asking> {
        if self.busy {
            return None;
        }
        let wish = self.wish.take()?;
        self.busy = true;
        if self.premise.is_lowered(ceiling) || self.is_overdrawn() {
            self.granted = self.granted.min(committed);
        }
        self.premise.begin(ceiling);
        let lacks = |amount: NanoUsd| above(committed + amount, self.granted);
        let at_least = lacks(wish.smallest);
        let for_a_while = above(self.pace.recent(committed, now), self.spare(committed));
        Some(Asking {
            keeps: self.granted,
            at_least,
            at_most: lacks(wish.sum).max(for_a_while).max(at_least),
        })
    }

    /// Whoever waits looks again after this, and wishes again if that was not enough.
    pub(in crate::budget) fn finish_asking(
        &mut self,
        committed: NanoUsd,
        grant: Option<LeaseGrant>,
        asked_at: Instant,
        now: Instant,
    ) {
        self.busy = false;
        self.wish = None;
        let Some(grant) = grant else {
            self.unsure = true;
            // What was overdrawn stays so until somebody says otherwise.
            self.answer = Some((now, if self.is_overdrawn() { Answer::Overdrawn } else { Answer::None }));
            return;
        };
        self.unsure = false;
        self.premise.finish();
        self.granted = grant.granted.max(NanoUsd::ZERO);
        self.after_last_grant = self.spare(committed);
        let answer = if grant.left.is_negative() { Answer::Overdrawn } else { Answer::Left(grant.left) };
        self.answer = Some((now, answer));
        self.renewed(asked_at, grant.expires_in);
    }

    /// What the lease holds from now on when what is not needed goes back; `None` when nothing is to be given back.
    pub(in crate::budget) fn begin_giving_back(
        &mut self,
        committed: NanoUsd,
        window_open: bool,
        now: Instant,
    ) -> Option<NanoUsd> {
        let needed = window_open && now < self.needed_at + IDLE;
        let nothing = self.spare(committed) == NanoUsd::ZERO && !self.unsure;
        if self.busy || needed || nothing || self.wish.is_some() {
            return None;
        }
        self.busy = true;
        self.granted = self.granted.min(committed);
        self.after_last_grant = NanoUsd::ZERO;
        Some(self.granted)
    }

    /// Whoever wished for something in the meantime looks again, and wishes again.
    pub(in crate::budget) fn finish_giving_back(&mut self, done: bool) {
        self.busy = false;
        self.wish = None;
        self.unsure = !done;
        if !self.is_overdrawn() {
            self.answer = None;
        }
    }

    /// Whether the lease is to be prolonged: it holds something, and half of its time is over. Says so once a second.
    pub(in crate::budget) fn begin_renewing(&mut self, committed: NanoUsd, now: Instant) -> bool {
        let holds = self.spare(committed) > NanoUsd::ZERO;
        let due = holds && !self.busy && self.renew_at.is_some_and(|at| now >= at);
        if due {
            self.renew_at = Some(now + RENEW_PAUSE);
        }
        due
    }

    /// Counted from before it was asked for.
    pub(in crate::budget) fn renewed(&mut self, asked_at: Instant, expires_in: Duration) {
        self.usable_until = Some(asked_at + expires_in.saturating_sub(EXPIRY_MARGIN));
        self.renew_at = Some(asked_at + expires_in / 2);
    }

    /// Whether it can be forgotten: nothing is under way, and the store holds nothing for us that is not committed.
    pub(in crate::budget) fn is_at_rest(&self, committed: NanoUsd) -> bool {
        !self.busy && self.wish.is_none() && !self.unsure && self.spare(committed) == NanoUsd::ZERO
    }

    /// What could be reserved, as far as is known: leased here and not committed, or still there for all.
    pub(in crate::budget) fn left(&self, committed: NanoUsd, now: Instant) -> Option<NanoUsd> {
        match self.answer {
            Some((at, Answer::Left(left))) if now < at + ANSWER_BELIEVED => {
                Some(self.spare(committed) + left)
            }
            _ => None,
        }
    }

    pub(in crate::budget) const fn granted(&self) -> NanoUsd {
        self.granted
    }

    fn is_usable(&self, now: Instant) -> bool {
        self.usable_until.is_some_and(|until| now < until)
    }

    fn is_overdrawn(&self) -> bool {
        matches!(self.answer, Some((_, Answer::Overdrawn)))
    }

    fn spare(&self, committed: NanoUsd) -> NanoUsd {
        above(self.granted, committed)
    }
}

/// How fast money is committed.
#[derive(Debug)]
struct Pace {
    since: Instant,
    base: NanoUsd,
    before: NanoUsd,
}

impl Pace {
    /// About what was committed in the last minute.
    fn recent(&mut self, committed: NanoUsd, now: Instant) -> NanoUsd {
        let lately = above(committed, self.base);
        if now >= self.since + PACE {
            *self = Self { since: now, base: committed, before: lately };
        }
        lately.max(self.before)
    }
}

/// By how much one is larger than the other.
fn above(one: NanoUsd, other: NanoUsd) -> NanoUsd {
    one.checked_sub(other).unwrap_or(NanoUsd::ZERO).max(NanoUsd::ZERO)
}

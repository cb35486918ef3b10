//! The decision on one request, made while all of its balances are locked.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, timeout_at};
use tollgate_core::{NanoUsd, UnixMicros};

use super::balance::Balance;
use super::book::Shortage;
use super::lease::{Leases, Uncovered};
use super::state::{BalanceState, Refusal};

/// How long a request waits for leases in all.
const LEASE_WAIT: Duration = Duration::from_secs(3);

/// Where the right to reserve comes from.
#[derive(Debug, Clone, Default)]
pub(super) enum Authority {
    /// This process is alone.
    #[default]
    Sole,
    Leased(Arc<Leases>),
}

/// What is asked of one balance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) claim: usize,
    pub(super) balance: &'a Arc<Balance>,
    /// The window to reserve in; the open one where absent.
    pub(super) start: Option<UnixMicros>,
    pub(super) amount: NanoUsd,
}

/// A decision.
pub(super) enum Outcome {
    Admitted,
    Refused(Shortage),
    /// It can be made when there is an answer about leases.
    Waiting(Waiting),
}

/// For the answer that decides on one claim.
pub(super) struct Waiting {
    claim: usize,
    changed: OwnedNotified,
}

impl Waiting {
    /// # Errors
    /// When there is no answer in time.
    pub(super) async fn answered(self, deadline: Instant) -> Result<(), Shortage> {
        let unavailable = |_| Shortage::Unavailable { claim: self.claim };
        timeout_at(deadline, self.changed).await.map_err(unavailable)
    }
}

/// When a request that begins to wait now gives up.
pub(super) fn deadline() -> Instant {
    Instant::now() + LEASE_WAIT
}

/// Looks at every balance. What was admitted is still to be reserved before the locks are left.
pub(super) fn decide<'a>(
    authority: &Authority,
    now: UnixMicros,
    asked: impl Iterator<Item = (Ask<'a>, &'a mut BalanceState)>,
) -> Outcome {
    let leases = match authority {
        Authority::Sole => None,
        Authority::Leased(leases) => Some((leases, Instant::now())),
    };
    let mut refusals = Refusals::default();
    let mut unavailable = None;
    let mut uncovered = Vec::new();
    for (ask, state) in asked {
        let (terms, amount) = (&ask.balance.terms, ask.amount);
        state.roll(now, &terms.calendar);
        let start = ask.start.unwrap_or(state.open_since());
        let ceiling = terms.ceiling(now);
        let admitted = state.admits(start, now, &terms.calendar, ceiling.map(|one| one.amount), amount);
        let covered = match (leases, ceiling) {
            (Some((_, at)), Some(ceiling)) if admitted.is_ok() => state.cover(start, ceiling, amount, at),
            _ => Ok(()),
        };
        if let Err(refusal) = admitted {
            refusals.note(ask.claim, amount, refusal);
        }
        match covered {
            Ok(()) => {}
            Err(Uncovered::Exhausted { left }) => {
                let refusal = state.refusal(start, now, &terms.calendar, left, amount);
                refusals.note(ask.claim, amount, refusal);
            }
            Err(Uncovered::Unavailable) => unavailable = unavailable.or(Some(ask.claim)),
            Err(Uncovered::Ask) => uncovered.push((ask, start, state)),
        }
    }
    if let Some(shortage) = refusals.tightest() {
        return Outcome::Refused(shortage);
    }
    if let Some(claim) = unavailable {
        return Outcome::Refused(Shortage::Unavailable { claim });
    }
    match leases.and_then(|(leases, _)| wait_for(leases, uncovered)) {
        Some(waiting) => Outcome::Waiting(waiting),
        None => Outcome::Admitted,
    }
}

/// Wishes for what is missing everywhere, and waits for the first of the answers.
fn wait_for(leases: &Leases, uncovered: Vec<(Ask<'_>, UnixMicros, &mut BalanceState)>) -> Option<Waiting> {
    let mut waiting = None;
    for (Ask { claim, balance, amount, .. }, start, state) in uncovered {
        // Before the lock is left, so that no answer is missed.
        waiting
            .get_or_insert_with(|| Waiting { claim, changed: Arc::clone(&balance.changed).notified_owned() });
        if state.wish(start, amount) {
            leases.tell(balance);
        }
    }
    waiting
}

impl Authority {
    /// After a reservation: fetches more before it is missed.
    pub(super) fn look_ahead(&self, balance: &Arc<Balance>, state: &mut BalanceState, start: UnixMicros) {
        if let Self::Leased(leases) = self
            && state.wish_ahead(start)
        {
            leases.tell(balance);
        }
    }
}

/// The refusals of one request, of which the tightest is told.
#[derive(Default)]
struct Refusals {
    tightest: Option<(usize, NanoUsd, Refusal)>,
}

impl Refusals {
    fn note(&mut self, claim: usize, amount: NanoUsd, refusal: Refusal) {
        // Compares left / amount without dividing.
        let tighter = |(first, wanted, known): &(usize, NanoUsd, Refusal)| {
            let part = |left: NanoUsd, of: NanoUsd| i128::from(left.get()) * i128::from(of.get());
            (part(refusal.left, *wanted), claim) < (part(known.left, amount), *first)
        };
        if self.tightest.as_ref().is_none_or(tighter) {
            self.tightest = Some((claim, amount, refusal));
        }
    }

    fn tightest(self) -> Option<Shortage> {
        let (claim, _, Refusal { balance, left, resets_at }) = self.tightest?;
        Some(Shortage::Exhausted { claim, balance, left, resets_at })
    }
}

//! What an account holds of budgets and limits, and when it sets it free: never before the journal says why.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderName, HeaderValue};
use tollgate_core::FaultPoint;
use tollgate_ledger::budget::Settled;
use tollgate_ledger::journal::{Append, JournalError, RecordClass};
use tollgate_ledger::record::{BalanceKey, Charge, HoldsChange, JournalEntry};
use tollgate_wire::rate_limits::rate_limit_headers;

use super::{Account, Open, report};
use crate::reservation::Reservation;
use crate::throttling::Taking;

/// A closed account on its way into the journal. The budgets count its charges once it is there.
#[derive(Default)]
pub struct Closing {
    pub(super) append: Option<Append>,
    pub(super) settled: Vec<Settled>,
}

impl Future for Closing {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(append) = &mut self.append {
            report(ready!(Pin::new(append).poll(context)).map(drop));
        }
        FaultPoint::SettlementWritten.reach();
        self.append = None;
        self.settled.clear();
        Poll::Ready(())
    }
}

impl Account {
    /// Keeps what the call holds of its limits until the account is closed.
    pub fn hold(&mut self, taking: Taking) {
        self.with(|open| open.taking.join(taking));
    }

    /// Gives back what a call took that is refused before it was sent: a refusal by one limit uses up no other.
    pub fn give_back_limits(&mut self) {
        self.with(|open| std::mem::take(&mut open.taking).abandon());
    }

    /// Gives back what was taken for the model that a substitute replaces.
    pub fn give_back_understood_limits(&mut self) {
        self.with(|open| open.taking.abandon_understood());
    }

    /// What is left of the caller's limits, as headers of its dialect.
    pub fn standing_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let Some(open) = self.open.as_deref().filter(|open| !open.taking.is_empty()) else {
            return Vec::new();
        };
        let now = open.core.gateway.clock.now();
        rate_limit_headers(open.settlement.request.client_dialect, &open.taking.standing(now), now)
    }

    /// The output cap that a budget set or lowered.
    pub fn output_cap_tokens(&self) -> Option<u64> {
        self.request().and_then(|request| request.decision.output_cap_tokens)
    }

    /// The end user that the application named.
    pub fn customer(&self) -> Option<&str> {
        self.request().and_then(|request| request.customer.as_deref())
    }

    /// Notes the balance that could not pay.
    pub fn refused_by(&mut self, balance: Option<Arc<BalanceKey>>) {
        self.with(|open| open.settlement.request.refused_by = balance);
    }

    /// Notes the model that was asked for before a budget's substitute took its place.
    pub fn substituted(&mut self, asked_for: &str) {
        self.with(|open| open.settlement.request.decision.substituted_for = Some(asked_for.into()));
    }

    /// Notes the output cap that a budget set or lowered.
    pub fn capped(&mut self, output_cap_tokens: Option<u64>) {
        self.with(|open| open.settlement.request.decision.output_cap_tokens = output_cap_tokens);
    }

    /// Sets free what the last attempt held beyond what it was charged, so that the next one can have it.
    pub async fn free_ended_attempt(&mut self) {
        FaultPoint::BeforeHoldsChange.reach();
        let Some(append) = self.with(Open::write_ended_holds).flatten() else { return };
        report(append.await.map(drop));
        FaultPoint::HoldsChanged.reach();
        self.with(|open| open.settled.clear());
    }

    /// The reservation of the attempt under way, to make it larger.
    pub fn reservation(&self) -> Option<&Reservation> {
        self.open.as_deref()?.pending.as_ref().map(|pending| &pending.plan.reservation)
    }

    /// Takes the reservation out while it grows. [`Self::put_reservation`] must follow.
    pub fn take_reservation(&mut self) -> Option<Reservation> {
        let pending = self.open.as_deref_mut()?.pending.as_mut()?;
        let nothing = Reservation::nothing(pending.plan.reservation.deployment_id);
        Some(std::mem::replace(&mut pending.plan.reservation, nothing))
    }

    /// Puts back what [`Self::take_reservation`] took.
    pub fn put_reservation(&mut self, reservation: Reservation) {
        self.with(|open| {
            if let Some(pending) = &mut open.pending {
                pending.plan.reservation = reservation;
            }
        });
    }

    /// Writes what the attempt under way holds from now on.
    pub fn write_holds(&mut self, holds: Vec<Charge>) -> Option<Append> {
        self.with(|open| {
            let attempt = u16::try_from(open.settlement.attempts.len()).unwrap_or(u16::MAX);
            open.write_holds(attempt, holds, RecordClass::Intent)
        })
    }
}

impl Open {
    fn write_ended_holds(&mut self) -> Option<Append> {
        let ended = self.settlement.attempts.last()?;
        if ended.charges.is_empty() || self.settled.is_empty() {
            return None;
        }
        Some(self.write_holds(ended.attempt, ended.charges.clone(), RecordClass::Settle))
    }

    fn write_holds(&self, attempt: u16, holds: Vec<Charge>, class: RecordClass) -> Append {
        let change = HoldsChange { request_id: self.settlement.request.request_id, attempt, holds };
        let mut buffer = self.core.scratch.take();
        buffer.clear();
        if let Err(error) = JournalEntry::HoldsChanged(&change).encode_into(&mut buffer) {
            tracing::error!(%error, "a change of what an attempt holds could not be encoded");
        }
        let append = self.core.journal.append(class, &buffer);
        self.core.scratch.replace(buffer);
        append
    }
}

/// Whether the journal has what was appended, now or as soon as it can be written.
pub const fn is_kept(result: &Result<(), JournalError>) -> bool {
    matches!(result, Ok(()) | Err(JournalError::Deferred { .. }))
}

//! Streams that pay as they go: the next step is reserved, and in the journal, before what it pays for is read.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tollgate_core::FaultPoint;
use tollgate_ledger::journal::Append;

use super::flow::Flow;
use crate::account::is_kept;
use crate::journey::admit::cannot_record;
use crate::reservation::{Denied, Reservation};

/// A reservation that is growing; it comes back whether or not it could.
type Reserving = Pin<Box<dyn Future<Output = (Reservation, Result<(), Denied>)>>>;

/// A step on its way.
pub(super) enum Stepping {
    Reserving(Reserving),
    /// What is held now is on its way into the journal.
    Writing(Append),
}

impl Stepping {
    /// The reservation that has yet to come back.
    pub(super) fn into_reserving(self) -> Option<Reserving> {
        match self {
            Self::Reserving(reserving) => Some(reserving),
            Self::Writing(_) => None,
        }
    }
}

impl Flow {
    /// Begins the next step, if what has come is nearly all that was paid for.
    pub(super) fn step_if_needed(&mut self) {
        if self.ending.is_some() || self.stepping.is_some() {
            return;
        }
        let Some(reservation) = self.account.reservation().filter(|one| one.is_stepped()) else { return };
        let produced_tokens = self.observer.output_bound_tokens();
        if !reservation.needs_step(produced_tokens) {
            return;
        }
        FaultPoint::StepWanted.reach();
        let Some(mut reservation) = self.account.take_reservation() else { return };
        let core = Rc::clone(&self.core);
        self.stepping = Some(Stepping::Reserving(Box::pin(async move {
            let now = core.gateway.clock.now();
            let stepped = reservation.step(now, produced_tokens).await;
            (reservation, stepped)
        })));
    }

    /// Goes on with the step. A refusal ends the stream.
    pub(super) fn poll_step(&mut self, context: &mut Context<'_>, chunks: &mut VecDeque<Bytes>) -> Poll<()> {
        if let Some(Stepping::Reserving(reserving)) = &mut self.stepping {
            let (reservation, stepped) = ready!(reserving.as_mut().poll(context));
            let holds = reservation.holds();
            self.account.put_reservation(reservation);
            self.stepping = None;
            FaultPoint::StepReserved.reach();
            match stepped {
                Ok(()) => self.stepping = self.account.write_holds(holds).map(Stepping::Writing),
                Err(denied) => {
                    self.account.refused_by(denied.balance);
                    self.break_off_unpaid(&denied.problem, chunks);
                }
            }
        }
        if let Some(Stepping::Writing(append)) = &mut self.stepping {
            let written = ready!(Pin::new(append).poll(context)).map(drop);
            FaultPoint::StepWritten.reach();
            self.stepping = None;
            if !is_kept(&written) {
                self.break_off_unpaid(&cannot_record(), chunks);
            }
        }
        Poll::Ready(())
    }
}

//! What one attempt has reserved.

use std::sync::Arc;

use smallvec::SmallVec;
use tollgate_core::{NanoUsd, UnixMicros};

use super::admission::{self, Ask, Authority, Outcome};
use super::balance::Balance;
use super::book::Shortage;
use super::counters::Counters;
use crate::record::{BalanceKey, Charge};

/// A reservation on several balances. It is settled once, or given up when it is dropped.
#[derive(Debug)]
#[must_use = "dropping it gives the reservation up"]
pub struct Hold {
    parts: Parts,
    authority: Authority,
    counters: Arc<Counters>,
}

/// By rising rank of the balance, each once.
pub(super) type Parts = SmallVec<[Part; 4]>;

/// What is reserved on one balance.
#[derive(Debug)]
pub(super) struct Part {
    /// Which of the claims it serves.
    pub(super) claim: usize,
    pub(super) balance: Arc<Balance>,
    /// The window of admission.
    pub(super) key: Arc<BalanceKey>,
    pub(super) held: NanoUsd,
}

impl Part {
    fn charge(&self, amount_nano_usd: NanoUsd) -> Charge {
        Charge { balance: Arc::clone(&self.key), amount_nano_usd }
    }

    fn end(&self, charged: NanoUsd, counters: &Counters) {
        if self.balance.lock().settle(self.key.window_start, self.held, charged).is_err() {
            counters.violation("more was settled than had been reserved");
        }
    }
}

impl Hold {
    pub(super) const fn new(parts: Parts, authority: Authority, counters: Arc<Counters>) -> Self {
        Self { parts, authority, counters }
    }

    /// What is reserved where, for the journal. In no particular order.
    pub fn charges(&self) -> Vec<Charge> {
        self.parts.iter().map(|part| part.charge(part.held)).collect()
    }

    /// Raises each reservation to these amounts, in the order of the claims: all or none. One that holds more already,
    /// or for which no amount is given, stays as it is.
    ///
    /// # Errors
    /// When a balance has not that much left, or its lease cannot be asked for; then nothing was changed.
    pub async fn extend(&mut self, now: UnixMicros, amounts: &[NanoUsd]) -> Result<(), Shortage> {
        let mut deadline = None;
        let extended = loop {
            match self.try_extend(now, amounts) {
                Outcome::Admitted => break Ok(()),
                Outcome::Refused(shortage) => break Err(shortage),
                Outcome::Waiting(waiting) => {
                    let deadline = *deadline.get_or_insert_with(admission::deadline);
                    if let Err(shortage) = waiting.answered(deadline).await {
                        break Err(shortage);
                    }
                }
            }
        };
        match extended {
            Ok(()) => self.counters.extensions.count(),
            Err(_) => self.counters.extension_refusals.count(),
        }
        extended
    }

    fn try_extend(&mut self, now: UnixMicros, amounts: &[NanoUsd]) -> Outcome {
        let more = |part: &Part| {
            let wanted = amounts.get(part.claim).copied().unwrap_or(part.held);
            // Cannot overflow: what is held is not negative.
            wanted.checked_sub(part.held).unwrap_or(NanoUsd::ZERO).max(NanoUsd::ZERO)
        };
        let mut states: SmallVec<[_; 4]> = self.parts.iter().map(|part| part.balance.lock()).collect();
        let asked = self.parts.iter().zip(&mut states).filter(|(part, _)| more(part) > NanoUsd::ZERO);
        let asked = asked.map(|(part, state)| {
            let Part { claim, balance, key, .. } = part;
            let ask = Ask { claim: *claim, balance, start: Some(key.window_start), amount: more(part) };
            (ask, &mut **state)
        });
        let outcome = admission::decide(&self.authority, now, asked);
        if !matches!(outcome, Outcome::Admitted) {
            return outcome;
        }
        for (part, state) in self.parts.iter().zip(&mut states) {
            if state.hold_more(part.key.window_start, more(part)).is_err() {
                self.counters.violation("the window of a reservation was forgotten");
            }
            self.authority.look_ahead(&part.balance, state, part.key.window_start);
        }
        drop(states);
        for part in &mut self.parts {
            part.held += more(part);
        }
        Outcome::Admitted
    }

    /// Ends the reservation with what the attempt did cost, in the order of the claims; where no amount is given, with
    /// all that was reserved. The balances change when the result is committed.
    pub fn settle(mut self, amounts: &[NanoUsd]) -> Settled {
        let counters = Arc::clone(&self.counters);
        let parts = std::mem::take(&mut self.parts).into_iter().map(|part| {
            let charged = amounts.get(part.claim).copied().unwrap_or(part.held).max(NanoUsd::ZERO);
            (part, charged)
        });
        Settled { parts: parts.collect(), counters }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.parts.is_empty() {
            return;
        }
        self.counters.voids.count();
        for part in &self.parts {
            part.end(NanoUsd::ZERO, &self.counters);
        }
    }
}

/// A reservation that has ended and still stands, until the journal has its settlement: were it set free before, a
/// crash could charge again what somebody else has spent in between.
#[derive(Debug)]
#[must_use = "commit it when the journal has its charges"]
pub struct Settled {
    parts: SmallVec<[(Part, NanoUsd); 4]>,
    counters: Arc<Counters>,
}

impl Settled {
    /// What was spent where, for the usage record. In no particular order.
    pub fn charges(&self) -> Vec<Charge> {
        self.parts.iter().map(|(part, charged)| part.charge(*charged)).collect()
    }

    /// Lets the balances count the charges instead of the reservation. Dropping does the same.
    pub fn commit(self) {}
}

impl Drop for Settled {
    fn drop(&mut self) {
        for (part, charged) in &self.parts {
            if *charged != part.held {
                self.counters.corrections.count();
            }
            if *charged > part.held {
                self.counters.overruns.count();
            }
            part.end(*charged, &self.counters);
        }
    }
}

//! Slots in which futures wait for the fate of their record; reused, so that waiting allocates nothing.

use std::task::{Context, Poll, Waker};

use crate::journal::{JournalError, Position};

pub(super) type Fate = Result<Position, JournalError>;

enum Slot {
    Free,
    Waiting(Option<Waker>),
    Known(Fate),
    /// The future is gone; the slot is free once the record's fate is known.
    Abandoned,
}

#[derive(Default)]
pub(super) struct Waiters {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl Waiters {
    pub(super) fn take_slot(&mut self) -> u32 {
        if let Some(index) = self.free.pop() {
            self.set(index, Slot::Waiting(None));
            return index;
        }
        self.slots.push(Slot::Waiting(None));
        (self.slots.len() - 1) as u32
    }

    pub(super) fn resolve(&mut self, index: u32, fate: Fate, woken: &mut Vec<Waker>) {
        match self.slots.get_mut(index as usize) {
            Some(slot @ Slot::Waiting(_)) => {
                if let Slot::Waiting(Some(waker)) = std::mem::replace(slot, Slot::Known(fate)) {
                    woken.push(waker);
                }
            }
            Some(Slot::Abandoned) => self.release(index),
            _ => {}
        }
    }

    pub(super) fn poll(&mut self, index: u32, context: &mut Context<'_>) -> Poll<Fate> {
        match self.slots.get_mut(index as usize) {
            Some(Slot::Waiting(waker)) => {
                if !waker.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
                    *waker = Some(context.waker().clone());
                }
                Poll::Pending
            }
            Some(slot @ Slot::Known(_)) => {
                let Slot::Known(fate) = std::mem::replace(slot, Slot::Free) else {
                    return Poll::Pending;
                };
                self.free.push(index);
                Poll::Ready(fate)
            }
            _ => Poll::Pending,
        }
    }

    pub(super) fn abandon(&mut self, index: u32) {
        match self.slots.get(index as usize) {
            Some(Slot::Waiting(_)) => self.set(index, Slot::Abandoned),
            Some(Slot::Known(_)) => self.release(index),
            _ => {}
        }
    }

    fn release(&mut self, index: u32) {
        self.set(index, Slot::Free);
        self.free.push(index);
    }

    fn set(&mut self, index: u32, value: Slot) {
        if let Some(slot) = self.slots.get_mut(index as usize) {
            *slot = value;
        }
    }
}

//! The writer of one core. It lives on that core's thread; nothing here takes a lock per record.
//!
//! Records gather in one buffer. The first of them wakes the flusher task, which the runtime runs after the tasks that
//! are ready now: whatever those append shares one write. Without a running flusher each append is written at once.

mod recovery;
mod segments;
mod state;
mod waiters;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::shared::{CoreShared, Health, Process};
use super::{JournalError, Position, RecordClass};
use state::State;

/// Appends records to one core's journal. Clones share one buffer; the last one to go flushes it.
#[derive(Clone)]
pub struct JournalWriter {
    inner: Rc<Inner>,
}

struct Inner {
    process: Arc<Process>,
    shared: Arc<CoreShared>,
    state: RefCell<State>,
}

impl JournalWriter {
    pub(super) fn open(process: Arc<Process>, core: u16) -> Result<Self, JournalError> {
        let (state, shared) = State::open(process.clone(), core)?;
        Ok(Self { inner: Rc::new(Inner { process, shared, state: RefCell::new(state) }) })
    }

    /// Puts a record in line, now; the future says when the kernel has it (with [`Durability::Power`](super::Durability::Power):
    /// the disk). Dropping the future does not take the record back.
    #[must_use = "the record is in line, but only the future tells whether it was written"]
    pub fn append(&self, class: RecordClass, payload: &[u8]) -> Append {
        let mut state = self.inner.state.borrow_mut();
        let appended = state.append(class, payload, true);
        self.finish(state);
        match appended {
            Ok(slot) => Append { inner: self.inner.clone(), outcome: Outcome::Slot(slot) },
            Err(error) => Append { inner: self.inner.clone(), outcome: Outcome::Refused(Some(error)) },
        }
    }

    /// Puts a settling record in line without waiting; for drop guards. `Ok` also when a failed journal keeps it.
    pub fn append_detached(&self, payload: &[u8]) -> Result<(), JournalError> {
        let mut state = self.inner.state.borrow_mut();
        let appended = state.append(RecordClass::Settle, payload, false);
        self.finish(state);
        match appended {
            Ok(_) | Err(JournalError::Deferred { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes everything that is in line; a failed journal tries to recover first. For shutdown and drop paths.
    pub fn flush_now(&self) -> Result<(), JournalError> {
        let mut state = self.inner.state.borrow_mut();
        if self.inner.shared.is_failed() {
            state.recover();
        }
        state.flush();
        self.finish(state);
        if self.inner.shared.is_failed() { Err(self.inner.shared.refusal()) } else { Ok(()) }
    }

    pub fn health(&self) -> Health {
        self.inner.shared.health(&self.inner.process)
    }

    /// One atomic load: whether records are refused or kept back at the moment.
    pub fn is_failed(&self) -> bool {
        self.inner.shared.is_failed()
    }

    /// Where the next record will begin, counting only what was written.
    pub fn position(&self) -> Position {
        let state = self.inner.state.borrow();
        Position { epoch: self.inner.process.epoch, offset: state.end() }
    }

    /// Memory taken by what was written and may have to be written again.
    #[cfg(test)]
    pub(super) fn kept_bytes(&self) -> usize {
        self.inner.state.borrow().retained.capacity()
    }

    /// The task that writes and, after a failure, probes. Spawn it once on this thread; it never ends. Dropping it
    /// writes what is in line.
    pub fn flusher(&self) -> impl Future<Output = ()> + 'static {
        let running = RunningFlusher::new(self.clone());
        async move { running.run().await }
    }

    /// Runs the wakers that a flush collected, after the state was released: a waker may run code of others.
    fn finish(&self, mut state: std::cell::RefMut<'_, State>) {
        let mut woken = state.take_woken();
        drop(state);
        if woken.is_empty() {
            return;
        }
        for waker in woken.drain(..) {
            waker.wake();
        }
        self.inner.state.borrow_mut().return_woken(woken);
    }
}

struct RunningFlusher {
    writer: JournalWriter,
}

impl RunningFlusher {
    fn new(writer: JournalWriter) -> Self {
        writer.inner.state.borrow_mut().set_flusher_running(true);
        Self { writer }
    }

    async fn run(&self) {
        loop {
            let inner = &self.writer.inner;
            let failed = inner.shared.is_failed();
            if failed {
                let probe = inner.process.options.probe_interval;
                let _ = tokio::time::timeout(probe, self.work()).await;
            } else {
                self.work().await;
            }
            let mut state = inner.state.borrow_mut();
            state.note_sync();
            // A failure that was just noticed waits one interval before the first probe.
            if failed && inner.shared.is_failed() {
                state.recover();
            }
            state.flush();
            self.writer.finish(state);
        }
    }

    async fn work(&self) {
        poll_fn(|context| {
            let mut state = self.writer.inner.state.borrow_mut();
            if state.has_work() {
                return Poll::Ready(());
            }
            state.register_flusher(context.waker());
            // News may have arrived before the sync thread could know the waker.
            if state.has_work() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Drop for RunningFlusher {
    fn drop(&mut self) {
        let mut state = self.writer.inner.state.borrow_mut();
        state.set_flusher_running(false);
        state.flush();
        self.writer.finish(state);
    }
}

/// Resolves when a record was written; see [`JournalWriter::append`].
pub struct Append {
    inner: Rc<Inner>,
    outcome: Outcome,
}

enum Outcome {
    Slot(u32),
    Refused(Option<JournalError>),
    Taken,
}

impl Future for Append {
    type Output = Result<Position, JournalError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let slot = match &mut self.outcome {
            Outcome::Slot(slot) => *slot,
            Outcome::Refused(error) => {
                return error.take().map_or(Poll::Pending, |error| Poll::Ready(Err(error)));
            }
            Outcome::Taken => return Poll::Pending,
        };
        let result = self.inner.state.borrow_mut().poll_slot(slot, context);
        if result.is_ready() {
            self.outcome = Outcome::Taken;
        }
        result
    }
}

impl Drop for Append {
    fn drop(&mut self) {
        if let Outcome::Slot(slot) = self.outcome {
            self.inner.state.borrow_mut().abandon_slot(slot);
        }
    }
}

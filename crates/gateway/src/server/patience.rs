//! How long a client may take to say what it wants.
//!
//! hyper watches a connection from the end of one exchange to the next head: that is the keep-alive time. A head that
//! has begun, and the first one of a connection, are watched here, for they may take less.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::answer::{AnswerBody, Cut};

/// What one connection owes.
pub(super) struct Patience {
    limit: Duration,
    /// Since when a whole head is owed.
    owed_since: Cell<Option<Instant>>,
    running: Cell<usize>,
    /// HTTP/2 sees to its idle connections itself.
    is_multiplexed: Cell<bool>,
    timer: RefCell<Option<Pin<Box<Sleep>>>>,
}

impl Patience {
    /// A connection that was just accepted: its first head is owed from now on.
    pub(super) fn new(limit: Duration) -> Rc<Self> {
        Rc::new(Self {
            limit,
            owed_since: Cell::new(Some(Instant::now())),
            running: Cell::new(0),
            is_multiplexed: Cell::new(false),
            timer: RefCell::new(None),
        })
    }

    /// Bytes came.
    pub(super) fn received(&self) {
        if self.running.get() == 0 && self.owed_since.get().is_none() && !self.is_multiplexed.get() {
            self.owed_since.set(Some(Instant::now()));
        }
    }

    /// A head is whole; the guard belongs to the answer.
    pub(super) fn began(self: &Rc<Self>, version: http::Version) -> Running {
        self.owed_since.set(None);
        self.is_multiplexed.set(version == http::Version::HTTP_2);
        self.running.set(self.running.get() + 1);
        Running(Rc::clone(self))
    }

    /// Ready when a head is overdue.
    pub(super) fn poll_overdue(&self, context: &mut Context<'_>) -> Poll<()> {
        let Some(since) = self.owed_since.get() else { return Poll::Pending };
        let deadline = since + self.limit;
        let mut timer = self.timer.borrow_mut();
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(context)
    }
}

/// An exchange that is going on.
pub(super) struct Running(Rc<Patience>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get().saturating_sub(1));
    }
}

/// An answer's body, with the exchange that ends with it.
pub(super) struct RunningBody {
    body: AnswerBody,
    _running: Running,
}

impl RunningBody {
    pub(super) const fn new(body: AnswerBody, running: Running) -> Self {
        Self { body, _running: running }
    }
}

impl Body for RunningBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

//! How long a client may take to say what it wants, and on HTTP/2 to take what it is given.
//!
//! hyper watches a connection from the end of one exchange to the next head: that is the keep-alive time. A head that
//! has begun, and the first one of a connection, are watched here, for they may take less.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::answer::{AnswerBody, Cut};

/// What one connection owes.
pub(super) struct Patience {
    limit: Duration,
    stall: Duration,
    /// Since when a whole head is owed.
    owed_since: Cell<Option<Instant>>,
    running: Cell<usize>,
    /// HTTP/2 sees to its idle connections itself.
    is_multiplexed: Cell<bool>,
    /// HTTP/2 streams hold answers back without holding up the connection.
    streams: RefCell<Vec<Rc<Given>>>,
    timer: RefCell<Option<Pin<Box<Sleep>>>>,
}

/// Since when a piece of an answer waits to be taken; nothing while the client waits for us.
type Given = Cell<Option<Instant>>;

impl Patience {
    /// A connection that was just accepted: its first head is owed from now on.
    pub(super) fn new(limit: Duration, stall: Duration) -> Rc<Self> {
        Rc::new(Self {
            limit,
            stall,
            owed_since: Cell::new(Some(Instant::now())),
            running: Cell::new(0),
            is_multiplexed: Cell::new(false),
            streams: RefCell::default(),
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
        self.running.set(self.running.get() + 1);
        let given = (version == http::Version::HTTP_2).then(Rc::<Given>::default);
        if let Some(given) = &given {
            self.is_multiplexed.set(true);
            self.streams.borrow_mut().push(Rc::clone(given));
        }
        Running { patience: Rc::clone(self), given }
    }

    /// Whether the connection carries many exchanges at a time.
    pub(super) const fn is_multiplexed(&self) -> bool {
        self.is_multiplexed.get()
    }

    /// Ready when a head is overdue, or an answer is not taken.
    pub(super) fn poll_overdue(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_multiplexed.get() {
            return self.poll_stalled(context);
        }
        let Some(since) = self.owed_since.get() else { return Poll::Pending };
        let deadline = since + self.limit;
        let mut timer = self.timer.borrow_mut();
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(context)
    }

    fn poll_stalled(&self, context: &mut Context<'_>) -> Poll<()> {
        let streams = self.streams.borrow();
        if streams.is_empty() {
            return Poll::Pending;
        }
        let mut timer = self.timer.borrow_mut();
        loop {
            let now = Instant::now();
            if streams.iter().filter_map(|given| given.get()).any(|since| now >= since + self.stall) {
                return Poll::Ready(());
            }
            let next = now + self.stall / 2;
            let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(next)));
            if timer.deadline() <= now {
                timer.as_mut().reset(next);
            }
            ready!(timer.as_mut().poll(context));
        }
    }
}

/// An exchange that is going on.
pub(super) struct Running {
    patience: Rc<Patience>,
    given: Option<Rc<Given>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let patience = &self.patience;
        patience.running.set(patience.running.get().saturating_sub(1));
        if let Some(given) = &self.given {
            patience.streams.borrow_mut().retain(|other| !Rc::ptr_eq(other, given));
        }
    }
}

/// An answer's body, with the exchange that ends with it.
pub(super) struct RunningBody {
    body: AnswerBody,
    running: Running,
}

impl RunningBody {
    pub(super) const fn new(body: AnswerBody, running: Running) -> Self {
        Self { body, running }
    }
}

impl Body for RunningBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Some(given) = &self.running.given {
            given.set(polled.is_ready().then(Instant::now));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

//! How long each part of a call may take, and the one timer that watches it.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Limits for one call, all in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Name resolution, TCP and TLS together.
    pub connect_ms: u64,
    /// Until the request has been handed to the network completely.
    pub write_ms: u64,
    /// From the request being written until the response head, and at least until the first bytes of its body.
    pub first_byte_ms: u64,
    /// Between two pieces of the response body; counted only while somebody waits for them.
    pub idle_ms: u64,
    /// The whole call, response body included.
    pub total_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect_ms: 5_000,
            write_ms: 60_000,
            first_byte_ms: 60_000,
            idle_ms: 60_000,
            total_ms: 30 * 60_000,
        }
    }
}

/// The points in time that follow from the limits of one call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    pub(crate) started: Instant,
    pub(crate) connect: Instant,
    pub(crate) total: Instant,
    pub(crate) write: Duration,
    pub(crate) first_byte: Duration,
    pub(crate) idle: Duration,
}

impl Deadlines {
    pub(crate) fn start(timeouts: &Timeouts) -> Self {
        let started = Instant::now();
        let total = started + bounded(timeouts.total_ms);
        Self {
            started,
            connect: total.min(started + bounded(timeouts.connect_ms)),
            total,
            write: bounded(timeouts.write_ms),
            first_byte: bounded(timeouts.first_byte_ms),
            idle: bounded(timeouts.idle_ms),
        }
    }
}

/// A day is as good as for ever, and cannot overflow an instant.
fn bounded(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds.min(24 * 60 * 60 * 1000))
}

/// A timer that belongs to a connection and serves all its calls.
///
/// Moving an entry of the timer wheel costs more than looking at the clock. So the entry is moved only when it would
/// ring too late; when it rings early, it is set to the deadline that holds by then.
pub(crate) struct Alarm {
    sleep: Pin<Box<Sleep>>,
}

impl Alarm {
    pub(crate) fn new(deadline: Instant) -> Self {
        Self { sleep: Box::pin(sleep_until(deadline)) }
    }

    /// Ready once `deadline` has passed.
    pub(crate) fn poll_until(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        if self.sleep.deadline() > deadline {
            self.sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(self.sleep.as_mut().poll(context));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(deadline);
        }
    }

    /// Lets go of the task that waited last: it must be neither woken for nothing nor kept in memory.
    pub(crate) fn forget_waiter(&mut self) {
        let _ = self.sleep.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
}

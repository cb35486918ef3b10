//! Connections are renewed now and then: else one client could stay on one core for ever, while others are idle.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use crate::core::Core;

/// How much of one connection's life is left.
pub(super) struct Renewal {
    timer: RefCell<Pin<Box<Sleep>>>,
    requests_left: Cell<u64>,
    is_due: Cell<bool>,
}

impl Renewal {
    /// A connection that was just accepted.
    pub(super) fn new(core: &Core) -> Rc<Self> {
        let settings = &core.gateway.settings;
        // Connections that came together do not all come again together.
        let age_ms = settings.connection_age_ms;
        let age = Duration::from_millis(age_ms.saturating_sub(core.random_below(age_ms / 10)));
        Rc::new(Self {
            timer: RefCell::new(Box::pin(sleep(age))),
            requests_left: Cell::new(settings.connection_requests.max(1)),
            is_due: Cell::new(false),
        })
    }

    /// A request has come; says whether its answer should be the last of the connection.
    pub(super) fn count(&self) -> bool {
        let left = self.requests_left.get().saturating_sub(1);
        self.requests_left.set(left);
        if left == 0 {
            self.is_due.set(true);
        }
        self.is_due.get()
    }

    /// Ready when the time of an HTTP/2 connection is over. HTTP/1.1 is told with its next answer: closing an idle
    /// connection could cross a request on its way.
    pub(super) fn poll_due(&self, is_multiplexed: bool, context: &mut Context<'_>) -> Poll<()> {
        if !self.is_due.get() && self.timer.borrow_mut().as_mut().poll(context).is_ready() {
            self.is_due.set(true);
        }
        if self.is_due.get() && is_multiplexed { Poll::Ready(()) } else { Poll::Pending }
    }
}

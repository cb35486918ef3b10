//! A call that goes on when its client has left, for as long as it may.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::core::Core;

/// Runs `call` in place; if the caller drops it before its end, it goes on as a task of its own, bounded in time.
/// `gone` is set then.
pub(super) fn survive<F>(core: &Rc<Core>, gone: Rc<Cell<bool>>, call: F) -> impl Future<Output = F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let limit = Duration::from_millis(core.gateway.settings.abandoned_call_ms);
    Surviving { call: Some(Box::pin(call)), gone, limit }
}

struct Surviving<F: Future + 'static> {
    /// Taken when it has ended.
    call: Option<Pin<Box<F>>>,
    gone: Rc<Cell<bool>>,
    limit: Duration,
}

impl<F: Future + 'static> Future for Surviving<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(call) = &mut self.call else { return Poll::Pending };
        let result = call.as_mut().poll(context);
        if result.is_ready() {
            self.call = None;
        }
        result
    }
}

impl<F: Future + 'static> Drop for Surviving<F> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.gone.set(true);
            // Past the limit the call is dropped; its account then closes itself.
            tokio::task::spawn_local(tokio::time::timeout(self.limit, call));
        }
    }
}

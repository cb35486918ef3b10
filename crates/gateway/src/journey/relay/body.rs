//! The body of a relayed stream: passes chunks on, and holds the last ones until the account is in the journal.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};

use super::flow::{Ending, Flow};
use crate::account::Closing;
use crate::answer::Cut;

/// Chunks that are gathered before something is passed on, however much more has arrived.
const MOST_JOINED: usize = 64;
const MOST_JOINED_BYTES: usize = 16 << 10;

/// A stream on its way to the client.
pub struct RelayBody {
    state: State,
    /// Chunks that may leave, or once the end is known must wait for the settlement.
    chunks: VecDeque<Bytes>,
}

enum State {
    Relaying(Box<Flow>),
    Settling(Settling),
    Settled,
}

/// The settlement on its way into the journal.
pub enum Settling {
    /// Everything is known: one append.
    Writing(Closing),
    /// Something must be counted first.
    Counting(Pin<Box<dyn Future<Output = ()>>>),
}

impl Future for Settling {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.get_mut() {
            Self::Writing(closing) => Pin::new(closing).poll(context),
            Self::Counting(counting) => counting.as_mut().poll(context),
        }
    }
}

impl RelayBody {
    pub fn new(mut flow: Flow) -> Self {
        let mut chunks = VecDeque::new();
        flow.begin(&mut chunks);
        let mut body = Self { state: State::Relaying(Box::new(flow)), chunks };
        body.settle_at_the_end();
        body
    }

    /// Nothing more will come.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Settled) && self.chunks.is_empty()
    }

    /// The next chunk, or the end.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cut>>> {
        loop {
            match &mut self.state {
                State::Relaying(flow) => {
                    let read = flow.poll_upstream(context, &mut self.chunks);
                    self.settle_at_the_end();
                    if matches!(self.state, State::Relaying(_)) && (read.is_pending() || self.has_enough()) {
                        // What has arrived together leaves together.
                        return self
                            .next_joined()
                            .map_or(Poll::Pending, |chunk| Poll::Ready(Some(Ok(chunk))));
                    }
                }
                State::Settling(settling) => {
                    ready!(Pin::new(settling).poll(context));
                    self.state = State::Settled;
                }
                State::Settled => return Poll::Ready(self.next_joined().map(Ok)),
            }
        }
    }

    fn has_enough(&self) -> bool {
        self.chunks.len() >= MOST_JOINED
    }

    /// The chunks in line as one, where they are small: a write of many pieces costs more than copying them.
    fn next_joined(&mut self) -> Option<Bytes> {
        let first = self.chunks.pop_front()?;
        let fits = |length: usize, next: &Bytes| length + next.len() <= MOST_JOINED_BYTES;
        if !self.chunks.front().is_some_and(|next| fits(first.len(), next)) {
            return Some(first);
        }
        let mut joined = BytesMut::with_capacity(MOST_JOINED_BYTES.min(4 * first.len() + 1_024));
        joined.extend_from_slice(&first);
        while let Some(next) = self.chunks.pop_front_if(|next| fits(joined.len(), next)) {
            joined.extend_from_slice(&next);
        }
        Some(joined.freeze())
    }

    fn settle_at_the_end(&mut self) {
        let State::Relaying(flow) = &mut self.state else { return };
        if let Some(ending) = flow.ending() {
            let State::Relaying(flow) = std::mem::replace(&mut self.state, State::Settled) else { return };
            self.state = State::Settling(flow.close(ending));
        }
    }
}

impl Drop for RelayBody {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.state, State::Settled) {
            State::Relaying(flow) => match flow.close(Ending::ClientGone) {
                // The record is in line; nobody needs to know when it is written.
                Settling::Writing(_) => {}
                Settling::Counting(counting) => drop(tokio::task::spawn_local(counting)),
            },
            State::Settling(Settling::Counting(counting)) => drop(tokio::task::spawn_local(counting)),
            State::Settling(Settling::Writing(_)) | State::Settled => {}
        }
    }
}

//! The body of a response, as it arrives.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::error::ReadError;
use crate::pool::Lease;
use crate::timeouts::{Alarm, Deadlines};

/// A response body that keeps to the call's time-outs.
///
/// When it has been read to its end, its connection goes back to the pool; dropped earlier, the connection is closed
/// at once, which tells the provider to stop.
pub struct InboundBody {
    reader: BodyReader,
    /// Gone when the body has ended.
    lease: Option<Lease>,
}

impl InboundBody {
    pub(crate) fn attach(response: Response<Incoming>, lease: Lease, deadlines: Deadlines) -> Response<Self> {
        response.map(|incoming| {
            let mut body = Self { reader: BodyReader::new(incoming, deadlines), lease: Some(lease) };
            body.finish_if_complete();
            body
        })
    }

    fn finish_if_complete(&mut self) {
        if self.reader.is_complete()
            && let Some(lease) = self.lease.take()
        {
            lease.finish();
        }
    }
}

impl Body for InboundBody {
    type Data = Bytes;
    type Error = ReadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReadError>>> {
        let this = &mut *self;
        let Some(lease) = &mut this.lease else { return Poll::Ready(None) };
        let frame = ready!(this.reader.poll_frame(&mut lease.connection, context));
        match &frame {
            Some(Err(_)) => this.lease = None,
            _ => this.finish_if_complete(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.lease.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.reader.incoming.size_hint()
    }
}

/// Reads a body against the clock.
pub(crate) struct BodyReader {
    incoming: Incoming,
    deadlines: Deadlines,
    waiting_since: Option<Instant>,
    started: bool,
    ended: bool,
}

impl BodyReader {
    pub(crate) fn new(incoming: Incoming, deadlines: Deadlines) -> Self {
        Self { incoming, deadlines, waiting_since: None, started: false, ended: false }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.ended || self.incoming.is_end_stream()
    }

    pub(crate) fn poll_frame(
        &mut self,
        connection: &mut Connection,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReadError>>> {
        let mut frame = Pin::new(&mut self.incoming).poll_frame(context);
        if frame.is_pending() {
            connection.drive(context);
            frame = Pin::new(&mut self.incoming).poll_frame(context);
        }
        match frame {
            Poll::Ready(Some(Ok(frame))) => {
                self.started = true;
                self.waiting_since = None;
                if !self.is_complete() && Instant::now() >= self.deadlines.total {
                    return Poll::Ready(Some(Err(ReadError::TotalTimeout)));
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(ReadError::from_hyper(&error)))),
            Poll::Ready(None) => {
                self.ended = true;
                Poll::Ready(None)
            }
            Poll::Pending => {
                let error = ready!(self.poll_overdue(&mut connection.alarm, context));
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    /// Some providers send the head at once and think afterwards, so the wait for the first piece of the body may
    /// last as long as the wait for the first byte.
    fn poll_overdue(&mut self, alarm: &mut Alarm, context: &mut Context<'_>) -> Poll<ReadError> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let mut patience = self.deadlines.idle;
        if !self.started {
            patience = patience.max(self.deadlines.first_byte);
        }
        let limit = since + patience;
        ready!(alarm.poll_until(limit.min(self.deadlines.total), context));
        Poll::Ready(if self.deadlines.total <= limit {
            ReadError::TotalTimeout
        } else {
            ReadError::IdleTimeout
        })
    }
}

//! A body whose frames come in their own time.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, SizeHint};
use serde_json::Value;
use tokio::time::{Instant, Sleep};

/// Bytes and the pause before them.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) after: Duration,
    pub(super) bytes: Bytes,
}

impl Frame {
    /// An event without a name.
    pub(super) fn data(after: Duration, value: &Value) -> Self {
        Self { after, bytes: Bytes::from(format!("data: {value}\n\n")) }
    }

    /// An event that is named by its own `type`.
    pub(super) fn event(after: Duration, value: &Value) -> Self {
        let name = value.get("type").and_then(Value::as_str).unwrap_or_default();
        Self { after, bytes: Bytes::from(format!("event: {name}\ndata: {value}\n\n")) }
    }

    pub(super) fn done() -> Self {
        Self { after: Duration::ZERO, bytes: Bytes::from_static(b"data: [DONE]\n\n") }
    }
}

#[derive(Debug)]
pub(super) struct PacedBody {
    frames: VecDeque<Frame>,
    /// The length, if it is to be announced.
    length: Option<u64>,
    /// Ends in a broken connection.
    cut: bool,
    pause: Option<Pin<Box<Sleep>>>,
    /// When the last frame was due: pauses add up from here, so that lateness does not.
    due: Option<Instant>,
}

impl PacedBody {
    /// One frame of announced length.
    pub(super) fn whole(frame: Frame) -> Self {
        let length = Some(frame.bytes.len() as u64);
        Self { frames: VecDeque::from([frame]), length, cut: false, pause: None, due: None }
    }

    pub(super) fn stream(frames: Vec<Frame>, cut: bool) -> Self {
        Self { frames: frames.into(), length: None, cut, pause: None, due: None }
    }

    /// Takes away the pause before the first frame, for the caller to make.
    pub(super) fn take_lead(&mut self) -> Duration {
        self.frames.front_mut().map(|frame| std::mem::take(&mut frame.after)).unwrap_or_default()
    }

    pub(super) fn without_delays(mut self) -> Self {
        for frame in &mut self.frames {
            frame.after = Duration::ZERO;
        }
        self
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        let Some(next) = this.frames.front() else {
            let broken = std::mem::take(&mut this.cut);
            return Poll::Ready(broken.then(|| Err(io::ErrorKind::ConnectionAborted.into())));
        };
        if !next.after.is_zero() {
            let due = this.due.unwrap_or_else(Instant::now) + next.after;
            let pause = this.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            ready!(pause.as_mut().poll(context));
            this.due = Some(pause.deadline());
            this.pause = None;
        }
        Poll::Ready(this.frames.pop_front().map(|frame| Ok(http_body::Frame::data(frame.bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && !self.cut
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

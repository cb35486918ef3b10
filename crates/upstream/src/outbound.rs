//! The body of a request: bytes that are already there.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A request body of known length. Cloning it is cheap, so that a call can be repeated.
#[derive(Debug, Clone, Default)]
pub struct OutboundBody {
    pieces: Pieces,
    remaining_bytes: u64,
}

#[derive(Debug, Clone, Default)]
enum Pieces {
    #[default]
    None,
    One(Bytes),
    Many {
        chunks: Arc<[Bytes]>,
        next: usize,
    },
}

impl OutboundBody {
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// A body made of several pieces, sent one after the other without being joined.
    #[must_use]
    pub fn from_chunks(chunks: impl Into<Arc<[Bytes]>>) -> Self {
        let chunks = chunks.into();
        let remaining_bytes = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Self { pieces: Pieces::Many { chunks, next: 0 }, remaining_bytes }
    }

    /// How many bytes the body has: the value of `content-length`.
    #[must_use]
    pub const fn length_bytes(&self) -> u64 {
        self.remaining_bytes
    }

    fn next_chunk(&mut self) -> Option<Bytes> {
        if self.remaining_bytes == 0 {
            return None;
        }
        match &mut self.pieces {
            Pieces::None => None,
            Pieces::One(bytes) => Some(std::mem::take(bytes)),
            Pieces::Many { chunks, next } => {
                let chunk = chunks.get(*next).cloned();
                *next += 1;
                chunk
            }
        }
    }
}

impl From<Bytes> for OutboundBody {
    fn from(bytes: Bytes) -> Self {
        let remaining_bytes = bytes.len() as u64;
        Self { pieces: Pieces::One(bytes), remaining_bytes }
    }
}

impl Body for OutboundBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = self.next_chunk();
        if let Some(chunk) = &chunk {
            self.remaining_bytes -= chunk.len() as u64;
        }
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining_bytes == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn collected(body: OutboundBody) -> Bytes {
        body.collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn pieces_arrive_in_order_and_a_clone_repeats_them() {
        let pieces = ["{\"model\":", "", "\"a\"", "}"].map(|piece| Bytes::from_static(piece.as_bytes()));
        let body = OutboundBody::from_chunks(pieces);
        assert_eq!(body.length_bytes(), 13);
        assert_eq!(collected(body.clone()).await, "{\"model\":\"a\"}");
        assert_eq!(collected(body).await, "{\"model\":\"a\"}");
        assert_eq!(collected(Bytes::from_static(b"one").into()).await, "one");
        assert!(OutboundBody::empty().is_end_stream());
    }
}

//! A provider that costs next to nothing: it parses heads only and writes bytes that were made at the start.

mod answers;

use std::io;

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) use answers::BenchAnswers;

const MAX_HEADERS: usize = 64;
const READ_BUFFER_BYTES: usize = 16 << 10;

/// What is needed of a request's head.
struct Head {
    bytes: usize,
    body: BodyLength,
    kind: answers::Kind,
}

enum BodyLength {
    Known(usize),
    Chunked,
}

impl BenchAnswers {
    /// Answers one connection until the peer closes it.
    pub(crate) async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut buffer = BytesMut::with_capacity(READ_BUFFER_BYTES);
        loop {
            let Some(head) = read_head(&mut stream, &mut buffer).await? else { return Ok(()) };
            let end = read_body(&mut stream, &mut buffer, &head).await?;
            let body = buffer.get(head.bytes..end).unwrap_or_default();
            if asks_for_stream(body) {
                write_pieces(&mut stream, self.stream(head.kind)).await?;
            } else {
                stream.write_all(self.whole(head.kind)).await?;
            }
            if end == buffer.len() {
                buffer.clear();
            } else {
                drop(buffer.split_to(end));
            }
        }
    }
}

/// Each piece is a write of its own, and the peer gets a chance to read between two.
async fn write_pieces(stream: &mut TcpStream, pieces: &[Bytes]) -> io::Result<()> {
    for piece in pieces {
        stream.write_all(piece).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn read_head(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<Option<Head>> {
    loop {
        if let Some(head) = parse_head(buffer)? {
            return Ok(Some(head));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn parse_head(buffer: &[u8]) -> io::Result<Option<Head>> {
    if buffer.is_empty() {
        return Ok(None);
    }
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let bytes = match request.parse(buffer) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(io::ErrorKind::InvalidData.into()),
    };
    let kind = answers::Kind::of(request.path.unwrap_or_default());
    let mut body = BodyLength::Known(0);
    for header in request.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let length = std::str::from_utf8(header.value).ok().and_then(|text| text.trim().parse().ok());
            body = BodyLength::Known(length.ok_or(io::ErrorKind::InvalidData)?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            body = BodyLength::Chunked;
        }
    }
    Ok(Some(Head { bytes, body, kind }))
}

/// Reads until the body is whole; returns where it ends.
async fn read_body(stream: &mut TcpStream, buffer: &mut BytesMut, head: &Head) -> io::Result<usize> {
    loop {
        let end = match head.body {
            BodyLength::Known(length) => Some(head.bytes + length).filter(|end| buffer.len() >= *end),
            BodyLength::Chunked => chunked_end(buffer, head.bytes),
        };
        if let Some(end) = end {
            return Ok(end);
        }
        if let BodyLength::Known(length) = head.body {
            buffer.reserve((head.bytes + length).saturating_sub(buffer.len()));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Where the last, empty chunk ends. Trailers are not understood.
fn chunked_end(buffer: &[u8], from: usize) -> Option<usize> {
    let mut position = from;
    loop {
        let Ok(httparse::Status::Complete((used, size))) =
            httparse::parse_chunk_size(buffer.get(position..)?)
        else {
            return None;
        };
        position = position.checked_add(used)?.checked_add(usize::try_from(size).ok()?)?.checked_add(2)?;
        if position > buffer.len() {
            return None;
        }
        if size == 0 {
            return Some(position);
        }
    }
}

/// Whether `"stream"` is followed by `true`. Inside a string the quotes would be escaped.
fn asks_for_stream(body: &[u8]) -> bool {
    const NAME: &[u8] = b"\"stream\"";
    memmem::find_iter(body, NAME).any(|position| {
        let rest = body.get(position + NAME.len()..).unwrap_or_default().trim_ascii_start();
        rest.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"true"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_stream_switch() {
        assert!(asks_for_stream(br#"{"stream":true}"#));
        assert!(asks_for_stream(b"{\"a\":\"stream\", \"stream\" : true}"));
        assert!(!asks_for_stream(br#"{"stream":false,"stream_options":{"x":true}}"#));
        assert!(!asks_for_stream(br#"{"content":"say \"stream\":true"}"#));
        assert!(!asks_for_stream(b""));
    }

    #[test]
    fn finds_the_end_of_chunks() {
        assert_eq!(chunked_end(b"5\r\nhello\r\n0\r\n\r\nNEXT", 0), Some(15));
        assert_eq!(chunked_end(b"5\r\nhello\r\n0\r\n", 0), None);
        assert_eq!(chunked_end(b"ffffffffffffffff\r\n", 0), None);
    }
}

//! One HTTP/1.1 connection of the load generator: knows just enough to see where an answer ends.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MAX_HEADERS: usize = 64;
const READ_BYTES: usize = 64 << 10;

pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// When things happened, in microseconds from the start of the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    pub(super) first_byte_us: u64,
    pub(super) total_us: u64,
}

enum Framing {
    Length(usize),
    Chunked,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(READ_BYTES) })
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// Also when the status is not 200.
    pub(super) async fn exchange(&mut self, request: &[u8], started: Instant) -> io::Result<Timing> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (body, framing) = loop {
            self.fill().await?;
            if let Some(head) = parse_head(&self.buffer)? {
                break head;
            }
        };
        while self.buffer.len() <= body {
            self.fill().await?;
        }
        let first_byte_us = micros(started);
        match framing {
            Framing::Length(length) => {
                while self.buffer.len() < body + length {
                    self.fill().await?;
                }
            }
            Framing::Chunked => {
                let mut position = body;
                while !skip_chunks(&self.buffer, &mut position)? {
                    self.fill().await?;
                }
            }
        }
        Ok(Timing { first_byte_us, total_us: micros(started) })
    }

    async fn fill(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Where the body begins and how it ends.
fn parse_head(bytes: &[u8]) -> io::Result<Option<(usize, Framing)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let body = match response.parse(bytes) {
        Ok(httparse::Status::Complete(body)) => body,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(io::Error::other(error)),
    };
    if response.code != Some(200) {
        return Err(io::Error::other(format!("status {}", response.code.unwrap_or(0))));
    }
    let length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.trim().parse().ok());
    Ok(Some((body, length.map_or(Framing::Chunked, Framing::Length))))
}

/// Moves over whole chunks; true at the end of the last one.
fn skip_chunks(bytes: &[u8], position: &mut usize) -> io::Result<bool> {
    loop {
        let rest = bytes.get(*position..).unwrap_or_default();
        let (head, size) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(parsed)) => parsed,
            Ok(httparse::Status::Partial) => return Ok(false),
            Err(_) => return Err(io::Error::other("the answer's chunks are malformed")),
        };
        let whole = usize::try_from(size).unwrap_or(usize::MAX).saturating_add(head + 2);
        if rest.len() < whole {
            return Ok(false);
        }
        *position += whole;
        if size == 0 {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_followed_to_their_end_wherever_the_reads_cut_them() {
        let bytes = b"HEAD5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n";
        for cut in 4..bytes.len() {
            let mut position = 4;
            assert!(!skip_chunks(&bytes[..cut], &mut position).unwrap(), "{cut}");
            assert!(skip_chunks(bytes, &mut position).unwrap());
        }
    }

    #[test]
    fn a_status_other_than_200_is_a_failure() {
        assert!(parse_head(b"HTTP/1.1 429 Too Many Requests\r\n\r\n").is_err());
        assert!(parse_head(b"HTTP/1.1 200 OK\r\ncontent-le").unwrap().is_none());
    }
}

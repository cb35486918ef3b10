use std::{io, time::Instant};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::recorded::RecordedRequest;

const MAX_HEAD_BYTES: usize = 1 << 20;
const MAX_HEADERS: usize = 256;

/// Reads the next request. `None` when the peer closed before a whole head, or sent something that is not HTTP/1.1.
pub(super) async fn next_request(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
) -> io::Result<Option<RecordedRequest>> {
    let head_bytes = loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            break buffer.split_to(end + 4).freeze();
        }
        if buffer.len() > MAX_HEAD_BYTES || stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let Some(mut request) = parse_head(head_bytes) else { return Ok(None) };
    if request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let chunked = request
        .header("transfer-encoding")
        .is_some_and(|value| value.to_ascii_lowercase().contains("chunked"));
    let mut body = BytesMut::new();
    let complete = if chunked {
        read_chunked(stream, buffer, &mut body).await
    } else {
        let length = request.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        read_exactly(stream, buffer, &mut body, length).await
    };
    request.body = body.freeze();
    request.body_complete = complete.is_ok();
    Ok(Some(request))
}

fn parse_head(head_bytes: Bytes) -> Option<RecordedRequest> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    parsed.parse(&head_bytes).ok()?;
    let headers = parsed
        .headers
        .iter()
        .map(|header| (Bytes::copy_from_slice(header.name.as_bytes()), Bytes::copy_from_slice(header.value)))
        .collect();
    Some(RecordedRequest {
        number: 0,
        connection: 0,
        position_on_connection: 0,
        method: parsed.method?.to_owned(),
        target: parsed.path?.to_owned(),
        headers,
        body: Bytes::new(),
        body_complete: false,
        received_at: Instant::now(),
        answered_at: None,
        peer_closed_at: None,
        head_bytes,
    })
}

/// Fills `buffer` with something; an end of the stream is an error here because a body is still owed.
async fn fill(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<()> {
    match stream.read_buf(buffer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

async fn read_exactly(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    body: &mut BytesMut,
    mut length: usize,
) -> io::Result<()> {
    while length > 0 {
        if buffer.is_empty() {
            fill(stream, buffer).await?;
        }
        let piece = buffer.split_to(buffer.len().min(length));
        length -= piece.len();
        body.extend_from_slice(&piece);
    }
    Ok(())
}

async fn read_chunked(stream: &mut TcpStream, buffer: &mut BytesMut, body: &mut BytesMut) -> io::Result<()> {
    loop {
        let (size_line_bytes, size) = loop {
            match httparse::parse_chunk_size(buffer) {
                Ok(httparse::Status::Complete((used, size))) => {
                    break (used, usize::try_from(size).map_err(|_| io::ErrorKind::InvalidData)?);
                }
                Ok(httparse::Status::Partial) => fill(stream, buffer).await?,
                Err(_) => return Err(io::ErrorKind::InvalidData.into()),
            }
        };
        buffer.advance(size_line_bytes);
        read_exactly(stream, buffer, body, size).await?;
        let mut line_end = BytesMut::new();
        read_exactly(stream, buffer, &mut line_end, 2).await?;
        if size == 0 {
            return Ok(());
        }
    }
}

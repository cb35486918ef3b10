//! A client that sends the bytes it is given and shows the bytes it gets.

use std::{io, net::SocketAddr};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// One HTTP/1.1 connection. Nothing is retried, followed or decoded beyond the framing.
#[derive(Debug)]
pub struct RawClient {
    stream: TcpStream,
    buffer: BytesMut,
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct RawResponse {
    pub status: u16,
    /// Status line and headers with the blank line.
    pub head_bytes: Bytes,
    pub headers: Vec<(String, Bytes)>,
    /// The body without chunk framing, as far as it came.
    pub body: Bytes,
    /// Whether the body ended as its framing promised.
    pub complete: bool,
}

impl RawResponse {
    /// The first value of a header; the name is compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// The body as JSON, or null if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text, broken characters replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl RawClient {
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::new() })
    }

    /// # Errors
    /// When the peer has closed.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends a JSON body with a content length and reads the answer.
    ///
    /// # Errors
    /// When the connection breaks before a whole head has come.
    pub async fn post(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> io::Result<RawResponse> {
        let body = body.as_ref();
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        self.send(&[request.as_bytes(), body].concat()).await?;
        self.response().await
    }

    /// # Errors
    /// When the connection breaks before a whole head has come.
    pub async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<RawResponse> {
        let mut request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        self.send(request.as_bytes()).await?;
        self.response().await
    }

    /// Reads one answer to its end.
    ///
    /// # Errors
    /// When the connection breaks before a whole head has come, or the head is no HTTP.
    pub async fn response(&mut self) -> io::Result<RawResponse> {
        let mut response = self.response_head().await?;
        let chunked = response.header("transfer-encoding").is_some_and(|value| value == "chunked");
        let length = response.header("content-length").and_then(|value| value.parse::<usize>().ok());
        let mut body = BytesMut::new();
        let end = match (chunked, length) {
            (true, _) => self.chunked_body(&mut body).await,
            (false, Some(length)) => self.exactly(&mut body, length).await,
            (false, None) => self.until_close(&mut body).await,
        };
        response.complete = end.is_ok();
        response.body = body.freeze();
        Ok(response)
    }

    /// Reads a head only; the body is left to [`RawClient::read_some`]. Interim heads are skipped.
    ///
    /// # Errors
    /// When the connection breaks first, or the head is no HTTP.
    pub async fn response_head(&mut self) -> io::Result<RawResponse> {
        loop {
            while memchr::memmem::find(&self.buffer, b"\r\n\r\n").is_none() {
                self.fill().await?;
            }
            let end = memchr::memmem::find(&self.buffer, b"\r\n\r\n").unwrap_or_default() + 4;
            let response = parse_head(self.buffer.split_to(end).freeze())?;
            if response.status >= 200 {
                return Ok(response);
            }
        }
    }

    /// What the peer sends next, framing included; empty once it has closed.
    ///
    /// # Errors
    /// When the connection was reset.
    pub async fn read_some(&mut self) -> io::Result<Bytes> {
        if self.buffer.is_empty() {
            self.stream.read_buf(&mut self.buffer).await?;
        }
        Ok(self.buffer.split().freeze())
    }

    /// Leaves with RST instead of FIN.
    pub fn reset(self) {
        let _ = self.stream.set_zero_linger();
    }

    async fn fill(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn exactly(&mut self, body: &mut BytesMut, mut length: usize) -> io::Result<()> {
        while length > 0 {
            if self.buffer.is_empty() {
                self.fill().await?;
            }
            let piece = self.buffer.split_to(self.buffer.len().min(length));
            length -= piece.len();
            body.extend_from_slice(&piece);
        }
        Ok(())
    }

    async fn chunked_body(&mut self, body: &mut BytesMut) -> io::Result<()> {
        loop {
            let (used, size) = loop {
                match httparse::parse_chunk_size(&self.buffer) {
                    Ok(httparse::Status::Complete(parsed)) => break parsed,
                    Ok(httparse::Status::Partial) => self.fill().await?,
                    Err(_) => return Err(io::ErrorKind::InvalidData.into()),
                }
            };
            self.buffer.advance(used);
            self.exactly(body, usize::try_from(size).unwrap_or(usize::MAX)).await?;
            self.exactly(&mut BytesMut::new(), 2).await?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    async fn until_close(&mut self, body: &mut BytesMut) -> io::Result<()> {
        loop {
            let piece = self.read_some().await?;
            if piece.is_empty() {
                return Ok(());
            }
            body.extend_from_slice(&piece);
        }
    }
}

fn parse_head(head_bytes: Bytes) -> io::Result<RawResponse> {
    let mut headers = [httparse::EMPTY_HEADER; 256];
    let mut parsed = httparse::Response::new(&mut headers);
    parsed.parse(&head_bytes).map_err(io::Error::other)?;
    let status = parsed.code.ok_or(io::ErrorKind::InvalidData)?;
    let headers = parsed
        .headers
        .iter()
        .map(|header| (header.name.to_owned(), Bytes::copy_from_slice(header.value)))
        .collect();
    Ok(RawResponse { status, headers, body: Bytes::new(), complete: false, head_bytes })
}

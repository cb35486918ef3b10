use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::signal::Signal;

/// One thing that a script does. Steps run in order; a peer that closes its side ends the script.
#[derive(Debug, Clone)]
pub enum Step {
    /// Writes the bytes (one chunk when the reply is chunked).
    Send(Bytes),
    /// Writes `chunk_bytes` at a time with a pause between two writes.
    SendSlowly {
        bytes: Bytes,
        chunk_bytes: usize,
        every: Duration,
    },
    /// Writes bytes that the framing leaves alone, such as a broken chunk header.
    SendUnframed(Bytes),
    Wait(Duration),
    WaitFor(Signal),
    /// Tells the test that the script got here.
    Raise(Signal),
    /// Says nothing more and keeps the connection open until the peer closes it.
    Stall,
    /// Ends the answer here with FIN.
    Cut,
    /// Ends the answer here with RST.
    Reset,
}

/// How the body is delimited on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `content-length` with the true length of all body steps.
    ContentLength,
    /// `content-length` with this number, true or not.
    ClaimedLength(u64),
    /// `transfer-encoding: chunked`, one chunk for each write.
    Chunked,
    /// Neither: the body ends when the connection does.
    UntilClose,
}

#[derive(Debug, Clone)]
enum Head {
    /// The steps write the head themselves.
    InSteps,
    Status {
        status: u16,
        headers: Vec<(String, String)>,
    },
}

/// A scripted answer to one request.
#[derive(Debug, Clone)]
pub struct Reply {
    head: Head,
    framing: Framing,
    terminator: bool,
    keep_alive: bool,
    steps: Vec<Step>,
}

impl Reply {
    /// A reply with a status line and a body of known length; add headers and steps.
    pub fn status(status: u16) -> Self {
        Self {
            head: Head::Status { status, headers: Vec::new() },
            framing: Framing::ContentLength,
            terminator: true,
            keep_alive: true,
            steps: Vec::new(),
        }
    }

    /// A reply whose steps write everything, status line included. The connection closes after it unless
    /// [`Reply::keep_alive`] says otherwise.
    pub fn raw() -> Self {
        Self {
            head: Head::InSteps,
            framing: Framing::UntilClose,
            terminator: false,
            keep_alive: false,
            steps: Vec::new(),
        }
    }

    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self::status(status).header("content-type", "application/json").send(body)
    }

    /// A chunked event stream; each element of `events` is one write.
    pub fn events<B: Into<Bytes>>(events: impl IntoIterator<Item = B>) -> Self {
        let reply = Self::status(200).header("content-type", "text/event-stream").framing(Framing::Chunked);
        events.into_iter().fold(reply, Self::send)
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Head::Status { headers, .. } = &mut self.head {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    #[must_use]
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Leaves out the last, empty chunk of a chunked body.
    #[must_use]
    pub fn without_terminator(mut self) -> Self {
        self.terminator = false;
        self
    }

    /// Whether the connection serves another request after this one.
    #[must_use]
    pub fn keep_alive(mut self, keep_alive: bool) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    #[must_use]
    pub fn send(self, bytes: impl Into<Bytes>) -> Self {
        self.step(Step::Send(bytes.into()))
    }

    #[must_use]
    pub fn send_slowly(self, bytes: impl Into<Bytes>, chunk_bytes: usize, every: Duration) -> Self {
        self.step(Step::SendSlowly { bytes: bytes.into(), chunk_bytes, every })
    }

    #[must_use]
    pub fn send_unframed(self, bytes: impl Into<Bytes>) -> Self {
        self.step(Step::SendUnframed(bytes.into()))
    }

    #[must_use]
    pub fn wait(self, duration: Duration) -> Self {
        self.step(Step::Wait(duration))
    }

    #[must_use]
    pub fn wait_for(self, signal: &Signal) -> Self {
        self.step(Step::WaitFor(signal.clone()))
    }

    #[must_use]
    pub fn raise(self, signal: &Signal) -> Self {
        self.step(Step::Raise(signal.clone()))
    }

    #[must_use]
    pub fn stall(self) -> Self {
        self.step(Step::Stall)
    }

    #[must_use]
    pub fn cut(self) -> Self {
        self.step(Step::Cut)
    }

    #[must_use]
    pub fn reset(self) -> Self {
        self.step(Step::Reset)
    }

    /// The steps so far, for scripts that rework a canned answer.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The same reply with other steps.
    #[must_use]
    pub fn with_steps(mut self, steps: Vec<Step>) -> Self {
        self.steps = steps;
        self
    }

    /// Keeps the first `count` steps and what the head promised about the whole: the place to cut, stall or lie.
    #[must_use]
    pub fn first_steps(mut self, count: usize) -> Self {
        self = self.promising_all();
        self.steps.truncate(count);
        self
    }

    /// Keeps half of it: half of the steps, or half of the bytes if there is only one step.
    #[must_use]
    pub fn first_half(mut self) -> Self {
        if let [Step::Send(bytes)] = self.steps.as_slice() {
            let half = bytes.slice(..bytes.len() / 2);
            self = self.promising_all();
            self.steps = vec![Step::Send(half)];
            return self;
        }
        let half = self.steps.len().div_ceil(2);
        self.first_steps(half)
    }

    fn promising_all(mut self) -> Self {
        if self.framing == Framing::ContentLength {
            self.framing = Framing::ClaimedLength(self.body().len() as u64);
        }
        self
    }

    /// All that is written by the body steps, without framing.
    pub fn body(&self) -> Bytes {
        let mut body = BytesMut::new();
        for step in &self.steps {
            if let Step::Send(bytes) | Step::SendSlowly { bytes, .. } = step {
                body.extend_from_slice(bytes);
            }
        }
        body.freeze()
    }

    /// Whether the connection may serve another request once every step has run.
    pub(super) fn keeps_connection(&self) -> bool {
        let ends = self.steps.iter().any(|step| matches!(step, Step::Stall | Step::Cut | Step::Reset));
        let open_ended = matches!(self.head, Head::Status { .. }) && self.framing == Framing::UntilClose;
        self.keep_alive && !ends && !open_ended
    }

    /// The steps with the head in front and the framing applied: what is written is what these say.
    pub(super) fn wire_steps(&self) -> Vec<Step> {
        let mut wire = Vec::with_capacity(self.steps.len() + 2);
        if let Head::Status { status, headers } = &self.head {
            wire.push(Step::Send(self.head_bytes(*status, headers)));
        }
        let chunked = self.framing == Framing::Chunked;
        for step in &self.steps {
            match step {
                Step::Send(bytes) if chunked => wire.push(Step::Send(chunk(bytes))),
                Step::SendSlowly { bytes, chunk_bytes, every } => {
                    for piece in bytes.chunks((*chunk_bytes).max(1)) {
                        let bytes = if chunked { chunk(piece) } else { Bytes::copy_from_slice(piece) };
                        wire.push(Step::Send(bytes));
                        wire.push(Step::Wait(*every));
                    }
                }
                Step::SendUnframed(bytes) => wire.push(Step::Send(bytes.clone())),
                other => wire.push(other.clone()),
            }
        }
        if chunked && self.terminator {
            wire.push(Step::Send(Bytes::from_static(b"0\r\n\r\n")));
        }
        wire
    }

    fn head_bytes(&self, status: u16, headers: &[(String, String)]) -> Bytes {
        let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(status));
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        match self.framing {
            Framing::ContentLength => head.push_str(&format!("content-length: {}\r\n", self.body().len())),
            Framing::ClaimedLength(length) => head.push_str(&format!("content-length: {length}\r\n")),
            Framing::Chunked => head.push_str("transfer-encoding: chunked\r\n"),
            Framing::UntilClose => {}
        }
        if !self.keeps_connection() && self.keep_alive_header_is_honest() {
            head.push_str("connection: close\r\n");
        }
        head.push_str("\r\n");
        Bytes::from(head)
    }

    /// A reply that breaks off does not announce it.
    fn keep_alive_header_is_honest(&self) -> bool {
        !self.steps.iter().any(|step| matches!(step, Step::Stall | Step::Cut | Step::Reset))
    }
}

fn chunk(bytes: &[u8]) -> Bytes {
    // An empty chunk would end the body.
    if bytes.is_empty() {
        return Bytes::new();
    }
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    Bytes::from(chunk)
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        413 => "Payload Too Large",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        529 => "Overloaded",
        _ => "Scripted",
    }
}

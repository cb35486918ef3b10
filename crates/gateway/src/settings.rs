//! Limits of the data plane, with defaults that suit one machine.

use tollgate_state::objects::TimeoutOverrides;

/// Bounds on what clients may send and how long they may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// A larger body is a 413.
    pub max_body_bytes: usize,
    /// Bodies that are being read or held at one time, all requests together; more is a 503.
    pub max_body_memory_bytes: usize,
    pub max_connections: usize,
    pub max_requests_in_flight: usize,
    /// From the first byte of a connection or request to the end of its headers.
    pub header_timeout_ms: u64,
    /// Between two pieces of a request body.
    pub body_idle_timeout_ms: u64,
    /// After this long a body must have come at 1 KiB a second on average.
    pub body_grace_ms: u64,
    pub max_header_bytes: usize,
    pub max_headers: usize,
    /// An idle keep-alive connection is closed after this.
    pub keep_alive_timeout_ms: u64,
    /// A connection that is older, or has carried this many requests, is ended politely; the client makes another, which
    /// may be on another core.
    pub connection_age_ms: u64,
    pub connection_requests: u64,
    /// A client that takes no bytes for this long is treated as gone.
    pub client_write_timeout_ms: u64,
    /// A stream whose first content takes longer is begun without it, so that nobody in between takes the connection for
    /// dead. From then on a failure can only be told inside the stream.
    pub stream_keep_alive_after_ms: u64,
    /// Between two signs of life of a stream that has no content yet.
    pub stream_keep_alive_every_ms: u64,
    /// A non-streamed call whose client left is read on for at most this long, to know what it cost.
    pub abandoned_call_ms: u64,
    /// A non-streamed answer of a provider may be at most this large.
    pub max_answer_bytes: usize,
    /// Attempts of one request, the first included.
    pub max_attempts: u16,
    pub http2_max_streams: u32,
    /// Time-outs of calls to providers where neither deployment nor provider has its own.
    pub provider_timeouts: TimeoutOverrides,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_body_bytes: 32 << 20,
            max_body_memory_bytes: 1 << 30,
            max_connections: 10_000,
            max_requests_in_flight: 20_000,
            header_timeout_ms: 10_000,
            body_idle_timeout_ms: 10_000,
            body_grace_ms: 10_000,
            max_header_bytes: 64 << 10,
            max_headers: 100,
            keep_alive_timeout_ms: 75_000,
            connection_age_ms: 600_000,
            connection_requests: 100_000,
            client_write_timeout_ms: 60_000,
            stream_keep_alive_after_ms: 10_000,
            // Proxies and clients that expect something every 15 seconds get it in time.
            stream_keep_alive_every_ms: 14_000,
            abandoned_call_ms: 120_000,
            max_answer_bytes: 64 << 20,
            max_attempts: 3,
            http2_max_streams: 100,
            provider_timeouts: TimeoutOverrides::default(),
        }
    }
}

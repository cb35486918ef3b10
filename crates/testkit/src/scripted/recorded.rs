use std::time::Instant;

use bytes::Bytes;

/// A request as it came over the wire, and what became of its connection.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// Position among all requests of the provider, from 0.
    pub number: usize,
    /// Which connection it came on, from 0.
    pub connection: usize,
    /// Position on that connection, from 0: above 0 the connection was reused.
    pub position_on_connection: usize,
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Request line and headers with the blank line, as sent.
    pub head_bytes: Bytes,
    /// Names and values in the order and spelling in which they came.
    pub headers: Vec<(Bytes, Bytes)>,
    /// The body without chunk framing.
    pub body: Bytes,
    /// False if the peer left before the body was whole.
    pub body_complete: bool,
    pub received_at: Instant,
    /// When the script's last byte was handed to the kernel.
    pub answered_at: Option<Instant>,
    /// When the peer closed or reset the connection before the answer was complete.
    pub peer_closed_at: Option<Instant>,
}

impl RecordedRequest {
    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The first value of a header; the name is compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(have, _)| have.eq_ignore_ascii_case(name.as_bytes()))
            .and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// The body as JSON, or null if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The `model` that the body asks for.
    pub fn model(&self) -> Option<String> {
        self.json().get("model").and_then(|model| model.as_str()).map(str::to_owned)
    }

    /// Whether the body asks for a stream.
    pub fn wants_stream(&self) -> bool {
        self.json().get("stream").and_then(serde_json::Value::as_bool).unwrap_or(false)
    }
}

//! What can go wrong on the way to a provider, and what it means for money and retries.

use std::error::Error;
use std::io;

use tollgate_core::Fault;

use crate::egress::EgressRefusal;

/// Why there is no response.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendError {
    #[error("the provider's address is refused: {0}")]
    Egress(#[from] EgressRefusal),
    #[error("the provider's host name could not be resolved: {0}")]
    Dns(String),
    #[error("could not connect to the provider: {0}")]
    Connect(io::ErrorKind),
    #[error("could not connect to the provider in time")]
    ConnectTimeout,
    #[error("could not set up TLS with the provider: {0}")]
    Tls(String),
    #[error("the provider did not accept the whole request in time")]
    WriteTimeout,
    #[error("the provider did not start to answer in time")]
    FirstByteTimeout,
    #[error("the call took longer than its total time-out")]
    TotalTimeout { request_sent: bool },
    #[error("the provider closed the connection before answering")]
    Closed { request_sent: bool },
    #[error("the provider's response is not valid HTTP/1.1: {0}")]
    Malformed(String),
    #[error("too many connections to this provider are open")]
    TooManyConnections,
}

impl SendError {
    /// Whose fault it is.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Egress(_) | Self::TooManyConnections => Fault::Gateway,
            _ => Fault::Provider,
        }
    }

    /// Whether any part of the request may have reached the provider, so that the call may cost money.
    #[must_use]
    pub const fn may_have_reached_provider(&self) -> bool {
        match self {
            Self::Egress(_)
            | Self::Dns(_)
            | Self::Connect(_)
            | Self::ConnectTimeout
            | Self::Tls(_)
            | Self::TooManyConnections => false,
            Self::WriteTimeout | Self::FirstByteTimeout | Self::Malformed(_) => true,
            Self::TotalTimeout { request_sent } | Self::Closed { request_sent } => *request_sent,
        }
    }

    /// Whether another attempt, on this deployment or another one, may succeed.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        !matches!(self, Self::TotalTimeout { .. })
    }

    /// A stable short name for records and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Egress(_) => "egress_refused",
            Self::Dns(_) => "dns",
            Self::Connect(_) => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls(_) => "tls",
            Self::WriteTimeout => "write_timeout",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::TotalTimeout { .. } => "total_timeout",
            Self::Closed { .. } => "closed",
            Self::Malformed(_) => "malformed",
            Self::TooManyConnections => "too_many_connections",
        }
    }

    pub(crate) fn from_hyper(error: &hyper::Error, request_sent: bool) -> Self {
        if error.is_parse() {
            return Self::Malformed(error.to_string());
        }
        Self::Closed { request_sent }
    }
}

/// Why a response body ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("the provider stopped sending in the middle of its response")]
    IdleTimeout,
    #[error("the call took longer than its total time-out")]
    TotalTimeout,
    #[error("the provider closed the connection in the middle of its response")]
    Cut,
    #[error("the provider's response body is not valid HTTP/1.1")]
    Malformed,
}

impl ReadError {
    /// A stable short name for records and metrics.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::IdleTimeout => "idle_timeout",
            Self::TotalTimeout => "total_timeout",
            Self::Cut => "cut",
            Self::Malformed => "malformed_body",
        }
    }

    /// hyper reports bad chunk framing as invalid input or data, and everything else is an end of the connection.
    pub(crate) fn from_hyper(error: &hyper::Error) -> Self {
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(cause) = cause.downcast_ref::<io::Error>() {
                return match cause.kind() {
                    io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Self::Malformed,
                    _ => Self::Cut,
                };
            }
            source = cause.source();
        }
        if error.is_parse() { Self::Malformed } else { Self::Cut }
    }
}

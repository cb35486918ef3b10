//! What goes back to the client: bodies, and the headers that are ours.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    ALT_SVC, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, LOCATION, PROXY_AUTHENTICATE, REFRESH, SET_COOKIE,
    STRICT_TRANSPORT_SECURITY, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName};
use http_body::{Body, Frame, SizeHint};
use tollgate_wire::rate_limits::is_rate_limit_header;

use crate::fallback::FallbackBody;
use crate::journey::keep_alive::EarlyBody;
use crate::journey::relay::RelayBody;

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-tollgate-request-id");
pub const MODEL: HeaderName = HeaderName::from_static("x-tollgate-model");
pub const DEPLOYMENT: HeaderName = HeaderName::from_static("x-tollgate-deployment");
pub const COST_USD: HeaderName = HeaderName::from_static("x-tollgate-cost-usd");
pub const OVERHEAD_US: HeaderName = HeaderName::from_static("x-tollgate-overhead-us");
/// The output cap of one answer, where a budget set or lowered it.
pub const OUTPUT_CAP: HeaderName = HeaderName::from_static("x-tollgate-output-cap");
/// The model that was asked for, where a budget's owner named another one.
pub const SUBSTITUTED_FOR: HeaderName = HeaderName::from_static("x-tollgate-substituted-for");
pub const TRANSLATION: HeaderName = HeaderName::from_static("x-tollgate-translation");

/// The body of every answer of the data port.
pub enum AnswerBody {
    /// Bytes that are all there.
    Whole(VecDeque<Bytes>),
    /// A stream that is passed on as it comes.
    Relay(Box<RelayBody>),
    /// The same, begun before its first content.
    Early(Box<EarlyBody>),
    /// From the other plane.
    Fallback(FallbackBody),
}

/// The body cannot be finished; the connection is closed instead, so that nobody takes it for whole.
#[derive(Debug, thiserror::Error)]
#[error("the answer was cut: {0}")]
pub struct Cut(pub String);

impl AnswerBody {
    pub fn empty() -> Self {
        Self::Whole(VecDeque::new())
    }

    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::Whole(if bytes.is_empty() { VecDeque::new() } else { VecDeque::from([bytes]) })
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::Whole(chunks) => Poll::Ready(chunks.pop_front().map(|chunk| Ok(Frame::data(chunk)))),
            Self::Relay(relay) => {
                relay.poll_next(context).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
            }
            Self::Early(early) => {
                early.poll_next(context).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
            }
            Self::Fallback(body) => Pin::new(body)
                .poll_frame(context)
                .map(|frame| frame.map(|frame| frame.map_err(|e| Cut(e.to_string())))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(chunks) => chunks.is_empty(),
            Self::Relay(relay) => relay.is_done(),
            Self::Early(early) => early.is_done(),
            Self::Fallback(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(chunks) => SizeHint::with_exact(chunks.iter().map(|chunk| chunk.len() as u64).sum()),
            Self::Relay(_) | Self::Early(_) => SizeHint::default(),
            Self::Fallback(body) => body.size_hint(),
        }
    }
}

/// Headers of one connection only (RFC 9110 §7.6.1), and those that the connection itself names.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    while let Some(nominated) = headers.remove(CONNECTION) {
        let names = nominated.to_str().unwrap_or_default().split(',');
        for name in names.filter_map(|name| HeaderName::try_from(name.trim()).ok()) {
            headers.remove(name);
        }
    }
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
    for name in [KEEP_ALIVE, PROXY_CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
}

/// What a provider says of its own address, to browsers or of Tollgate's account must not be taken for a statement
/// about ours. Nothing that is encoded is passed on, so nothing is said to be.
const NOT_OURS_TO_SAY: [HeaderName; 14] = [
    SET_COOKIE,
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    ALT_SVC,
    STRICT_TRANSPORT_SECURITY,
    LOCATION,
    WWW_AUTHENTICATE,
    PROXY_AUTHENTICATE,
    REFRESH,
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("report-to"),
    HeaderName::from_static("nel"),
    HeaderName::from_static("openai-organization"),
    HeaderName::from_static("anthropic-organization-id"),
];

/// Makes a provider's headers ours to send: limits that are not ours move to `x-upstream-…`; cookies, credentials and
/// orders to browsers stay behind.
pub fn clean_provider_headers(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    for name in NOT_OURS_TO_SAY {
        headers.remove(name);
    }
    let is_policy = |name: &&HeaderName| {
        name.as_str().starts_with("access-control-") || name.as_str().starts_with("content-security-policy")
    };
    let policies: Vec<HeaderName> = headers.keys().filter(is_policy).cloned().collect();
    for name in policies {
        headers.remove(name);
    }
    let is_ours = |name: &str| name.starts_with("x-tollgate-");
    let moved: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_rate_limit_header(name.as_str()) || is_ours(name.as_str()))
        .cloned()
        .collect();
    for name in moved {
        let Some(value) = headers.remove(&name) else { continue };
        let bare = name.as_str().trim_start_matches("x-");
        if let Ok(renamed) = HeaderName::try_from(format!("x-upstream-{bare}")) {
            headers.insert(renamed, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn headers_of_the_connection_stay_on_it() {
        let mut map = headers(&[
            ("connection", "close, x-secret"),
            ("x-secret", "1"),
            ("te", "trailers"),
            ("keep-alive", "1"),
            ("x-kept", "1"),
        ]);
        remove_hop_by_hop(&mut map);
        assert_eq!(map.len(), 1);
        assert!(map.contains_key("x-kept"));
    }

    #[test]
    fn a_providers_limits_are_not_mistaken_for_ours() {
        let mut map = headers(&[
            ("x-ratelimit-remaining-tokens", "7"),
            ("anthropic-ratelimit-requests-limit", "9"),
            ("x-tollgate-cost-usd", "0"),
            ("set-cookie", "a=b"),
            ("x-request-id", "r"),
        ]);
        clean_provider_headers(&mut map);
        assert_eq!(map.get("x-upstream-ratelimit-remaining-tokens").unwrap(), "7");
        assert_eq!(map.get("x-upstream-anthropic-ratelimit-requests-limit").unwrap(), "9");
        assert_eq!(map.get("x-request-id").unwrap(), "r");
        assert!(!map.contains_key("x-tollgate-cost-usd") && !map.contains_key("set-cookie"));
    }
}

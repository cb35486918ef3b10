//! What a provider's status says: whether another deployment may be tried, and what to remember.

use http::{HeaderMap, StatusCode};

/// What an answer's status means for the balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classification {
    /// 2xx.
    Success,
    /// The caller's own mistake: no other deployment would answer differently, nothing is held against this one.
    CallerFault,
    /// Too many requests: not a failure, but not to be asked again until the time is over.
    RateLimited { retry_after_ms: Option<u64> },
    /// The provider is in trouble; another deployment may be asked.
    Unavailable { retry_after_ms: Option<u64> },
    /// The provider refuses our credential: the operator must act; another deployment may be asked.
    CredentialRefused,
    /// Nothing of this is a provider's API: a redirect or an informational status as the final one.
    Nonsense,
}

/// Reads an answer's status and headers.
pub fn classify(status: StatusCode, headers: &HeaderMap) -> Classification {
    match status.as_u16() {
        200..=299 => Classification::Success,
        429 => Classification::RateLimited { retry_after_ms: retry_after_ms(headers) },
        408 | 500..=599 => Classification::Unavailable { retry_after_ms: retry_after_ms(headers) },
        401 | 403 => Classification::CredentialRefused,
        400..=499 => Classification::CallerFault,
        _ => Classification::Nonsense,
    }
}

/// How long the provider asks to wait: `retry-after-ms`, else `retry-after` in seconds. Dates are ignored: they
/// depend on two clocks and no model provider sends them.
pub fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let ms = number("retry-after-ms").or_else(|| number("retry-after").map(|seconds| seconds * 1_000.0))?;
    (ms.is_finite() && (0.0..=86_400_000.0).contains(&ms)).then_some(ms as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn statuses_are_read_as_the_provider_means_them() {
        let none = HeaderMap::new();
        let of = |status: u16| classify(StatusCode::from_u16(status).unwrap(), &none);
        assert_eq!(of(200), Classification::Success);
        assert_eq!(of(400), Classification::CallerFault);
        assert_eq!(of(401), Classification::CredentialRefused);
        assert_eq!(of(404), Classification::CallerFault);
        assert_eq!(of(302), Classification::Nonsense);
        for status in [408, 500, 502, 503, 504, 529] {
            assert!(matches!(of(status), Classification::Unavailable { .. }), "{status}");
        }
        assert!(matches!(of(429), Classification::RateLimited { retry_after_ms: None }));
    }

    #[test]
    fn waiting_times_are_bounded_and_milliseconds_win() {
        assert_eq!(retry_after_ms(&headers(&[("retry-after", "1.5")])), Some(1_500));
        assert_eq!(retry_after_ms(&headers(&[("retry-after", "9"), ("retry-after-ms", "20")])), Some(20));
        for hostile in ["-1", "1e300", "NaN", "Wed, 21 Oct 2026 07:28:00 GMT", ""] {
            assert_eq!(retry_after_ms(&headers(&[("retry-after", hostile)])), None, "{hostile}");
        }
    }
}

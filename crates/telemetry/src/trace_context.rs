//! A call's place in a distributed trace (W3C Trace Context), and which calls are traced.
//!
//! Nothing is remembered between a call's beginning and its end: trace and span ids follow from the request's id, so
//! the attempt that is named to a provider while the call runs is the one that is exported afterwards.

use std::fmt::Write as _;

use tollgate_core::RequestId;

/// One span of a trace, as `traceparent` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub sampled: bool,
}

impl TraceContext {
    /// The value of a `traceparent` header, version 00.
    pub fn header(&self) -> String {
        let mut text = String::with_capacity(55);
        text.push_str("00-");
        push_hex(&mut text, &self.trace_id);
        text.push('-');
        push_hex(&mut text, &self.span_id);
        text.push_str(if self.sampled { "-01" } else { "-00" });
        text
    }

    /// The span of a call's attempt, counted from 0: what a provider is told as its parent.
    pub fn of_attempt(request_id: RequestId, caller: Option<&Self>, attempt: u16) -> Self {
        let span_id = attempt_span_id(request_id, attempt);
        Self { trace_id: trace_id(request_id, caller), span_id, sampled: true }
    }
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
}

/// The caller's trace, else one made from the request's id.
pub fn trace_id(request_id: RequestId, caller: Option<&TraceContext>) -> [u8; 16] {
    caller.map_or_else(|| request_id.into_bytes(), |caller| caller.trace_id)
}

/// The span of the request as a whole.
pub fn request_span_id(request_id: RequestId) -> [u8; 8] {
    span_id(request_id, 0)
}

/// The span of one attempt, counted from 0.
pub fn attempt_span_id(request_id: RequestId, attempt: u16) -> [u8; 8] {
    span_id(request_id, u64::from(attempt) + 1)
}

fn span_id(request_id: RequestId, position: u64) -> [u8; 8] {
    let id = u128::from_be_bytes(request_id.into_bytes());
    let folded = (id >> 64) as u64 ^ mix(id as u64);
    // All zeros is not a span id.
    mix(folded.wrapping_add(position)).max(1).to_be_bytes()
}

/// The last step of SplitMix64: every bit of the result depends on every bit of the value.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// Decides which calls are traced: what the caller decided, else a share of all, by trace id.
///
/// The id is mixed first, because the random bits of consecutive request ids are not independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampler {
    /// Of 2^64.
    threshold: u128,
}

impl Sampler {
    /// The share of calls that are traced where the caller does not say.
    pub const DEFAULT_RATIO: f64 = 0.01;

    /// `ratio` is taken as the nearest number from 0 (only what callers sample) to 1 (everything).
    pub fn new(ratio: f64) -> Self {
        Self { threshold: (ratio.clamp(0.0, 1.0) * 2f64.powi(64)) as u128 }
    }

    /// Whether a call is traced; every process with the same ratio answers the same.
    pub fn samples(&self, request_id: RequestId, caller: Option<&TraceContext>) -> bool {
        match caller {
            Some(caller) => caller.sampled,
            None => {
                let id = u128::from_be_bytes(request_id.into_bytes());
                u128::from(mix(id as u64 ^ (id >> 64) as u64)) < self.threshold
            }
        }
    }
}

impl Default for Sampler {
    fn default() -> Self {
        Self::new(Self::DEFAULT_RATIO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(sampled: bool) -> TraceContext {
        TraceContext { trace_id: [7; 16], span_id: [9; 8], sampled }
    }

    #[test]
    fn the_caller_decides_and_else_the_ratio() {
        let table = [
            (None, 0.0, false),
            (None, 1.0, true),
            (None, f64::NAN, false),
            (None, 7.0, true),
            (Some(caller(true)), 0.0, true),
            (Some(caller(true)), 1.0, true),
            (Some(caller(false)), 0.0, false),
            (Some(caller(false)), 1.0, false),
        ];
        for (caller, ratio, expected) in table {
            for _ in 0..50 {
                let sampled = Sampler::new(ratio).samples(RequestId::generate(), caller.as_ref());
                assert_eq!(sampled, expected, "{caller:?} at {ratio}");
            }
        }
    }

    #[test]
    fn a_ratio_is_kept_also_by_ids_made_in_one_moment() {
        let sampler = Sampler::new(0.1);
        let ids = (0..20_000u128).map(|low| RequestId::from_bytes((low + (0x7000 << 64)).to_be_bytes()));
        let sampled: Vec<_> = ids.filter(|id| sampler.samples(*id, None)).collect();
        assert!((1_800..2_200).contains(&sampled.len()), "{}", sampled.len());
        assert!(
            sampled.iter().all(|id| Sampler::new(0.2).samples(*id, None)),
            "a larger share holds a smaller one"
        );
    }

    #[test]
    fn the_header_names_the_attempt_in_the_callers_trace() {
        let id = RequestId::from_bytes([1; 16]);
        let first = TraceContext::of_attempt(id, Some(&caller(true)), 0).header();
        let second = TraceContext::of_attempt(id, Some(&caller(true)), 1).header();
        assert!(
            first.starts_with("00-07070707070707070707070707070707-") && first.ends_with("-01"),
            "{first}"
        );
        assert_eq!(first.len(), 55);
        assert_ne!(first, second);
        assert_ne!(attempt_span_id(id, 0), request_span_id(id));
        assert_eq!(trace_id(id, None), [1; 16]);
    }
}

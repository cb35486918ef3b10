//! What callers say about themselves and their call, within bounds.

use http::HeaderMap;
use tollgate_ledger::record::TraceParent;
use tollgate_wire::{Field, Peeked};

const MAX_TAGS: usize = 16;

/// At most `most` bytes of a text, cut between characters.
pub(super) fn bounded(text: &str, most: usize) -> Box<str> {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().into()
}

/// The end user on whose behalf the application calls: our header, else the body's own field.
pub(super) fn customer(peeked: &Peeked, headers: &HeaderMap) -> Option<Box<str>> {
    let header = headers.get("x-tollgate-customer").and_then(|value| value.to_str().ok());
    if let Some(text) = header.filter(|text| !text.is_empty()) {
        return Some(bounded(text, 256));
    }
    let fields = [Field::SafetyIdentifier, Field::User, Field::MetadataUserId];
    let text = fields.into_iter().find_map(|field| peeked.text(field))?;
    (!text.is_empty()).then(|| bounded(&text, 256))
}

/// `x-tollgate-tags: name=value, name=value`; malformed ones are left out.
pub(super) fn tags(headers: &HeaderMap) -> Vec<(Box<str>, Box<str>)> {
    let Some(text) = headers.get("x-tollgate-tags").and_then(|value| value.to_str().ok()) else {
        return Vec::new();
    };
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    let trimmed = pairs.map(|(name, value)| (bounded(name.trim(), 64), bounded(value.trim(), 256)));
    trimmed.filter(|(name, _)| !name.is_empty()).take(MAX_TAGS).collect()
}

/// `traceparent` (W3C Trace Context, version 00).
pub(super) fn trace_parent(headers: &HeaderMap) -> Option<TraceParent> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let right_lengths = version.len() == 2 && trace.len() == 32 && span.len() == 16 && flags.len() == 2;
    if !right_lengths || version == "ff" || !text.bytes().all(|byte| byte == b'-' || is_lower_hex(byte)) {
        return None;
    }
    let trace_id = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?.to_be_bytes();
    let span_id = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?.to_be_bytes();
    let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
    Some(TraceParent { trace_id, span_id, sampled })
}

const fn is_lower_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn one(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    #[test]
    fn tags_are_pairs_within_bounds() {
        let found = tags(&one("x-tollgate-tags", "feature=search, env = prod ,broken,=x"));
        let expected: Vec<(Box<str>, Box<str>)> =
            vec![("feature".into(), "search".into()), ("env".into(), "prod".into())];
        assert_eq!(found, expected);
    }

    #[test]
    fn trace_parents_follow_the_standard() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parsed = trace_parent(&one("traceparent", good)).unwrap();
        assert!(parsed.sampled);
        assert_eq!(parsed.span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
        for bad in [
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf9-00f067aa0ba902b7-01",
            "",
        ] {
            assert_eq!(trace_parent(&one("traceparent", bad)), None, "{bad}");
        }
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(&*bounded("aé", 2), "a");
        assert_eq!(&*bounded("aé", 3), "aé");
    }
}

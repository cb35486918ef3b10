//! Headers that tell a caller how much of its rate limits is left, in the names and formats of its dialect.
//!
//! Sources: <https://platform.openai.com/docs/guides/rate-limits> (headers, resets such as `1s` and `6m0s`) and
//! <https://docs.anthropic.com/en/api/rate-limits> (headers, resets in RFC 3339).

use std::fmt::Write as _;

use http::{HeaderName, HeaderValue};
use tollgate_core::{Dialect, UnixMicros};

/// What is left of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// So many per period.
    pub limit: u64,
    /// How much the next call may take at once.
    pub remaining: u64,
    /// When everything is available again, if nothing else comes.
    pub reset_after_ms: u64,
}

/// The tightest limit of each meter; absent where none applies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allowances {
    pub requests: Option<Allowance>,
    /// Input and output together.
    pub tokens: Option<Allowance>,
    pub input_tokens: Option<Allowance>,
    pub output_tokens: Option<Allowance>,
}

impl Allowances {
    /// Of each meter the one with less left.
    #[must_use]
    pub fn tightest(self, other: Self) -> Self {
        let tighter = |one: Option<Allowance>, other: Option<Allowance>| match (one, other) {
            (Some(one), Some(other)) if other.remaining < one.remaining => Some(other),
            (Some(one), _) => Some(one),
            (None, other) => other,
        };
        Self {
            requests: tighter(self.requests, other.requests),
            tokens: tighter(self.tokens, other.tokens),
            input_tokens: tighter(self.input_tokens, other.input_tokens),
            output_tokens: tighter(self.output_tokens, other.output_tokens),
        }
    }
}

/// Whether a header of a provider speaks of the provider's own limits, which are not those of Tollgate's caller.
///
/// `name` is in lower case, as in an [`http::HeaderName`].
pub fn is_rate_limit_header(name: &str) -> bool {
    name.starts_with("x-ratelimit-")
        || name.starts_with("anthropic-ratelimit-")
        || name.starts_with("anthropic-priority-")
        || name.starts_with("ratelimit")
}

/// Headers for the caller. The OpenAI dialects have no names for input and output tokens apart.
pub fn rate_limit_headers(
    dialect: Dialect,
    allowances: &Allowances,
    now: UnixMicros,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    match dialect {
        Dialect::AnthropicMessages => {
            for (names, allowance) in anthropic(allowances) {
                let Some(allowance) = allowance else { continue };
                let reset = rfc3339(now, allowance.reset_after_ms);
                push(&mut headers, names, allowance, reset);
            }
        }
        Dialect::OpenaiChat
        | Dialect::OpenaiCompletions
        | Dialect::OpenaiEmbeddings
        | Dialect::OpenaiResponses => {
            for (names, allowance) in openai(allowances) {
                let Some(allowance) = allowance else { continue };
                push(&mut headers, names, allowance, duration(allowance.reset_after_ms));
            }
        }
    }
    headers
}

/// Limit, remaining and reset.
type Names = [&'static str; 3];

fn openai(allowances: &Allowances) -> [(Names, Option<Allowance>); 2] {
    [
        (
            ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
            allowances.requests,
        ),
        (
            ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"],
            allowances.tokens,
        ),
    ]
}

fn anthropic(allowances: &Allowances) -> [(Names, Option<Allowance>); 4] {
    macro_rules! names {
        ($meter:literal) => {
            [
                concat!("anthropic-ratelimit-", $meter, "-limit"),
                concat!("anthropic-ratelimit-", $meter, "-remaining"),
                concat!("anthropic-ratelimit-", $meter, "-reset"),
            ]
        };
    }
    [
        (names!("requests"), allowances.requests),
        (names!("tokens"), allowances.tokens),
        (names!("input-tokens"), allowances.input_tokens),
        (names!("output-tokens"), allowances.output_tokens),
    ]
}

fn push(
    headers: &mut Vec<(HeaderName, HeaderValue)>,
    [limit, remaining, reset]: Names,
    allowance: Allowance,
    reset_value: String,
) {
    headers.push((HeaderName::from_static(limit), HeaderValue::from(allowance.limit)));
    headers.push((HeaderName::from_static(remaining), HeaderValue::from(allowance.remaining)));
    if let Ok(value) = HeaderValue::try_from(reset_value) {
        headers.push((HeaderName::from_static(reset), value));
    }
}

/// As Go prints a duration, which is what OpenAI sends: `20ms`, `1.5s`, `6m0s`, `24h0m0s`.
fn duration(millis: u64) -> String {
    if millis == 0 {
        return "0s".to_owned();
    }
    if millis < 1_000 {
        return format!("{millis}ms");
    }
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let mut text = String::new();
    // Writing to a string cannot fail.
    if hours > 0 {
        let _ = write!(text, "{hours}h{minutes}m");
    } else if minutes > 0 {
        let _ = write!(text, "{minutes}m");
    }
    let _ = write!(text, "{}", millis / 1_000 % 60);
    let fraction = format!("{:03}", millis % 1_000);
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        let _ = write!(text, ".{fraction}");
    }
    text.push('s');
    text
}

/// The second in which everything is available again: rounded up, and the last one that can be told for what is beyond.
fn rfc3339(now: UnixMicros, after_ms: u64) -> String {
    let micros = i128::from(now.0) + i128::from(after_ms) * 1_000;
    let seconds = i64::try_from(micros.div_euclid(1_000_000) + i128::from(micros.rem_euclid(1_000_000) > 0));
    let reset = seconds.ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    reset.unwrap_or(jiff::Timestamp::MAX).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMicros = UnixMicros(1_760_000_000_000_000);

    fn allowance(limit: u64, remaining: u64, reset_after_ms: u64) -> Option<Allowance> {
        Some(Allowance { limit, remaining, reset_after_ms })
    }

    fn rendered(dialect: Dialect, allowances: &Allowances) -> Vec<String> {
        let headers = rate_limit_headers(dialect, allowances, NOW);
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }

    fn all() -> Allowances {
        Allowances {
            requests: allowance(60, 5, 1_000),
            tokens: allowance(150_000, 149_984, 360_000),
            input_tokens: allowance(80_000, 0, 59_001),
            output_tokens: allowance(16_000, 16_000, 0),
        }
    }

    #[test]
    fn openai_names_and_durations() {
        let expected = [
            "x-ratelimit-limit-requests: 60",
            "x-ratelimit-remaining-requests: 5",
            "x-ratelimit-reset-requests: 1s",
            "x-ratelimit-limit-tokens: 150000",
            "x-ratelimit-remaining-tokens: 149984",
            "x-ratelimit-reset-tokens: 6m0s",
        ];
        assert_eq!(rendered(Dialect::OpenaiChat, &all()), expected);
        assert_eq!(rendered(Dialect::OpenaiResponses, &all()), expected);
    }

    #[test]
    fn anthropic_names_and_times() {
        let expected = [
            "anthropic-ratelimit-requests-limit: 60",
            "anthropic-ratelimit-requests-remaining: 5",
            "anthropic-ratelimit-requests-reset: 2025-10-09T08:53:21Z",
            "anthropic-ratelimit-tokens-limit: 150000",
            "anthropic-ratelimit-tokens-remaining: 149984",
            "anthropic-ratelimit-tokens-reset: 2025-10-09T08:59:20Z",
            "anthropic-ratelimit-input-tokens-limit: 80000",
            "anthropic-ratelimit-input-tokens-remaining: 0",
            "anthropic-ratelimit-input-tokens-reset: 2025-10-09T08:54:20Z",
            "anthropic-ratelimit-output-tokens-limit: 16000",
            "anthropic-ratelimit-output-tokens-remaining: 16000",
            "anthropic-ratelimit-output-tokens-reset: 2025-10-09T08:53:20Z",
        ];
        assert_eq!(rendered(Dialect::AnthropicMessages, &all()), expected);
    }

    #[test]
    fn what_is_not_limited_is_not_mentioned() {
        for dialect in [Dialect::OpenaiChat, Dialect::AnthropicMessages] {
            assert!(rate_limit_headers(dialect, &Allowances::default(), NOW).is_empty());
        }
    }

    #[test]
    fn durations_are_as_go_prints_them() {
        let cases = [
            (0, "0s"),
            (20, "20ms"),
            (999, "999ms"),
            (1_500, "1.5s"),
            (59_010, "59.01s"),
            (60_000, "1m0s"),
            (86_400_000, "24h0m0s"),
        ];
        for (millis, text) in cases {
            assert_eq!(duration(millis), text);
        }
        assert_eq!(duration(u64::MAX), "5124095576030h25m51.615s");
    }

    #[test]
    fn resets_beyond_the_calendar_do_not_panic() {
        assert_eq!(rfc3339(NOW, u64::MAX), "9999-12-30T22:00:00Z");
        assert_eq!(rfc3339(UnixMicros(i64::MIN), 0), "9999-12-30T22:00:00Z");
    }

    #[test]
    fn limits_of_providers_are_told_apart() {
        for name in ["x-ratelimit-limit-tokens", "anthropic-ratelimit-tokens-reset", "ratelimit-policy"] {
            assert!(is_rate_limit_header(name));
        }
        for name in ["retry-after", "x-request-id", "x-tollgate-limit"] {
            assert!(!is_rate_limit_header(name));
        }
    }
}

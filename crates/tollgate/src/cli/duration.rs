//! Spans of time as people write them: `30m`, `12h`, `90d`.

use std::fmt;
use std::str::FromStr;

use anyhow::Context;

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(u64);

impl Span {
    pub(crate) const fn of_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    pub(crate) const fn as_seconds(self) -> u64 {
        self.0
    }

    /// Microseconds since 1970 when the span that begins now is over.
    pub(crate) fn ends_at_micros(self) -> anyhow::Result<i64> {
        shifted(i64::try_from(self.0)?)
    }

    /// Microseconds since 1970 when the span that ends now began.
    pub(crate) fn ago_micros(self) -> anyhow::Result<i64> {
        shifted(-i64::try_from(self.0)?)
    }
}

fn shifted(seconds: i64) -> anyhow::Result<i64> {
    let now = jiff::Timestamp::now();
    let time =
        now.checked_add(jiff::SignedDuration::from_secs(seconds)).context("the time lies too far away")?;
    Ok(time.as_microsecond())
}

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const HOW: &str = "write a number and a unit, for example 30m, 12h or 90d";
        let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(HOW)?;
        let (_, seconds) = UNITS.iter().find(|(name, _)| unit.starts_with(*name)).ok_or(HOW)?;
        let number: u64 = number.parse().map_err(|_| HOW)?;
        number.checked_mul(*seconds).map(Self).ok_or("this is longer than Tollgate can count")
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS.iter().find(|(_, seconds)| self.0.is_multiple_of(*seconds) && self.0 >= *seconds);
        let (unit, seconds) = exact.unwrap_or(&('s', 1));
        write!(formatter, "{}{unit}", self.0 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_shown_in_their_largest_whole_unit() {
        for (text, seconds, shown) in
            [("0s", 0, "0s"), ("90s", 90, "90s"), ("60m", 3_600, "1h"), ("7d", 604_800, "7d")]
        {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.0, span.to_string().as_str()), (seconds, shown));
        }
        for wrong in ["", "d", "1", "1w", "-1d", "1.5h", "ü", "99999999999999999999d"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }
}

//! Money as integers: nano-USD for amounts, nano-USD per million units for prices.

use std::fmt;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

/// An amount in billionths of a US dollar. `i64` reaches ±9.2 billion dollars.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct NanoUsd(i64);

impl NanoUsd {
    pub const ZERO: Self = Self(0);
    pub const MAX: Self = Self(i64::MAX);

    pub const fn new(nanos: i64) -> Self {
        Self(nanos)
    }

    pub const fn get(self) -> i64 {
        self.0
    }

    /// Parses dollars, exactly: `"0.01"` is 10,000,000. Without a sign.
    pub fn parse_usd(text: &str) -> Result<Self, InvalidAmount> {
        let nanos = parse_nanos(text).and_then(|nanos| i64::try_from(nanos).ok());
        nanos.map(Self).ok_or_else(|| InvalidAmount(text.chars().take(64).collect()))
    }

    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }

    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Add for NanoUsd {
    type Output = Self;

    /// Saturates: a sum beyond nine billion dollars stays there instead of wrapping.
    fn add(self, other: Self) -> Self {
        self.saturating_add(other)
    }
}

impl AddAssign for NanoUsd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Dollars with nine decimals and no rounding, for example `0.000012500`.
impl fmt::Display for NanoUsd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        write!(formatter, "{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
    }
}

/// A price: nano-USD for one million units. One dollar per million tokens is `1_000_000_000`.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct NanoUsdPerMillion(u64);

/// Why a decimal text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an amount: write dollars as a decimal with at most 9 decimals, for example \"0.01\"")]
pub struct InvalidAmount(String);

/// Why a decimal text is not a price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a price: write dollars per million units as a decimal with at most 9 decimals, for example \"2.50\""
)]
pub struct InvalidPrice(String);

impl NanoUsdPerMillion {
    pub const fn new(nanos: u64) -> Self {
        Self(nanos)
    }

    pub const fn get(self) -> u64 {
        self.0
    }

    /// Nano-USD times units, in millionths of a nano-USD; the caller sums and rounds once.
    pub const fn times(self, units: u64) -> u128 {
        self.0 as u128 * units as u128
    }

    /// Parses dollars per million units, exactly: `"0.0375"` is 37,500,000.
    pub fn parse_usd(text: &str) -> Result<Self, InvalidPrice> {
        parse_nanos(text).map(Self).ok_or_else(|| InvalidPrice(text.chars().take(64).collect()))
    }
}

/// Billionths of what a decimal text without a sign says; `None` when they are not whole or do not fit.
fn parse_nanos(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 9 || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let nanos: u64 = format!("{fraction:0<9}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// Rounds a sum of [`NanoUsdPerMillion::times`] up to whole nano-USD; `None` when it does not fit.
pub fn round_up_to_nano_usd(millionths: u128) -> Option<NanoUsd> {
    i64::try_from(millionths.div_ceil(1_000_000)).ok().map(NanoUsd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_parse_exactly_or_not_at_all() {
        assert_eq!(NanoUsdPerMillion::parse_usd("0.0375"), Ok(NanoUsdPerMillion(37_500_000)));
        assert_eq!(NanoUsdPerMillion::parse_usd("15"), Ok(NanoUsdPerMillion(15_000_000_000)));
        for bad in ["", ".5", "-1", "1e3", "1.0000000001", "99999999999999999999", "NaN", "1 "] {
            assert!(NanoUsdPerMillion::parse_usd(bad).is_err(), "{bad}");
            assert!(NanoUsd::parse_usd(bad).is_err(), "{bad}");
        }
        assert_eq!(NanoUsd::parse_usd("0.01"), Ok(NanoUsd(10_000_000)));
        assert_eq!(NanoUsd::parse_usd("9223372036.854775807"), Ok(NanoUsd::MAX));
        assert!(NanoUsd::parse_usd("9223372036.854775808").is_err());
    }

    #[test]
    fn cost_rounds_up_once() {
        let price = NanoUsdPerMillion(37_500_000);
        assert_eq!(round_up_to_nano_usd(price.times(1)), Some(NanoUsd(38)));
        assert_eq!(round_up_to_nano_usd(price.times(2)), Some(NanoUsd(75)));
        assert_eq!(round_up_to_nano_usd(u128::MAX), None);
    }

    #[test]
    fn amounts_print_as_dollars() {
        assert_eq!(NanoUsd(12_500).to_string(), "0.000012500");
        assert_eq!(NanoUsd(-1_000_000_001).to_string(), "-1.000000001");
    }
}

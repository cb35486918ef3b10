//! Amounts of money as people write them: US dollars as decimal text.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::NanoUsd;

const NANOS_PER_DOLLAR: i64 = 1_000_000_000;
const MOST_DOLLARS: i64 = 1_000_000_000;

/// A sum of US dollars, written as decimal text such as `"12.50"`: never negative, exact to nine decimals, at most a
/// billion. Binary fractions are refused: most decimal amounts have none that is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsdAmount(NanoUsd);

/// Why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUsdAmount {
    #[error("`{0}` is not an amount: write dollars as a decimal, for example \"12.50\"")]
    Form(Box<str>),
    #[error("an amount cannot be negative")]
    Negative,
    #[error("`{0}` has more than nine decimals; the smallest amount is a billionth of a dollar")]
    TooFine(Box<str>),
    #[error("`{0}` is too much: the largest amount is {MOST_DOLLARS} dollars")]
    TooLarge(Box<str>),
}

impl UsdAmount {
    /// The largest amount that can be written.
    pub const MAX: Self = Self(NanoUsd::new(MOST_DOLLARS * NANOS_PER_DOLLAR));

    /// Shows a sum as dollars; a negative one stays so.
    pub const fn of(amount: NanoUsd) -> Self {
        Self(amount)
    }

    pub const fn nano_usd(self) -> NanoUsd {
        self.0
    }

    fn of_dollars(dollars: u64) -> Option<Self> {
        let dollars = i64::try_from(dollars).ok().filter(|dollars| *dollars <= MOST_DOLLARS)?;
        Some(Self(NanoUsd::new(dollars * NANOS_PER_DOLLAR)))
    }
}

impl FromStr for UsdAmount {
    type Err = InvalidUsdAmount;

    fn from_str(text: &str) -> Result<Self, InvalidUsdAmount> {
        let shown = || text.chars().take(64).collect();
        if text.starts_with('-') {
            return Err(InvalidUsdAmount::Negative);
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let pointless = fraction.is_empty() && text.contains('.');
        if whole.is_empty() || pointless || !all_digits(whole) || !all_digits(fraction) {
            return Err(InvalidUsdAmount::Form(shown()));
        }
        if fraction.len() > 9 {
            return Err(InvalidUsdAmount::TooFine(shown()));
        }
        let nanos: i64 = format!("{fraction:0<9}").parse().map_err(|_| InvalidUsdAmount::Form(shown()))?;
        let whole = whole.parse().ok().and_then(Self::of_dollars);
        let sum = whole.map(|dollars| Self(dollars.0 + NanoUsd::new(nanos)));
        sum.filter(|sum| *sum <= Self::MAX).ok_or_else(|| InvalidUsdAmount::TooLarge(shown()))
    }
}

/// The shortest decimal that reads back as the same amount.
impl fmt::Display for UsdAmount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        formatter.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Serialize for UsdAmount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UsdAmount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AmountVisitor)
    }
}

struct AmountVisitor;

impl Visitor<'_> for AmountVisitor {
    type Value = UsdAmount;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("dollars as a decimal in quotes, for example \"12.50\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<UsdAmount, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, dollars: u64) -> Result<UsdAmount, E> {
        let too_large = || E::custom(InvalidUsdAmount::TooLarge(dollars.to_string().into()));
        UsdAmount::of_dollars(dollars).ok_or_else(too_large)
    }

    fn visit_i64<E: de::Error>(self, dollars: i64) -> Result<UsdAmount, E> {
        match u64::try_from(dollars) {
            Ok(dollars) => self.visit_u64(dollars),
            Err(_) => Err(E::custom(InvalidUsdAmount::Negative)),
        }
    }
}

impl schemars::JsonSchema for UsdAmount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UsdAmount".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?$",
            "description": "US dollars as a decimal; negative only where a balance is shown"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly_or_not_at_all() {
        for (text, nanos, shown) in [
            ("50", 50_000_000_000, "50"),
            ("0.000000001", 1, "0.000000001"),
            ("12.50", 12_500_000_000, "12.5"),
            ("100", 100_000_000_000, "100"),
            ("1000000000", 1_000_000_000_000_000_000, "1000000000"),
        ] {
            let amount: UsdAmount = text.parse().unwrap();
            assert_eq!((amount.nano_usd().get(), amount.to_string().as_str()), (nanos, shown));
            assert_eq!(serde_json::from_value::<UsdAmount>(serde_json::json!(text)).unwrap(), amount);
            assert_eq!(serde_json::to_value(amount).unwrap(), shown);
        }
        for wrong in
            ["", ".", "5.", ".5", "NaN", "inf", "1e3", " 1", "1 ", "+1", "1,000", "$5", "0x10", "1.2.3", "١"]
        {
            assert!(matches!(wrong.parse::<UsdAmount>(), Err(InvalidUsdAmount::Form(_))), "{wrong}");
        }
        assert_eq!("-1".parse::<UsdAmount>(), Err(InvalidUsdAmount::Negative));
        assert!(matches!("0.0000000001".parse::<UsdAmount>(), Err(InvalidUsdAmount::TooFine(_))));
        for large in ["1000000000.000000001", "9223372037", "99999999999999999999"] {
            assert!(matches!(large.parse::<UsdAmount>(), Err(InvalidUsdAmount::TooLarge(_))), "{large}");
        }
    }

    #[test]
    fn numbers_are_whole_dollars_and_binary_fractions_are_refused() {
        let read = |value: serde_json::Value| serde_json::from_value::<UsdAmount>(value);
        assert_eq!(read(serde_json::json!(7)).unwrap().to_string(), "7");
        for wrong in [
            serde_json::json!(0.1),
            serde_json::json!(-1),
            serde_json::json!(1e300),
            serde_json::json!(u64::MAX),
            serde_json::Value::Null,
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}

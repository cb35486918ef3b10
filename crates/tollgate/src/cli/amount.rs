//! Amounts of money as people write them: `50`, `$50`, `0.25`.

use std::str::FromStr;

use serde_json::Value;
use tollgate_core::UsdAmount;

/// Dollars, exact to nine decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dollars(UsdAmount);

impl Dollars {
    /// As the admin API takes it.
    pub(crate) fn json(self) -> Value {
        Value::String(self.0.to_string())
    }
}

impl FromStr for Dollars {
    type Err = tollgate_core::InvalidUsdAmount;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix('$').unwrap_or(text).parse().map(Self)
    }
}

/// The dollars at a JSON pointer for people: `$50.00`, `$0.0125`; `–` where there are none.
pub(crate) fn dollars(value: &Value, pointer: &str) -> String {
    let Some(text) = value.pointer(pointer).and_then(Value::as_str) else { return "–".into() };
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{sign}${whole}.{fraction:0<2}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dollars_are_read_with_and_without_their_sign() {
        for text in ["50", "$50", "$50.00"] {
            assert_eq!(text.parse::<Dollars>().unwrap().json(), json!("50"));
        }
        for wrong in ["", "$", "-1", "$-1", "50$", "1e3", "0.0000000001"] {
            assert!(wrong.parse::<Dollars>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn dollars_are_shown_with_at_least_two_decimals() {
        for (text, shown) in [("50", "$50.00"), ("0.5", "$0.50"), ("-0.0125", "-$0.0125")] {
            assert_eq!(dollars(&json!({ "at": text }), "/at"), shown);
        }
        assert_eq!(dollars(&json!({}), "/at"), "–");
    }
}

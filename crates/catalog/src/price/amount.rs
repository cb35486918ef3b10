//! Dollars per million units as decimal text.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tollgate_core::NanoUsdPerMillion;

/// US dollars for one million tokens, written as decimal text such as `"0.075"`. Binary fractions are refused:
/// most decimal prices have none that is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsdPerMillion(pub NanoUsdPerMillion);

/// The shortest decimal that reads back as the same price.
impl fmt::Display for UsdPerMillion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dollars, nanos) = (self.0.get() / 1_000_000_000, self.0.get() % 1_000_000_000);
        if nanos == 0 {
            return write!(formatter, "{dollars}");
        }
        let fraction = format!("{nanos:09}");
        write!(formatter, "{dollars}.{}", fraction.trim_end_matches('0'))
    }
}

impl Serialize for UsdPerMillion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UsdPerMillion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AmountVisitor)
    }
}

struct AmountVisitor;

impl Visitor<'_> for AmountVisitor {
    type Value = UsdPerMillion;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("dollars per million tokens as a decimal in quotes, for example \"2.50\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<UsdPerMillion, E> {
        NanoUsdPerMillion::parse_usd(text).map(UsdPerMillion).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, dollars: u64) -> Result<UsdPerMillion, E> {
        let nanos = dollars.checked_mul(1_000_000_000);
        nanos
            .map(|nanos| UsdPerMillion(NanoUsdPerMillion::new(nanos)))
            .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(dollars), &self))
    }
}

impl schemars::JsonSchema for UsdPerMillion {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UsdPerMillion".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": r"^[0-9]+(\.[0-9]{0,9})?$",
            "description": "US dollars per million tokens, as a decimal"
        })
    }
}

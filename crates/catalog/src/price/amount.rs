//! Dollars as decimal text: per million units and per request.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tollgate_core::{NanoUsd, NanoUsdPerMillion};

/// US dollars for one million tokens, written as decimal text such as `"0.075"`. Binary fractions are refused:
/// most decimal prices have none that is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsdPerMillion(pub NanoUsdPerMillion);

/// US dollars for one request, written as decimal text such as `"0.01"`. Never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsdPerRequest(NanoUsd);

impl UsdPerRequest {
    /// `None` for a negative amount.
    pub fn new(amount: NanoUsd) -> Option<Self> {
        (amount >= NanoUsd::ZERO).then_some(Self(amount))
    }

    pub const fn get(self) -> NanoUsd {
        self.0
    }
}

/// What both have in common.
trait Dollars: Sized {
    /// For messages: what is expected.
    const EXPECTED: &'static str;

    fn parse(text: &str) -> Result<Self, String>;

    fn from_nanos(nanos: u64) -> Option<Self>;
}

impl Dollars for UsdPerMillion {
    const EXPECTED: &'static str = "dollars per million tokens as a decimal in quotes, for example \"2.50\"";

    fn parse(text: &str) -> Result<Self, String> {
        NanoUsdPerMillion::parse_usd(text).map(Self).map_err(|problem| problem.to_string())
    }

    fn from_nanos(nanos: u64) -> Option<Self> {
        Some(Self(NanoUsdPerMillion::new(nanos)))
    }
}

impl Dollars for UsdPerRequest {
    const EXPECTED: &'static str = "dollars per request as a decimal in quotes, for example \"0.01\"";

    fn parse(text: &str) -> Result<Self, String> {
        NanoUsd::parse_usd(text).map(Self).map_err(|problem| problem.to_string())
    }

    fn from_nanos(nanos: u64) -> Option<Self> {
        i64::try_from(nanos).ok().map(|nanos| Self(NanoUsd::new(nanos)))
    }
}

/// The shortest decimal that reads back as the same price.
fn write_dollars(formatter: &mut fmt::Formatter<'_>, nanos: u64) -> fmt::Result {
    let (dollars, nanos) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    if nanos == 0 {
        return write!(formatter, "{dollars}");
    }
    let fraction = format!("{nanos:09}");
    write!(formatter, "{dollars}.{}", fraction.trim_end_matches('0'))
}

impl fmt::Display for UsdPerMillion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_dollars(formatter, self.0.get())
    }
}

impl fmt::Display for UsdPerRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_dollars(formatter, self.0.get().unsigned_abs())
    }
}

impl Serialize for UsdPerMillion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for UsdPerRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UsdPerMillion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DollarsVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for UsdPerRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DollarsVisitor(PhantomData))
    }
}

struct DollarsVisitor<T>(PhantomData<T>);

impl<T: Dollars> Visitor<'_> for DollarsVisitor<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::parse(text).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, dollars: u64) -> Result<T, E> {
        let amount = dollars.checked_mul(1_000_000_000).and_then(T::from_nanos);
        amount.ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(dollars), &self))
    }
}

fn schema(description: &str) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string",
        "pattern": r"^[0-9]+(\.[0-9]{0,9})?$",
        "description": description
    })
}

impl schemars::JsonSchema for UsdPerMillion {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UsdPerMillion".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schema("US dollars per million tokens, as a decimal")
    }
}

impl schemars::JsonSchema for UsdPerRequest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UsdPerRequest".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schema("US dollars per request, as a decimal")
    }
}

//! Prices as they are written: in the data files, by operators and in the admin API.

mod amount;

use std::fmt;

use jiff::civil::Date;
use serde::de::{self, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use amount::{UsdPerMillion, UsdPerRequest};

/// The service level at which a provider served and bills a call.
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
#[serde(rename_all = "snake_case")]
pub enum ServiceTier {
    #[default]
    Standard,
    Batch,
    Flex,
    Priority,
}

impl ServiceTier {
    pub const ALL: [Self; 4] = [Self::Standard, Self::Batch, Self::Flex, Self::Priority];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Batch => "batch",
            Self::Flex => "flex",
            Self::Priority => "priority",
        }
    }

    /// Reads the `service_tier` of a provider's answer. `default` (OpenAI) and `on_demand` (Groq) are the standard
    /// tier; `auto` leaves the choice to the provider and so names no tier.
    pub fn from_provider(text: &str) -> Option<Self> {
        match text {
            "standard" | "default" | "on_demand" => Some(Self::Standard),
            "batch" => Some(Self::Batch),
            "flex" => Some(Self::Flex),
            "priority" => Some(Self::Priority),
            _ => None,
        }
    }
}

impl fmt::Display for ServiceTier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One of the disjoint counts of a [`tollgate_core::TokenUsage`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Meter {
    Input,
    CacheRead,
    CacheWrite,
    CacheWriteLong,
    Output,
    Reasoning,
}

impl Meter {
    pub const ALL: [Self; 6] =
        [Self::Input, Self::CacheRead, Self::CacheWrite, Self::CacheWriteLong, Self::Output, Self::Reasoning];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CacheRead => "cache_read",
            Self::CacheWrite => "cache_write",
            Self::CacheWriteLong => "cache_write_long",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
        }
    }
}

impl fmt::Display for Meter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The prices that apply together when all conditions of the row hold. Rows are complete: a meter that is absent
/// is not looked up in another row.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PriceRow {
    /// Only calls served at this tier.
    #[serde(skip_serializing_if = "is_standard")]
    pub service_tier: ServiceTier,
    /// Only requests with more prompt tokens than this, cached ones included; then the row prices the whole request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens_above: Option<u64>,
    /// Only requests with at most so many prompt tokens. For a tier that has no price for larger ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens_up_to: Option<u64>,
    /// First day of the price, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub effective_from: Option<Date>,
    /// First day, UTC, on which the price no longer applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub effective_until: Option<Date>,
    /// For each call beside its tokens. A row that prices nothing else has free tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_request: Option<UsdPerRequest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<UsdPerMillion>,
    /// Absent: cached tokens cost what other input does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<UsdPerMillion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<UsdPerMillion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_long: Option<UsdPerMillion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<UsdPerMillion>,
    /// Absent: reasoning costs what other output does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<UsdPerMillion>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_standard(tier: &ServiceTier) -> bool {
    *tier == ServiceTier::Standard
}

impl PriceRow {
    /// The price as written, without the fallbacks that a [`crate::PriceList`] resolves.
    pub const fn written(&self, meter: Meter) -> Option<UsdPerMillion> {
        match meter {
            Meter::Input => self.input,
            Meter::CacheRead => self.cache_read,
            Meter::CacheWrite => self.cache_write,
            Meter::CacheWriteLong => self.cache_write_long,
            Meter::Output => self.output,
            Meter::Reasoning => self.reasoning,
        }
    }
}

/// What a model costs. Written as `unknown`, `free`, one row, or a list of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Price {
    /// Nobody said. A policy decides whether such a model may be called.
    #[default]
    Unknown,
    /// Known to cost nothing, for example self-hosted.
    Free,
    Rows(Vec<PriceRow>),
}

impl Serialize for Price {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Unknown => serializer.serialize_str("unknown"),
            Self::Free => serializer.serialize_str("free"),
            Self::Rows(rows) => rows.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PriceVisitor)
    }
}

/// Chooses by the kind of value, so that an error names the field and not "no variant matched".
struct PriceVisitor;

impl<'de> Visitor<'de> for PriceVisitor {
    type Value = Price;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("`unknown`, `free`, a price row or a list of price rows")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Price, E> {
        match text {
            "unknown" => Ok(Price::Unknown),
            "free" => Ok(Price::Free),
            other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Price, A::Error> {
        PriceRow::deserialize(MapAccessDeserializer::new(map)).map(|row| Price::Rows(vec![row]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Price, A::Error> {
        let mut rows = Vec::new();
        while let Some(row) = sequence.next_element()? {
            rows.push(row);
        }
        Ok(Price::Rows(rows))
    }
}

impl schemars::JsonSchema for Price {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Price".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let row = generator.subschema_for::<PriceRow>();
        schemars::json_schema!({
            "description": "`unknown` (not the same as zero), `free`, one row, or rows of which the most specific applies",
            "oneOf": [
                { "enum": ["unknown", "free"] },
                row,
                { "type": "array", "minItems": 1, "items": row }
            ]
        })
    }
}

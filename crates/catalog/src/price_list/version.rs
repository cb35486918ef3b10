//! A content hash that names a set of prices.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Content;

/// Names the exact prices by which a cost was computed: equal prices have equal versions on every machine and in
/// every release. 16 hexadecimal digits in text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PriceVersion(u64);

impl PriceVersion {
    /// From a stored value.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for PriceVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// Text where people read it (and JavaScript, whose numbers end at 53 bits), a number in binary formats.
impl Serialize for PriceVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for PriceVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return u64::deserialize(deserializer).map(Self);
        }
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let hexadecimal = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = u64::from_str_radix(&text, 16).ok().filter(|_| hexadecimal);
        value.map(Self).ok_or_else(|| de::Error::custom("a price version has 16 hexadecimal digits"))
    }
}

impl schemars::JsonSchema for PriceVersion {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PriceVersion".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9a-f]{16}$" })
    }
}

/// Begins a price per request; a row would begin with its tier, a small number.
const PER_REQUEST: u64 = u64::from_le_bytes(*b"/request");

/// FNV-1a over a fixed encoding. It only has to be stable; whoever sets prices gains nothing from a collision.
struct Hash(u64);

impl Hash {
    fn add(&mut self, value: u64) {
        for byte in value.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn add_option(&mut self, value: Option<u64>) {
        self.add(u64::from(value.is_some()));
        self.add(value.unwrap_or_default());
    }
}

pub(super) fn of(content: &Content) -> PriceVersion {
    let mut hash = Hash(0xcbf2_9ce4_8422_2325);
    match content {
        Content::Unknown => hash.add(0),
        Content::Free => hash.add(1),
        Content::Rows(rows) => {
            hash.add(2);
            for row in rows {
                hash.add(row.tier as u64);
                hash.add_option(row.input_tokens_above);
                hash.add(row.input_tokens_up_to);
                hash.add(row.from.0.cast_unsigned());
                hash.add(row.until.0.cast_unsigned());
                for price in row.prices {
                    hash.add_option(price.map(tollgate_core::NanoUsdPerMillion::get));
                }
                // Only where there is one: other rows keep the versions that stored records name.
                if row.per_request.get() != 0 {
                    hash.add(PER_REQUEST);
                    hash.add(row.per_request.get().cast_unsigned());
                }
            }
        }
    }
    PriceVersion(hash.0)
}

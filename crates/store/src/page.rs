//! Keyset pagination: a page and where the next one begins.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::error::StoreError;

/// The most items of one page.
pub const MAX_PAGE: u32 = 500;

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Where the next page begins; absent on the last one.
    #[schemars(with = "Option<String>")]
    pub next: Option<Cursor>,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest {
    pub after: Option<Cursor>,
    /// 1 to [`MAX_PAGE`]; other values are brought into that range.
    pub limit: u32,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { after: None, limit: 100 }
    }
}

impl PageRequest {
    fn size(self) -> usize {
        self.limit.clamp(1, MAX_PAGE) as usize
    }

    /// One row more than the page has shows whether there is a next page.
    pub(crate) fn rows_to_fetch(self) -> i64 {
        i64::from(self.limit.clamp(1, MAX_PAGE)) + 1
    }

    /// The last id of the page before, or one before all ids.
    pub(crate) fn after_id(self) -> Uuid {
        self.after.map_or(Uuid::nil(), |cursor| cursor.id)
    }

    pub(crate) fn page<T>(self, mut items: Vec<T>, cursor: impl Fn(&T) -> Cursor) -> Page<T> {
        let more = items.len() > self.size();
        items.truncate(self.size());
        let next = if more { items.last().map(cursor) } else { None };
        Page { items, next }
    }
}

/// The last item of a page. Opaque text for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub(crate) at: i64,
    pub(crate) id: Uuid,
}

impl Cursor {
    pub(crate) const fn of_id(id: Uuid) -> Self {
        Self { at: 0, id }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}{:032x}", self.at, self.id.as_u128())
    }
}

impl FromStr for Cursor {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let parse = || {
            let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let (at, id) = (text.get(..16)?, text.get(16..48)?);
            if text.len() != 48 || !is_hex {
                return None;
            }
            let at = u64::from_str_radix(at, 16).ok()?.cast_signed();
            Some(Self { at, id: Uuid::from_u128(u128::from_str_radix(id, 16).ok()?) })
        };
        parse().ok_or_else(|| StoreError::Invalid {
            field: "cursor",
            reason: "is not one that a list returned; start without it".into(),
        })
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_garbage_is_refused() {
        let cursor = Cursor { at: -5, id: Uuid::from_u128(7) };
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        for bad in ["", "x", &"g".repeat(48), &"0".repeat(47), &"0".repeat(49)] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}

//! Rows that come back, alike for both databases.

use serde::de::DeserializeOwned;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as WordError, StrDeserializer};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Postgres, Row as _, Sqlite, Type};
use tollgate_core::{NanoUsd, UnixMicros};
use uuid::Uuid;

use super::value::TypedId;
use crate::error::StoreError;

#[derive(Debug)]
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What both databases can hold in one column.
pub(crate) trait Column:
    for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>
{
}

impl<T> Column for T where
    T: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>
{
}

fn unreadable(column: &'static str) -> impl Fn(&dyn std::fmt::Display) -> StoreError {
    move |error| StoreError::Unreadable { column, reason: error.to_string() }
}

impl Row {
    pub(crate) fn get<T: Column>(&self, column: &'static str) -> Result<T, StoreError> {
        match self {
            Self::Sqlite(row) => row.try_get(column),
            Self::Postgres(row) => row.try_get(column),
        }
        .map_err(|error| unreadable(column)(&error))
    }

    /// By position, for statements whose columns are not known here.
    pub(crate) fn at<T: Column>(&self, index: usize) -> Result<T, StoreError> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(index)?,
            Self::Postgres(row) => row.try_get(index)?,
        })
    }

    pub(crate) fn id<T: TypedId>(&self, column: &'static str) -> Result<T, StoreError> {
        self.get::<Uuid>(column).map(T::from_uuid)
    }

    pub(crate) fn optional_id<T: TypedId>(&self, column: &'static str) -> Result<Option<T>, StoreError> {
        Ok(self.get::<Option<Uuid>>(column)?.map(T::from_uuid))
    }

    pub(crate) fn time(&self, column: &'static str) -> Result<UnixMicros, StoreError> {
        self.get(column).map(UnixMicros)
    }

    pub(crate) fn optional_time(&self, column: &'static str) -> Result<Option<UnixMicros>, StoreError> {
        Ok(self.get::<Option<i64>>(column)?.map(UnixMicros))
    }

    pub(crate) fn nano_usd(&self, column: &'static str) -> Result<NanoUsd, StoreError> {
        self.get(column).map(NanoUsd::new)
    }

    pub(crate) fn optional_nano_usd(&self, column: &'static str) -> Result<Option<NanoUsd>, StoreError> {
        Ok(self.get::<Option<i64>>(column)?.map(NanoUsd::new))
    }

    /// A count or size; written from unsigned numbers only.
    pub(crate) fn unsigned<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T, StoreError> {
        let value: i64 = self.get(column)?;
        T::try_from(value).map_err(|_| unreadable(column)(&format!("{value} is out of range")))
    }

    pub(crate) fn optional_unsigned<T: TryFrom<i64>>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, StoreError> {
        match self.get::<Option<i64>>(column)? {
            None => Ok(None),
            Some(_) => self.unsigned(column).map(Some),
        }
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        serde_json::from_str(&self.get::<String>(column)?).map_err(|error| unreadable(column)(&error))
    }

    pub(crate) fn optional_json<T: DeserializeOwned>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, StoreError> {
        match self.get::<Option<String>>(column)? {
            None => Ok(None),
            Some(text) => serde_json::from_str(&text).map(Some).map_err(|error| unreadable(column)(&error)),
        }
    }

    /// An enum that is stored as the word it serialises to.
    pub(crate) fn word<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        parse_word(column, &self.get::<String>(column)?)
    }

    pub(crate) fn optional_word<T: DeserializeOwned>(
        &self,
        column: &'static str,
    ) -> Result<Option<T>, StoreError> {
        self.get::<Option<String>>(column)?.map(|text| parse_word(column, &text)).transpose()
    }

    /// Text that has to follow a grammar.
    pub(crate) fn parsed<T: TryFrom<String, Error: std::fmt::Display>>(
        &self,
        column: &'static str,
    ) -> Result<T, StoreError> {
        T::try_from(self.get::<String>(column)?).map_err(|error| unreadable(column)(&error))
    }

    pub(crate) fn bytes<const N: usize>(&self, column: &'static str) -> Result<[u8; N], StoreError> {
        let bytes: Vec<u8> = self.get(column)?;
        bytes.try_into().map_err(|_| unreadable(column)(&format!("expected {N} bytes")))
    }
}

fn parse_word<T: DeserializeOwned>(column: &'static str, text: &str) -> Result<T, StoreError> {
    let deserializer: StrDeserializer<'_, WordError> = text.into_deserializer();
    T::deserialize(deserializer).map_err(|error| unreadable(column)(&error))
}

//! Values that travel to the database, alike for both.

use std::borrow::Cow;
use std::sync::Arc;

use sqlx::Arguments;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use tollgate_core::{NanoUsd, UnixMicros};
use uuid::Uuid;

use crate::error::StoreError;

/// A typed argument of a statement; PostgreSQL wants to know the type of a NULL.
#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    Integer(Option<i64>),
    Boolean(bool),
    Text(Option<Cow<'a, str>>),
    Bytes(Option<Cow<'a, [u8]>>),
    Id(Option<Uuid>),
}

/// Arguments of a statement in the order of their placeholders.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::database::Value::from($value)),*] };
}
pub(crate) use values;

macro_rules! conversions {
    ($($source:ty => $variant:ident, |$value:ident| $expression:expr;)*) => {$(
        impl<'a> From<$source> for Value<'a> {
            fn from($value: $source) -> Self {
                Self::$variant(Some($expression))
            }
        }

        impl<'a> From<Option<$source>> for Value<'a> {
            fn from(value: Option<$source>) -> Self {
                Self::$variant(value.map(|$value| $expression))
            }
        }
    )*};
}

conversions! {
    i64 => Integer, |value| value;
    i32 => Integer, |value| i64::from(value);
    u16 => Integer, |value| i64::from(value);
    u32 => Integer, |value| i64::from(value);
    u64 => Integer, |value| i64::try_from(value).unwrap_or(i64::MAX);
    usize => Integer, |value| i64::try_from(value).unwrap_or(i64::MAX);
    UnixMicros => Integer, |value| value.0;
    NanoUsd => Integer, |value| value.get();
    &'a str => Text, |value| Cow::Borrowed(value);
    &'a String => Text, |value| Cow::Borrowed(value.as_str());
    String => Text, |value| Cow::Owned(value);
    &'a [u8] => Bytes, |value| Cow::Borrowed(value);
    Vec<u8> => Bytes, |value| Cow::Owned(value);
    Uuid => Id, |value| value;
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

/// An id of `core` as the store sees it.
pub(crate) trait TypedId: Sized + Copy {
    fn from_uuid(uuid: Uuid) -> Self;
}

macro_rules! typed_ids {
    ($($name:ident),* $(,)?) => {$(
        impl TypedId for tollgate_core::$name {
            fn from_uuid(uuid: Uuid) -> Self {
                Self::from_uuid(uuid)
            }
        }

        impl From<tollgate_core::$name> for Value<'_> {
            fn from(id: tollgate_core::$name) -> Self {
                Self::Id(Some(id.as_uuid()))
            }
        }

        impl From<Option<tollgate_core::$name>> for Value<'_> {
            fn from(id: Option<tollgate_core::$name>) -> Self {
                Self::Id(id.map(|id| id.as_uuid()))
            }
        }
    )*};
}

typed_ids! {
    OrganizationId, TeamId, ProjectId, UserId, ServiceAccountId, KeyId, CredentialId, ProviderId, ModelId,
    DeploymentId, RequestId, InstanceId, AuditEventId, AdminTokenId, BudgetId, LimitId, WebhookId, AlertId, LedgerEntryId,
}

fn encoding(error: sqlx::error::BoxDynError) -> StoreError {
    StoreError::Database(sqlx::Error::Encode(error))
}

/// PostgreSQL's text cannot hold NUL. One sent by a client must not stop a batch, so it becomes U+FFFD, on SQLite too.
fn storable(text: &str) -> Cow<'_, str> {
    if text.as_bytes().contains(&0) {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

pub(crate) fn sqlite_arguments(values: &[Value<'_>]) -> Result<SqliteArguments, StoreError> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(values.len(), 0);
    for value in values {
        match value {
            Value::Integer(value) => arguments.add(*value),
            Value::Boolean(value) => arguments.add(*value),
            Value::Text(value) => {
                arguments.add(value.as_deref().map(|text| Arc::<str>::from(storable(text))))
            }
            Value::Bytes(value) => arguments.add(value.as_deref()),
            Value::Id(value) => arguments.add(*value),
        }
        .map_err(encoding)?;
    }
    Ok(arguments)
}

pub(crate) fn postgres_arguments(values: &[Value<'_>]) -> Result<PgArguments, StoreError> {
    let mut arguments = PgArguments::default();
    arguments.reserve(values.len(), values.len() * 16);
    for value in values {
        match value {
            Value::Integer(value) => arguments.add(*value),
            Value::Boolean(value) => arguments.add(*value),
            Value::Text(value) => arguments.add(value.as_deref().map(storable)),
            Value::Bytes(value) => arguments.add(value.as_deref()),
            Value::Id(value) => arguments.add(*value),
        }
        .map_err(encoding)?;
    }
    Ok(arguments)
}

//! Typed identifiers: a UUIDv7 inside, `prefix_` and 22 base62 characters outside.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::base62;

/// 62^22 is the first power of 62 above 2^128.
const TEXT_LENGTH: usize = 22;

/// Why a text is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid id: expected `{prefix}_` followed by 22 base62 characters")]
pub struct InvalidId {
    text: String,
    prefix: &'static str,
}

macro_rules! typed_ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The text before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id: time-ordered, unique in practice, not secret.
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            pub const fn as_uuid(self) -> Uuid {
                self.0
            }

            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            pub const fn into_bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                let digits = base62::encode::<TEXT_LENGTH>(self.0.as_u128());
                formatter.write_str(concat!($prefix, "_"))?;
                formatter.write_str(str::from_utf8(&digits).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .filter(|digits| digits.len() == TEXT_LENGTH)
                    .and_then(base62::decode)
                    .map(|value| Self(Uuid::from_u128(value)))
                    .ok_or_else(|| InvalidId { text: text.chars().take(64).collect(), prefix: $prefix })
            }
        }

        /// Text in readable formats, 16 bytes in binary ones.
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.as_bytes().serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
                } else {
                    <[u8; 16]>::deserialize(deserializer).map(Self::from_bytes)
                }
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": concat!("^", $prefix, "_[0-9A-Za-z]{22}$"),
                })
            }
        }
    )*};
}

typed_ids! {
    /// The root of a tree that owns everything governed.
    OrganizationId = "org";
    /// A team within an organization.
    TeamId = "team";
    /// A project within a team.
    ProjectId = "proj";
    /// A person.
    UserId = "user";
    /// A machine identity.
    ServiceAccountId = "svc";
    /// A set of users.
    GroupId = "group";
    /// A virtual API key (its secrets are credentials).
    KeyId = "key";
    /// One secret of a key.
    CredentialId = "cred";
    /// A place that serves models.
    ProviderId = "prov";
    /// A public model name.
    ModelId = "model";
    /// One way to serve a model.
    DeploymentId = "depl";
    /// One call of a client.
    RequestId = "req";
    /// One installation's data directory: the same after a restart, another one for each replica.
    InstanceId = "inst";
    /// Who changed what.
    AuditEventId = "audit";
    /// A token for the admin API.
    AdminTokenId = "adm";
    /// Money over a window.
    BudgetId = "bud";
    /// A temporary increase of a budget.
    IncreaseId = "inc";
    /// Requests, tokens or concurrency over a window.
    LimitId = "lim";
    /// An address that alerts are sent to.
    WebhookId = "hook";
    /// Something that somebody should know.
    AlertId = "alert";
    /// What somebody decided about a balance.
    LedgerEntryId = "entry";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        let id = KeyId::generate();
        assert_eq!(id.to_string().parse::<KeyId>(), Ok(id));
        assert_eq!(id.to_string().len(), "key_".len() + 22);
    }

    #[test]
    fn foreign_prefix_overflow_and_garbage_are_refused() {
        let team = TeamId::generate().to_string();
        assert!(team.parse::<KeyId>().is_err());
        assert!("key_zzzzzzzzzzzzzzzzzzzzzz".parse::<KeyId>().is_err());
        assert!("key_".parse::<KeyId>().is_err());
        assert!("key_0000000000000000000-00".parse::<KeyId>().is_err());
    }

    #[test]
    fn order_of_text_is_order_of_creation() {
        let (first, second) = (RequestId::from_bytes([1; 16]), RequestId::from_bytes([2; 16]));
        assert!(first.to_string() < second.to_string());
    }
}

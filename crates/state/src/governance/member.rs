//! Whose count of an `each` budget or limit.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// A member of a place, as counts are told apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Member {
    /// The one count of a budget or limit without `each`.
    All,
    /// A team, project, user, service account or key, by its id.
    Id([u8; 16]),
    /// An end user, by the name that the application gave.
    Customer(Box<str>),
    /// The customers that came when there was no room for another count.
    OtherCustomers,
}

/// Why a text is not a member.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no member: expected `all`, `id:` and 32 hexadecimal digits, `customer:` and a name, or `others`"
)]
pub struct InvalidMember(Box<str>);

/// As stores and journals keep it.
impl fmt::Display for Member {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => formatter.write_str("all"),
            Self::Id(bytes) => write!(formatter, "id:{}", Uuid::from_bytes(*bytes).simple()),
            Self::Customer(name) => write!(formatter, "customer:{name}"),
            Self::OtherCustomers => formatter.write_str("others"),
        }
    }
}

impl FromStr for Member {
    type Err = InvalidMember;

    fn from_str(text: &str) -> Result<Self, InvalidMember> {
        let invalid = || InvalidMember(text.chars().take(64).collect());
        match text.split_once(':') {
            None if text == "all" => Ok(Self::All),
            None if text == "others" => Ok(Self::OtherCustomers),
            Some(("id", digits)) => {
                Uuid::try_parse(digits).map(|id| Self::Id(id.into_bytes())).map_err(|_| invalid())
            }
            Some(("customer", name)) => Ok(Self::Customer(name.into())),
            _ => Err(invalid()),
        }
    }
}

impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms_round_trip() {
        let members =
            [Member::All, Member::Id([7; 16]), Member::Customer("a:b ü".into()), Member::OtherCustomers];
        for member in members {
            assert_eq!(member.to_string().parse(), Ok(member));
        }
        assert!("id:zz".parse::<Member>().is_err());
        assert!("".parse::<Member>().is_err());
    }
}

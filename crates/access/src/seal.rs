//! Sealing of secrets at rest: AES-256-GCM, bound to the place where the sealed bytes are kept.
//!
//! The root key seals one data key for the installation, and the data key seals the secrets, so that a new root key
//! means sealing one value again and not every row. Sealed bytes are a version byte, a nonce of 12 bytes, and the
//! ciphertext with its tag. The place (table, row, column, organization) is associated data: bytes moved to another
//! row do not open.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tollgate_core::OrganizationId;
use zeroize::Zeroizing;

use crate::root_key::{Purpose, RootKey};

const FORMAT: u8 = 1;
const NONCE_BYTES: usize = 12;
/// Behind the format and the nonce.
const CONTENT_START: usize = 1 + NONCE_BYTES;
const TAG_BYTES: usize = 16;

/// Where sealed bytes are kept. They open there and nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub table: &'a str,
    /// The row's id, or another text that names it.
    pub row: &'a str,
    pub column: &'a str,
    /// Absent for what belongs to the installation.
    pub organization_id: Option<OrganizationId>,
}

impl Place<'_> {
    /// Every part with its length before it, so that no two places have the same bytes.
    fn associated_data(&self) -> Vec<u8> {
        let organization = self.organization_id.map(|id| id.to_string()).unwrap_or_default();
        let mut bytes = vec![FORMAT];
        for part in [self.table, self.row, self.column, &organization] {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

/// Bytes that only the right key opens, at the right place. Base64 in readable formats.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sealed({} bytes)", self.0.len())
    }
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BASE64.decode(String::deserialize(deserializer)?).map(Self).map_err(D::Error::custom)
    }
}

/// Why something cannot be sealed or opened. Says nothing about the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error(
        "the sealed {table}.{column} does not open: it was sealed with another root key, or it was moved or changed"
    )]
    DoesNotOpen { table: String, column: String },
    #[error("the sealed {table}.{column} has format {format}, which this version does not know")]
    Format { table: String, column: String, format: u8 },
    #[error("cannot seal: the cryptographic library or the random source failed")]
    Failed,
}

/// Seals and opens secrets with one key.
pub struct Sealer(RandomizedNonceKey);

impl fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sealer(…)")
    }
}

const DATA_KEY: Place<'static> =
    Place { table: "settings", row: "data_key", column: "value", organization_id: None };

impl Sealer {
    fn with_key(key: &[u8; 32]) -> Result<Self, SealError> {
        RandomizedNonceKey::new(&AES_256_GCM, key).map(Self).map_err(|_| SealError::Failed)
    }

    /// The sealer of one purpose of the root key itself.
    pub fn of_root(root: &RootKey, purpose: Purpose) -> Result<Self, SealError> {
        let key = root.derive(purpose).ok_or(SealError::Failed)?;
        Self::with_key(&key)
    }

    /// A new data key, sealed by the root key.
    pub fn new_data_key(root: &RootKey) -> Result<Sealed, SealError> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut_slice()).map_err(|_| SealError::Failed)?;
        Self::of_root(root, Purpose::DataKey)?.seal(DATA_KEY, key.as_slice())
    }

    /// The sealer of the installation's data key.
    pub fn of_data_key(root: &RootKey, sealed: &Sealed) -> Result<Self, SealError> {
        let key = Self::of_root(root, Purpose::DataKey)?.open(DATA_KEY, sealed)?;
        Self::with_key(key.as_slice().try_into().map_err(|_| SealError::Failed)?)
    }

    pub fn seal(&self, place: Place<'_>, secret: &[u8]) -> Result<Sealed, SealError> {
        // Sealed where it will stay: no other copy of the secret is made, and this one is wiped if sealing fails.
        let mut sealed = Zeroizing::new(Vec::with_capacity(CONTENT_START + secret.len() + TAG_BYTES));
        sealed.push(FORMAT);
        sealed.resize(CONTENT_START, 0);
        sealed.extend_from_slice(secret);
        let (head, content) = sealed.split_at_mut(CONTENT_START);
        let (nonce, tag) = self
            .0
            .seal_in_place_separate_tag(Aad::from(place.associated_data()), content)
            .map_err(|_| SealError::Failed)?;
        for (kept, byte) in head.iter_mut().skip(1).zip(nonce.as_ref()) {
            *kept = *byte;
        }
        sealed.extend_from_slice(tag.as_ref());
        Ok(Sealed(std::mem::take(&mut *sealed)))
    }

    pub fn open(&self, place: Place<'_>, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (table, column) = (place.table.to_owned(), place.column.to_owned());
        let rest = match sealed.0.split_first() {
            Some((&FORMAT, rest)) if rest.len() > NONCE_BYTES => rest,
            Some((&format, _)) if format != FORMAT => {
                return Err(SealError::Format { table, column, format });
            }
            _ => return Err(SealError::DoesNotOpen { table, column }),
        };
        let does_not_open = || SealError::DoesNotOpen { table: table.clone(), column: column.clone() };
        let (nonce, content) = rest.split_at(NONCE_BYTES);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| does_not_open())?;
        let mut content = Zeroizing::new(content.to_vec());
        let associated_data = Aad::from(place.associated_data());
        let length =
            self.0.open_in_place(nonce, associated_data, &mut content).map_err(|_| does_not_open())?.len();
        content.truncate(length);
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(byte: u8) -> Sealer {
        Sealer::of_root(&RootKey::from_bytes([byte; 32]), Purpose::LastKnownGood).unwrap()
    }

    const PLACE: Place<'static> =
        Place { table: "providers", row: "prov_1", column: "secret", organization_id: None };

    #[test]
    fn what_was_sealed_opens_at_its_place_only() {
        let sealer = sealer(1);
        let sealed = sealer.seal(PLACE, b"sk-canary").unwrap();
        assert_eq!(sealer.open(PLACE, &sealed).unwrap().as_slice(), b"sk-canary");
        let organization_id = Some(OrganizationId::generate());
        for elsewhere in [
            Place { table: "keys", ..PLACE },
            Place { row: "prov_2", ..PLACE },
            Place { column: "other", ..PLACE },
            Place { organization_id, ..PLACE },
            Place { table: "providersprov_", row: "1", ..PLACE },
        ] {
            assert!(
                matches!(sealer.open(elsewhere, &sealed), Err(SealError::DoesNotOpen { .. })),
                "{elsewhere:?}"
            );
        }
    }

    #[test]
    fn swapped_rows_changed_bytes_and_another_root_key_do_not_open() {
        let sealer_one = sealer(1);
        let other_place = Place { row: "prov_2", ..PLACE };
        let (first, second) =
            (sealer_one.seal(PLACE, b"one").unwrap(), sealer_one.seal(other_place, b"two").unwrap());
        assert!(sealer_one.open(PLACE, &second).is_err() && sealer_one.open(other_place, &first).is_err());
        assert!(sealer(2).open(PLACE, &first).is_err());
        for position in 0..first.0.len() {
            let mut changed = first.clone();
            changed.0[position] ^= 1;
            assert!(sealer_one.open(PLACE, &changed).is_err(), "at {position}");
        }
        for length in 0..first.0.len() {
            assert!(sealer_one.open(PLACE, &Sealed(first.0[..length].to_vec())).is_err(), "at {length}");
        }
    }

    #[test]
    fn the_data_key_survives_as_text_and_hides_what_it_seals() {
        let root = RootKey::from_bytes([3; 32]);
        let stored = serde_json::to_string(&Sealer::new_data_key(&root).unwrap()).unwrap();
        let data_key: Sealed = serde_json::from_str(&stored).unwrap();
        let sealed = Sealer::of_data_key(&root, &data_key).unwrap().seal(PLACE, b"sk-canary").unwrap();
        let again = Sealer::of_data_key(&root, &data_key).unwrap();
        assert_eq!(again.open(PLACE, &sealed).unwrap().as_slice(), b"sk-canary");
        assert!(!sealed.as_bytes().windows(9).any(|window| window == b"sk-canary"));
        assert_eq!(format!("{again:?} {sealed:?}"), format!("Sealer(…) Sealed({} bytes)", 9 + 29));
    }
}

//! The peppers under which tokens are hashed: random, sealed by the data key, kept in the store.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::seal::{Place, SealError, Sealed, Sealer};
use crate::token::{Pepper, PepperRing};

/// All peppers of an installation as the store keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SealedPeppers(Vec<SealedPepper>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SealedPepper {
    version: u32,
    sealed: Sealed,
}

/// Pepper bytes outside the store, for the last-known-good file. Sealed as a whole there.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpenPeppers(Vec<(u32, Zeroizing<[u8; 32]>)>);

impl std::fmt::Debug for OpenPeppers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "OpenPeppers({} versions)", self.0.len())
    }
}

fn place(version: &str) -> Place<'_> {
    Place { table: "settings", row: version, column: "pepper", organization_id: None }
}

impl SealedPeppers {
    /// The first pepper of an installation.
    pub fn first(sealer: &Sealer) -> Result<Self, SealError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|_| SealError::Failed)?;
        let sealed = sealer.seal(place("1"), bytes.as_slice())?;
        Ok(Self(vec![SealedPepper { version: 1, sealed }]))
    }

    pub fn open(&self, sealer: &Sealer) -> Result<OpenPeppers, SealError> {
        let open = |pepper: &SealedPepper| {
            let bytes = sealer.open(place(&pepper.version.to_string()), &pepper.sealed)?;
            let bytes = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| SealError::Failed)?;
            Ok((pepper.version, Zeroizing::new(bytes)))
        };
        self.0.iter().map(open).collect::<Result<_, _>>().map(OpenPeppers)
    }
}

impl OpenPeppers {
    /// The ring that hashes and verifies; `None` when there is not one pepper.
    pub fn ring(&self) -> Option<PepperRing> {
        let mut peppers: Vec<Pepper> =
            self.0.iter().map(|(version, bytes)| Pepper::new(*version, bytes)).collect();
        peppers.sort_by_key(|pepper| pepper.version);
        let newest = peppers.pop()?;
        Some(PepperRing::new(newest, peppers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root_key::{Purpose, RootKey};

    #[test]
    fn peppers_survive_storage_and_verify_what_they_hashed() {
        let sealer = Sealer::of_root(&RootKey::from_bytes([1; 32]), Purpose::DataKey).unwrap();
        let stored = serde_json::to_string(&SealedPeppers::first(&sealer).unwrap()).unwrap();
        let loaded: SealedPeppers = serde_json::from_str(&stored).unwrap();
        let ring = loaded.open(&sealer).unwrap().ring().unwrap();
        let (version, hash) = ring.hash(b"token");
        let again = loaded.open(&sealer).unwrap().ring().unwrap();
        let algorithm = tollgate_state::objects::CredentialAlgorithm::HmacSha256;
        assert!(again.verify(algorithm, version, &hash, b"token"));
        let other = Sealer::of_root(&RootKey::from_bytes([2; 32]), Purpose::DataKey).unwrap();
        assert!(loaded.open(&other).is_err());
    }
}

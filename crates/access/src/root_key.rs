//! The key that everything sealed hangs on, and the keys that are derived from it.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::hkdf;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

/// The environment variable that may hold the root key.
pub const ENVIRONMENT_VARIABLE: &str = "TOLLGATE_ROOT_KEY";
/// The file in the data directory that is made at first start when no root key is configured.
pub const DEFAULT_FILE_NAME: &str = "root.key";

const HOW_TO_MAKE_ONE: &str = "32 bytes as base64, for example from `openssl rand -base64 32`";
const LONGEST_FILE_BYTES: u64 = 1024;

/// What a derived key is for. Keys of different purposes tell nothing about each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Seals the data key of the installation.
    DataKey,
    /// Seals the last-known-good configuration file.
    LastKnownGood,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::DataKey => b"tollgate data key v1",
            Self::LastKnownGood => b"tollgate last known good v1",
        }
    }
}

/// Why there is no root key.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    #[error("the root key file {} cannot be {action}: {source}", path.display())]
    File { path: PathBuf, action: &'static str, source: io::Error },
    #[error("the root key file {} is readable by others (mode {mode:03o}): run `chmod 600 {}`", path.display(), path.display())]
    Permissions { path: PathBuf, mode: u32 },
    #[error("{place} does not hold a root key: it must be {HOW_TO_MAKE_ONE}")]
    Format { place: String },
    #[error("the operating system gives no random bytes: {0}")]
    Randomness(String),
}

/// 32 secret bytes. Lives in a file or the environment, never in the store.
pub struct RootKey {
    bytes: Zeroizing<[u8; 32]>,
    /// The file that was made for it a moment ago.
    made: Option<PathBuf>,
}

impl fmt::Debug for RootKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RootKey(…)")
    }
}

impl RootKey {
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self { bytes: Zeroizing::new(bytes), made: None }
    }

    /// The text that `place` (a file or variable, for the error message) holds.
    pub fn from_base64(text: &str, place: &str) -> Result<Self, RootKeyError> {
        let format = || RootKeyError::Format { place: place.to_owned() };
        let bytes = Zeroizing::new(BASE64.decode(text.trim()).map_err(|_| format())?);
        <[u8; 32]>::try_from(bytes.as_slice()).map(Self::from_bytes).map_err(|_| format())
    }

    /// Finds the root key: the configured file, else the environment's text, else the file in the data directory,
    /// which is made with random content when it is missing.
    pub fn find(
        configured: Option<&Path>,
        environment: Option<&str>,
        data_directory: &Path,
    ) -> Result<Self, RootKeyError> {
        match (configured, environment) {
            (Some(path), _) => Self::load(path),
            (None, Some(text)) => Self::from_base64(text, ENVIRONMENT_VARIABLE),
            (None, None) => Self::load_or_create(&data_directory.join(DEFAULT_FILE_NAME)),
        }
    }

    /// Reads a file that only its owner can read.
    pub fn load(path: &Path) -> Result<Self, RootKeyError> {
        let failed = |source| RootKeyError::File { path: path.into(), action: "read", source };
        let file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(RootKeyError::Permissions { path: path.into(), mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.take(LONGEST_FILE_BYTES).read_to_string(&mut text).map_err(failed)?;
        Self::from_base64(&text, &path.display().to_string())
    }

    fn load_or_create(path: &Path) -> Result<Self, RootKeyError> {
        let failed = |source| RootKeyError::File { path: path.into(), action: "created", source };
        let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = match created {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Self::load(path),
            other => other.map_err(failed)?,
        };
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| RootKeyError::Randomness(error.to_string()))?;
        let key = Self { made: Some(path.to_owned()), ..Self::from_bytes(bytes) };
        let text = Zeroizing::new(format!("{}\n", BASE64.encode(key.bytes.as_slice())));
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(key)
    }

    /// Takes back a file that was made for this key: it opens nothing, and must not be taken for the right one later.
    pub fn discard_if_new(&self) {
        if let Some(path) = &self.made {
            // What cannot be removed is told by the next start's error, as this one's.
            let _ = std::fs::remove_file(path);
        }
    }

    /// A key for one purpose (HKDF-SHA-256).
    pub(crate) fn derive(&self, purpose: Purpose) -> Option<Zeroizing<[u8; 32]>> {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"tollgate root key");
        let mut derived = Zeroizing::new([0; 32]);
        let pseudo_random_key = salt.extract(self.bytes.as_slice());
        let label = [purpose.label()];
        let okm = pseudo_random_key.expand(&label, hkdf::HKDF_SHA256).ok()?;
        okm.fill(derived.as_mut_slice()).ok()?;
        Some(derived)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_made_once_and_only_the_owner_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let first = RootKey::find(None, None, directory.path()).unwrap();
        let path = directory.path().join(DEFAULT_FILE_NAME);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let second = RootKey::find(None, None, directory.path()).unwrap();
        assert_eq!(*first.bytes, *second.bytes);
        second.discard_if_new();
        assert!(path.exists(), "a key that was there before is kept");
        first.discard_if_new();
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        RootKey::find(None, None, directory.path()).unwrap();
        let path = directory.path().join(DEFAULT_FILE_NAME);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = RootKey::load(&path).unwrap_err();
        assert!(matches!(error, RootKeyError::Permissions { mode: 0o640, .. }));
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_configured_file_is_never_made_and_garbage_is_refused_without_showing_it() {
        let directory = tempfile::tempdir().unwrap();
        let configured = directory.path().join("mounted.key");
        assert!(RootKey::find(Some(&configured), None, directory.path()).is_err());
        assert!(!configured.exists());
        let error = RootKey::find(None, Some("canary"), directory.path()).unwrap_err();
        assert!(!error.to_string().contains("canary") && error.to_string().contains(ENVIRONMENT_VARIABLE));
    }

    #[test]
    fn purposes_give_different_keys_and_the_same_purpose_the_same() {
        let key = RootKey::from_bytes([7; 32]);
        assert_ne!(key.derive(Purpose::DataKey), key.derive(Purpose::LastKnownGood));
        assert_eq!(key.derive(Purpose::DataKey), key.derive(Purpose::DataKey));
        assert_ne!(key.derive(Purpose::DataKey), RootKey::from_bytes([8; 32]).derive(Purpose::DataKey));
    }
}

//! The file from which the data plane starts when the store is down: the whole configuration, sealed by the root key.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tollgate_access::peppers::OpenPeppers;
use tollgate_access::{Place, Purpose, RootKey, SealError, Sealed, Sealer};
use tollgate_core::{OrganizationId, ProviderId, SecretText, UnixMicros};
use tollgate_state::governance::{BudgetObject, LimitObject};
use tollgate_state::objects::{
    Configuration, CredentialObject, KeyObject, ModelObject, Organization, Owner, Project, ProviderObject,
    Team, TimeoutOverrides,
};
use zeroize::Zeroizing;

use crate::connection::OpenError;

const FILE_NAME: &str = "last-known-good";
const PLACE: Place<'static> =
    Place { table: "file", row: FILE_NAME, column: "content", organization_id: None };

/// Why the file cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LastKnownGoodError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("its content cannot be read: {0}")]
    Content(String),
    #[error(transparent)]
    Store(#[from] OpenError),
}

/// Where the file is.
#[derive(Debug, Clone)]
pub(super) struct LastKnownGood {
    path: PathBuf,
}

/// Objects as JSON, because prices read themselves only from a format that describes itself; keys, of which there may
/// be very many, in a compact form.
#[derive(Serialize, Deserialize)]
struct Content {
    version: u64,
    peppers: OpenPeppers,
    objects: Zeroizing<String>,
    keys: Vec<KeyObject>,
    credentials: Vec<CredentialObject>,
}

#[derive(Serialize, Deserialize)]
struct Objects {
    organizations: Vec<Organization>,
    teams: Vec<Team>,
    projects: Vec<Project>,
    providers: Vec<PlainProvider>,
    models: Vec<ModelObject>,
    budgets: Vec<BudgetObject>,
    limits: Vec<LimitObject>,
}

/// A provider with its secret in the open: exists only inside the sealed file.
#[derive(Serialize, Deserialize)]
struct PlainProvider {
    id: ProviderId,
    organization_id: OrganizationId,
    name: String,
    kind: String,
    base_url: Option<String>,
    secret: Option<Zeroizing<String>>,
    region: Option<String>,
    internal: bool,
    timeouts: TimeoutOverrides,
    discovered_models: Vec<String>,
    enabled: bool,
    owner: Owner,
    created_at: UnixMicros,
    updated_at: UnixMicros,
}

impl From<ProviderObject> for PlainProvider {
    fn from(object: ProviderObject) -> Self {
        Self {
            id: object.id,
            organization_id: object.organization_id,
            name: object.name,
            kind: object.kind,
            base_url: object.base_url,
            secret: object.secret.map(|secret| Zeroizing::new(secret.expose().to_owned())),
            region: object.region,
            internal: object.internal,
            timeouts: object.timeouts,
            discovered_models: object.discovered_models,
            enabled: object.enabled,
            owner: object.owner,
            created_at: object.created_at,
            updated_at: object.updated_at,
        }
    }
}

impl From<PlainProvider> for ProviderObject {
    fn from(plain: PlainProvider) -> Self {
        Self {
            id: plain.id,
            organization_id: plain.organization_id,
            name: plain.name,
            kind: plain.kind,
            base_url: plain.base_url,
            secret: plain.secret.map(|secret| SecretText::new(secret.as_str().to_owned())),
            region: plain.region,
            internal: plain.internal,
            timeouts: plain.timeouts,
            discovered_models: plain.discovered_models,
            enabled: plain.enabled,
            owner: plain.owner,
            created_at: plain.created_at,
            updated_at: plain.updated_at,
        }
    }
}

fn unreadable(error: impl ToString) -> LastKnownGoodError {
    LastKnownGoodError::Content(error.to_string())
}

impl LastKnownGood {
    pub(super) fn in_directory(directory: &Path) -> Self {
        Self { path: directory.join(FILE_NAME) }
    }

    /// Replaces the file; a crash leaves the old one or the new one.
    pub(super) async fn write(
        &self,
        root: &RootKey,
        configuration: Configuration,
        peppers: &OpenPeppers,
    ) -> Result<(), LastKnownGoodError> {
        let sealer = Sealer::of_root(root, Purpose::LastKnownGood)?;
        let (path, peppers) = (self.path.clone(), peppers.clone());
        let written = tokio::task::spawn_blocking(move || {
            let sealed = sealer.seal(PLACE, &encode(configuration, peppers)?)?;
            replace(&path, sealed.as_bytes()).map_err(|source| LastKnownGoodError::File { path, source })
        });
        written.await.map_err(unreadable)?
    }

    pub(super) async fn read(
        &self,
        root: &RootKey,
    ) -> Result<(Configuration, OpenPeppers), LastKnownGoodError> {
        let sealer = Sealer::of_root(root, Purpose::LastKnownGood)?;
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || {
            let bytes = std::fs::read(&path).map_err(|source| LastKnownGoodError::File { path, source })?;
            decode(&sealer.open(PLACE, &Sealed::from_bytes(bytes))?)
        });
        read.await.map_err(unreadable)?
    }
}

fn encode(
    configuration: Configuration,
    peppers: OpenPeppers,
) -> Result<Zeroizing<Vec<u8>>, LastKnownGoodError> {
    let objects = Objects {
        organizations: configuration.organizations,
        teams: configuration.teams,
        projects: configuration.projects,
        providers: configuration.providers.into_iter().map(Into::into).collect(),
        models: configuration.models,
        budgets: configuration.budgets,
        limits: configuration.limits,
    };
    let content = Content {
        version: configuration.version,
        peppers,
        objects: json(&objects)?,
        keys: configuration.keys,
        credentials: configuration.credentials,
    };
    postcard::to_io(&content, SecretBuffer::default()).map(|buffer| buffer.0).map_err(unreadable)
}

fn json(objects: &Objects) -> Result<Zeroizing<String>, LastKnownGoodError> {
    let mut buffer = SecretBuffer::default();
    serde_json::to_writer(&mut buffer, objects).map_err(unreadable)?;
    String::from_utf8(std::mem::take(&mut *buffer.0)).map(Zeroizing::new).map_err(unreadable)
}

/// Grows without leaving copies of what it holds behind in memory.
#[derive(Default)]
struct SecretBuffer(Zeroizing<Vec<u8>>);

impl Write for SecretBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two()));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn decode(bytes: &[u8]) -> Result<(Configuration, OpenPeppers), LastKnownGoodError> {
    let content: Content = postcard::from_bytes(bytes).map_err(unreadable)?;
    let objects: Objects = serde_json::from_str(&content.objects).map_err(unreadable)?;
    let configuration = Configuration {
        budgets: objects.budgets,
        limits: objects.limits,
        version: content.version,
        organizations: objects.organizations,
        teams: objects.teams,
        projects: objects.projects,
        providers: objects.providers.into_iter().map(Into::into).collect(),
        models: objects.models,
        keys: content.keys,
        credentials: content.credentials,
    };
    Ok((configuration, content.peppers))
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    // What is there already may be somebody's link or open file.
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_through_a_link_that_lies_in_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let (path, theirs) = (directory.path().join(FILE_NAME), directory.path().join("theirs"));
        std::fs::write(&theirs, "").unwrap();
        std::os::unix::fs::symlink(&theirs, path.with_extension("new")).unwrap();
        replace(&path, b"sealed").unwrap();
        assert_eq!(std::fs::read(&theirs).unwrap(), b"");
        assert_eq!(std::fs::read(&path).unwrap(), b"sealed");
        assert!(std::fs::symlink_metadata(&path).unwrap().is_file());
    }
}

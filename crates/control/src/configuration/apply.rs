//! Making the store's file-owned objects those of the files.
//!
//! Everything is checked before the first write: the files by themselves when they are read, and here whether the other
//! side owns something with the same name. Each write is a transaction of its own and says nothing when nothing
//! changes, so applying again completes what a crash interrupted.

mod conflicts;

use std::collections::BTreeSet;

use tollgate_access::authorize::{KeysWrite, ModelsWrite, ProvidersWrite, TreeWrite};
use tollgate_access::token::{self, TokenKind};
use tollgate_access::{Actor, Permission, Proof, Scope};
use tollgate_core::{OrganizationId, ProviderId};
use tollgate_state::CredentialLookup;
use tollgate_state::objects::{KeyOwner, Owner};
use tollgate_store::{
    DeploymentDraft, KeyUpdate, Keys, ModelDraft, NewKey, ProviderDraft, SecretChange, Store, StoreError,
    StoredConfiguration, StoredProvider,
};

use super::objects::{FileKey, FileModel, FileObjects, FileOrganization, FileProvider, KeyHolder, Located};
use crate::api::keys::credential_of;
use crate::connection::{Installation, OpenError};
use crate::file_keys;
use conflicts::{conflicts, find_model, find_provider};

/// Why files were not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The API made something that a file names too. Nothing was changed.
    #[error("{}", .0.join("; "))]
    Conflicts(Vec<String>),
    /// Cannot happen: files may do everything.
    #[error(transparent)]
    Denied(#[from] tollgate_access::authorize::Denied),
}

impl From<StoreError> for ApplyError {
    fn from(error: StoreError) -> Self {
        Self::Open(OpenError::Store(error))
    }
}

/// What applying did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Objects that were made, changed or removed.
    pub writes: u64,
}

/// How often applying begins again because another process made the same object in between. Each time, one of the two
/// got on.
const ATTEMPTS: u32 = 100;

/// Applies the objects. Run by one caller at a time in a process; several processes with the same files agree.
pub async fn apply(installation: &Installation, objects: &FileObjects) -> Result<Applied, ApplyError> {
    let mut attempt = 1;
    loop {
        match apply_once(installation, objects).await {
            Err(ApplyError::Open(OpenError::Store(StoreError::NameTaken { .. }))) if attempt < ATTEMPTS => {
                attempt += 1;
            }
            other => return other,
        }
    }
}

async fn apply_once(installation: &Installation, objects: &FileObjects) -> Result<Applied, ApplyError> {
    let before = installation.store.system_version().await?;
    let stored = installation.store.system_load_configuration(Keys::Omit).await?;
    let conflicts = conflicts(installation, &stored, objects).await?;
    if !conflicts.is_empty() {
        return Err(ApplyError::Conflicts(conflicts));
    }
    let keys = objects.organizations.iter().flat_map(|organization| &organization.keys);
    let lookups: BTreeSet<_> = keys
        .filter_map(|located| token::parse(TokenKind::Key, located.value.token.expose().as_bytes()).ok())
        .collect();
    let owned = file_keys::load(&installation.store).await?;
    if !lookups.is_subset(&owned) {
        file_keys::save(&installation.store, &owned.union(&lookups).copied().collect()).await?;
    }
    let mut applying = Applying { installation, stored, lookups };
    for organization in &objects.organizations {
        applying.organization(organization).await?;
    }
    applying.remove_others(objects).await?;
    let writes = installation.store.system_version().await?.saturating_sub(before);
    Ok(Applied { writes })
}

struct Applying<'a> {
    installation: &'a Installation,
    /// The store as it was before, with what was made since.
    stored: StoredConfiguration,
    /// Of the keys in the files.
    lookups: BTreeSet<CredentialLookup>,
}

fn proof<P: Permission>() -> Result<Proof<P>, ApplyError> {
    Ok(Actor::configuration_files().authorize(Scope::Installation)?)
}

impl Applying<'_> {
    const fn store(&self) -> &Store {
        &self.installation.store
    }

    async fn organization(&mut self, organization: &FileOrganization) -> Result<(), ApplyError> {
        let tree = proof::<TreeWrite>()?;
        let known = self.stored.organizations.iter().find(|known| known.name == organization.name);
        let id = match known {
            Some(known) => known.id,
            None => {
                let made = self.store().create_organization(&tree, &organization.name).await?;
                self.stored.organizations.push(made.clone());
                made.id
            }
        };
        for team in &organization.teams {
            self.team(id, &team.value.name, &team.value.projects).await?;
        }
        for provider in &organization.providers {
            self.provider(id, &provider.value).await?;
        }
        for model in &organization.models {
            self.model(id, &model.value).await?;
        }
        for key in &organization.keys {
            self.key(id, key).await?;
        }
        Ok(())
    }

    async fn team(&mut self, id: OrganizationId, name: &str, projects: &[String]) -> Result<(), ApplyError> {
        let tree = proof::<TreeWrite>()?;
        let known = self.stored.teams.iter().find(|team| team.organization_id == id && team.name == name);
        let team_id = match known {
            Some(team) => team.id,
            None => {
                let made = self.store().create_team(&tree, id, name).await?;
                self.stored.teams.push(made.clone());
                made.id
            }
        };
        for name in projects {
            let known =
                self.stored.projects.iter().any(|known| known.organization_id == id && known.name == *name);
            if !known {
                let made = self.store().create_project(&tree, id, team_id, name).await?;
                self.stored.projects.push(made);
            }
        }
        Ok(())
    }

    async fn provider(
        &mut self,
        organization_id: OrganizationId,
        file: &FileProvider,
    ) -> Result<(), ApplyError> {
        let write = proof::<ProvidersWrite>()?;
        let known = find_provider(&self.stored, organization_id, &file.name);
        let id = known.map_or_else(ProviderId::generate, |known| known.object.id);
        let draft = ProviderDraft {
            name: file.name.clone(),
            kind: file.kind.clone(),
            base_url: file.base_url.clone(),
            secret: self.secret(organization_id, id, file, known)?,
            region: file.region.clone(),
            internal: file.internal,
            timeouts: file.timeouts,
            enabled: file.enabled,
        };
        if known.is_some() {
            self.store().update_provider(&write, id, draft).await?;
        } else {
            let made = self.store().create_provider(&write, organization_id, id, draft).await?;
            self.stored.providers.push(made);
        }
        Ok(())
    }

    /// Sealing gives other bytes each time, so an equal secret is recognised by opening the stored one.
    fn secret(
        &self,
        organization_id: OrganizationId,
        id: ProviderId,
        file: &FileProvider,
        known: Option<&StoredProvider>,
    ) -> Result<SecretChange, ApplyError> {
        let Some(secret) = &file.secret else { return Ok(SecretChange::Remove) };
        if let Some(sealed) = known.and_then(|known| known.sealed_secret.as_ref()) {
            let stored = self.installation.open_provider_secret(organization_id, id, sealed);
            if stored.is_ok_and(|stored| stored.expose() == secret.expose()) {
                return Ok(SecretChange::Keep);
            }
        }
        let sealed =
            self.installation.seal_provider_secret(organization_id, id, secret).map_err(OpenError::Seal)?;
        Ok(SecretChange::Set { sealed: sealed.into_bytes(), hint: secret.hint() })
    }

    async fn model(&mut self, organization_id: OrganizationId, file: &FileModel) -> Result<(), ApplyError> {
        let write = proof::<ModelsWrite>()?;
        let mut deployments = Vec::with_capacity(file.deployments.len());
        for deployment in &file.deployments {
            let provider = find_provider(&self.stored, organization_id, &deployment.provider);
            let Some(provider) = provider else { continue };
            deployments.push(DeploymentDraft {
                id: None,
                provider_id: provider.object.id,
                upstream_model: deployment.upstream_model.clone(),
                weight: deployment.weight,
                price: deployment.price.clone(),
                timeouts: deployment.timeouts,
                enabled: deployment.enabled,
            });
        }
        let draft =
            ModelDraft { name: file.name.clone(), open: file.open, deployments, enabled: file.enabled };
        match find_model(&self.stored, organization_id, &file.name.to_string()) {
            Some(known) => self.store().update_model(&write, known.id, draft).await?,
            None => self.store().create_model(&write, organization_id, draft).await?,
        };
        Ok(())
    }

    async fn key(
        &mut self,
        organization_id: OrganizationId,
        located: &Located<FileKey>,
    ) -> Result<(), ApplyError> {
        let file = &located.value;
        let write = proof::<KeysWrite>()?;
        let Ok(lookup) = token::parse(TokenKind::Key, file.token.expose().as_bytes()) else { return Ok(()) };
        if let Some(known) = self.store().system_find_credential(lookup).await? {
            let update = KeyUpdate {
                name: file.name.clone(),
                grants: file.grants.clone(),
                expires_at: file.expires_at,
            };
            self.store().update_key(&write, known.key.id, update).await?;
            return Ok(());
        }
        if self.store().system_is_revoked(lookup).await? {
            // Somebody revoked it through the API, perhaps at night: that holds, and the other objects are applied.
            let (key, place) = (&file.name, format!("{}:{}", located.file.display(), located.line));
            tracing::warn!(%key, %place, "the key's token was revoked and stays so; give it a new token or remove it");
            return Ok(());
        }
        let Some(owned_by) = self.owner(organization_id, &file.owned_by) else { return Ok(()) };
        let new = NewKey {
            owned_by,
            name: file.name.clone(),
            grants: file.grants.clone(),
            expires_at: file.expires_at,
            credential: credential_of(self.installation, lookup, &file.token),
        };
        match self.store().create_key(&write, organization_id, new).await {
            Err(error @ StoreError::NameTaken { .. }) => {
                if self.store().system_find_credential(lookup).await?.is_some() {
                    return Err(error.into());
                }
                let message = format!(
                    "{}:{}: the name of the key `{}` is taken: use another name",
                    located.file.display(),
                    located.line,
                    file.name
                );
                Err(ApplyError::Conflicts(vec![message]))
            }
            other => Ok(other.map(|_| ())?),
        }
    }

    fn owner(&self, organization_id: OrganizationId, holder: &KeyHolder) -> Option<KeyOwner> {
        match holder {
            KeyHolder::Team(name) => {
                let mut teams = self.stored.teams.iter();
                let own = teams.find(|team| team.organization_id == organization_id && team.name == *name);
                own.map(|team| KeyOwner::Team(team.id))
            }
            KeyHolder::Project(name) => {
                let mut projects = self.stored.projects.iter();
                let own =
                    projects.find(|known| known.organization_id == organization_id && known.name == *name);
                own.map(|project| KeyOwner::Project(project.id))
            }
        }
    }

    /// Removes what files owned and no longer name: models before the providers that they use.
    async fn remove_others(&self, objects: &FileObjects) -> Result<(), ApplyError> {
        let named = |id: OrganizationId| {
            let name = self.stored.organizations.iter().find(|known| known.id == id).map(|known| &known.name);
            objects.organizations.iter().find(|organization| Some(&organization.name) == name)
        };
        for model in self.stored.models.iter().filter(|model| model.owner == Owner::File) {
            let kept = named(model.organization_id)
                .is_some_and(|own| own.models.iter().any(|located| located.value.name == model.name));
            if !kept {
                self.store().delete_model(&proof::<ModelsWrite>()?, model.id).await?;
            }
        }
        for provider in self.stored.providers.iter().filter(|provider| provider.object.owner == Owner::File) {
            let kept = named(provider.object.organization_id).is_some_and(|own| {
                own.providers.iter().any(|located| located.value.name == provider.object.name)
            });
            if !kept {
                self.store().delete_provider(&proof::<ProvidersWrite>()?, provider.object.id).await?;
            }
        }
        let owned = file_keys::load(self.store()).await?;
        for lookup in owned.difference(&self.lookups) {
            if let Some(known) = self.store().system_find_credential(*lookup).await? {
                self.store().revoke_key(&proof::<KeysWrite>()?, known.key.id).await?;
            }
        }
        if owned != self.lookups {
            file_keys::save(self.store(), &self.lookups).await?;
        }
        Ok(())
    }
}

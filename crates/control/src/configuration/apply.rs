//! Making the store's file-owned objects those of the files, all or nothing.
//!
//! Everything happens in one write of the store, which holds its lock: what stands in the way is looked for before
//! anything is changed and told at once, and an error on the way undoes everything. Processes that apply at the same
//! time do so one after the other.

mod conflicts;
mod find;
mod governance;

use std::collections::BTreeSet;

use tollgate_access::authorize::{KeysWrite, ModelsWrite, ProvidersWrite, TreeWrite};
use tollgate_access::token::{self, TokenKind};
use tollgate_access::{Actor, Permission, Proof, Scope};
use tollgate_core::{OrganizationId, ProviderId};
use tollgate_state::CredentialLookup;
use tollgate_state::objects::Owner;
use tollgate_store::{
    DeploymentDraft, KeyUpdate, Keys, ModelDraft, NewKey, ProviderDraft, SecretChange, StoreError,
    StoredConfiguration, StoredProvider, Write,
};

use super::objects::{FileKey, FileModel, FileObjects, FileOrganization, FileProvider, Located};
use crate::api::keys::credential_of;
use crate::connection::{Installation, OpenError};
use crate::file_keys;
use conflicts::conflicts;
use find::{find_model, find_owner, find_project, find_provider, find_team, is_kept_model, is_kept_provider};

/// Why files were not applied. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What the store has and the files want do not go together.
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

/// Applies the objects.
pub async fn apply(installation: &Installation, objects: &FileObjects) -> Result<Applied, ApplyError> {
    let mut write = installation.store.begin_write(&Actor::configuration_files()).await?;
    let stored = write.system_load_configuration(Keys::Omit).await?;
    let owned = file_keys::load_within(&mut write).await?;
    let conflicts = conflicts(&mut write, &stored, &owned, objects).await?;
    if !conflicts.is_empty() {
        return Err(ApplyError::Conflicts(conflicts));
    }
    let mut applying = Applying { installation, write, stored };
    applying.remove_governance(objects).await?;
    for organization in &objects.organizations {
        applying.organization(organization).await?;
    }
    applying.remove_others(objects).await?;
    applying.keys(&owned, objects).await?;
    for organization in &objects.organizations {
        applying.governance(organization).await?;
    }
    let writes = applying.write.recorded();
    applying.write.commit().await?;
    Ok(Applied { writes })
}

struct Applying<'a> {
    installation: &'a Installation,
    write: Write,
    /// The store as it was before, with what was made since.
    stored: StoredConfiguration,
}

fn proof<P: Permission>() -> Result<Proof<P>, ApplyError> {
    Ok(Actor::configuration_files().authorize(Scope::Installation)?)
}

/// The public part of a key's token; the files were checked for it.
fn lookup_of(key: &FileKey) -> Option<CredentialLookup> {
    token::parse(TokenKind::Key, key.token.expose().as_bytes()).ok()
}

/// The public parts of all tokens in the files.
fn lookups_of(objects: &FileObjects) -> BTreeSet<CredentialLookup> {
    let keys = objects.organizations.iter().flat_map(|organization| &organization.keys);
    keys.filter_map(|located| lookup_of(&located.value)).collect()
}

impl Applying<'_> {
    async fn organization(&mut self, organization: &FileOrganization) -> Result<(), ApplyError> {
        let known = self.stored.organizations.iter().find(|known| known.name == organization.name);
        let id = match known {
            Some(known) => known.id,
            None => {
                let made = self.write.create_organization(&proof::<TreeWrite>()?, &organization.name).await?;
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
        Ok(())
    }

    async fn team(&mut self, id: OrganizationId, name: &str, projects: &[String]) -> Result<(), ApplyError> {
        let tree = proof::<TreeWrite>()?;
        let team_id = match find_team(&self.stored, id, name) {
            Some(team) => team.id,
            None => {
                let made = self.write.create_team(&tree, id, name).await?;
                self.stored.teams.push(made.clone());
                made.id
            }
        };
        for name in projects {
            if find_project(&self.stored, id, name).is_none() {
                let made = self.write.create_project(&tree, id, team_id, name).await?;
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
            self.write.update_provider(&write, id, draft).await?;
        } else {
            let made = self.write.create_provider(&write, organization_id, id, draft).await?;
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
        let draft = ModelDraft {
            name: file.name.clone(),
            open: file.open,
            tags: file.tags.clone(),
            deployments,
            enabled: file.enabled,
        };
        match find_model(&self.stored, organization_id, &file.name.to_string()) {
            Some(known) => self.write.update_model(&write, known.id, draft).await?,
            None => self.write.create_model(&write, organization_id, draft).await?,
        };
        Ok(())
    }

    /// Makes, changes and revokes keys. Names become free before they are given again.
    async fn keys(
        &mut self,
        owned: &BTreeSet<CredentialLookup>,
        objects: &FileObjects,
    ) -> Result<(), ApplyError> {
        let lookups = lookups_of(objects);
        let keys = proof::<KeysWrite>()?;
        for lookup in owned.difference(&lookups) {
            if let Some(known) = self.write.system_find_credential(*lookup).await? {
                self.write.revoke_key(&keys, known.key.id).await?;
            }
        }
        let mut unknown = Vec::new();
        for organization in &objects.organizations {
            for located in &organization.keys {
                let (file, Some(lookup)) = (&located.value, lookup_of(&located.value)) else { continue };
                match self.write.system_find_credential(lookup).await? {
                    None => unknown.push((organization, located, lookup)),
                    Some(known) => {
                        let (name, grants) = (file.name.clone(), file.grants.clone());
                        let update = KeyUpdate { name, grants, expires_at: file.expires_at };
                        self.write.update_key(&keys, known.key.id, update).await?;
                    }
                }
            }
        }
        for (organization, located, lookup) in unknown {
            self.new_key(organization, located, lookup).await?;
        }
        if *owned != lookups {
            file_keys::save(&mut self.write, &lookups).await?;
        }
        Ok(())
    }

    async fn new_key(
        &mut self,
        organization: &FileOrganization,
        located: &Located<FileKey>,
        lookup: CredentialLookup,
    ) -> Result<(), ApplyError> {
        let file = &located.value;
        if self.write.system_is_revoked(lookup).await? {
            // Somebody revoked it through the API, perhaps at night: that holds, and the other objects are applied.
            let (key, place) = (&file.name, format!("{}:{}", located.file.display(), located.line));
            tracing::warn!(%key, %place, "the key's token was revoked and stays so; give it a new token or remove it");
            return Ok(());
        }
        let known = self.stored.organizations.iter().find(|known| known.name == organization.name);
        let Some(organization_id) = known.map(|known| known.id) else { return Ok(()) };
        let owned_by = find_owner(&self.stored, organization_id, &file.owned_by);
        let Some(owned_by) = owned_by else { return Ok(()) };
        let new = NewKey {
            owned_by,
            name: file.name.clone(),
            grants: file.grants.clone(),
            expires_at: file.expires_at,
            credential: credential_of(self.installation, lookup, &file.token),
        };
        self.write.create_key(&proof::<KeysWrite>()?, organization_id, new).await?;
        Ok(())
    }

    /// Removes models and providers that files owned and no longer name: models first, they use the providers.
    async fn remove_others(&mut self, objects: &FileObjects) -> Result<(), ApplyError> {
        for model in self.stored.models.iter().filter(|model| model.owner == Owner::File) {
            if !is_kept_model(&self.stored, objects, model) {
                self.write.delete_model(&proof::<ModelsWrite>()?, model.id).await?;
            }
        }
        for provider in self.stored.providers.iter().filter(|provider| provider.object.owner == Owner::File) {
            if !is_kept_provider(&self.stored, objects, &provider.object) {
                self.write.delete_provider(&proof::<ProvidersWrite>()?, provider.object.id).await?;
            }
        }
        Ok(())
    }
}

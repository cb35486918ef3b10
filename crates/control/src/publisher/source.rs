//! Reading the store for a snapshot.

use std::sync::Arc;

use tollgate_access::authorize::TreeRead;
use tollgate_access::{Actor, Scope};
use tollgate_core::{KeyId, TeamId};
use tollgate_state::build::{active_credential, active_key};
use tollgate_state::objects::{Configuration, KeyOwner};
use tollgate_state::{ActiveCredential, Snapshot};
use tollgate_store::{KeyWithCredentials, Keys, StoreError};

use super::PublishError;
use crate::connection::{Installation, OpenError};

/// The configuration with its secrets opened.
pub(crate) async fn load(installation: &Installation, keys: Keys) -> Result<Configuration, OpenError> {
    let stored = installation.store.system_load_configuration(keys).await?;
    let organization_of: std::collections::HashMap<_, _> = stored
        .providers
        .iter()
        .map(|provider| (provider.object.id, provider.object.organization_id))
        .collect();
    let configuration = stored.unsealed(|id, sealed| match organization_of.get(&id) {
        Some(organization_id) => installation.open_provider_secret(*organization_id, id, sealed),
        None => Err(tollgate_access::SealError::Failed),
    })?;
    Ok(configuration)
}

/// The snapshot with these keys as the store has them now: unknown when revoked, new ones known.
pub(super) async fn with_keys(
    installation: &Installation,
    snapshot: &Snapshot,
    version: u64,
    keys: &[KeyId],
) -> Result<Snapshot, PublishError> {
    let mut next = snapshot.clone();
    next.version = version;
    for id in keys {
        let Some(stored) = installation.store.system_load_key(*id).await? else { continue };
        let lookups: Vec<_> = stored.credentials.iter().map(|credential| credential.lookup).collect();
        next = next.without_credentials(version, &lookups);
        for credential in active_credentials(installation, &stored).await? {
            next = next.with_credential(version, Arc::new(credential));
        }
    }
    Ok(next)
}

/// The credentials with which a stored key can be used; none when it is revoked.
pub(crate) async fn active_credentials(
    installation: &Installation,
    stored: &KeyWithCredentials,
) -> Result<Vec<ActiveCredential>, StoreError> {
    if stored.key.revoked_at.is_some() {
        return Ok(Vec::new());
    }
    let team_id = team_of(installation, stored.key.owned_by).await?;
    let key = Arc::new(active_key(&stored.key, team_id, Arc::new(stored.key.grants.clone())));
    Ok(stored.credentials.iter().map(|credential| active_credential(credential, Arc::clone(&key))).collect())
}

async fn team_of(installation: &Installation, owner: KeyOwner) -> Result<TeamId, StoreError> {
    match owner {
        KeyOwner::Team(team_id) => Ok(team_id),
        KeyOwner::Project(project_id) => {
            let proof = Actor::system("publisher").authorize::<TreeRead>(Scope::Installation);
            let proof = proof.map_err(|denied| StoreError::Invalid {
                field: "permission",
                reason: format!("is missing: {denied}"),
            })?;
            installation.store.get_project(&proof, project_id).await.map(|project| project.team_id)
        }
    }
}

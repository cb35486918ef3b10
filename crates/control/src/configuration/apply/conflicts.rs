//! What the API owns and files name too.

use tollgate_access::token::{self, TokenKind};
use tollgate_core::OrganizationId;
use tollgate_state::objects::{ModelObject, Owner};
use tollgate_store::{StoredConfiguration, StoredProvider};

use super::ApplyError;
use crate::configuration::objects::{FileObjects, Located};
use crate::connection::Installation;
use crate::file_keys;

/// Everything that keeps the objects from being applied.
pub(super) async fn conflicts(
    installation: &Installation,
    stored: &StoredConfiguration,
    objects: &FileObjects,
) -> Result<Vec<String>, ApplyError> {
    let mut conflicts = Vec::new();
    for organization in &objects.organizations {
        let Some(known) = stored.organizations.iter().find(|known| known.name == organization.name) else {
            continue;
        };
        for located in &organization.providers {
            let theirs = find_provider(stored, known.id, &located.value.name);
            if theirs.is_some_and(|theirs| theirs.object.owner == Owner::Api) {
                conflicts.push(made_by_api(located, "provider", &located.value.name));
            }
        }
        for located in &organization.models {
            let name = located.value.name.to_string();
            if find_model(stored, known.id, &name).is_some_and(|theirs| theirs.owner == Owner::Api) {
                conflicts.push(made_by_api(located, "model", &name));
            }
        }
    }
    for located in objects.organizations.iter().flat_map(|organization| &organization.keys) {
        let Ok(lookup) = token::parse(TokenKind::Key, located.value.token.expose().as_bytes()) else {
            continue;
        };
        let is_known = installation.store.system_find_credential(lookup).await?.is_some();
        // Asked in this order: who makes a key from files notes it first.
        if is_known && !file_keys::load(&installation.store).await?.contains(&lookup) {
            conflicts.push(made_by_api(located, "key", &located.value.name));
        }
    }
    Ok(conflicts)
}

fn made_by_api<T>(located: &Located<T>, kind: &str, name: &str) -> String {
    format!(
        "{}:{}: the {kind} `{name}` was made through the API; change it there, or delete it and apply the files again",
        located.file.display(),
        located.line
    )
}

pub(super) fn find_provider<'a>(
    stored: &'a StoredConfiguration,
    organization_id: OrganizationId,
    name: &str,
) -> Option<&'a StoredProvider> {
    let own = |known: &&StoredProvider| {
        known.object.organization_id == organization_id && known.object.name == name
    };
    stored.providers.iter().find(own)
}

pub(super) fn find_model<'a>(
    stored: &'a StoredConfiguration,
    organization_id: OrganizationId,
    name: &str,
) -> Option<&'a ModelObject> {
    let own =
        |known: &&ModelObject| known.organization_id == organization_id && known.name.to_string() == name;
    stored.models.iter().find(own)
}

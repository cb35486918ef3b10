//! What the store has under the names that files use.

use tollgate_core::OrganizationId;
use tollgate_state::objects::{KeyOwner, ModelObject, Project, ProviderObject, Team};
use tollgate_store::{StoredConfiguration, StoredProvider};

use crate::configuration::objects::{FileObjects, FileOrganization, KeyHolder};

pub(super) fn find_team<'a>(
    stored: &'a StoredConfiguration,
    organization_id: OrganizationId,
    name: &str,
) -> Option<&'a Team> {
    stored.teams.iter().find(|known| known.organization_id == organization_id && known.name == name)
}

pub(super) fn find_project<'a>(
    stored: &'a StoredConfiguration,
    organization_id: OrganizationId,
    name: &str,
) -> Option<&'a Project> {
    stored.projects.iter().find(|known| known.organization_id == organization_id && known.name == name)
}

pub(super) fn find_owner(
    stored: &StoredConfiguration,
    organization_id: OrganizationId,
    holder: &KeyHolder,
) -> Option<KeyOwner> {
    match holder {
        KeyHolder::Team(name) => find_team(stored, organization_id, name).map(|team| KeyOwner::Team(team.id)),
        KeyHolder::Project(name) => {
            find_project(stored, organization_id, name).map(|project| KeyOwner::Project(project.id))
        }
    }
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

/// What the files say about an organization of the store.
pub(super) fn in_files<'a>(
    stored: &StoredConfiguration,
    objects: &'a FileObjects,
    id: OrganizationId,
) -> Option<&'a FileOrganization> {
    let known = stored.organizations.iter().find(|known| known.id == id)?;
    objects.organizations.iter().find(|organization| organization.name == known.name)
}

pub(super) fn is_kept_model(
    stored: &StoredConfiguration,
    objects: &FileObjects,
    model: &ModelObject,
) -> bool {
    in_files(stored, objects, model.organization_id)
        .is_some_and(|own| own.models.iter().any(|located| located.value.name == model.name))
}

pub(super) fn is_kept_provider(
    stored: &StoredConfiguration,
    objects: &FileObjects,
    provider: &ProviderObject,
) -> bool {
    in_files(stored, objects, provider.organization_id)
        .is_some_and(|own| own.providers.iter().any(|located| located.value.name == provider.name))
}

//! What the store has that does not go together with what the files want.

use std::collections::BTreeSet;

use tollgate_state::CredentialLookup;
use tollgate_state::objects::{Organization, Owner};
use tollgate_store::{KeyWithCredentials, StoredConfiguration, Write};

use super::find::{find_model, find_owner, find_project, find_provider, find_team, is_kept_provider};
use super::governance::{find_budget, find_limit};
use super::{ApplyError, lookup_of};
use crate::configuration::objects::{FileKey, FileObjects, FileOrganization, Located};

/// Everything that keeps the objects from being applied, each with its place.
pub(super) async fn conflicts(
    write: &mut Write,
    stored: &StoredConfiguration,
    owned: &BTreeSet<CredentialLookup>,
    objects: &FileObjects,
) -> Result<Vec<String>, ApplyError> {
    let mut conflicts = Vec::new();
    for organization in &objects.organizations {
        let known = stored.organizations.iter().find(|known| known.name == organization.name);
        if let Some(known) = known {
            conflicts.extend(of_tree(stored, known, organization));
            conflicts.extend(of_models(stored, known, organization));
            conflicts.extend(of_governance(stored, known, organization));
        }
        for located in &organization.keys {
            conflicts.extend(of_key(write, stored, owned, known, located).await?);
        }
    }
    conflicts.extend(of_removed_providers(stored, objects));
    Ok(conflicts)
}

fn at<T>(located: &Located<T>, message: impl std::fmt::Display) -> String {
    format!("{}:{}: {message}", located.file.display(), located.line)
}

fn made_by_api<T>(located: &Located<T>, kind: &str, name: &str) -> String {
    let what = format!("the {kind} `{name}` was made through the API");
    at(located, format!("{what}; change it there, or delete it and apply the files again"))
}

/// Projects do not move.
fn of_tree(stored: &StoredConfiguration, known: &Organization, file: &FileOrganization) -> Vec<String> {
    let mut conflicts = Vec::new();
    for located in &file.teams {
        let team = find_team(stored, known.id, &located.value.name);
        for name in &located.value.projects {
            let Some(project) = find_project(stored, known.id, name) else { continue };
            if team.is_none_or(|team| team.id != project.team_id) {
                let message = format!("the project `{name}` belongs to another team; use another name");
                conflicts.push(at(located, message));
            }
        }
    }
    conflicts
}

fn of_models(stored: &StoredConfiguration, known: &Organization, file: &FileOrganization) -> Vec<String> {
    let mut conflicts = Vec::new();
    for located in &file.providers {
        let theirs = find_provider(stored, known.id, &located.value.name);
        if theirs.is_some_and(|theirs| theirs.object.owner == Owner::Api) {
            conflicts.push(made_by_api(located, "provider", &located.value.name));
        }
    }
    for located in &file.models {
        let name = located.value.name.to_string();
        if find_model(stored, known.id, &name).is_some_and(|theirs| theirs.owner == Owner::Api) {
            conflicts.push(made_by_api(located, "model", &name));
        }
    }
    conflicts
}

fn of_governance(stored: &StoredConfiguration, known: &Organization, file: &FileOrganization) -> Vec<String> {
    let mut conflicts = Vec::new();
    for located in &file.budgets {
        let (name, theirs) = (&located.value.name, find_budget(stored, known.id, &located.value.name));
        if theirs.is_some_and(|theirs| theirs.owner == Owner::Api) {
            conflicts.push(made_by_api(located, "budget", name));
        } else if theirs.is_some_and(|theirs| theirs.window != located.value.window) {
            let what = format!("the window of the budget `{name}` cannot change");
            conflicts.push(at(located, format!("{what}; give the new budget another name")));
        }
    }
    for located in &file.limits {
        let (name, theirs) = (&located.value.name, find_limit(stored, known.id, &located.value.name));
        if theirs.is_some_and(|theirs| theirs.owner == Owner::Api) {
            conflicts.push(made_by_api(located, "limit", name));
        }
    }
    conflicts
}

/// Providers that would be removed under models of the API.
fn of_removed_providers(stored: &StoredConfiguration, objects: &FileObjects) -> Vec<String> {
    let mut conflicts = Vec::new();
    let owned = stored.providers.iter().map(|provider| &provider.object);
    for provider in owned.filter(|provider| provider.owner == Owner::File) {
        if is_kept_provider(stored, objects, provider) {
            continue;
        }
        // A model of the files gets the deployments that they say, or is removed first.
        let theirs = stored.models.iter().filter(|model| model.owner == Owner::Api);
        let uses = theirs
            .filter(|model| model.deployments.iter().any(|deployment| deployment.provider_id == provider.id));
        conflicts.extend(uses.map(|model| {
            format!(
                "the provider `{}` is no longer in the files, but the model `{}`, made through the API, uses it; \
                 change the model first",
                provider.name, model.name
            )
        }));
    }
    conflicts
}

async fn of_key(
    write: &mut Write,
    stored: &StoredConfiguration,
    owned: &BTreeSet<CredentialLookup>,
    organization: Option<&Organization>,
    located: &Located<FileKey>,
) -> Result<Option<String>, ApplyError> {
    let (file, Some(lookup)) = (&located.value, lookup_of(&located.value)) else { return Ok(None) };
    let known = write.system_find_credential(lookup).await?;
    if let Some(known) = &known {
        if !owned.contains(&lookup) {
            return Ok(Some(made_by_api(located, "key", &file.name)));
        }
        let owner = organization.and_then(|own| find_owner(stored, own.id, &file.owned_by));
        if owner != Some(known.key.owned_by) {
            let what = format!("the token of the key `{}` belongs to another team or project", file.name);
            return Ok(Some(at(located, format!("{what}; keys do not move, give it a new token"))));
        }
    } else if write.system_is_revoked(lookup).await? {
        // It will not be made.
        return Ok(None);
    }
    let Some(organization) = organization else { return Ok(None) };
    let holder = write.system_find_key_named(organization.id, &file.name).await?;
    // A key that files own gives its name away when they rename or remove it.
    let is_of_files = |holder: &KeyWithCredentials| {
        holder.credentials.iter().any(|credential| owned.contains(&credential.lookup))
    };
    let is_taken = holder.is_some_and(|holder| !is_of_files(&holder));
    Ok(is_taken
        .then(|| at(located, format!("the name of the key `{}` is taken: use another name", file.name))))
}

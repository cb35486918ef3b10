//! What can be checked without a store: names, references, providers, and whether it all could be published.

mod governance;

use std::collections::BTreeMap;

use tollgate_access::token::{self, TokenKind};
use tollgate_core::{DeploymentId, ModelId, OrganizationId, ProviderId, UnixMicros};
use tollgate_state::build::build;
use tollgate_state::objects::{
    Configuration, DeploymentObject, ModelObject, Organization, Owner, ProviderObject,
};

use super::ConfigurationProblem;
use super::objects::{FileModel, FileObjects, FileOrganization, FileProvider, KeyHolder, Located};
use crate::api::draft_check::provider_errors;

/// Reports every mistake in the objects.
pub(super) fn check(objects: &FileObjects, problems: &mut Vec<ConfigurationProblem>) {
    for organization in &objects.organizations {
        let before = problems.len();
        check_names(organization, problems);
        check_providers(organization, problems);
        check_models(organization, problems);
        check_keys(organization, problems);
        governance::check_governance(organization, problems);
        if problems.len() == before {
            check_build(organization, problems);
        }
    }
}

fn wrong<T>(
    problems: &mut Vec<ConfigurationProblem>,
    located: &Located<T>,
    field: &str,
    message: impl Into<String>,
) {
    problems.push(ConfigurationProblem {
        file: located.file.clone(),
        line: Some(located.line),
        field: super::reader::join(&located.field, field),
        message: message.into(),
    });
}

fn unique<'a, T>(
    problems: &mut Vec<ConfigurationProblem>,
    items: impl IntoIterator<Item = (&'a Located<T>, &'static str, String)>,
) where
    T: 'a,
{
    let mut known: BTreeMap<String, &Located<T>> = BTreeMap::new();
    for (located, field, name) in items {
        if name.is_empty() || name.trim() != name || name.chars().count() > 128 {
            wrong(problems, located, field, "must have 1 to 128 characters and no space at its ends");
        }
        if let Some(first) = known.get(&name) {
            let message = format!("`{name}` is taken already, in {}:{}", first.file.display(), first.line);
            wrong(problems, located, field, message);
        } else {
            known.insert(name, located);
        }
    }
}

fn check_names(organization: &FileOrganization, problems: &mut Vec<ConfigurationProblem>) {
    unique(problems, organization.teams.iter().map(|team| (team, "name", team.value.name.clone())));
    let projects = organization
        .teams
        .iter()
        .flat_map(|team| team.value.projects.iter().map(move |project| (team, "projects", project.clone())));
    unique(problems, projects);
    unique(
        problems,
        organization.providers.iter().map(|located| (located, "name", located.value.name.clone())),
    );
    unique(
        problems,
        organization.models.iter().map(|located| (located, "name", located.value.name.to_string())),
    );
    unique(problems, organization.keys.iter().map(|located| (located, "name", located.value.name.clone())));
    unique(
        problems,
        organization.budgets.iter().map(|located| (located, "name", located.value.name.clone())),
    );
    unique(problems, organization.limits.iter().map(|located| (located, "name", located.value.name.clone())));
}

fn check_providers(organization: &FileOrganization, problems: &mut Vec<ConfigurationProblem>) {
    for located in &organization.providers {
        let provider = &located.value;
        let errors = provider_errors(
            &provider.kind,
            provider.base_url.as_deref(),
            provider.internal,
            provider.secret.as_ref(),
        );
        for error in errors {
            wrong(problems, located, &error.field, error.message);
        }
    }
}

fn check_models(organization: &FileOrganization, problems: &mut Vec<ConfigurationProblem>) {
    for located in &organization.models {
        for (position, deployment) in located.value.deployments.iter().enumerate() {
            if !organization.providers.iter().any(|provider| provider.value.name == deployment.provider) {
                let field = format!("deployments[{position}].provider");
                let message =
                    format!("names a provider that the files do not have: `{}`", deployment.provider);
                wrong(problems, located, &field, message);
            }
        }
    }
}

fn check_keys(organization: &FileOrganization, problems: &mut Vec<ConfigurationProblem>) {
    for located in &organization.keys {
        if token::parse(TokenKind::Key, located.value.token.expose().as_bytes()).is_err() {
            let message = "is not a Tollgate key, or mistyped; make one with `tollgate key create`";
            wrong(problems, located, "token", message);
        }
        let known = |name: &String, teams: bool| {
            organization.teams.iter().any(|team| match teams {
                true => team.value.name == *name,
                false => team.value.projects.contains(name),
            })
        };
        match &located.value.owned_by {
            KeyHolder::Team(name) if !known(name, true) => {
                wrong(
                    problems,
                    located,
                    "owned_by.team",
                    format!("names a team that the files do not have: `{name}`"),
                );
            }
            KeyHolder::Project(name) if !known(name, false) => {
                let message = format!("names a project that the files do not have: `{name}`");
                wrong(problems, located, "owned_by.project", message);
            }
            _ => {}
        }
    }
}

/// Builds what would be published, with ids of its own.
fn check_build(organization: &FileOrganization, problems: &mut Vec<ConfigurationProblem>) {
    let id = OrganizationId::generate();
    let providers: Vec<_> =
        organization.providers.iter().map(|located| provider_object(id, &located.value)).collect();
    let provider_id =
        |name: &str| providers.iter().find(|provider| provider.name == name).map(|provider| provider.id);
    for located in &organization.models {
        let configuration = Configuration {
            organizations: vec![Organization {
                id,
                name: organization.name.clone(),
                created_at: UnixMicros(0),
            }],
            models: vec![model_object(id, &located.value, &provider_id)],
            providers: providers.clone(),
            ..Configuration::default()
        };
        for problem in build(&configuration).err().unwrap_or_default() {
            wrong(problems, located, "", format!("{problem}"));
        }
    }
}

pub(super) fn provider_object(organization_id: OrganizationId, provider: &FileProvider) -> ProviderObject {
    ProviderObject {
        id: ProviderId::generate(),
        organization_id,
        name: provider.name.clone(),
        kind: provider.kind.clone(),
        base_url: provider.base_url.clone(),
        secret: provider.secret.clone(),
        region: provider.region.clone(),
        internal: provider.internal,
        timeouts: provider.timeouts,
        discovered_models: Vec::new(),
        enabled: provider.enabled,
        owner: Owner::File,
        created_at: UnixMicros(0),
        updated_at: UnixMicros(0),
    }
}

fn model_object(
    organization_id: OrganizationId,
    model: &FileModel,
    provider_id: &dyn Fn(&str) -> Option<ProviderId>,
) -> ModelObject {
    let deployments = model.deployments.iter().map(|deployment| DeploymentObject {
        id: DeploymentId::generate(),
        provider_id: provider_id(&deployment.provider).unwrap_or_else(ProviderId::generate),
        upstream_model: deployment.upstream_model.clone(),
        weight: deployment.weight,
        price: deployment.price.clone(),
        timeouts: deployment.timeouts,
        enabled: deployment.enabled,
    });
    ModelObject {
        tags: model.tags.clone(),
        id: ModelId::generate(),
        organization_id,
        name: model.name.clone(),
        open: model.open,
        deployments: deployments.collect(),
        enabled: model.enabled,
        owner: Owner::File,
        created_at: UnixMicros(0),
        updated_at: UnixMicros(0),
    }
}

//! From stored objects to a snapshot. Whatever is inconsistent is reported, all of it, and nothing is published.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tollgate_catalog::Catalog;
use tollgate_core::{ModelPattern, OrganizationId, ProjectId, ProviderId, TeamId};

use crate::governance::Governance;
use crate::grants::Grants;
use crate::objects::{
    Configuration, CredentialObject, DeploymentObject, KeyObject, KeyOwner, ModelObject, ProviderObject,
};
use crate::principal::{Payer, Principal, Subject};
use crate::snapshot::{ActiveCredential, ActiveKey, Deployment, Model, OrganizationView, Provider, Snapshot};

/// Something that keeps a configuration from being published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The object and field, for example `model "gpt-5.5", deployment 2`.
    pub place: String,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.message)
    }
}

/// Builds the snapshot, or says everything that is wrong.
pub fn build(configuration: &Configuration) -> Result<Snapshot, Vec<Problem>> {
    let mut builder = Builder::default();
    let providers = builder.providers(configuration);
    for organization in &configuration.organizations {
        let view = builder.organization(organization.id, configuration, &providers);
        builder.snapshot.organizations.insert_mut(organization.id, Arc::new(view));
    }
    builder.credentials(configuration);
    if !builder.problems.is_empty() {
        return Err(builder.problems);
    }
    let mut snapshot = builder.snapshot;
    snapshot.version = configuration.version;
    snapshot.deployments = Arc::new(builder.deployments);
    snapshot.governance = Arc::new(Governance::new(&configuration.budgets, &configuration.limits));
    Ok(snapshot)
}

/// A key as requests see it. `team_id` is the team of the owning project, or the owning team itself; `grants` are the
/// key's own, shared where possible.
pub fn active_key(key: &KeyObject, team_id: TeamId, grants: Arc<Grants>) -> ActiveKey {
    let project_id = match key.owned_by {
        KeyOwner::Team(_) => None,
        KeyOwner::Project(project_id) => Some(project_id),
    };
    ActiveKey {
        id: key.id,
        name: key.name.as_str().into(),
        payer: Payer { organization_id: key.organization_id, team_id: Some(team_id), project_id },
        grants,
        expires_at: key.expires_at,
    }
}

/// A credential of an active key.
pub fn active_credential(credential: &CredentialObject, key: Arc<ActiveKey>) -> ActiveCredential {
    ActiveCredential {
        lookup: credential.lookup,
        algorithm: credential.algorithm,
        pepper_version: credential.pepper_version,
        hash: credential.hash,
        expires_at: credential.expires_at,
        principal: Principal {
            subject: Subject::None,
            payer: key.payer,
            key_id: Some(key.id),
            credential_id: Some(credential.id),
        },
        key,
    }
}

#[derive(Default)]
struct Builder {
    snapshot: Snapshot,
    deployments: Vec<Arc<Deployment>>,
    problems: Vec<Problem>,
}

impl Builder {
    fn problem(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem { place: place.into(), message: message.into() });
    }

    fn providers(&mut self, configuration: &Configuration) -> HashMap<ProviderId, Arc<Provider>> {
        let enabled = configuration.providers.iter().filter(|provider| provider.enabled);
        enabled.map(|provider| (provider.id, Arc::new(resolve_provider(provider)))).collect()
    }

    fn organization(
        &mut self,
        organization_id: OrganizationId,
        configuration: &Configuration,
        providers: &HashMap<ProviderId, Arc<Provider>>,
    ) -> OrganizationView {
        let mut view = OrganizationView::default();
        let own = configuration.models.iter().filter(|model| model.organization_id == organization_id);
        for object in own.filter(|model| model.enabled) {
            let model = Arc::new(self.model(object, configuration, providers));
            match &object.name {
                ModelPattern::Exact(name) => {
                    view.listed.push(name.as_str().into());
                    if view.exact.insert(name.as_str().into(), model).is_some() {
                        self.problem(format!("model \"{name}\""), "the name is taken twice");
                    }
                }
                pattern @ ModelPattern::Prefix(_) => {
                    let offered = known_names(&model).filter_map(|name| pattern.offered(name));
                    view.listed.extend(offered.map(Into::into));
                    view.patterns.push(model);
                }
            }
        }
        view.patterns.sort_by_key(|model| std::cmp::Reverse(model.name.specificity()));
        view.listed.sort_unstable();
        view.listed.dedup();
        view
    }

    fn model(
        &mut self,
        object: &ModelObject,
        configuration: &Configuration,
        providers: &HashMap<ProviderId, Arc<Provider>>,
    ) -> Model {
        let mut deployments = Vec::with_capacity(object.deployments.len());
        for (position, deployment) in object.deployments.iter().enumerate() {
            if !deployment.enabled {
                continue;
            }
            let place = format!("model \"{}\", deployment {}", object.name, position + 1);
            let of_this_organization = configuration.providers.iter().any(|provider| {
                provider.id == deployment.provider_id && provider.organization_id == object.organization_id
            });
            if !of_this_organization {
                self.problem(place, format!("provider {} does not exist", deployment.provider_id));
                continue;
            }
            // A disabled provider takes its deployments out of service; that is no mistake.
            let Some(provider) = providers.get(&deployment.provider_id) else { continue };
            match self.deployment(object, deployment, provider) {
                Ok(resolved) => deployments.push(resolved),
                Err(message) => self.problem(place, message),
            }
        }
        Model {
            id: object.id,
            name: object.name.clone(),
            open: object.open,
            tags: object.tags.as_slice().into(),
            deployments,
        }
    }

    fn deployment(
        &mut self,
        model: &ModelObject,
        object: &DeploymentObject,
        provider: &Arc<Provider>,
    ) -> Result<Arc<Deployment>, String> {
        let fixed_name = match (&object.upstream_model, &model.name) {
            (Some(name), _) => Some(name.as_str()),
            (None, ModelPattern::Exact(name)) => Some(name.as_str()),
            (None, ModelPattern::Prefix(_)) => None,
        };
        let fixed_prices = match (fixed_name, &object.price) {
            (None, None) => None,
            (name, price) => {
                let prices =
                    Catalog::builtin().price_list(&provider.kind, name.unwrap_or(""), price.as_ref());
                Some(prices.map_err(|problem| format!("price: {problem}"))?)
            }
        };
        let deployment = Arc::new(Deployment {
            id: object.id,
            slot: self.deployments.len(),
            model_name: model.name.to_string().into(),
            provider: Arc::clone(provider),
            upstream_model: fixed_name.map(Into::into),
            weight: object.weight,
            fixed_prices,
            timeouts: object.timeouts.or(provider.timeouts),
        });
        self.deployments.push(Arc::clone(&deployment));
        Ok(deployment)
    }

    fn credentials(&mut self, configuration: &Configuration) {
        let team_of: HashMap<ProjectId, TeamId> =
            configuration.projects.iter().map(|project| (project.id, project.team_id)).collect();
        let mut keys = HashMap::new();
        let mut shared = HashMap::<&Grants, Arc<Grants>>::new();
        for key in configuration.keys.iter().filter(|key| key.revoked_at.is_none()) {
            let team_id = match key.owned_by {
                KeyOwner::Team(team_id) => Some(team_id),
                KeyOwner::Project(project_id) => team_of.get(&project_id).copied(),
            };
            match team_id {
                Some(team_id) => {
                    let grants = shared.entry(&key.grants).or_insert_with(|| Arc::new(key.grants.clone()));
                    keys.insert(key.id, Arc::new(active_key(key, team_id, Arc::clone(grants))));
                }
                None => self.problem(format!("key \"{}\"", key.name), "its project does not exist"),
            }
        }
        for credential in &configuration.credentials {
            // A credential without a living key is one of a revoked key: it stays unknown.
            if let Some(key) = keys.get(&credential.key_id) {
                let active = active_credential(credential, Arc::clone(key));
                self.snapshot.credentials.insert_mut(active.lookup, Arc::new(active));
            }
        }
    }
}

fn resolve_provider(object: &ProviderObject) -> Provider {
    Provider {
        id: object.id,
        name: object.name.as_str().into(),
        kind: object.kind.as_str().into(),
        base_url: object.base_url.as_deref().map(Into::into),
        secret: object.secret.clone(),
        region: object.region.as_deref().map(Into::into),
        internal: object.internal,
        timeouts: object.timeouts,
        discovered_models: object.discovered_models.clone(),
    }
}

/// What a pattern's star can stand for: the catalogue's names of its providers, and discovered ones.
fn known_names(model: &Model) -> impl Iterator<Item = &str> {
    let passing = model.deployments.iter().filter(|deployment| deployment.upstream_model.is_none());
    passing.flat_map(|deployment| {
        let catalogued =
            Catalog::builtin().models().filter(|facts| facts.provider == deployment.provider.kind);
        let discovered = deployment.provider.discovered_models.iter().map(String::as_str);
        catalogued.map(|facts| &*facts.model).chain(discovered)
    })
}

#[cfg(test)]
mod tests;

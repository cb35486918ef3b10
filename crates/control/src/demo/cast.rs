//! Who takes part in the demonstration's traffic.

use std::sync::Arc;

use tollgate_catalog::{Catalog, PriceList};
use tollgate_core::{DeploymentId, Dialect, ProjectId, ProviderId, TeamId};
use tollgate_state::objects::{KeyObject, ModelObject};

use super::DemoError;

/// Somebody who makes requests.
pub(super) struct Caller {
    pub(super) key: KeyObject,
    pub(super) team_id: TeamId,
    pub(super) project_id: ProjectId,
    pub(super) share: u32,
}

/// A model that can be asked for.
pub(super) struct Offer {
    pub(super) model: ModelObject,
    pub(super) deployments: Vec<OfferedDeployment>,
}

/// One way to serve an offer, with what it costs.
pub(super) struct OfferedDeployment {
    pub(super) id: DeploymentId,
    pub(super) provider_id: ProviderId,
    pub(super) dialect: Dialect,
    pub(super) upstream_model: Box<str>,
    pub(super) prices: Arc<PriceList>,
}

impl Offer {
    pub(super) fn new(
        model: ModelObject,
        providers: &[(String, ProviderId, String)],
    ) -> Result<Self, DemoError> {
        let mut deployments = Vec::with_capacity(model.deployments.len());
        for deployment in &model.deployments {
            let kind =
                providers.iter().find(|(_, id, _)| *id == deployment.provider_id).map(|(_, _, kind)| kind);
            let kind = kind.map_or("", String::as_str);
            let upstream_model = deployment.upstream_model.clone().unwrap_or_default();
            let prices = Catalog::builtin().price_list(kind, &upstream_model, deployment.price.as_ref());
            let speaks = tollgate_providers::find(kind).map(|row| row.speaks.as_slice()).unwrap_or_default();
            let is_anthropic = speaks.contains(&Dialect::AnthropicMessages);
            deployments.push(OfferedDeployment {
                id: deployment.id,
                provider_id: deployment.provider_id,
                dialect: if is_anthropic { Dialect::AnthropicMessages } else { Dialect::OpenaiChat },
                upstream_model: upstream_model.into(),
                prices: prices
                    .map_err(|error| DemoError::Plan(format!("price of `{}`: {error}", model.name)))?,
            });
        }
        if deployments.is_empty() {
            return Err(DemoError::Plan(format!("`{}` has no provider", model.name)));
        }
        Ok(Self { model, deployments })
    }
}

//! Deployments resolved to what a call needs: address, header values, time-outs, handles. Made once per publish.

use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue};
use tollgate_core::{Dialect, Operation, SecretText};
use tollgate_providers::{ProviderKind, UpstreamRoute};
use tollgate_state::Snapshot;
use tollgate_state::objects::TimeoutOverrides;
use tollgate_state::snapshot::Deployment;
use tollgate_telemetry::{Metrics, Series, SeriesLabels};
use tollgate_upstream::{Egress, Origin, Timeouts};
use tollgate_wire::ModelText;

use crate::health::{DeploymentHealth, HealthRegistry};

mod secrecy;

use secrecy::Secrecy;

/// What a client is told instead of a provider's words that contain its secret.
const WITHHELD: &str = "its message is withheld, for it contains the provider's secret";

/// A deployment, ready to be called.
#[derive(Debug)]
pub struct Target {
    pub deployment: Arc<Deployment>,
    pub kind: &'static ProviderKind,
    pub origin: Arc<Origin>,
    pub timeouts: Timeouts,
    /// The provider's credential as a header, marked sensitive.
    pub credential: Option<(HeaderName, HeaderValue)>,
    /// Headers that are sent unless the client sends them itself.
    pub default_headers: Vec<(HeaderName, HeaderValue)>,
    /// The upstream model as JSON text, where it is fixed.
    pub model_text: Option<ModelText>,
    /// For the answer's `x-tollgate-deployment`.
    pub id_header: HeaderValue,
    pub health: Arc<DeploymentHealth>,
    pub series: Arc<Series>,
    secrecy: Secrecy,
    paths: Vec<(UpstreamRoute, PathAndQuery)>,
}

/// Why a deployment cannot be called as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("provider \"{provider}\": {problem}")]
pub struct InvalidTarget {
    pub provider: String,
    pub problem: String,
}

const OPERATIONS: [(Operation, Dialect); 6] = [
    (Operation::Chat, Dialect::OpenaiChat),
    (Operation::Chat, Dialect::AnthropicMessages),
    (Operation::Completion, Dialect::OpenaiCompletions),
    (Operation::Embedding, Dialect::OpenaiEmbeddings),
    (Operation::Response, Dialect::OpenaiResponses),
    (Operation::CountTokens, Dialect::AnthropicMessages),
];

impl Target {
    /// Resolves one deployment; `timeouts` hold where neither it nor its provider has its own.
    ///
    /// # Errors
    /// When its provider's kind, base URL or secret cannot be used.
    pub fn new(
        deployment: &Arc<Deployment>,
        health: &HealthRegistry,
        metrics: &Metrics,
        timeouts: TimeoutOverrides,
    ) -> Result<Self, InvalidTarget> {
        let provider = &deployment.provider;
        let invalid = |problem: String| InvalidTarget { provider: provider.name.to_string(), problem };
        let kind = tollgate_providers::find(&provider.kind)
            .ok_or_else(|| invalid(format!("there is no provider kind \"{}\"", provider.kind)))?;
        let base_url = provider
            .base_url
            .as_deref()
            .or(kind.base_url.as_deref())
            .ok_or_else(|| invalid(format!("kind \"{}\" needs a base_url", provider.kind)))?;
        let egress = if provider.internal || kind.internal { Egress::Internal } else { Egress::Public };
        let origin = Origin::parse(base_url, egress).map_err(|error| invalid(error.to_string()))?;
        let credential = kind
            .credential_header(provider.secret.as_ref())
            .map_err(|_| invalid("its secret contains characters that no header can carry".into()))?;
        let id_header =
            HeaderValue::try_from(deployment.id.to_string()).map_err(|e| invalid(e.to_string()))?;
        let paths = paths(kind, origin.path_prefix()).map_err(|e| invalid(e.to_string()))?;
        let default_headers = kind
            .headers
            .iter()
            .map(|(name, value)| Ok((HeaderName::try_from(&**name)?, HeaderValue::try_from(&**value)?)))
            .collect::<Result<_, http::Error>>()
            .map_err(|error| invalid(error.to_string()))?;
        Ok(Self {
            deployment: Arc::clone(deployment),
            kind,
            origin: Arc::new(origin),
            timeouts: effective(deployment.timeouts.or(timeouts)),
            credential,
            default_headers,
            model_text: deployment.upstream_model.as_deref().map(ModelText::new),
            id_header,
            health: health.of(deployment.id),
            series: metrics.series(&SeriesLabels {
                model: deployment.model_name.clone(),
                provider: provider.name.clone(),
                deployment: deployment.id.to_string().into(),
            }),
            secrecy: Secrecy::of(provider.secret.as_ref().map(SecretText::expose)),
            paths,
        })
    }

    /// Dialect and path in which this target takes an operation; `None` when it cannot.
    pub fn route(&self, operation: Operation, client: Dialect) -> Option<(Dialect, &PathAndQuery)> {
        let route = self.kind.route(operation, client)?;
        let (_, path) = self.paths.iter().find(|(known, _)| *known == route)?;
        Some((route.dialect, path))
    }

    /// Whether bytes of the provider's tell its secret, plainly or escaped as in JSON.
    pub fn tells_secret(&self, bytes: &[u8]) -> bool {
        self.secrecy.is_told_by(bytes)
    }

    /// What the provider told, as a client may read it.
    pub fn discreet<'text>(&self, told: &'text str) -> &'text str {
        if self.secrecy.is_told_by_excerpt(told) { WITHHELD } else { told }
    }

    /// Drops the headers of an answer that tell the secret.
    pub fn keep_secret(&self, headers: &mut HeaderMap) {
        let tells = |(name, value): (&HeaderName, &HeaderValue)| {
            self.tells_secret(value.as_bytes()).then(|| name.clone())
        };
        let telling: Vec<HeaderName> = headers.iter().filter_map(tells).collect();
        for name in telling {
            headers.remove(name);
        }
    }
}

fn paths(
    kind: &ProviderKind,
    prefix: &str,
) -> Result<Vec<(UpstreamRoute, PathAndQuery)>, http::uri::InvalidUri> {
    let mut paths: Vec<(UpstreamRoute, PathAndQuery)> = Vec::new();
    for (operation, dialect) in OPERATIONS {
        if let Some(route) = kind.route(operation, dialect)
            && !paths.iter().any(|(known, _)| *known == route)
        {
            paths.push((route, format!("{prefix}{}", route.path).parse()?));
        }
    }
    Ok(paths)
}

fn effective(overrides: TimeoutOverrides) -> Timeouts {
    let default = Timeouts::default();
    Timeouts {
        connect_ms: overrides.connect_ms.unwrap_or(default.connect_ms),
        first_byte_ms: overrides.first_byte_ms.unwrap_or(default.first_byte_ms),
        idle_ms: overrides.idle_ms.unwrap_or(default.idle_ms),
        total_ms: overrides.total_ms.unwrap_or(default.total_ms),
        ..default
    }
}

/// All targets of a snapshot, by slot.
///
/// # Errors
/// Every deployment that cannot be called, not only the first.
pub fn resolve_all(
    snapshot: &Snapshot,
    health: &HealthRegistry,
    metrics: &Metrics,
    timeouts: TimeoutOverrides,
) -> Result<Arc<[Arc<Target>]>, Vec<InvalidTarget>> {
    let mut targets = Vec::with_capacity(snapshot.deployments.len());
    let mut problems = Vec::new();
    for deployment in snapshot.deployments.iter() {
        match Target::new(deployment, health, metrics, timeouts) {
            Ok(target) => targets.push(Arc::new(target)),
            Err(problem) if problems.contains(&problem) => {}
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(targets.into()) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_time_out_holds() {
        let process = TimeoutOverrides { idle_ms: Some(1), total_ms: Some(2), ..Default::default() };
        let deployment = TimeoutOverrides { idle_ms: Some(3), ..Default::default() };
        let timeouts = effective(deployment.or(process));
        assert_eq!((timeouts.idle_ms, timeouts.total_ms), (3, 2));
        assert_eq!(timeouts.connect_ms, Timeouts::default().connect_ms);
    }
}

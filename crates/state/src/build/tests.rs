use tollgate_catalog::Price;
use tollgate_core::{CredentialId, DeploymentId, KeyId, ModelId, UnixMicros};

use super::*;
use crate::grants::Grants;
use crate::objects::{CredentialAlgorithm, Organization, Owner, Project, Team, TimeoutOverrides};
use crate::snapshot::CredentialLookup;

const NOW: UnixMicros = UnixMicros(1_800_000_000_000_000);

fn provider(organization_id: OrganizationId, kind: &str) -> ProviderObject {
    ProviderObject {
        id: ProviderId::generate(),
        organization_id,
        name: kind.into(),
        kind: kind.into(),
        base_url: None,
        secret: None,
        region: None,
        internal: false,
        timeouts: TimeoutOverrides { idle_ms: Some(7), ..Default::default() },
        discovered_models: vec!["found".into()],
        enabled: true,
        owner: Owner::Api,
        created_at: NOW,
        updated_at: NOW,
    }
}

fn model(provider: &ProviderObject, name: &str, upstream_model: Option<&str>) -> ModelObject {
    ModelObject {
        id: ModelId::generate(),
        organization_id: provider.organization_id,
        name: ModelPattern::parse(name).unwrap(),
        open: false,
        tags: Vec::new(),
        deployments: vec![DeploymentObject {
            id: DeploymentId::generate(),
            provider_id: provider.id,
            upstream_model: upstream_model.map(Into::into),
            weight: 1,
            price: None,
            timeouts: TimeoutOverrides::default(),
            enabled: true,
        }],
        enabled: true,
        owner: Owner::Api,
        created_at: NOW,
        updated_at: NOW,
    }
}

fn configuration() -> Configuration {
    let organization = Organization { id: OrganizationId::generate(), name: "acme".into(), created_at: NOW };
    let team = Team {
        id: TeamId::generate(),
        organization_id: organization.id,
        name: "core".into(),
        created_at: NOW,
    };
    let project = Project {
        id: ProjectId::generate(),
        organization_id: organization.id,
        team_id: team.id,
        name: "search".into(),
        created_at: NOW,
    };
    let key = KeyObject {
        id: KeyId::generate(),
        organization_id: organization.id,
        owned_by: KeyOwner::Project(project.id),
        name: "ci".into(),
        grants: Grants::everything(),
        expires_at: None,
        revoked_at: None,
        created_at: NOW,
    };
    let credential = CredentialObject {
        id: CredentialId::generate(),
        key_id: key.id,
        organization_id: organization.id,
        lookup: CredentialLookup(*b"abcdefghijkl"),
        algorithm: CredentialAlgorithm::HmacSha256,
        pepper_version: 1,
        hash: [1; 32],
        expires_at: Some(UnixMicros(NOW.0 + 10)),
        created_at: NOW,
    };
    Configuration {
        version: 3,
        providers: vec![provider(organization.id, "openai")],
        organizations: vec![organization],
        teams: vec![team],
        projects: vec![project],
        keys: vec![key],
        credentials: vec![credential],
        models: Vec::new(),
        budgets: Vec::new(),
        limits: Vec::new(),
    }
}

#[test]
fn exact_beats_pattern_and_the_longer_prefix_wins() {
    let mut configuration = configuration();
    let openai = configuration.providers[0].clone();
    configuration.models = vec![
        model(&openai, "*", None),
        model(&openai, "openai/*", None),
        model(&openai, "openai/found", Some("gpt-5.5")),
    ];
    configuration.models[0].open = true;
    let snapshot = build(&configuration).unwrap();
    let view = snapshot.organization(openai.organization_id).unwrap();
    let resolve = |name: &str| view.resolve(name).map(|model| model.name.to_string());
    assert_eq!(resolve("openai/found").as_deref(), Some("openai/found"));
    assert_eq!(resolve("openai/gpt-5.5").as_deref(), Some("openai/*"));
    assert_eq!(resolve("openai/never-heard-of").as_deref(), Some("*"));
    assert_eq!(view.names().filter(|name| *name == "openai/found").count(), 1);
}

#[test]
fn a_closed_pattern_resolves_only_to_known_names_and_prices_each() {
    let mut configuration = configuration();
    let openai = configuration.providers[0].clone();
    configuration.models = vec![model(&openai, "openai/*", None)];
    let snapshot = build(&configuration).unwrap();
    let view = snapshot.organization(openai.organization_id).unwrap();
    assert!(view.resolve("openai/never-heard-of").is_none());
    let model = view.resolve("openai/gpt-5.5").unwrap();
    let deployment = &model.deployments[0];
    assert_eq!(deployment.upstream_model(&model.name, "openai/gpt-5.5"), "gpt-5.5");
    assert!(!deployment.prices("gpt-5.5").is_unknown());
    assert!(deployment.prices("found").is_unknown());
    assert_eq!(deployment.timeouts.idle_ms, Some(7));
}

#[test]
fn keys_carry_their_payer_and_expire() {
    let mut configuration = configuration();
    let snapshot = build(&configuration).unwrap();
    let credential = snapshot.credential(CredentialLookup(*b"abcdefghijkl")).unwrap();
    assert_eq!(credential.principal.payer.team_id, Some(configuration.teams[0].id));
    assert_eq!(credential.principal.payer.project_id, Some(configuration.projects[0].id));
    assert!(!credential.is_expired(NOW));
    assert!(credential.is_expired(UnixMicros(NOW.0 + 10)));

    configuration.keys[0].revoked_at = Some(NOW);
    assert_eq!(build(&configuration).unwrap().credential_count(), 0);
}

#[test]
fn one_more_or_one_less_credential_leaves_the_rest_shared() {
    let snapshot = build(&configuration()).unwrap();
    let lookup = CredentialLookup(*b"abcdefghijkl");
    let credential = Arc::clone(snapshot.credential(lookup).unwrap());
    let without = snapshot.without_credentials(4, &[lookup]);
    assert!(without.credential(lookup).is_none() && snapshot.credential(lookup).is_some());
    let again = without.with_credential(5, credential);
    assert_eq!((again.version, again.credential_count()), (5, 1));
    assert!(Arc::ptr_eq(&again.deployments, &snapshot.deployments));
}

#[test]
fn every_problem_is_reported_with_its_place() {
    let mut configuration = configuration();
    let openai = configuration.providers[0].clone();
    let mut first = model(&openai, "a", None);
    first.deployments[0].provider_id = ProviderId::generate();
    let mut second = model(&openai, "b", None);
    second.deployments[0].price = Some(Price::Rows(Vec::new()));
    configuration.models = vec![first, second];
    let problems: Vec<_> = build(&configuration).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 2);
    assert!(problems[0].starts_with("model \"a\", deployment 1: provider prov_"), "{problems:?}");
    assert!(problems[1].starts_with("model \"b\", deployment 1: price"), "{problems:?}");
}

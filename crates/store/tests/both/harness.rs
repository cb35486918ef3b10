//! A fresh database for each test, and the objects that most tests need.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tollgate_access::{Actor, Permission, Proof, Scope};
use tollgate_core::{
    AdminTokenId, Clock, ModelPattern, NanoUsd, OrganizationId, ProviderId, TeamId, UnixMicros,
};
use tollgate_state::governance::{
    BudgetMode, BudgetObject, Clamp, OnExhausted, Place, Scope as BudgetScope, Unpriced, Window, WindowKind,
};
use tollgate_state::objects::{CredentialAlgorithm, KeyOwner, TimeoutOverrides};
use tollgate_state::{CredentialLookup, Grants};
use tollgate_store::{
    BudgetDraft, DeploymentDraft, ModelDraft, NewCredential, NewKey, ProviderDraft, SecretChange, Store,
    StoredProvider,
};

const POSTGRES_URL: &str = "TOLLGATE_TEST_POSTGRES_URL";

/// Makes a test run on both databases. The function gets a [`TestStore`].
macro_rules! on_both_databases {
    ($($(#[$attribute:meta])* async fn $name:ident($argument:ident) $body:block)*) => {$(
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            $(#[$attribute])*
            async fn check($argument: crate::harness::TestStore) $body

            #[tokio::test]
            async fn sqlite() {
                crate::harness::on_sqlite(check).await;
            }

            #[tokio::test]
            async fn postgres() {
                crate::harness::on_postgres(check).await;
            }
        }
    )*};
}
pub(crate) use on_both_databases;

/// A clock that moves when told to.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn set(&self, time: UnixMicros) {
        self.0.store(time.0, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixMicros {
        UnixMicros(self.0.load(Ordering::SeqCst))
    }
}

pub(crate) const NOW: UnixMicros = UnixMicros(1_800_000_000_000_000);

pub(crate) struct TestStore {
    pub(crate) store: Store,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) location: String,
    pub(crate) directory: tempfile::TempDir,
}

async fn test_store(location: String, directory: tempfile::TempDir) -> TestStore {
    let clock = Arc::new(TestClock(AtomicI64::new(NOW.0)));
    let store = Store::open_with_clock(&location, clock.clone()).await.unwrap();
    TestStore { store, clock, location, directory }
}

pub(crate) async fn on_sqlite<F: Future<Output = ()>>(check: impl FnOnce(TestStore) -> F) {
    let directory = tempfile::tempdir().unwrap();
    let location = directory.path().join("store.db").display().to_string();
    check(test_store(location, directory).await).await;
}

pub(crate) async fn on_postgres<F: Future<Output = ()>>(check: impl FnOnce(TestStore) -> F) {
    let Ok(server) = std::env::var(POSTGRES_URL) else {
        println!("not run on PostgreSQL: {POSTGRES_URL} is not set");
        return;
    };
    let name = format!("tollgate_test_{}", uuid::Uuid::now_v7().simple());
    let mut connection = PgConnection::connect(&server).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    let base = server.rsplit_once('/').unwrap().0;
    check(test_store(format!("{base}/{name}"), tempfile::tempdir().unwrap()).await).await;
    let drop = format!("DROP DATABASE {name} WITH (FORCE)");
    sqlx::query(AssertSqlSafe(drop)).execute(&mut connection).await.unwrap();
}

pub(crate) fn admin<P: Permission>() -> Proof<P> {
    Actor::administrator(AdminTokenId::from_bytes([7; 16])).authorize(Scope::Installation).unwrap()
}

pub(crate) fn files<P: Permission>() -> Proof<P> {
    Actor::configuration_files().authorize(Scope::Installation).unwrap()
}

/// An administrator who may act in one organization only.
pub(crate) fn admin_of<P: Permission>(organization_id: OrganizationId) -> Proof<P> {
    let actor = Actor::administrator(AdminTokenId::from_bytes([8; 16]));
    actor.authorize(Scope::Organization(organization_id)).unwrap()
}

pub(crate) fn patterns(texts: &[&str]) -> Vec<ModelPattern> {
    texts.iter().map(|text| ModelPattern::parse(text).unwrap()).collect()
}

pub(crate) fn provider_draft(name: &str) -> ProviderDraft {
    ProviderDraft {
        name: name.into(),
        kind: "openai".into(),
        base_url: Some("http://127.0.0.1:9/v1".into()),
        secret: SecretChange::Set { sealed: vec![0, 255, 1, 2], hint: "…6789".into() },
        region: Some("eu-west-1".into()),
        internal: true,
        timeouts: TimeoutOverrides { connect_ms: Some(250), ..TimeoutOverrides::default() },
        enabled: true,
    }
}

pub(crate) fn deployment_draft(provider_id: ProviderId, upstream_model: &str) -> DeploymentDraft {
    DeploymentDraft {
        id: None,
        provider_id,
        upstream_model: Some(upstream_model.into()),
        weight: 100,
        price: None,
        timeouts: TimeoutOverrides::default(),
        enabled: true,
    }
}

pub(crate) fn model_draft(name: &str, deployments: Vec<DeploymentDraft>) -> ModelDraft {
    ModelDraft {
        name: ModelPattern::parse(name).unwrap(),
        open: false,
        tags: Vec::new(),
        deployments,
        enabled: true,
    }
}

pub(crate) fn new_credential(lookup: &[u8; 12]) -> NewCredential {
    NewCredential {
        lookup: CredentialLookup(*lookup),
        algorithm: CredentialAlgorithm::HmacSha256,
        pepper_version: 3,
        hash: [0xa5; 32],
        expires_at: None,
    }
}

pub(crate) fn new_key(owned_by: KeyOwner, name: &str, lookup: &[u8; 12]) -> NewKey {
    NewKey {
        owned_by,
        name: name.into(),
        grants: Grants { allow: patterns(&["gpt-*"]), deny: patterns(&["gpt-5.5-pro"]) },
        expires_at: None,
        credential: new_credential(lookup),
    }
}

/// An organization with a team and a provider.
pub(crate) struct Tree {
    pub(crate) organization_id: OrganizationId,
    pub(crate) team_id: TeamId,
    pub(crate) provider: StoredProvider,
}

pub(crate) async fn tree(store: &Store) -> Tree {
    let organization_id = store.create_organization(&admin(), "Example").await.unwrap().id;
    let team_id = store.create_team(&admin(), organization_id, "research").await.unwrap().id;
    let draft = provider_draft("upstream");
    let provider =
        store.create_provider(&admin(), organization_id, ProviderId::generate(), draft).await.unwrap();
    Tree { organization_id, team_id, provider }
}

pub(crate) fn at_place(place: Place) -> BudgetScope {
    BudgetScope { place, each: None, model: None }
}

/// Hard, of the organization, for ever.
pub(crate) fn budget_draft(name: &str, amount_nano_usd: i64) -> BudgetDraft {
    BudgetDraft {
        name: name.into(),
        scope: at_place(Place::Organization),
        amount_nano_usd: NanoUsd::new(amount_nano_usd),
        window: Window { kind: WindowKind::Once, time_zone: "UTC".into() },
        mode: BudgetMode::Hard,
        clamp: Clamp::Missing,
        thresholds_percent: vec![50, 80, 100],
        on_exhausted: OnExhausted::Refuse,
        unpriced: Unpriced::Refuse,
        server_tools_nano_usd: None,
        enabled: true,
    }
}

pub(crate) async fn budget(store: &Store, tree: &Tree, amount_nano_usd: i64) -> BudgetObject {
    let draft = budget_draft("all", amount_nano_usd);
    store.create_budget(&admin(), tree.organization_id, draft).await.unwrap()
}

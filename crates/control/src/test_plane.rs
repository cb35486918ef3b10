//! A control plane on a real SQLite store, for tests.

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use tollgate_access::RootKey;
use tollgate_core::SystemClock;
use tollgate_ledger::budget::BudgetBook;
use tollgate_state::Snapshot;
use tower::ServiceExt;

use crate::bootstrap::first_admin_credential;
use crate::connection::{Connection, Installation};
use crate::plane::{ControlPlane, Parts};
use crate::ports::{DataPlaneView, DeploymentHealth, JournalStatus, SnapshotSink};
use crate::publisher::{Boot, BootError};

pub(crate) const ROOT: [u8; 32] = [5; 32];

/// Remembers what was published, and refuses when told to.
#[derive(Default)]
pub(crate) struct Sink {
    pub(crate) published: Mutex<Vec<Arc<Snapshot>>>,
    pub(crate) most_deployments: Mutex<Option<usize>>,
}

impl Sink {
    pub(crate) fn latest(&self) -> Arc<Snapshot> {
        self.published.lock().last().cloned().unwrap()
    }
}

impl SnapshotSink for Sink {
    fn publish(&self, snapshot: Arc<Snapshot>) -> Result<(), Vec<String>> {
        if self.most_deployments.lock().is_some_and(|most| snapshot.deployments.len() > most) {
            return Err(vec!["too many deployments".into()]);
        }
        self.published.lock().push(snapshot);
        Ok(())
    }
}

pub(crate) struct View;

impl DataPlaneView for View {
    fn deployments(&self) -> Vec<DeploymentHealth> {
        Vec::new()
    }

    fn journal(&self) -> JournalStatus {
        JournalStatus { writable: true, lag_bytes: 7, ..JournalStatus::default() }
    }

    fn requests_in_flight(&self) -> u64 {
        3
    }

    fn is_draining(&self) -> bool {
        false
    }
}

pub(crate) struct TestPlane {
    pub(crate) control: ControlPlane,
    pub(crate) connection: Arc<Connection>,
    pub(crate) sink: Arc<Sink>,
    pub(crate) budgets: Arc<BudgetBook>,
    pub(crate) token: String,
    pub(crate) directory: tempfile::TempDir,
    _stop: watch::Sender<bool>,
}

/// An answer that was read completely.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }
}

pub(crate) fn parts(connection: Arc<Connection>, data_directory: PathBuf) -> Parts {
    Parts {
        connection,
        data_directory,
        clock: Arc::new(SystemClock),
        tls: tollgate_upstream::client_config(None).unwrap(),
        metrics: Arc::default(),
        open_metrics: false,
        budgets: Arc::new(BudgetBook::sole()),
        limits: Arc::default(),
        deliveries: Arc::default(),
        ledger_differences: Arc::default(),
        program_version: "0.0.0-test",
        assets: None,
    }
}

/// Starts a control plane on what a directory holds, with the sink that gets its snapshots.
pub(crate) async fn start(
    location: &str,
    data_directory: PathBuf,
) -> (ControlPlane, Arc<Connection>, Arc<Sink>, Result<Boot, BootError>, watch::Sender<bool>) {
    let connection = Arc::new(Connection::new(location, RootKey::from_bytes(ROOT)));
    let control = ControlPlane::new(parts(Arc::clone(&connection), data_directory));
    let sink = Arc::new(Sink::default());
    let (stop, stopped) = watch::channel(false);
    let as_sink: Arc<dyn SnapshotSink> = Arc::clone(&sink) as _;
    let boot = control.start(as_sink, Arc::new(View), stopped).await;
    (control, connection, sink, boot, stop)
}

impl TestPlane {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let location = directory.path().join("store.db").display().to_string();
        Self::at(&location, directory).await
    }

    /// On a store that holds nothing yet.
    pub(crate) async fn at(location: &str, directory: tempfile::TempDir) -> Self {
        let (control, connection, sink, boot, stop) = start(location, directory.path().into()).await;
        boot.unwrap();
        let token = first_admin_credential(connection.get().unwrap()).await.unwrap().unwrap();
        let budgets = Arc::clone(control.budgets());
        Self { control, connection, budgets, sink, token: token.expose().to_owned(), directory, _stop: stop }
    }

    pub(crate) fn installation(&self) -> &Installation {
        self.connection.get().unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.control.router().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    pub(crate) fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Request<Body> {
        let builder = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        match body {
            Some(body) => builder
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(body.to_string()))
                .unwrap(),
            None => builder.body(Body::empty()).unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path, None)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path, Some(&body))).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PATCH, path, Some(&body))).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path, None)).await
    }

    /// Makes something that must succeed, and returns its id.
    pub(crate) async fn made(&self, path: &str, body: Value) -> String {
        let answer = self.post(path, body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        let object = answer.json();
        object["id"].as_str().or_else(|| object["key"]["id"].as_str()).unwrap().to_owned()
    }

    /// An organization with a team, a project and a provider.
    pub(crate) async fn with_tree(&self) -> Tree {
        let organization = self.made("/api/v1/organizations", json!({ "name": "acme" })).await;
        let team = self.made("/api/v1/teams", json!({ "name": "core" })).await;
        let project = self.made("/api/v1/projects", json!({ "name": "search", "team_id": team })).await;
        let provider = json!({ "name": "openai", "kind": "openai", "secret": "sk-canary-0123456789abcdef" });
        let provider = self.made("/api/v1/providers", provider).await;
        Tree { organization, team, project, provider }
    }
}

pub(crate) struct Tree {
    pub(crate) organization: String,
    pub(crate) team: String,
    pub(crate) project: String,
    pub(crate) provider: String,
}

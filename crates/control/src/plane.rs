//! The control plane as a whole: what its handlers share, and how the binary starts it.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Request, StatusCode, header};
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;
use tollgate_core::Clock;
use tollgate_ledger::budget::BudgetBook;
use tollgate_ledger::limit::LimitBook;
use tollgate_state::ports::Lookups;

use crate::alerts::{Deliverer, DeliveryCounts, Verifier};
use crate::api;
use crate::call::Strangers;
use crate::configuration::{self, Applied, ApplyError, FileObjects};
use crate::connection::{Connection, Installation};
use crate::lookups::StoreLookups;
use crate::ports::{Assets, DataPlaneView, SnapshotSink};
use crate::problem::Problem;
use crate::publisher::{Boot, BootError, Publisher};
use crate::route;

/// What a control plane is made of.
pub struct Parts {
    pub connection: Arc<Connection>,
    /// Where the last-known-good file is kept.
    pub data_directory: std::path::PathBuf,
    pub clock: Arc<dyn Clock>,
    /// For calls to providers.
    pub tls: Arc<rustls::ClientConfig>,
    /// What `/metrics` shows.
    pub metrics: Arc<Registry>,
    /// `/metrics` answers without a credential: only for a listener that nobody else reaches.
    pub open_metrics: bool,
    /// What budgets have counted.
    pub budgets: Arc<BudgetBook>,
    /// What limits have counted.
    pub limits: Arc<LimitBook>,
    /// What became of deliveries to webhooks.
    pub deliveries: Arc<DeliveryCounts>,
    /// Balances that differed from the usage records at the last nightly look.
    pub ledger_differences: Arc<AtomicU64>,
    /// The version of the program.
    pub program_version: &'static str,
    /// The console, if the binary has one.
    pub assets: Option<Arc<dyn Assets>>,
}

/// What handlers share.
pub(crate) struct Plane {
    pub(crate) parts: Parts,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) data_plane: OnceLock<Arc<dyn DataPlaneView>>,
    /// Held from the check of a configuration write until it is stored.
    pub(crate) writing: Mutex<()>,
    /// Admin credentials that callers invented.
    pub(crate) strangers: Strangers,
}

impl Plane {
    /// The open store. Until it has been reached, nobody can be identified: 503, never 401.
    pub(crate) fn installation(&self) -> Result<&Installation, Problem> {
        self.parts.connection.get().ok_or_else(|| Problem::unavailable("the store has not been reached yet"))
    }

    /// Makes new requests see what was just written. Should that fail now, the write stands and is published as soon
    /// as it can be; the status says what stands in the way.
    pub(crate) async fn publish(&self) {
        if let Err(error) = self.publisher.publish_latest().await {
            tracing::warn!(%error, "a change is stored but not published yet");
        }
    }
}

/// The control plane. Cheap to clone.
#[derive(Clone)]
pub struct ControlPlane(Arc<Plane>);

impl fmt::Debug for ControlPlane {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ControlPlane(…)")
    }
}

impl ControlPlane {
    pub fn new(parts: Parts) -> Self {
        let publisher = Publisher::new(Arc::clone(&parts.connection), &parts.data_directory);
        let (data_plane, writing, strangers) = (OnceLock::new(), Mutex::default(), Strangers::default());
        Self(Arc::new(Plane { parts, publisher, data_plane, writing, strangers }))
    }

    /// Loads the configuration (from the last-known-good file when the store is down), publishes it, and starts the
    /// tasks that keep it fresh on the current runtime. They end when `stopped` does.
    ///
    /// # Errors
    /// When there is no configuration at all to start with.
    pub async fn start(
        &self,
        sink: Arc<dyn SnapshotSink>,
        data_plane: Arc<dyn DataPlaneView>,
        stopped: tokio::sync::watch::Receiver<bool>,
    ) -> Result<Boot, BootError> {
        let _ = self.0.data_plane.set(data_plane);
        let boot = self.0.publisher.boot(sink).await?;
        tokio::spawn(Arc::clone(&self.0.publisher).run(stopped.clone()));
        tokio::spawn(alerting(Arc::clone(&self.0), stopped));
        Ok(boot)
    }

    /// Look-ups for the data plane, answered on the runtime that is current now.
    pub fn lookups(&self) -> Arc<dyn Lookups> {
        StoreLookups::on(Arc::clone(&self.0.parts.connection), tokio::runtime::Handle::current())
    }

    /// What budgets have counted.
    pub fn budgets(&self) -> &Arc<BudgetBook> {
        &self.0.parts.budgets
    }

    /// Publishing: for configuration files applied at start or on reload.
    pub fn publisher(&self) -> &Arc<Publisher> {
        &self.0.publisher
    }

    /// Makes the store's file-owned objects those of the files, and publishes them. Used at start and on reload.
    pub async fn apply(&self, objects: &FileObjects) -> Result<Applied, ApplyError> {
        let _writing = self.0.writing.lock().await;
        let applied = configuration::apply(self.0.parts.connection.open().await?, objects).await?;
        self.0.publish().await;
        Ok(applied)
    }

    /// Console, admin API and metrics.
    pub fn router(&self) -> axum::Router {
        let plane = Arc::clone(&self.0);
        let router = route::router(api::table(), &self.0).fallback(move |request: Request<Body>| {
            let response = fallback(&plane, &request);
            std::future::ready(response)
        });
        router.layer(map_response(async |response: Response| guarded(response)))
    }
}

/// Delivers alerts and verifies the ledger every night, until told to stop.
async fn alerting(plane: Arc<Plane>, mut stopped: tokio::sync::watch::Receiver<bool>) {
    let parts = &plane.parts;
    let deliverer = Deliverer {
        connection: Arc::clone(&parts.connection),
        tls: Arc::clone(&parts.tls),
        clock: Arc::clone(&parts.clock),
        counts: Arc::clone(&parts.deliveries),
    };
    let verifier = Verifier {
        connection: Arc::clone(&parts.connection),
        clock: Arc::clone(&parts.clock),
        differences: Arc::clone(&parts.ledger_differences),
    };
    tokio::select! {
        () = deliverer.run() => {}
        () = verifier.run() => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

/// Tells browsers to take nothing from elsewhere, to guess no types, and to show this inside no other page.
fn guarded(mut response: Response) -> Response {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, "default-src 'self'; base-uri 'none'; frame-ancestors 'none'"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The console's files, and a problem for everything else.
fn fallback(plane: &Plane, request: &Request<Body>) -> Response {
    let path = request.uri().path();
    asset(plane, path).unwrap_or_else(|| {
        let detail =
            format!("nothing is served at {path}; the admin API is described at /api/v1/openapi.json");
        Problem::not_found(detail).into_response()
    })
}

/// A file of the console.
pub(crate) fn asset(plane: &Plane, path: &str) -> Option<Response> {
    let asset = plane.parts.assets.as_ref()?.find(path)?;
    let caching = if asset.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static(caching)),
    ];
    Some((StatusCode::OK, headers, asset.content).into_response())
}

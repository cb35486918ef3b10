//! What all cores share: the published configuration, and what outlives every publish.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use tollgate_access::token::PepperRing;
use tollgate_core::{Clock, InstanceId};
use tollgate_ledger::budget::BudgetBook;
use tollgate_ledger::journal::Health;
use tollgate_ledger::limit::LimitBook;
use tollgate_state::Snapshot;
use tollgate_state::objects::TimeoutOverrides;
use tollgate_state::ports::Lookups;
use tollgate_telemetry::{CallSink, Metrics};

use crate::core::BodyMemory;
use crate::fallback::Fallback;
use crate::governed::Governed;
use crate::health::HealthRegistry;
use crate::recent_objects::RecentObjects;
use crate::retry_budget::RetryBudget;
use crate::settings::Settings;
use crate::targets::{InvalidTarget, Target, resolve_all};

/// A snapshot with its deployments resolved. A request keeps the one it began with.
#[derive(Debug)]
pub struct Published {
    pub snapshot: Arc<Snapshot>,
    pub targets: Arc<[Arc<Target>]>,
    pub governed: Arc<Governed>,
}

/// The process-wide half of the data plane; each core has a [`crate::core::Core`] beside it.
pub struct Gateway {
    published: ArcSwap<Published>,
    /// Whether a configuration was ever published.
    configured: AtomicBool,
    draining: AtomicBool,
    pub peppers: ArcSwap<PepperRing>,
    pub lookups: Arc<dyn Lookups>,
    /// Serves every path that is not the data plane's; absent where the control plane listens elsewhere.
    pub fallback: Option<Arc<dyn Fallback>>,
    pub health: HealthRegistry,
    pub body_memory: Arc<BodyMemory>,
    pub recent_objects: RecentObjects,
    pub retry_budget: RetryBudget,
    /// What budgets have spent and hold.
    pub budgets: Arc<BudgetBook>,
    /// What rate and concurrency limits have counted.
    pub limits: Arc<LimitBook>,
    pub metrics: Arc<Metrics>,
    /// Where finished calls go for traces and the access log; absent where both are off.
    pub call_sink: Option<CallSink>,
    pub clock: Arc<dyn Clock>,
    pub settings: Settings,
    pub instance_id: InstanceId,
}

/// What a gateway is made of.
pub struct GatewayParts {
    pub peppers: PepperRing,
    pub lookups: Arc<dyn Lookups>,
    pub fallback: Option<Arc<dyn Fallback>>,
    pub budgets: Arc<BudgetBook>,
    pub limits: Arc<LimitBook>,
    pub metrics: Arc<Metrics>,
    pub call_sink: Option<CallSink>,
    pub clock: Arc<dyn Clock>,
    pub settings: Settings,
    pub instance_id: InstanceId,
}

impl Gateway {
    /// A gateway that knows nobody until a snapshot is published.
    pub fn new(parts: GatewayParts) -> Arc<Self> {
        let empty = Published { snapshot: Arc::default(), targets: Arc::new([]), governed: Arc::default() };
        Arc::new(Self {
            published: ArcSwap::from_pointee(empty),
            configured: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            peppers: ArcSwap::from_pointee(parts.peppers),
            lookups: parts.lookups,
            fallback: parts.fallback,
            health: HealthRegistry::default(),
            body_memory: Arc::default(),
            recent_objects: RecentObjects::default(),
            retry_budget: RetryBudget::default(),
            budgets: parts.budgets,
            limits: parts.limits,
            metrics: parts.metrics,
            call_sink: parts.call_sink,
            clock: parts.clock,
            settings: parts.settings,
            instance_id: parts.instance_id,
        })
    }

    /// Makes a snapshot the current one, for requests that begin from now on.
    ///
    /// # Errors
    /// Every deployment that cannot be called as configured; then the snapshot before stays current.
    pub fn publish(&self, snapshot: Arc<Snapshot>) -> Result<(), Vec<InvalidTarget>> {
        let before = self.published.load();
        let same_deployments = Arc::ptr_eq(&before.snapshot.deployments, &snapshot.deployments);
        let targets = if same_deployments && self.configured.load(Ordering::Relaxed) {
            Arc::clone(&before.targets)
        } else {
            let targets =
                resolve_all(&snapshot, &self.health, &self.metrics, self.settings.provider_timeouts)?;
            self.health.keep_only(targets.iter().map(|target| target.deployment.id));
            targets
        };
        let same_rules = Arc::ptr_eq(&before.snapshot.governance, &snapshot.governance);
        let governed = if same_rules {
            Arc::clone(&before.governed)
        } else {
            Arc::new(Governed::new(&snapshot.governance, &self.budgets, &self.limits))
        };
        self.published.store(Arc::new(Published { snapshot, targets, governed }));
        self.configured.store(true, Ordering::Release);
        Ok(())
    }

    /// Checks what [`Self::publish`] would, without publishing.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub fn check(snapshot: &Snapshot) -> Result<(), Vec<InvalidTarget>> {
        let timeouts = TimeoutOverrides::default();
        resolve_all(snapshot, &HealthRegistry::default(), &Metrics::default(), timeouts).map(drop)
    }

    /// The current configuration.
    pub fn published(&self) -> arc_swap::Guard<Arc<Published>> {
        self.published.load()
    }

    /// From now on the process is not ready, and answers ask clients to close their connections.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub fn is_configured(&self) -> bool {
        self.configured.load(Ordering::Acquire)
    }

    /// What `/readyz` says with a journal in this state, if the process should not be sent requests.
    pub fn readiness_problem(&self, journal: &Health) -> Option<&'static str> {
        if self.is_draining() {
            return Some("draining: the process is shutting down\n");
        }
        if !self.is_configured() {
            return Some("no configuration has been loaded yet\n");
        }
        match journal {
            Health::Ok => None,
            Health::LowSpace => Some("the journal's disk is nearly full: billable calls are refused\n"),
            Health::Failed { .. } => Some("the journal cannot be written: billable calls are refused\n"),
        }
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Gateway").field("instance_id", &self.instance_id).finish_non_exhaustive()
    }
}

//! Budgets and limits in the process: made before anything is served, tended while it runs, put away at its end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tollgate_control::Connection;
use tollgate_core::{Clock, SystemClock};
use tollgate_ledger::budget::{
    BudgetBook, LeaseError, LeaseFuture, LeaseGrant, LeaseRequest, LeaseReturn, LeaseSource, RenewedLeases,
};
use tollgate_ledger::limit::{DEFAULT_RESPONSE_TIMEOUT, LimitBook, LimitFile, RedisLimiter};
use tollgate_ledger::record::BalanceKey;
use tollgate_ledger::shipper::Shipper;
use tollgate_store::{LeaseHolder, StoreLeases};

use super::data_directory::DataDirectory;
use super::settings::Chosen;

/// How long the start waits until what earlier runs left is in the store.
const EARLIER_RUNS: Duration = Duration::from_secs(120);
/// How long a lease may be used after it was asked for or renewed.
const LEASE_TERM: Duration = Duration::from_secs(30);
/// Answers of the store about leases come within this time or count as none.
const LEASE_PATIENCE: Duration = Duration::from_secs(3);
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);
/// A process that was not there for so long does not count among those that share the limits.
const LIVE: Duration = Duration::from_secs(20);
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// What budgets and limits have counted, and where that is kept.
pub(super) struct Books {
    pub(super) budgets: Arc<BudgetBook>,
    pub(super) limits: Arc<LimitBook>,
    limit_file: Arc<LimitFile>,
    connection: Arc<Connection>,
    holder: LeaseHolder,
    authority: Authority,
}

/// Who decides about budgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Authority {
    /// This process, which is alone.
    Sole,
    /// The store, which several processes share.
    Leased,
    /// Nobody: what was spent is not known.
    Unknown,
}

impl Authority {
    async fn choose(is_shared: bool, connection: &Connection) -> Self {
        if is_shared {
            return Self::Leased;
        }
        match connection.open().await {
            Ok(_) => Self::Sole,
            Err(error) => {
                tracing::error!(
                    %error,
                    "nobody knows what is left of budgets: calls that hard and stepped budgets count are refused until \
                     the store works and Tollgate is started again"
                );
                Self::Unknown
            }
        }
    }
}

impl Books {
    /// Makes them. Nothing may be admitted before [`Self::restored`].
    pub(super) async fn open(
        chosen: &Chosen,
        directory: &DataDirectory,
        connection: &Arc<Connection>,
        epoch: u64,
    ) -> anyhow::Result<Self> {
        let holder = LeaseHolder { instance_id: directory.instance_id()?, epoch };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let authority = Authority::choose(chosen.database.is_some(), connection).await;
        let budgets = match authority {
            Authority::Sole => BudgetBook::sole(),
            Authority::Leased => {
                let source = Reached { connection: Arc::clone(connection), holder };
                BudgetBook::leased(Arc::new(source), Arc::clone(&clock))
            }
            Authority::Unknown => BudgetBook::leased(Arc::new(Nobody), Arc::clone(&clock)),
        };
        let mut limits = LimitBook::default();
        if let Some(url) = &chosen.redis_url {
            let limiter = RedisLimiter::start(url, Handle::current(), DEFAULT_RESPONSE_TIMEOUT);
            limits = limits.with_shared(Arc::new(limiter.context("the Redis URL cannot be used")?));
        }
        let limit_file = LimitFile::in_directory(directory.path());
        match limit_file.load(&limits, clock.now()) {
            Ok(counts) => tracing::debug!(counts, "hour and day limits go on counting"),
            Err(error) => {
                tracing::warn!(%error, "hour and day limits begin without a burst: what they counted is lost");
                limits.begin_without_burst(clock.now());
            }
        }
        Ok(Self {
            budgets: Arc::new(budgets),
            limits: Arc::new(limits),
            limit_file: Arc::new(limit_file),
            connection: Arc::clone(connection),
            holder,
            authority,
        })
    }

    /// Alone, the process must know all that was spent before it admits anything: what earlier runs left in the journal
    /// is shipped first, to the end, then the book takes over what the store says.
    pub(super) async fn restored(&self, mut shipper: Shipper) -> anyhow::Result<Shipper> {
        if self.authority != Authority::Sole {
            return Ok(shipper);
        }
        if !shipper.drain(EARLIER_RUNS).await {
            let seconds = EARLIER_RUNS.as_secs();
            bail!("the store did not take what earlier runs left in the journal within {seconds} s");
        }
        let store = &self.connection.open().await?.store;
        let mut balances = Vec::new();
        store.system_open_balances(|balance, spent| balances.push((balance, spent))).await?;
        self.budgets.restore(balances);
        Ok(shipper)
    }

    /// Tends them on the current runtime until `stopped`, then writes what must survive.
    pub(super) fn tend(self, mut stopped: watch::Receiver<bool>) -> JoinHandle<Self> {
        tokio::spawn(async move {
            tokio::select! {
                () = self.budgets.keep_leases() => {}
                () = self.forget_idle() => {}
                () = self.save_now_and_then() => {}
                () = self.share() => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
            self.save().await;
            self
        })
    }

    /// At the end, when all that this run wrote is shipped: what it leased and did not spend returns to the others now
    /// instead of at the next start.
    pub(super) async fn give_back(self) {
        let (Authority::Leased, Some(installation)) = (self.authority, self.connection.get()) else { return };
        let LeaseHolder { instance_id, epoch } = self.holder;
        // No core is named: the shipper has just said that nothing is left on any of them.
        let returning = installation.store.system_end_epochs(instance_id, epoch + 1, &[]);
        match tokio::time::timeout(LEASE_PATIENCE, returning).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "leases return at the next start"),
            Err(_) => tracing::warn!("leases return at the next start: the store did not answer in time"),
        }
    }

    async fn forget_idle(&self) {
        loop {
            tokio::time::sleep(SWEEP_INTERVAL).await;
            let now = SystemClock.now();
            self.budgets.forget_idle(now);
            self.limits.sweep(now);
        }
    }

    async fn save_now_and_then(&self) {
        loop {
            tokio::time::sleep(SAVE_INTERVAL).await;
            self.save().await;
        }
    }

    async fn save(&self) {
        let (file, limits) = (Arc::clone(&self.limit_file), Arc::clone(&self.limits));
        let saved = tokio::task::spawn_blocking(move || file.save(&limits, SystemClock.now())).await;
        if let Ok(Err(error)) = saved {
            tracing::warn!(%error, "what hour and day limits have counted was not written");
        }
    }

    /// Says that this process is there, and learns among how many limits are shared. While the store does not answer,
    /// the last known number holds.
    async fn share(&self) {
        if self.authority != Authority::Leased {
            return std::future::pending().await;
        }
        loop {
            match self.heartbeat().await {
                Ok(live) => self.limits.set_share(live),
                Err(error) => tracing::debug!(%error, "how many processes there are is not known now"),
            }
            tokio::time::sleep(HEARTBEAT_INTERVAL).await;
        }
    }

    async fn heartbeat(&self) -> anyhow::Result<u32> {
        let store = &self.connection.open().await?.store;
        let LeaseHolder { instance_id, epoch } = self.holder;
        Ok(store.system_heartbeat(instance_id, epoch, LIVE).await?)
    }
}

/// Leases of a store that may not have been reached yet.
struct Reached {
    connection: Arc<Connection>,
    holder: LeaseHolder,
}

fn unavailable(reason: impl ToString) -> LeaseError {
    LeaseError::Unavailable(reason.to_string().into())
}

impl Reached {
    async fn leases(&self) -> Result<StoreLeases, LeaseError> {
        let installation = self.connection.open().await.map_err(unavailable)?;
        Ok(installation.store.leases(self.holder, LEASE_TERM))
    }

    async fn bounded<T>(&self, asked: impl Future<Output = Result<T, LeaseError>>) -> Result<T, LeaseError> {
        let answered = tokio::time::timeout(LEASE_PATIENCE, asked).await;
        answered.unwrap_or_else(|_| Err(unavailable("it did not answer in time")))
    }
}

impl LeaseSource for Reached {
    fn lease(&self, request: LeaseRequest) -> LeaseFuture<'_, LeaseGrant> {
        Box::pin(self.bounded(async move { self.leases().await?.lease(request).await }))
    }

    fn give_back(&self, returned: LeaseReturn) -> LeaseFuture<'_, ()> {
        Box::pin(self.bounded(async move { self.leases().await?.give_back(returned).await }))
    }

    fn renew(&self, balances: Vec<Arc<BalanceKey>>) -> LeaseFuture<'_, RenewedLeases> {
        Box::pin(self.bounded(async move { self.leases().await?.renew(balances).await }))
    }
}

/// Has nothing to lease: the process does not know what was spent.
struct Nobody;

fn nothing<T>() -> LeaseFuture<'static, T>
where
    T: Send + 'static,
{
    Box::pin(std::future::ready(Err(unavailable("the store did not take what earlier runs left"))))
}

impl LeaseSource for Nobody {
    fn lease(&self, _: LeaseRequest) -> LeaseFuture<'_, LeaseGrant> {
        nothing()
    }

    fn give_back(&self, _: LeaseReturn) -> LeaseFuture<'_, ()> {
        nothing()
    }

    fn renew(&self, _: Vec<Arc<BalanceKey>>) -> LeaseFuture<'_, RenewedLeases> {
        nothing()
    }
}

//! A gateway inside the test's process: real sockets, a real journal, no control plane.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tollgate_access::token::{self, Pepper, PepperRing, TokenKind};
use tollgate_core::{Clock, InstanceId, OrganizationId, SystemClock, UnixMicros};
use tollgate_gateway::server::{ServerSettings, Shutdown, bind, run_core};
use tollgate_gateway::{Core, Gateway, GatewayParts};
use tollgate_ledger::budget::BudgetBook;
use tollgate_ledger::journal::{
    DiskStorage, Entry, Journal, JournalOptions, JournalReader, Position, Storage,
};
use tollgate_ledger::record::{JournalRecord, Settlement};
use tollgate_state::objects::Configuration;
use tollgate_state::ports::{Answer, Lookups, ProviderObjectOwner};
use tollgate_state::{ActiveCredential, CredentialLookup};
use tollgate_telemetry::Metrics;
use tollgate_upstream::{Client, ClientSettings, PoolCounters};

mod plan;

pub use plan::{GatewayPlan, PROVIDER_SECRET};

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Nobody is behind the gateway: what the snapshot does not know does not exist.
struct NoLookups;

impl Lookups for NoLookups {
    fn credential(&self, _: CredentialLookup) -> Answer<Option<Arc<ActiveCredential>>> {
        Box::pin(async { Ok(None) })
    }

    fn provider_object(&self, _: OrganizationId, _: &str) -> Answer<Option<ProviderObjectOwner>> {
        Box::pin(async { Ok(None) })
    }
}

/// A running gateway with one core.
pub struct TestGateway {
    pub gateway: Arc<Gateway>,
    pub address: SocketAddr,
    /// A key of the organization that may use every model.
    pub key: String,
    pub configuration: Configuration,
    /// Of the connections to providers.
    pub pool: Arc<PoolCounters>,
    directory: tempfile::TempDir,
    /// Syncs what is written for as long as it lives.
    journal: Option<Arc<Journal>>,
    shutdown: watch::Sender<Shutdown>,
    thread: Option<JoinHandle<()>>,
}

impl TestGateway {
    /// Starts a gateway for a plan.
    pub fn start(plan: GatewayPlan) -> Self {
        Self::start_with(plan, |directory| {
            Arc::new(DiskStorage::open(directory).expect("a journal directory"))
        })
    }

    /// As [`Self::start`], with a journal on storage of the test's choice.
    pub fn start_with(plan: GatewayPlan, storage: impl FnOnce(&std::path::Path) -> Arc<dyn Storage>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let peppers = PepperRing::new(Pepper::new(1, &[7; 32]), Vec::new());
        let token = token::generate(TokenKind::Key).expect("random bytes");
        let key = token.text.expose().to_owned();
        let (pepper_version, hash) = peppers.hash(key.as_bytes());
        let (settings, drain, call_sink) = (plan.settings.clone(), plan.drain, plan.call_sink.clone());
        let minimum_free_bytes = plan.minimum_free_bytes;
        let configuration = plan.configuration(token.lookup, pepper_version, hash);
        let snapshot = tollgate_state::build::build(&configuration).expect("a consistent plan");
        let gateway = Gateway::new(GatewayParts {
            peppers,
            lookups: Arc::new(NoLookups),
            fallback: None,
            budgets: Arc::new(BudgetBook::sole()),
            limits: Arc::default(),
            metrics: Arc::new(Metrics::default()),
            call_sink,
            clock: Arc::new(SystemClock),
            settings,
            instance_id: InstanceId::generate(),
        });
        gateway.publish(Arc::new(snapshot)).expect("callable deployments");
        let options = JournalOptions { minimum_free_bytes, ..JournalOptions::new(gateway.instance_id) };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let journal = Journal::open(storage(directory.path()), clock, options).expect("a journal");
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let (shutdown, signal) = watch::channel(Shutdown::Running);
        let journal = Arc::new(journal);
        let pool = Arc::<PoolCounters>::default();
        let thread = {
            let (gateway, journal) = (Arc::clone(&gateway), Arc::clone(&journal));
            let counters = Arc::clone(&pool);
            let settings = ServerSettings { tls: None, drain };
            std::thread::spawn(move || {
                let tls = tollgate_upstream::client_config(None).expect("TLS roots");
                let client = Client::new(ClientSettings { counters, ..ClientSettings::new(tls) });
                let make =
                    move || Core::new(gateway, client, journal.writer(0).expect("the first writer"), 42);
                run_core(make, listener, settings, signal).expect("a running core");
            })
        };
        Self {
            gateway,
            address,
            key,
            configuration,
            pool,
            directory,
            journal: Some(journal),
            shutdown,
            thread: Some(thread),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Publishes another configuration, made from the present one.
    pub fn reconfigure(&mut self, change: impl FnOnce(&mut Configuration)) {
        change(&mut self.configuration);
        self.configuration.version += 1;
        let snapshot = tollgate_state::build::build(&self.configuration).expect("a consistent configuration");
        self.gateway.publish(Arc::new(snapshot)).expect("callable deployments");
    }

    /// All records in the journal at this moment, in order.
    pub fn records(&self) -> Vec<JournalRecord> {
        let storage = DiskStorage::open(self.directory.path()).expect("the journal directory");
        let mut reader = JournalReader::open(Arc::new(storage)).expect("a readable journal");
        let mut records = Vec::new();
        for core in reader.cores() {
            reader.resume(core, Position::START);
            while let Some(entry) = reader.next(core).expect("a readable journal") {
                match entry {
                    Entry::Record { payload, .. } => {
                        records.push(JournalRecord::decode(payload).expect("a record of this version"));
                    }
                    Entry::Damage(damage) => panic!("the journal is damaged: {damage:?}"),
                }
            }
        }
        records
    }

    /// The settlements in the journal at this moment.
    pub fn settlements(&self) -> Vec<Settlement> {
        let records = self.records().into_iter();
        records
            .filter_map(|record| match record {
                JournalRecord::Settled(settlement) => Some(*settlement),
                _ => None,
            })
            .collect()
    }

    /// Waits until there are `count` settlements; panics when there are more, or not enough in time.
    pub async fn wait_for_settlements(&self, count: usize) -> Vec<Settlement> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let settlements = self.settlements();
            assert!(settlements.len() <= count, "more than {count} settlements: {settlements:#?}");
            if settlements.len() == count {
                return settlements;
            }
            assert!(tokio::time::Instant::now() < deadline, "{} of {count} settlements", settlements.len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Asks the gateway to finish what runs, without waiting for it.
    pub fn drain(&self) {
        self.gateway.start_draining();
        let _ = self.shutdown.send(Shutdown::Drain);
    }

    /// Asks the gateway to stop and waits until it has.
    pub fn stop(&mut self) {
        self.drain();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the gateway's thread panicked");
        }
        self.journal = None;
    }
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        let _ = self.shutdown.send(Shutdown::Now);
        self.stop();
    }
}

/// The present, for records made by hand.
pub fn now() -> UnixMicros {
    SystemClock.now()
}

//! The shipper between a journal on a simulated disk and a store in memory.

mod crashes;
mod following;
mod random;
mod shipping;
mod store;

use std::sync::Arc;
use std::time::Duration;

use tollgate_core::{
    DeploymentId, Dialect, InstanceId, ModelId, NanoUsd, Operation, OrganizationId, ProviderId, RequestId,
    SystemClock, TokenUsage, UnixMicros,
};
use tollgate_state::{Payer, Principal, Subject};

use super::*;
use crate::journal::simulated::SimulatedDisk;
use crate::journal::{Journal, JournalOptions, JournalWriter};
use crate::record::{
    DecisionRecord, JournalEntry, Outcome, ProviderObjectKind, RequestRecord, UsageRecord, UsageSource,
};
use store::{MemoryStore, Trouble};

const INSTANCE: InstanceId = InstanceId::from_bytes([7; 16]);

/// One run of a process: its journal, with a writer per core, and its shipper.
struct Process {
    writers: Vec<JournalWriter>,
    shipper: Shipper,
    journal: Journal,
}

impl Process {
    fn start(disk: &SimulatedDisk, store: &MemoryStore, cores: u16) -> Self {
        let options = JournalOptions {
            minimum_free_bytes: 0,
            segment_bytes: 2_000,
            sync_delay: Duration::from_secs(3600),
            ..JournalOptions::new(INSTANCE)
        };
        let journal = Journal::open(Arc::new(disk.clone()), Arc::new(SystemClock), options).unwrap();
        let writers = (0..cores).map(|core| journal.writer(core).unwrap()).collect();
        let shipper = shipper(&journal, store);
        Self { writers, shipper, journal }
    }

    fn intent(&self, core: usize, request: u8, attempt: u16) {
        write(&self.writers[core], JournalEntry::Intent(&intent(request, attempt)));
    }

    fn settle(&self, core: usize, request: u8, attempts: u16) {
        write(&self.writers[core], JournalEntry::Settled(&settlement(request, attempts)));
    }

    /// The process dies; the next one finds what the kernel had.
    fn kill(self, disk: &SimulatedDisk) -> SimulatedDisk {
        disk.after_kill()
    }
}

fn shipper(journal: &Journal, store: &MemoryStore) -> Shipper {
    let options = ShipperOptions { batch_settlements: 4, ..ShipperOptions::new(INSTANCE, journal.epoch()) };
    Shipper::new(journal.reader().unwrap(), Arc::new(store.clone()), Arc::new(SystemClock), options)
}

fn write(writer: &JournalWriter, entry: JournalEntry<'_>) {
    let mut payload = Vec::new();
    entry.encode_into(&mut payload).unwrap();
    // Nobody runs a flusher: it is written at once.
    writer.append_detached(&payload).unwrap();
}

/// Time stands still unless everything waits for it.
fn run<F: Future>(future: F) -> F::Output {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(future)
}

fn request_id(request: u8) -> RequestId {
    RequestId::from_bytes([request; 16])
}

fn principal() -> Principal {
    Principal {
        subject: Subject::None,
        payer: Payer {
            organization_id: OrganizationId::from_bytes([1; 16]),
            team_id: None,
            project_id: None,
        },
        key_id: None,
        credential_id: None,
    }
}

fn intent(request: u8, attempt: u16) -> Intent {
    Intent {
        holds: Vec::new(),
        request_id: request_id(request),
        attempt,
        started_at: UnixMicros(1_000 + i64::from(attempt)),
        principal: principal(),
        operation: Operation::Chat,
        client_dialect: Dialect::OpenaiChat,
        stream: true,
        model: "asked-for".into(),
        model_id: ModelId::from_bytes([2; 16]),
        deployment_id: DeploymentId::from_bytes([30 + attempt as u8; 16]),
        provider_id: ProviderId::from_bytes([40 + attempt as u8; 16]),
        upstream_model: "upstream".into(),
        price_version: Some(5),
        input_bound_tokens: 100,
    }
}

fn settlement(request: u8, attempts: u16) -> Settlement {
    let attempt = |attempt| UsageRecord {
        charges: Vec::new(),
        attempt,
        deployment_id: DeploymentId::from_bytes([30; 16]),
        provider_id: ProviderId::from_bytes([40; 16]),
        upstream_model: "upstream".into(),
        region: None,
        started_at: UnixMicros(1_000),
        status: 200,
        outcome: Outcome::Completed,
        error_kind: None,
        served: attempt + 1 == attempts,
        usage: TokenUsage { output: 3, ..TokenUsage::ZERO },
        usage_source: UsageSource::Reported,
        cost: Some(NanoUsd::new(9)),
        price_version: Some(5),
        latency_us: 10,
        time_to_first_token_us: None,
        upstream_request_id: None,
    };
    Settlement {
        request: RequestRecord {
            request_id: request_id(request),
            instance_id: INSTANCE,
            parent_id: None,
            started_at: UnixMicros(1_000),
            principal: principal(),
            customer: None,
            tags: Vec::new(),
            operation: Operation::Chat,
            client_dialect: Dialect::OpenaiChat,
            upstream_dialect: None,
            model: "asked-for".into(),
            model_id: None,
            deployment_id: None,
            provider_id: None,
            region: None,
            status: 200,
            outcome: Outcome::Completed,
            fault: None,
            error_kind: None,
            stream: true,
            finish_reason: None,
            usage: TokenUsage { output: 3, ..TokenUsage::ZERO },
            usage_source: UsageSource::Reported,
            cost: Some(NanoUsd::new(9)),
            price_version: Some(5),
            latency_us: 10,
            time_to_first_token_us: None,
            overhead_us: 1,
            served_from: None,
            refused_by: None,
            decision: DecisionRecord::default(),
            trace: None,
        },
        attempts: (0..attempts).map(attempt).collect(),
    }
}

fn object(request: u8) -> ProviderObjectRecord {
    ProviderObjectRecord {
        object_id: format!("resp_{request}").into(),
        kind: ProviderObjectKind::Response,
        principal: principal(),
        deployment_id: DeploymentId::from_bytes([30; 16]),
        request_id: request_id(request),
        created_at: UnixMicros(1_000),
    }
}

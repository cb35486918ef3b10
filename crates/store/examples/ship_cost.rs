//! What shipping costs: CPU time per request (one attempt each, sums included) for several batch sizes.
//!
//! `cargo run --release -p tollgate-store --example ship_cost [postgres://…]`; without a URL, on a temporary SQLite file.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::time::Instant;

use tollgate_core::{
    CredentialId, DeploymentId, Dialect, InstanceId, KeyId, ModelId, NanoUsd, Operation, OrganizationId,
    ProviderId, RequestId, TeamId, TokenUsage, UnixMicros,
};
use tollgate_ledger::journal::Position;
use tollgate_ledger::record::{
    Candidate, DecisionRecord, Outcome, RequestRecord, Settlement, UsageRecord, UsageSource, Verdict,
};
use tollgate_state::{Payer, Principal, Subject};
use tollgate_store::{Shipment, Store};

const REQUESTS: usize = 60_000;

/// User and system time of the whole process, in microseconds (Linux).
fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    ticks * 10_000
}

struct Tree {
    organization_id: OrganizationId,
    keys: Vec<(TeamId, KeyId, CredentialId)>,
    deployments: Vec<(&'static str, ModelId, DeploymentId, ProviderId)>,
}

fn settlement(tree: &Tree, instance_id: InstanceId, number: usize, started_at: UnixMicros) -> Settlement {
    let (team_id, key_id, credential_id) = tree.keys[number % tree.keys.len()];
    let (model, model_id, deployment_id, provider_id) = tree.deployments[number % tree.deployments.len()];
    let payer = Payer { organization_id: tree.organization_id, team_id: Some(team_id), project_id: None };
    let usage = TokenUsage { input: 812, output: 143, ..TokenUsage::default() };
    let candidates = vec![Candidate { deployment_id, verdict: Verdict::Served }];
    let request = RequestRecord {
        request_id: RequestId::generate(),
        instance_id,
        parent_id: None,
        started_at,
        principal: Principal {
            subject: Subject::None,
            payer,
            key_id: Some(key_id),
            credential_id: Some(credential_id),
        },
        customer: None,
        tags: Vec::new(),
        operation: Operation::Chat,
        client_dialect: Dialect::OpenaiChat,
        upstream_dialect: Some(Dialect::OpenaiChat),
        model: model.into(),
        model_id: Some(model_id),
        deployment_id: Some(deployment_id),
        provider_id: Some(provider_id),
        region: Some("eu-west-1".into()),
        status: 200,
        outcome: Outcome::Completed,
        fault: None,
        error_kind: None,
        stream: false,
        finish_reason: Some("stop".into()),
        usage,
        usage_source: UsageSource::Reported,
        cost: Some(NanoUsd::new(3_171_000)),
        price_version: Some(20_261_101),
        latency_us: 912_000,
        time_to_first_token_us: Some(412_000),
        overhead_us: 31,
        served_from: None,
        decision: DecisionRecord { snapshot_version: 12, candidates, translation: Vec::new() },
        trace: None,
    };
    let attempt = UsageRecord {
        attempt: 0,
        deployment_id,
        provider_id,
        upstream_model: model.into(),
        region: Some("eu-west-1".into()),
        started_at,
        status: 200,
        outcome: Outcome::Completed,
        error_kind: None,
        served: true,
        usage,
        usage_source: UsageSource::Reported,
        cost: Some(NanoUsd::new(3_171_000)),
        price_version: Some(20_261_101),
        latency_us: 911_000,
        time_to_first_token_us: Some(411_000),
        upstream_request_id: Some("req_011CTabcdefghijklmnopqrs".into()),
    };
    Settlement { request, attempts: vec![attempt] }
}

#[tokio::main]
async fn main() {
    let directory = std::env::temp_dir().join(format!("tollgate-ship-cost-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let location =
        std::env::args().nth(1).unwrap_or_else(|| directory.join("store.db").display().to_string());
    let store = Store::open(&location).await.unwrap();
    let tree = Tree {
        organization_id: OrganizationId::generate(),
        keys: (0..20).map(|_| (TeamId::generate(), KeyId::generate(), CredentialId::generate())).collect(),
        deployments: ["gpt-5.5", "claude-sonnet-4-6", "text-embedding-3-small"]
            .map(|name| (name, ModelId::generate(), DeploymentId::generate(), ProviderId::generate()))
            .to_vec(),
    };
    println!("{REQUESTS} requests of 1 attempt, 20 keys, 3 models, {}", store.kind());
    println!("{:>8} {:>16} {:>16}", "batch", "CPU µs/request", "wall µs/request");
    for (core, batch) in [50, 200, 500, 2_000].into_iter().enumerate() {
        let instance_id = InstanceId::generate();
        let start = 1_790_000_000_000_000;
        let settlements: Vec<_> = (0..REQUESTS)
            .map(|number| settlement(&tree, instance_id, number, UnixMicros(start + number as i64 * 5_000)))
            .collect();
        let (cpu, wall) = (cpu_us(), Instant::now());
        let mut from = Position::START;
        for settlements in settlements.chunks(batch) {
            let to = Position { epoch: 1, offset: from.offset + settlements.len() as u64 };
            let core = u16::try_from(core).unwrap();
            let shipment =
                Shipment { instance_id, core, from, to, floor: from, settlements, provider_objects: &[] };
            store.system_ship(&shipment).await.unwrap();
            from = to;
        }
        let requests = REQUESTS as f64;
        let cpu = (cpu_us() - cpu) as f64 / requests;
        let wall = wall.elapsed().as_micros() as f64 / requests;
        println!("{batch:>8} {cpu:>16.1} {wall:>16.1}");
    }
    store.close().await;
    std::fs::remove_dir_all(&directory).unwrap();
}

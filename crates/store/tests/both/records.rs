//! Records for tests: every field set, or as few as possible.

use tollgate_core::{
    CredentialId, DeploymentId, Dialect, Fault, InstanceId, KeyId, ModelId, NanoUsd, Operation, ProjectId,
    RequestId, ServiceAccountId, TokenUsage, UnixMicros,
};
use tollgate_ledger::journal::Position;
use tollgate_ledger::record::{
    Candidate, DecisionRecord, Outcome, ProviderObjectRecord, RequestRecord, Settlement, TraceParent,
    UsageRecord, UsageSource, Verdict,
};
use tollgate_state::{Payer, Principal, Subject};
use tollgate_store::Shipment;

use crate::harness::Tree;

pub(crate) const DEPLOYMENT: DeploymentId = DeploymentId::from_bytes([0xd1; 16]);
pub(crate) const OTHER_DEPLOYMENT: DeploymentId = DeploymentId::from_bytes([0xd2; 16]);

pub(crate) fn principal(tree: &Tree) -> Principal {
    Principal {
        subject: Subject::ServiceAccount(ServiceAccountId::from_bytes([1; 16])),
        payer: Payer {
            organization_id: tree.organization_id,
            team_id: Some(tree.team_id),
            project_id: Some(ProjectId::from_bytes([2; 16])),
        },
        key_id: Some(KeyId::from_bytes([3; 16])),
        credential_id: Some(CredentialId::from_bytes([4; 16])),
    }
}

fn attempt(tree: &Tree, number: u16, deployment_id: DeploymentId, started_at: UnixMicros) -> UsageRecord {
    UsageRecord {
        charges: Vec::new(),
        attempt: number,
        deployment_id,
        provider_id: tree.provider.object.id,
        upstream_model: "gpt-5.5-2026-01".into(),
        region: Some("eu".into()),
        started_at,
        status: 200,
        outcome: Outcome::Completed,
        error_kind: None,
        served: true,
        usage: usage(),
        usage_source: UsageSource::Reported,
        cost: Some(NanoUsd::new(1_000)),
        price_version: Some(5),
        latency_us: 900,
        time_to_first_token_us: Some(300),
        upstream_request_id: Some("req_1".into()),
    }
}

fn usage() -> TokenUsage {
    TokenUsage { input: 1, cache_read: 2, cache_write: 4, cache_write_long: 8, output: 16, reasoning: 32 }
}

/// A request that failed once at `OTHER_DEPLOYMENT` (and cost something there) and was served by `DEPLOYMENT`.
pub(crate) fn full(tree: &Tree, started_at: UnixMicros) -> Settlement {
    let failed = UsageRecord {
        status: 0,
        outcome: Outcome::Failed,
        error_kind: Some("connect_timeout".into()),
        served: false,
        usage: TokenUsage { input: 100, ..TokenUsage::default() },
        cost: Some(NanoUsd::new(50)),
        time_to_first_token_us: None,
        upstream_request_id: None,
        ..attempt(tree, 0, OTHER_DEPLOYMENT, started_at)
    };
    let served = attempt(tree, 1, DEPLOYMENT, UnixMicros(started_at.0 + 10));
    let request = RequestRecord {
        refused_by: None,
        request_id: RequestId::generate(),
        instance_id: InstanceId::from_bytes([5; 16]),
        parent_id: Some(RequestId::from_bytes([6; 16])),
        started_at,
        principal: principal(tree),
        customer: Some("Zoë 'quoted\"; --".into()),
        tags: vec![("team".into(), "🙂".into()), ("a".into(), "".into())],
        operation: Operation::Chat,
        client_dialect: Dialect::OpenaiChat,
        upstream_dialect: Some(Dialect::AnthropicMessages),
        model: "gpt-5.5".into(),
        model_id: Some(ModelId::from_bytes([7; 16])),
        deployment_id: Some(DEPLOYMENT),
        provider_id: Some(tree.provider.object.id),
        region: Some("eu".into()),
        status: 200,
        outcome: Outcome::Completed,
        fault: Some(Fault::Provider),
        error_kind: Some("overloaded".into()),
        stream: true,
        finish_reason: Some("stop".into()),
        usage: TokenUsage { input: 101, ..usage() },
        usage_source: UsageSource::Estimated,
        cost: Some(NanoUsd::new(1_050)),
        price_version: Some(5),
        latency_us: 1_000,
        time_to_first_token_us: Some(400),
        overhead_us: 30,
        served_from: Some("cache".into()),
        decision: DecisionRecord {
            substituted_for: Some("gpt-dear".into()),
            output_cap_tokens: Some(512),
            snapshot_version: 9,
            candidates: vec![Candidate { deployment_id: DEPLOYMENT, verdict: Verdict::Served }],
            translation: vec!["logprobs: dropped".into()],
        },
        trace: Some(TraceParent { trace_id: [9; 16], span_id: [10; 8], sampled: true }),
    };
    Settlement { request, attempts: vec![failed, served] }
}

/// A refusal before anything was understood.
pub(crate) fn bare(tree: &Tree, started_at: UnixMicros) -> Settlement {
    let full = full(tree, started_at).request;
    let request = RequestRecord {
        parent_id: None,
        principal: Principal {
            subject: Subject::None,
            payer: Payer { organization_id: tree.organization_id, team_id: None, project_id: None },
            key_id: None,
            credential_id: None,
        },
        customer: None,
        tags: vec![],
        upstream_dialect: None,
        model: "invented".into(),
        model_id: None,
        deployment_id: None,
        provider_id: None,
        region: None,
        status: 404,
        outcome: Outcome::Refused,
        fault: Some(Fault::Client),
        error_kind: Some("model_not_found".into()),
        stream: false,
        finish_reason: None,
        usage: TokenUsage::default(),
        usage_source: UsageSource::Nothing,
        cost: None,
        price_version: None,
        time_to_first_token_us: None,
        served_from: None,
        refused_by: None,
        decision: DecisionRecord::default(),
        trace: None,
        ..full
    };
    Settlement { request, attempts: vec![] }
}

pub(crate) fn at(offset: u64) -> Position {
    Position { epoch: 1, offset }
}

pub(crate) fn shipment<'a>(
    from: Position,
    to: Position,
    settlements: &'a [Settlement],
    provider_objects: &'a [ProviderObjectRecord],
) -> Shipment<'a> {
    let instance_id = InstanceId::from_bytes([5; 16]);
    Shipment { instance_id, core: 0, epoch: to.epoch, from, to, floor: from, settlements, provider_objects }
}

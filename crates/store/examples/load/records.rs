//! Records as a busy installation writes them.

use tollgate_core::{
    CredentialId, DeploymentId, Dialect, InstanceId, KeyId, ModelId, NanoUsd, Operation, OrganizationId,
    ProviderId, RequestId, TeamId, TokenUsage, UnixMicros,
};
use tollgate_ledger::record::{
    Candidate, DecisionRecord, Outcome, RequestRecord, Settlement, UsageRecord, UsageSource, Verdict,
};
use tollgate_state::{Payer, Principal, Subject};

pub(crate) struct Tree {
    pub(crate) organization_id: OrganizationId,
    pub(crate) keys: Vec<(TeamId, KeyId, CredentialId)>,
    pub(crate) deployments: Vec<(&'static str, ModelId, DeploymentId, ProviderId)>,
}

impl Tree {
    pub(crate) fn new(organization_id: OrganizationId, keys: usize, keys_per_team: usize) -> Self {
        let teams: Vec<_> = (0..keys.div_ceil(keys_per_team)).map(|_| TeamId::generate()).collect();
        let key = |number| (teams[number / keys_per_team], KeyId::generate(), CredentialId::generate());
        Self {
            organization_id,
            keys: (0..keys).map(key).collect(),
            deployments: ["gpt-5.5", "claude-sonnet-4-6", "text-embedding-3-small"]
                .map(|name| (name, ModelId::generate(), DeploymentId::generate(), ProviderId::generate()))
                .to_vec(),
        }
    }
}

pub(crate) fn settlement(
    tree: &Tree,
    instance_id: InstanceId,
    number: usize,
    started_at: UnixMicros,
) -> Settlement {
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
        refused_by: None,
        decision: DecisionRecord {
            snapshot_version: 12,
            candidates,
            translation: Vec::new(),
            ..DecisionRecord::default()
        },
        trace: None,
    };
    let attempt = UsageRecord {
        charges: Vec::new(),
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

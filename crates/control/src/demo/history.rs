//! A month of requests: busy on workdays, quiet at night, with retries, refusals and a few failures.

use tollgate_catalog::{PriceList, ServiceTier};
use tollgate_core::{Dialect, Fault, InstanceId, NanoUsd, Operation, RequestId, TokenUsage, UnixMicros};
use tollgate_ledger::journal::Position;
use tollgate_ledger::record::{
    Candidate, DecisionRecord, Outcome, RequestRecord, Settlement, UsageRecord, UsageSource, Verdict,
};
use tollgate_state::{Payer, Principal, Subject};
use tollgate_store::Shipment;

use super::cast::{Caller, Offer, OfferedDeployment};
use super::random::Random;
use super::{DemoError, DemoPlan};
use crate::connection::Installation;

const HOUR_US: u64 = 3_600_000_000;
const BATCH: usize = 500;
/// Requests of each hour of a workday relative to the others, UTC.
const DAY_SHAPE: [u32; 24] =
    [1, 1, 1, 1, 1, 2, 4, 8, 14, 18, 20, 19, 14, 17, 20, 19, 16, 11, 7, 5, 4, 3, 2, 1];

/// Makes the history and ships it; returns how many requests it has.
pub(super) async fn ship(
    installation: &Installation,
    plan: &DemoPlan,
    callers: &[Caller],
    offers: &[Offer],
) -> Result<u64, DemoError> {
    // The history is of chats; a model without a price for output, such as one for embeddings, does not chat.
    let offers: Vec<&Offer> = offers.iter().filter(|offer| offer.chats(plan.now)).collect();
    if callers.is_empty() || offers.is_empty() {
        return Ok(0);
    }
    let mut traffic = Traffic {
        random: Random::new(plan.seed),
        instance_id: InstanceId::generate(),
        version: installation.store.system_version().await?,
        plan,
        callers,
        offers,
    };
    let mut settlements: Vec<_> = (0..plan.requests).filter_map(|_| traffic.settlement()).collect();
    settlements.sort_by_key(|settlement| settlement.request.started_at);
    let mut from = Position::START;
    let mut requests = 0;
    for batch in settlements.chunks(BATCH) {
        let to = Position { epoch: from.epoch, offset: from.offset + batch.len() as u64 };
        let shipment = Shipment {
            instance_id: traffic.instance_id,
            core: 0,
            epoch: from.epoch,
            from,
            to,
            floor: to,
            settlements: batch,
            provider_objects: &[],
        };
        requests += installation.store.system_ship(&shipment).await?.requests;
        from = to;
    }
    Ok(requests)
}

impl Offer {
    fn chats(&self, at: UnixMicros) -> bool {
        let answer = TokenUsage { output: 1, ..TokenUsage::default() };
        let is_priced = |prices: &PriceList| prices.cost(&answer, ServiceTier::Standard, at).is_ok();
        self.deployments
            .iter()
            .all(|deployment| deployment.prices.is_unknown() || is_priced(&deployment.prices))
    }
}

struct Traffic<'a> {
    random: Random,
    instance_id: InstanceId,
    version: u64,
    plan: &'a DemoPlan,
    callers: &'a [Caller],
    offers: Vec<&'a Offer>,
}

/// How a request went, before it is written down.
struct Course {
    started_at: UnixMicros,
    stream: bool,
    outcome: Outcome,
    attempts: Vec<UsageRecord>,
}

impl Traffic<'_> {
    /// A time in the period: workdays count five times a day of the weekend.
    fn time(&mut self) -> UnixMicros {
        let day = loop {
            let day = self.random.below(u64::from(self.plan.days.max(1)));
            let days_since_epoch = self.plan.now.as_secs() / 86_400 - i64::try_from(day).unwrap_or(0);
            // The first of January 1970 was a Thursday.
            let is_weekend = matches!((days_since_epoch + 3).rem_euclid(7), 5 | 6);
            if !is_weekend || self.random.per_mille(200) {
                break day;
            }
        };
        let hour = self.random.weighted(DAY_SHAPE.iter().copied()) as u64;
        let within = hour * HOUR_US + self.random.below(HOUR_US);
        let midnight = self.plan.now.0 - self.plan.now.0.rem_euclid(24 * HOUR_US.cast_signed());
        let time = midnight - (day * 24 * HOUR_US).cast_signed() + within.cast_signed();
        // Today has not happened beyond now.
        UnixMicros(if time >= self.plan.now.0 { time - 24 * HOUR_US.cast_signed() } else { time })
    }

    fn settlement(&mut self) -> Option<Settlement> {
        let caller =
            self.callers.get(self.random.weighted(self.callers.iter().map(|caller| caller.share)))?;
        let models = self.offers.len() as u64;
        // Each caller has a favourite model.
        let favourite = u64::from(caller.share) % models;
        let chosen = if self.random.per_mille(700) { favourite } else { self.random.below(models) };
        let offer = *self.offers.get(usize::try_from(chosen).ok()?)?;
        let course = self.course(offer);
        Some(self.record(caller, offer, course))
    }

    fn course(&mut self, offer: &Offer) -> Course {
        let (started_at, stream) = (self.time(), self.random.per_mille(600));
        let outcome = match self.random.below(1_000) {
            0..8 => Outcome::Failed,
            8..22 => Outcome::ClientGone,
            22..34 => Outcome::Refused,
            _ => Outcome::Completed,
        };
        let mut attempts = Vec::new();
        if outcome != Outcome::Refused {
            let first = self.random.below(offer.deployments.len() as u64);
            let failures = if outcome == Outcome::Failed { 2 } else { u64::from(self.random.per_mille(40)) };
            let ordered = offer.deployments.iter().cycle().skip(usize::try_from(first).unwrap_or(0));
            let mut ordered = ordered.cycle();
            for number in 0..failures {
                let Some(deployment) = ordered.next() else { break };
                attempts.push(self.failed_attempt(number, deployment, started_at));
            }
            if outcome != Outcome::Failed
                && let Some(deployment) = ordered.next()
            {
                attempts.push(self.served_attempt(failures, deployment, (started_at, stream, outcome)));
            }
        }
        Course { started_at, stream, outcome, attempts }
    }

    fn failed_attempt(
        &mut self,
        number: u64,
        deployment: &OfferedDeployment,
        started_at: UnixMicros,
    ) -> UsageRecord {
        let (status, kind) = if self.random.per_mille(600) { (429, "http_429") } else { (503, "http_503") };
        let latency_us = self.random.between(40_000, 900_000);
        UsageRecord {
            status,
            outcome: Outcome::Failed,
            error_kind: Some(kind.into()),
            cost: Some(NanoUsd::ZERO),
            ..attempt(number, deployment, started_at, latency_us)
        }
    }

    fn served_attempt(
        &mut self,
        number: u64,
        deployment: &OfferedDeployment,
        (started_at, stream, outcome): (UnixMicros, bool, Outcome),
    ) -> UsageRecord {
        let input = self.random.skewed(900);
        let cache_read = if self.random.per_mille(350) { input * 2 / 3 } else { 0 };
        let output = self.random.skewed(260) / if outcome == Outcome::ClientGone { 3 } else { 1 };
        let usage = TokenUsage { input: input - cache_read, cache_read, output, ..TokenUsage::default() };
        let cost = deployment.prices.cost(&usage, ServiceTier::Standard, started_at).ok();
        let first_token_us = self.random.between(180_000, 700_000);
        let latency_us = first_token_us + output * self.random.between(6_000, 14_000);
        UsageRecord {
            status: 200,
            outcome,
            served: true,
            usage,
            usage_source: if outcome == Outcome::ClientGone {
                UsageSource::Estimated
            } else {
                UsageSource::Reported
            },
            cost: cost.map(|cost| cost.amount_nano_usd),
            time_to_first_token_us: stream.then_some(first_token_us),
            ..attempt(number, deployment, started_at, latency_us)
        }
    }

    fn record(&mut self, caller: &Caller, offer: &Offer, course: Course) -> Settlement {
        let Course { started_at, stream, outcome, attempts } = course;
        let last = attempts.last();
        let (status, fault, error_kind) = match outcome {
            Outcome::Failed => (503, Some(Fault::Provider), Some("upstream_unavailable")),
            Outcome::Refused => (400, Some(Fault::Client), Some("invalid_request")),
            Outcome::ClientGone => (200, Some(Fault::Client), Some("client_gone")),
            Outcome::Completed | Outcome::Interrupted => (200, None, None),
        };
        let deployment =
            last.and_then(|last| offer.deployments.iter().find(|known| known.id == last.deployment_id));
        let overhead_us = self.random.between(60, 240);
        let request = RequestRecord {
            request_id: self.request_id(started_at),
            instance_id: self.instance_id,
            parent_id: None,
            started_at,
            principal: principal(caller),
            customer: None,
            tags: Vec::new(),
            operation: Operation::Chat,
            client_dialect: Dialect::OpenaiChat,
            upstream_dialect: deployment.map(|deployment| deployment.dialect),
            model: offer.model.name.to_string().into(),
            model_id: Some(offer.model.id),
            deployment_id: last.map(|last| last.deployment_id),
            provider_id: last.map(|last| last.provider_id),
            region: None,
            status,
            outcome,
            fault,
            error_kind: error_kind.map(Into::into),
            stream,
            finish_reason: (outcome == Outcome::Completed).then(|| "stop".into()),
            usage: last.map(|last| last.usage).unwrap_or_default(),
            usage_source: last.map_or(UsageSource::Nothing, |last| last.usage_source),
            cost: attempts.iter().try_fold(NanoUsd::ZERO, |sum, attempt| Some(sum + attempt.cost?)),
            price_version: last.and_then(|last| last.price_version),
            latency_us: overhead_us + attempts.iter().map(|attempt| attempt.latency_us).sum::<u64>(),
            time_to_first_token_us: last.and_then(|last| last.time_to_first_token_us),
            overhead_us,
            served_from: None,
            refused_by: None,
            decision: self.decision(offer, &attempts),
            trace: None,
        };
        Settlement { request, attempts }
    }

    fn decision(&self, offer: &Offer, attempts: &[UsageRecord]) -> DecisionRecord {
        let candidates = offer.deployments.iter().map(|deployment| {
            let mut own = attempts.iter().filter(|attempt| attempt.deployment_id == deployment.id);
            let verdict = match own.next_back() {
                Some(attempt) if attempt.served => Verdict::Served,
                Some(_) => Verdict::Failed,
                None => Verdict::NotNeeded,
            };
            Candidate { deployment_id: deployment.id, verdict }
        });
        DecisionRecord {
            snapshot_version: self.version,
            candidates: candidates.collect(),
            ..DecisionRecord::default()
        }
    }

    /// An id of the request's time, as if it had been made then.
    fn request_id(&mut self, started_at: UnixMicros) -> RequestId {
        let mut random = [0; 10];
        let (first, second) = (self.random.next().to_le_bytes(), self.random.next().to_le_bytes());
        for (slot, byte) in random.iter_mut().zip(first.into_iter().chain(second)) {
            *slot = byte;
        }
        let millis = u64::try_from(started_at.as_millis()).unwrap_or(0);
        RequestId::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }
}

fn principal(caller: &Caller) -> Principal {
    Principal {
        subject: Subject::None,
        payer: Payer {
            organization_id: caller.key.organization_id,
            team_id: Some(caller.team_id),
            project_id: Some(caller.project_id),
        },
        key_id: Some(caller.key.id),
        credential_id: None,
    }
}

fn attempt(
    number: u64,
    deployment: &OfferedDeployment,
    started_at: UnixMicros,
    latency_us: u64,
) -> UsageRecord {
    UsageRecord {
        charges: Vec::new(),
        attempt: u16::try_from(number).unwrap_or(u16::MAX),
        deployment_id: deployment.id,
        provider_id: deployment.provider_id,
        upstream_model: deployment.upstream_model.clone(),
        region: None,
        started_at,
        status: 0,
        outcome: Outcome::Completed,
        error_kind: None,
        served: false,
        usage: TokenUsage::default(),
        usage_source: UsageSource::Nothing,
        cost: None,
        price_version: Some(deployment.prices.version().get()),
        latency_us,
        time_to_first_token_us: None,
        upstream_request_id: None,
    }
}

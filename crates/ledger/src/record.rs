//! What the journal carries and the store keeps: one record per request, one per attempt, and the reasons.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tollgate_core::{
    BudgetId, DeploymentId, Dialect, Fault, InstanceId, ModelId, NanoUsd, Operation, ProviderId, RequestId,
    TokenUsage, UnixMicros,
};
use tollgate_state::Principal;
use tollgate_state::governance::Member;

/// An entry of the journal. The variant order is part of the format, and the same as [`JournalEntry`]'s.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub enum JournalRecord {
    /// Written before an attempt's first upstream byte.
    Intent(Intent),
    /// Written before the last byte of the answer leaves: the request and all its attempts.
    Settled(Box<Settlement>),
    /// A provider handed out an id that later calls will name.
    ProviderObject(ProviderObjectRecord),
    /// An attempt holds another amount than its intent said: more while it streams, or what it cost once it failed.
    HoldsChanged(HoldsChange),
}

/// An entry to be written, borrowed from whoever holds it. Add variants at the end.
#[derive(Debug, Clone, Copy, Serialize)]
pub enum JournalEntry<'a> {
    Intent(&'a Intent),
    Settled(&'a Settlement),
    ProviderObject(&'a ProviderObjectRecord),
    HoldsChanged(&'a HoldsChange),
}

/// What is about to be tried, so that a crash leaves a trace of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    pub request_id: RequestId,
    /// Counted from 0 within the request.
    pub attempt: u16,
    pub started_at: UnixMicros,
    pub principal: Principal,
    pub operation: Operation,
    pub client_dialect: Dialect,
    pub stream: bool,
    pub model: Box<str>,
    pub model_id: ModelId,
    pub deployment_id: DeploymentId,
    pub provider_id: ProviderId,
    pub upstream_model: Box<str>,
    pub price_version: Option<u64>,
    /// Upper bound of the prompt, from its bytes.
    pub input_bound_tokens: u64,
    /// What is reserved for the attempt; a crash turns it into charges.
    pub holds: Vec<Charge>,
}

/// What an attempt holds from now on. Written before what a larger hold pays for is let through, and before what a
/// smaller one sets free is used again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HoldsChange {
    pub request_id: RequestId,
    pub attempt: u16,
    /// All of it, in place of what was held before.
    pub holds: Vec<Charge>,
}

/// The count of one budget, for one member, in one window.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct BalanceKey {
    pub budget_id: BudgetId,
    #[schemars(with = "String")]
    pub member: Member,
    /// Where the window begins; of a rolling window, its bucket.
    pub window_start: UnixMicros,
}

/// An amount on a balance: reserved in an intent, spent in a usage record. Never negative.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Charge {
    pub balance: Arc<BalanceKey>,
    pub amount_nano_usd: NanoUsd,
}

/// A request that came to its end, with every attempt it made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settlement {
    pub request: RequestRecord,
    pub attempts: Vec<UsageRecord>,
}

/// How a request or an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Answered in full.
    Completed,
    /// Refused before any upstream byte: wrong key, unknown model, bad body, no permission.
    Refused,
    /// The provider or Tollgate failed; the caller got an error.
    Failed,
    /// The caller left before the end.
    ClientGone,
    /// The process died; what is known comes from the intent.
    Interrupted,
}

impl Outcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::ClientGone => "client_gone",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Where the token counts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider's own final figures.
    Reported,
    /// Counted here, because the provider gave none or the stream ended early.
    Estimated,
    /// The provider's figures were impossible and were replaced by the bound.
    Quarantined,
    /// Nothing was consumed.
    Nothing,
}

impl UsageSource {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Estimated => "estimated",
            Self::Quarantined => "quarantined",
            Self::Nothing => "nothing",
        }
    }
}

/// One call of a client. Text fields are bounded by the code that fills them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestRecord {
    pub request_id: RequestId,
    pub instance_id: InstanceId,
    /// The request whose work this is a part of (a batch, a session).
    pub parent_id: Option<RequestId>,
    pub started_at: UnixMicros,
    /// Who called and who pays. Refusals of callers that could not be identified are counted, not recorded.
    pub principal: Principal,
    /// The end user that the application named.
    pub customer: Option<Box<str>>,
    /// From `x-tollgate-tags`, in the order given.
    pub tags: Vec<(Box<str>, Box<str>)>,
    pub operation: Operation,
    pub client_dialect: Dialect,
    pub upstream_dialect: Option<Dialect>,
    /// The public name that was asked for; empty when the body could not be understood.
    pub model: Box<str>,
    pub model_id: Option<ModelId>,
    /// Of the attempt that served, or of the last one.
    pub deployment_id: Option<DeploymentId>,
    pub provider_id: Option<ProviderId>,
    pub region: Option<Box<str>>,
    /// The status that the client got; for a stream that broke later, still 200.
    pub status: u16,
    pub outcome: Outcome,
    pub fault: Option<Fault>,
    /// The kind of error, in the words of the error bodies, for example `model_not_found`.
    pub error_kind: Option<Box<str>>,
    pub stream: bool,
    pub finish_reason: Option<Box<str>>,
    /// Sum over the attempts.
    pub usage: TokenUsage,
    pub usage_source: UsageSource,
    /// Sum over the attempts; `None` when any price is unknown.
    pub cost: Option<NanoUsd>,
    pub price_version: Option<u64>,
    /// From the first byte of the request to the end of the answer, in microseconds.
    pub latency_us: u64,
    pub time_to_first_token_us: Option<u64>,
    /// Time spent in Tollgate itself before dispatch, in microseconds.
    pub overhead_us: u64,
    /// What answered instead of a provider, for example a cache.
    pub served_from: Option<Box<str>>,
    /// The balance that could not pay for the call, where one refused it.
    pub refused_by: Option<Arc<BalanceKey>>,
    pub decision: DecisionRecord,
    /// W3C trace id and parent span id of the caller, if it sent one.
    pub trace: Option<TraceParent>,
}

/// The caller's place in a distributed trace (W3C `traceparent`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceParent {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub sampled: bool,
}

/// One call to one deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// Counted from 0 within the request.
    pub attempt: u16,
    pub deployment_id: DeploymentId,
    pub provider_id: ProviderId,
    pub upstream_model: Box<str>,
    pub region: Option<Box<str>>,
    pub started_at: UnixMicros,
    /// The provider's status; 0 when there was no answer.
    pub status: u16,
    pub outcome: Outcome,
    /// A short code, for example `connect_timeout` or `http_429`.
    pub error_kind: Option<Box<str>>,
    /// Whether the client's answer came from this attempt. At most one per request.
    pub served: bool,
    pub usage: TokenUsage,
    pub usage_source: UsageSource,
    pub cost: Option<NanoUsd>,
    pub price_version: Option<u64>,
    pub latency_us: u64,
    pub time_to_first_token_us: Option<u64>,
    /// The provider's own request id.
    pub upstream_request_id: Option<Box<str>>,
    /// What it spent on each budget that counts it, in the window in which it was admitted.
    pub charges: Vec<Charge>,
}

/// Why the request went where it went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DecisionRecord {
    /// The configuration that the request saw.
    pub snapshot_version: u64,
    pub candidates: Vec<Candidate>,
    /// What the translation lost or changed, as `field: effect`.
    pub translation: Vec<Box<str>>,
    /// The model that was asked for, where a budget's substitute took its place.
    #[serde(default)]
    pub substituted_for: Option<Box<str>>,
    /// The output cap of one choice that a budget set or lowered.
    #[serde(default)]
    pub output_cap_tokens: Option<u64>,
}

/// A deployment that was considered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Candidate {
    pub deployment_id: DeploymentId,
    pub verdict: Verdict,
}

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Chosen, and it answered.
    Served,
    /// Chosen, and it failed.
    Failed,
    /// Not needed: another one answered first.
    NotNeeded,
    /// The provider asked to wait, and the time is not over.
    RateLimited,
    /// Its breaker is open.
    Unhealthy,
    /// It cannot do the operation in any dialect that Tollgate can translate.
    Incapable,
    /// No retry was left for it.
    NoRetryLeft,
    /// A budget cannot pay for it.
    Unaffordable,
    /// A limit of its provider or of itself is used up.
    OverLimit,
}

/// An id that a provider handed out, with its owner and the deployment that holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProviderObjectRecord {
    /// The provider's id, for example `resp_…`.
    pub object_id: Box<str>,
    pub kind: ProviderObjectKind,
    pub principal: Principal,
    pub deployment_id: DeploymentId,
    pub request_id: RequestId,
    pub created_at: UnixMicros,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProviderObjectKind {
    Response,
    /// An item of a response's output.
    Item,
    Container,
}

/// Why bytes of the journal are not a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("journal record has format {0}, which this version does not know")]
    Format(u8),
    #[error("journal record cannot be read: {0}")]
    Encoding(#[from] postcard::Error),
}

/// The first byte of every payload; raised when a record's shape changes.
const FORMAT: u8 = 2;

impl JournalEntry<'_> {
    /// Appends the entry's bytes to `buffer`.
    ///
    /// # Errors
    /// When a value cannot be encoded, which none of these types allows.
    pub fn encode_into(&self, buffer: &mut Vec<u8>) -> Result<(), RecordError> {
        buffer.push(FORMAT);
        postcard::to_io(self, buffer)?;
        Ok(())
    }
}

impl JournalRecord {
    /// Reads an entry's bytes.
    ///
    /// # Errors
    /// When the bytes were written by another version, or are not an entry.
    pub fn decode(payload: &[u8]) -> Result<Self, RecordError> {
        match payload.split_first() {
            Some((&FORMAT, rest)) => Ok(postcard::from_bytes(rest)?),
            Some((&format, _)) => Err(RecordError::Format(format)),
            None => Err(RecordError::Format(0)),
        }
    }
}

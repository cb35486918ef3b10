//! The spans of a finished call: one for the request, and one below it for each attempt.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use tollgate_core::{Fault, TokenUsage, UnixMicros};

use crate::call::{FinishedAttempt, FinishedCall};
use crate::genai::{self, Attribute, Convention};
use crate::trace_context::{attempt_span_id, request_span_id, trace_id};

/// W3C flag "sampled", as OTLP has it in the low byte of a span's flags.
const SAMPLED: u32 = 1;
/// OTLP: whether the parent is in another process is known.
const PARENT_IS_KNOWN_TO_BE_REMOTE_OR_NOT: u32 = 0x100;
const PARENT_IS_REMOTE: u32 = 0x200;

/// All spans of a call, the request's first.
pub fn spans(call: &FinishedCall, convention: Convention) -> Vec<Span> {
    let mut spans = Vec::with_capacity(call.attempts.len() + 1);
    spans.push(request_span(call, convention));
    let attempts = (0..).zip(&call.attempts);
    spans.extend(attempts.map(|(position, attempt)| attempt_span(call, position, attempt, convention)));
    spans
}

fn request_span(call: &FinishedCall, convention: Convention) -> Span {
    let operation = genai::operation_name(call.operation);
    let mut attributes = Attributes::new(convention);
    attributes.text(genai::OPERATION_NAME, operation);
    attributes.text(genai::REQUEST_MODEL, &call.model);
    attributes.put(genai::REQUEST_STREAM, Value::BoolValue(call.stream));
    if let Some(reason) = &call.finish_reason {
        let reasons = vec![AnyValue { value: Some(Value::StringValue(reason.to_string())) }];
        attributes.put(genai::FINISH_REASONS, Value::ArrayValue(ArrayValue { values: reasons }));
    }
    if let Some(cost) = call.cost {
        attributes.put(genai::COST, Value::DoubleValue(cost.get() as f64 / 1e9));
        attributes.put(genai::COST_NANOS_USD, Value::IntValue(cost.get()));
    }
    attributes.number(genai::HTTP_STATUS, u64::from(call.status));
    attributes.text(genai::REQUEST_ID, &call.request_id.to_string());
    attributes.text(genai::ORGANIZATION_ID, &call.organization_id.to_string());
    attributes.optional(genai::TEAM_ID, call.team_id.map(|id| id.to_string()).as_deref());
    attributes.optional(genai::PROJECT_ID, call.project_id.map(|id| id.to_string()).as_deref());
    attributes.optional(genai::KEY_ID, call.key_id.map(|id| id.to_string()).as_deref());
    attributes.text(genai::OUTCOME, call.outcome);
    attributes.optional(genai::FAULT, call.fault.map(Fault::as_str));
    attributes.optional(genai::ERROR_TYPE, call.error_kind.as_deref());
    attributes.text(genai::CLIENT_DIALECT, call.client_dialect.as_str());
    attributes.number(genai::OVERHEAD_US, call.overhead_us);
    attributes.number(genai::ATTEMPTS, call.attempts.len() as u64);
    attributes.seconds(genai::TIME_TO_FIRST_CHUNK, call.time_to_first_token_us);
    // As for HTTP servers, what is the caller's own fault is no error of this span.
    let failed = matches!(call.fault, Some(Fault::Gateway | Fault::Provider));
    let (start_time_unix_nano, end_time_unix_nano) = times(call.started_at, call.latency_us);
    let remote = if call.caller.is_some() { PARENT_IS_REMOTE } else { 0 };
    Span {
        trace_id: trace_id(call.request_id, call.caller.as_ref()).to_vec(),
        span_id: request_span_id(call.request_id).to_vec(),
        parent_span_id: call.caller.map(|caller| caller.span_id.to_vec()).unwrap_or_default(),
        flags: SAMPLED | PARENT_IS_KNOWN_TO_BE_REMOTE_OR_NOT | remote,
        name: if call.model_is_known { format!("{operation} {}", call.model) } else { operation.to_owned() },
        kind: SpanKind::Server.into(),
        start_time_unix_nano,
        end_time_unix_nano,
        attributes: attributes.list,
        status: failed.then(|| error_status(call.error_kind.as_deref())),
        ..Span::default()
    }
}

fn attempt_span(
    call: &FinishedCall,
    position: u16,
    attempt: &FinishedAttempt,
    convention: Convention,
) -> Span {
    let operation = genai::operation_name(call.operation);
    let mut attributes = Attributes::new(convention);
    attributes.text(genai::OPERATION_NAME, operation);
    let provider = attempt.provider_kind.as_deref().map_or("_OTHER", genai::provider_name);
    attributes.text(genai::PROVIDER_NAME, provider);
    attributes.text(genai::REQUEST_MODEL, &attempt.upstream_model);
    attributes.put(genai::REQUEST_STREAM, Value::BoolValue(call.stream));
    attributes.usage(&attempt.usage);
    if let Some(cost) = attempt.cost {
        attributes.put(genai::COST_NANOS_USD, Value::IntValue(cost.get()));
    }
    if attempt.status != 0 {
        attributes.number(genai::HTTP_STATUS, u64::from(attempt.status));
    }
    attributes.optional(genai::ERROR_TYPE, attempt.error_kind.as_deref());
    attributes.seconds(genai::TIME_TO_FIRST_CHUNK, attempt.time_to_first_token_us);
    attributes.optional(genai::REGION, attempt.region.as_deref());
    attributes.number(genai::ATTEMPT, u64::from(position));
    attributes.put(genai::SERVED, Value::BoolValue(attempt.served));
    attributes.text(genai::OUTCOME, attempt.outcome);
    attributes.text(genai::PROVIDER_ID, &attempt.provider_id.to_string());
    attributes.text(genai::DEPLOYMENT_ID, &attempt.deployment_id.to_string());
    attributes.optional(genai::UPSTREAM_REQUEST_ID, attempt.upstream_request_id.as_deref());
    let (start_time_unix_nano, end_time_unix_nano) = times(attempt.started_at, attempt.latency_us);
    Span {
        trace_id: trace_id(call.request_id, call.caller.as_ref()).to_vec(),
        span_id: attempt_span_id(call.request_id, position).to_vec(),
        parent_span_id: request_span_id(call.request_id).to_vec(),
        flags: SAMPLED | PARENT_IS_KNOWN_TO_BE_REMOTE_OR_NOT,
        name: format!("{operation} {}", attempt.upstream_model),
        kind: SpanKind::Client.into(),
        start_time_unix_nano,
        end_time_unix_nano,
        attributes: attributes.list,
        status: (attempt.outcome == "failed").then(|| error_status(attempt.error_kind.as_deref())),
        ..Span::default()
    }
}

fn error_status(kind: Option<&str>) -> Status {
    Status { code: StatusCode::Error.into(), message: kind.unwrap_or_default().to_owned() }
}

/// Start and end in nanoseconds since 1970.
fn times(started_at: UnixMicros, latency_us: u64) -> (u64, u64) {
    let start_us = u64::try_from(started_at.0).unwrap_or(0);
    (start_us.saturating_mul(1_000), start_us.saturating_add(latency_us).saturating_mul(1_000))
}

/// The attributes of one span, named by a convention.
struct Attributes {
    convention: Convention,
    list: Vec<KeyValue>,
}

impl Attributes {
    fn new(convention: Convention) -> Self {
        Self { convention, list: Vec::with_capacity(24) }
    }

    fn put(&mut self, attribute: Attribute, value: Value) {
        let key = attribute.name(self.convention).to_owned();
        self.list.push(KeyValue { key, value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() });
    }

    fn text(&mut self, attribute: Attribute, text: &str) {
        self.put(attribute, Value::StringValue(text.to_owned()));
    }

    fn optional(&mut self, attribute: Attribute, text: Option<&str>) {
        if let Some(text) = text {
            self.text(attribute, text);
        }
    }

    fn number(&mut self, attribute: Attribute, number: u64) {
        self.put(attribute, Value::IntValue(i64::try_from(number).unwrap_or(i64::MAX)));
    }

    fn seconds(&mut self, attribute: Attribute, micros: Option<u64>) {
        if let Some(micros) = micros {
            self.put(attribute, Value::DoubleValue(micros as f64 / 1e6));
        }
    }

    /// Nothing at all for an attempt that consumed nothing.
    fn usage(&mut self, usage: &TokenUsage) {
        if usage.is_zero() {
            return;
        }
        self.number(genai::INPUT_TOKENS, usage.total_input());
        self.number(genai::OUTPUT_TOKENS, usage.total_output());
        let written = usage.cache_write.saturating_add(usage.cache_write_long);
        let parts = [
            (genai::CACHE_READ_TOKENS, usage.cache_read),
            (genai::CACHE_WRITE_TOKENS, written),
            (genai::REASONING_TOKENS, usage.reasoning),
        ];
        for (attribute, count) in parts {
            if count > 0 {
                self.number(attribute, count);
            }
        }
    }
}

#[cfg(test)]
mod tests;

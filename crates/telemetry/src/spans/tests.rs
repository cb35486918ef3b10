use std::fmt::Write as _;

use prost::Message;
use tollgate_core::{NanoUsd, RequestId};

use super::*;
use crate::call::tests::finished_call;
use crate::trace_context::TraceContext;

/// A span as text, after a way through its encoding.
fn printed(span: &Span) -> String {
    let span = Span::decode(&*span.encode_to_vec()).unwrap();
    let mut text = format!("{} {:?}\n", span.name, span.kind());
    for attribute in &span.attributes {
        let value = match attribute.value.as_ref().unwrap().value.as_ref().unwrap() {
            Value::StringValue(text) => text.clone(),
            Value::IntValue(number) => number.to_string(),
            Value::DoubleValue(number) => format!("{number:?}"),
            Value::BoolValue(flag) => flag.to_string(),
            other => format!("{other:?}"),
        };
        writeln!(text, "{} = {value}", attribute.key).unwrap();
    }
    if let Some(status) = &span.status {
        writeln!(text, "status {:?} {}", status.code(), status.message).unwrap();
    }
    text
}

fn attribute<'a>(span: &'a Span, name: &str) -> Option<&'a Value> {
    let found = span.attributes.iter().find(|attribute| attribute.key == name)?;
    found.value.as_ref()?.value.as_ref()
}

#[test]
fn the_request_span_says_who_called_and_what_it_cost() {
    let call = finished_call();
    let spans = spans(&call, Convention::Established);
    let expected = format!(
        "chat fast Server\n\
         gen_ai.operation.name = chat\n\
         gen_ai.request.model = fast\n\
         gen_ai.request.stream = true\n\
         gen_ai.response.finish_reasons = {reasons:?}\n\
         gen_ai.usage.cost = 0.00125\n\
         tollgate.cost_nanos_usd = 1250000\n\
         http.response.status_code = 200\n\
         tollgate.request_id = {request}\n\
         tollgate.organization_id = {organization}\n\
         tollgate.team_id = {team}\n\
         tollgate.key_id = {key}\n\
         tollgate.outcome = completed\n\
         tollgate.client_dialect = openai_chat\n\
         tollgate.overhead_us = 60\n\
         tollgate.attempts = 2\n\
         gen_ai.response.time_to_first_chunk = 0.26\n",
        reasons = Value::ArrayValue(ArrayValue {
            values: vec![AnyValue { value: Some(Value::StringValue("stop".to_owned())) }]
        }),
        request = call.request_id,
        organization = call.organization_id,
        team = call.team_id.unwrap(),
        key = call.key_id.unwrap(),
    );
    assert_eq!(printed(&spans[0]), expected);
    assert_eq!(spans[0].start_time_unix_nano, 1_000_000_000);
    assert_eq!(spans[0].end_time_unix_nano, 1_500_000_000);
    assert!(spans[0].parent_span_id.is_empty());
}

#[test]
fn each_attempt_has_a_span_with_its_own_usage() {
    let call = finished_call();
    let spans = spans(&call, Convention::Established);
    let attempt = &call.attempts[1];
    let expected = format!(
        "chat grok-fast Client\n\
         gen_ai.operation.name = chat\n\
         gen_ai.provider.name = x_ai\n\
         gen_ai.request.model = grok-fast\n\
         gen_ai.request.stream = true\n\
         gen_ai.usage.input_tokens = 150\n\
         gen_ai.usage.output_tokens = 25\n\
         gen_ai.usage.cache_read.input_tokens = 40\n\
         gen_ai.usage.cache_creation.input_tokens = 10\n\
         gen_ai.usage.reasoning.output_tokens = 5\n\
         tollgate.cost_nanos_usd = 1250000\n\
         http.response.status_code = 200\n\
         gen_ai.response.time_to_first_chunk = 0.25\n\
         cloud.region = eu-west-1\n\
         tollgate.attempt = 1\n\
         tollgate.served = true\n\
         tollgate.outcome = completed\n\
         tollgate.provider_id = {provider}\n\
         tollgate.deployment_id = {deployment}\n\
         tollgate.upstream_request_id = up-1\n",
        provider = attempt.provider_id,
        deployment = attempt.deployment_id,
    );
    assert_eq!(printed(&spans[2]), expected);
    assert!(printed(&spans[1]).ends_with("status Error http_429\n"));
    assert_eq!(attribute(&spans[1], "gen_ai.usage.input_tokens"), None);
    assert_eq!(attribute(&spans[1], "error.type"), Some(&Value::StringValue("http_429".to_owned())));
}

#[test]
fn the_switch_renames_attributes_of_spans() {
    let spans = spans(&finished_call(), Convention::Latest);
    assert_eq!(attribute(&spans[2], "gen_ai.usage.cache_write.input_tokens"), Some(&Value::IntValue(10)));
    assert_eq!(attribute(&spans[2], "gen_ai.usage.cache_creation.input_tokens"), None);
}

#[test]
fn spans_hang_below_the_caller_and_attempts_have_the_ids_that_providers_were_told() {
    let caller = TraceContext { trace_id: [7; 16], span_id: [9; 8], sampled: true };
    let call = FinishedCall { caller: Some(caller), ..finished_call() };
    let spans = spans(&call, Convention::Established);
    assert!(spans.iter().all(|span| span.trace_id == [7; 16]));
    assert_eq!(spans[0].parent_span_id, [9; 8]);
    for (attempt, span) in (0..).zip(&spans[1..]) {
        let told = TraceContext::of_attempt(call.request_id, Some(&caller), attempt);
        assert_eq!(span.parent_span_id, spans[0].span_id);
        assert_eq!((&*span.span_id, &*span.trace_id), (&told.span_id[..], &told.trace_id[..]));
    }
    let alone = super::spans(&finished_call(), Convention::Established);
    assert_eq!(alone[0].trace_id, RequestId::from_bytes([1; 16]).into_bytes());
}

#[test]
fn a_name_that_nobody_configured_names_no_span() {
    let mut call = FinishedCall { model: "anything\n".into(), model_is_known: false, ..finished_call() };
    call.fault = Some(Fault::Client);
    call.error_kind = Some("model_not_found".into());
    call.cost = Some(NanoUsd::ZERO);
    call.attempts.clear();
    let refused = spans(&call, Convention::Established);
    assert_eq!((refused.len(), &*refused[0].name, &refused[0].status), (1, "chat", &None));
    call.fault = Some(Fault::Gateway);
    let failed = spans(&call, Convention::Established);
    assert_eq!(failed[0].status.as_ref().unwrap().code(), StatusCode::Error);
}

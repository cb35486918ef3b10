//! Which calls leave a trace, and what a provider is told of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::json;
use tollgate_core::Dialect;
use tollgate_telemetry::{CallReceiver, CallSink, Sampler, TraceContext};
use tollgate_testkit::{GatewayPlan, Match, RawClient, Reply, ScriptedProvider, TestGateway, canned};

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";

async fn setup(ratio: f64) -> (ScriptedProvider, TestGateway, CallReceiver) {
    let provider = ScriptedProvider::start().await;
    let (sink, calls) = CallSink::default().with_traces(Sampler::new(ratio), 16);
    let mut plan = GatewayPlan::default()
        .provider("oa", "openai_compatible", &provider.url())
        .model("oa", &[("oa", "upstream-name", 1)])
        .model("both", &[("oa", "first", 1), ("oa", "second", 0)]);
    plan.call_sink = Some(sink);
    (provider, TestGateway::start(plan), calls)
}

async fn chat(gateway: &TestGateway, model: &str, headers: &[(&str, &str)]) -> u16 {
    let bearer = format!("Bearer {}", gateway.key);
    let mut all = vec![("authorization", &*bearer)];
    all.extend(headers);
    let body = json!({"model": model, "messages": [{"role": "user", "content": "a secret question"}]});
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    client.post("/v1/chat/completions", &all, body.to_string()).await.unwrap().status
}

#[tokio::test]
async fn a_traced_call_names_each_attempt_and_is_left_for_the_exporter() {
    let (provider, gateway, mut calls) = setup(1.0).await;
    provider.on(Match::model("first"), Reply::json(500, "{}"));
    assert_eq!(chat(&gateway, "both", &[("tracestate", "a=b")]).await, 200);
    let call = calls.recv().await.unwrap();
    assert_eq!((call.attempts.len(), call.attempts[1].served, &*call.model), (2, true, "both"));
    assert_eq!(call.attempts[0].provider_kind.as_deref(), Some("openai_compatible"));
    assert_eq!(call.usage, canned::text(Dialect::OpenaiChat).usage);
    for (attempt, received) in (0..).zip(provider.requests()) {
        let told = TraceContext::of_attempt(call.request_id, None, attempt).header();
        assert_eq!(received.header("traceparent"), Some(&*told));
        assert_eq!(received.header("tracestate"), None);
    }
    assert!(!format!("{call:?}").contains("secret question"));
}

#[tokio::test]
async fn the_callers_decision_is_kept_in_both_directions() {
    let (provider, gateway, mut calls) = setup(0.0).await;
    let sampled = format!("{CALLER}-01");
    assert_eq!(chat(&gateway, "oa", &[("traceparent", &sampled), ("tracestate", "a=b")]).await, 200);
    let call = calls.recv().await.unwrap();
    let told = TraceContext::of_attempt(call.request_id, call.caller.as_ref(), 0).header();
    assert!(told.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{told}");
    let received = &provider.requests()[0];
    assert_eq!(received.header("traceparent"), Some(&*told));
    assert_eq!(received.header("tracestate"), Some("a=b"));

    let (provider, gateway, mut calls) = setup(1.0).await;
    let unsampled = format!("{CALLER}-00");
    assert_eq!(chat(&gateway, "oa", &[("traceparent", &unsampled)]).await, 200);
    assert_eq!(provider.requests()[0].header("traceparent"), Some(&*unsampled));
    assert_eq!(chat(&gateway, "oa", &[]).await, 200);
    assert_eq!(calls.recv().await.unwrap().caller, None, "only the second call was traced");
}

#[tokio::test]
async fn an_untraced_call_adds_no_header() {
    let (provider, gateway, mut calls) = setup(0.0).await;
    assert_eq!(chat(&gateway, "oa", &[]).await, 200);
    gateway.wait_for_settlements(1).await;
    assert_eq!(provider.requests()[0].header("traceparent"), None);
    assert!(calls.try_recv().is_err());
}

#[tokio::test]
async fn a_refused_call_is_traced_without_attempts() {
    let (_provider, gateway, mut calls) = setup(1.0).await;
    assert_eq!(chat(&gateway, "unheard-of", &[]).await, 404);
    let call = calls.recv().await.unwrap();
    assert_eq!((call.attempts.len(), call.model_is_known, call.status), (0, false, 404));
    assert_eq!(call.error_kind.as_deref(), Some("model_not_found"));
}

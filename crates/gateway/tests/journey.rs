//! Calls through a running gateway to a scripted provider: what arrives where, and what the journal says of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use serde_json::{Value, json};
use tollgate_core::Dialect;
use tollgate_ledger::record::{JournalRecord, Outcome, UsageSource, Verdict};
use tollgate_testkit::{
    GatewayPlan, Match, RawClient, RawResponse, Reply, ScriptedProvider, TestGateway, canned,
};

const PATHS: [(Dialect, &str); 4] = [
    (Dialect::OpenaiChat, "/v1/chat/completions"),
    (Dialect::AnthropicMessages, "/v1/messages"),
    (Dialect::OpenaiResponses, "/v1/responses"),
    (Dialect::OpenaiEmbeddings, "/v1/embeddings"),
];

async fn setup() -> (ScriptedProvider, TestGateway) {
    let provider = ScriptedProvider::start().await;
    let plan = GatewayPlan::default()
        .provider("oa", "openai_compatible", &provider.url())
        .provider("an", "anthropic_compatible", &provider.url())
        .model("oa", &[("oa", "upstream-name", 1)])
        .model("an", &[("an", "upstream-name", 1)])
        .model("both", &[("oa", "first", 1), ("oa", "second", 0)]);
    let gateway = TestGateway::start(plan);
    (provider, gateway)
}

async fn post(gateway: &TestGateway, path: &str, body: &Value) -> RawResponse {
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    let bearer = format!("Bearer {}", gateway.key);
    client.post(path, &[("authorization", &bearer)], body.to_string()).await.unwrap()
}

fn body(dialect: Dialect, model: &str, stream: bool) -> Value {
    match dialect {
        Dialect::OpenaiResponses => json!({"model": model, "input": "hello", "stream": stream}),
        Dialect::OpenaiEmbeddings => json!({"model": model, "input": "hello", "encoding_format": "base64"}),
        Dialect::AnthropicMessages => json!({
            "model": model, "max_tokens": 64, "stream": stream, "messages": [{"role": "user", "content": "hello"}],
            "unknown_field": {"kept": [1, 2.50, "x"]},
        }),
        _ => json!({
            "model": model, "stream": stream, "messages": [{"role": "user", "content": "hello"}],
            "unknown_field": {"kept": [1, 2.50, "x"]},
        }),
    }
}

#[tokio::test]
async fn a_whole_answer_comes_back_as_it_was_sent_and_is_accounted_for() {
    for (dialect, path) in PATHS {
        let (provider, gateway) = setup().await;
        let model = if dialect == Dialect::AnthropicMessages { "an" } else { "oa" };
        let answer = post(&gateway, path, &body(dialect, model, false)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let expected = match dialect {
            Dialect::OpenaiEmbeddings => canned::embedding_base64(),
            _ => canned::text(dialect),
        };
        assert_eq!(answer.body, expected.body(), "{dialect:?}");

        let received = &provider.requests()[0];
        assert_eq!(received.json(), body(dialect, "upstream-name", false), "{dialect:?}");
        assert!(received.header("authorization").is_none_or(|value| !value.contains(&gateway.key)));

        let settlement = gateway.wait_for_settlements(1).await.remove(0);
        let request = &settlement.request;
        assert_eq!((request.status, request.outcome), (200, Outcome::Completed));
        assert_eq!((request.usage, request.usage_source), (expected.usage, UsageSource::Reported));
        assert_eq!(request.model.as_ref(), model);
        assert_eq!(settlement.attempts.len(), 1);
        assert!(settlement.attempts[0].served);
        assert_eq!(request.decision.candidates[0].verdict, Verdict::Served);
        let nanos = |count: u64, price: i64| i64::try_from(count).unwrap() * price;
        let usage = expected.usage;
        let cost = nanos(usage.input, 1_000)
            + nanos(usage.cache_read, 100)
            + nanos(usage.cache_write, 1_250)
            + nanos(usage.cache_write_long, 2_000)
            + nanos(usage.output + usage.reasoning, 2_000);
        assert_eq!(request.cost.unwrap().get(), cost, "{usage:?}");
        assert_eq!(answer.header("x-tollgate-cost-usd"), Some(request.cost.unwrap().to_string().as_str()));
        assert_eq!(answer.header("x-tollgate-request-id"), Some(request.request_id.to_string().as_str()));
        assert_eq!(answer.header("x-tollgate-model"), Some(model));
        assert!(answer.header("x-tollgate-overhead-us").is_some());
    }
}

#[tokio::test]
async fn a_stream_comes_back_byte_for_byte_but_for_the_usage_that_only_we_asked_for() {
    for (dialect, path) in PATHS.into_iter().take(3) {
        let (provider, gateway) = setup().await;
        let model = if dialect == Dialect::AnthropicMessages { "an" } else { "oa" };
        let answer = post(&gateway, path, &body(dialect, model, true)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let whole = canned::text_stream(dialect);
        if dialect == Dialect::OpenaiChat {
            assert_eq!(answer.body, canned::text_stream_without_usage(dialect).body());
            let sent: Value = provider.requests()[0].json();
            assert_eq!(sent["stream_options"], json!({"include_usage": true}));
        } else {
            assert_eq!(answer.body, whole.body(), "{dialect:?}");
        }
        let settlement = gateway.wait_for_settlements(1).await.remove(0);
        let request = &settlement.request;
        assert_eq!(
            (request.usage, request.usage_source),
            (whole.usage, UsageSource::Reported),
            "{dialect:?}"
        );
        assert_eq!(request.outcome, Outcome::Completed);
        assert!(request.time_to_first_token_us.is_some());
        assert!(request.finish_reason.is_some(), "{dialect:?}");
    }
}

#[tokio::test]
async fn each_dialect_is_served_by_an_upstream_of_the_other() {
    for stream in [false, true] {
        let (provider, gateway) = setup().await;
        let answer = post(&gateway, "/v1/chat/completions", &body(Dialect::OpenaiChat, "an", stream)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(provider.requests()[0].path(), "/v1/messages");
        let text = answer.text();
        assert_eq!(text.contains("[DONE]"), stream, "{text}");
        let answer = post(&gateway, "/v1/messages", &body(Dialect::AnthropicMessages, "oa", stream)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(provider.requests()[1].path(), "/v1/chat/completions");
        assert_eq!(answer.text().contains("message_stop"), stream);
        assert!(answer.header("x-tollgate-translation").is_some());
        let settlements = gateway.wait_for_settlements(2).await;
        let expected = [Dialect::AnthropicMessages, Dialect::OpenaiChat];
        for (settlement, dialect) in settlements.iter().zip(expected) {
            let canned = if stream { canned::text_stream(dialect) } else { canned::text(dialect) };
            assert_eq!(settlement.request.usage, canned.usage);
            assert_eq!(settlement.request.upstream_dialect, Some(dialect));
        }
    }
}

#[tokio::test]
async fn a_failing_deployment_is_replaced_invisibly_and_each_attempt_is_recorded() {
    for status in [408_u16, 429, 500, 502, 503, 504, 529, 401] {
        let (provider, gateway) = setup().await;
        provider.on(Match::model("first"), canned::error(Dialect::OpenaiChat, status).reply());
        let answer = post(&gateway, "/v1/chat/completions", &body(Dialect::OpenaiChat, "both", false)).await;
        assert_eq!(answer.status, 200, "after {status}: {}", answer.text());
        let settlement = gateway.wait_for_settlements(1).await.remove(0);
        let attempts: Vec<_> = settlement.attempts.iter().map(|one| (one.status, one.served)).collect();
        assert_eq!(attempts, [(status, false), (200, true)]);
        let intents =
            gateway.records().into_iter().filter(|record| matches!(record, JournalRecord::Intent(_)));
        assert_eq!(intents.count(), 2);
    }
}

#[tokio::test]
async fn the_providers_refusal_of_the_request_is_the_callers_and_is_not_retried() {
    let (provider, gateway) = setup().await;
    let refusal = canned::error(Dialect::OpenaiChat, 400);
    provider.on(Match::any(), refusal.reply());
    let answer = post(&gateway, "/v1/chat/completions", &body(Dialect::OpenaiChat, "both", false)).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.body, refusal.body());
    assert_eq!(provider.requests().len(), 1);
    let settlement = gateway.wait_for_settlements(1).await.remove(0);
    assert_eq!(settlement.request.outcome, Outcome::Failed);
    assert_eq!(settlement.request.cost.unwrap().get(), 0);
}

#[tokio::test]
async fn a_refused_credential_of_ours_is_never_the_callers_401() {
    let (provider, gateway) = setup().await;
    provider.on(Match::any(), canned::error(Dialect::OpenaiChat, 401).reply());
    let answer = post(&gateway, "/v1/chat/completions", &body(Dialect::OpenaiChat, "oa", false)).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(answer.json()["error"]["code"], "provider_credential_refused");
    assert_eq!(answer.header("x-tollgate-model"), Some("oa"));
    let attempt = &gateway.wait_for_settlements(1).await[0].attempts[0];
    assert_eq!(answer.header("x-tollgate-deployment"), Some(attempt.deployment_id.to_string().as_str()));
    assert!(!answer.text().contains(tollgate_testkit::gateway::PROVIDER_SECRET));
}

#[tokio::test]
async fn refusals_name_what_to_change_and_forward_nothing() {
    let (provider, mut gateway) = setup().await;
    let chat = "/v1/chat/completions";
    let cases = [
        (json!({"model": "nope", "messages": []}), 404, "model_not_found"),
        (json!({"messages": []}), 400, "invalid_request"),
        (json!({"model": 7, "messages": []}), 400, "invalid_request"),
        (json!({"model": "../etc", "messages": []}), 400, "invalid_request"),
        (json!({"model": "oa", "stream": "yes"}), 400, "invalid_request"),
        (json!([1]), 400, "invalid_request"),
    ];
    for (body, status, code) in &cases {
        let answer = post(&gateway, chat, body).await;
        assert_eq!(answer.status, *status, "{body}: {}", answer.text());
        assert_eq!(answer.json()["error"]["code"], *code, "{body}");
    }
    let settled = gateway.wait_for_settlements(cases.len()).await;
    assert!(settled.iter().all(|one| one.request.outcome == Outcome::Refused && one.attempts.is_empty()));

    let key = std::mem::replace(&mut gateway.key, "tg_nonsense".into());
    assert_eq!(post(&gateway, chat, &body(Dialect::OpenaiChat, "oa", false)).await.status, 401);
    gateway.key = key;
    gateway.reconfigure(|configuration| configuration.credentials.clear());
    let answer = post(&gateway, "/v1/messages", &body(Dialect::AnthropicMessages, "an", false)).await;
    assert_eq!((answer.status, answer.json()["error"]["type"].as_str()), (401, Some("authentication_error")));
    assert!(provider.requests().is_empty());
}

#[tokio::test]
async fn a_tier_is_open_where_it_has_a_price_or_nothing_has() {
    let (_provider, mut gateway) = setup().await;
    let price = |text: Value| Some(serde_json::from_value(text).unwrap());
    let prices = [
        price(
            json!([{"input": "1", "output": "2"}, {"service_tier": "priority", "input": "3", "output": "4"}]),
        ),
        price(json!("unknown")),
        price(json!("free")),
    ];
    for price in prices {
        gateway.reconfigure(|configuration| {
            for model in &mut configuration.models {
                for deployment in &mut model.deployments {
                    deployment.price.clone_from(&price);
                }
            }
        });
        let call = json!({"model": "oa", "messages": [], "service_tier": "priority"});
        let answer = post(&gateway, "/v1/chat/completions", &call).await;
        assert_eq!(answer.status, 200, "{price:?}: {}", answer.text());
    }
    let costs: Vec<_> = gateway.wait_for_settlements(3).await.iter().map(|one| one.request.cost).collect();
    assert!(costs[0].unwrap().get() > 0);
    assert_eq!((costs[1], costs[2].unwrap().get()), (None, 0));
}

#[tokio::test]
async fn a_pattern_needs_more_than_its_prefix() {
    let provider = ScriptedProvider::start().await;
    let plan = GatewayPlan::default()
        .provider("oa", "openai_compatible", &provider.url())
        .model("wild/*", &[("oa", "", 1)]);
    let gateway = TestGateway::start(plan);
    let chat = "/v1/chat/completions";
    let answer = post(&gateway, chat, &json!({"model": "wild/", "messages": []})).await;
    assert_eq!((answer.status, provider.requests().len()), (404, 0), "{}", answer.text());
    assert_eq!(post(&gateway, chat, &json!({"model": "wild/x", "messages": []})).await.status, 200);
}

#[tokio::test]
async fn a_stream_that_fails_before_content_is_tried_elsewhere_and_after_it_ends_with_an_error() {
    let (provider, gateway) = setup().await;
    let stream = canned::text_stream(Dialect::OpenaiChat).reply();
    provider.on(Match::model("first"), stream.clone().first_steps(0).cut());
    let answer = post(&gateway, "/v1/chat/completions", &body(Dialect::OpenaiChat, "both", true)).await;
    assert!(answer.complete && answer.text().contains("[DONE]"), "{}", answer.text());

    provider.forget_rules();
    provider.on(Match::any(), stream.first_half().cut());
    let answer = post(&gateway, "/v1/chat/completions", &body(Dialect::OpenaiChat, "oa", true)).await;
    assert_eq!(answer.status, 200);
    assert!(answer.complete && !answer.text().contains("[DONE]"), "{}", answer.text());
    assert!(answer.text().contains("\"error\""), "{}", answer.text());
    let settlements = gateway.wait_for_settlements(2).await;
    assert_eq!(settlements[1].request.outcome, Outcome::Failed);
    assert_eq!(settlements[1].request.usage_source, UsageSource::Estimated);
    assert!(settlements[1].request.usage.output > 0);
}

#[tokio::test]
async fn the_providers_own_id_of_a_failed_exchange_is_recorded() {
    let (provider, gateway) = setup().await;
    provider.on(Match::model("first"), canned::error(Dialect::OpenaiChat, 500).reply());
    let answer = post(&gateway, "/v1/chat/completions", &body(Dialect::OpenaiChat, "both", false)).await;
    assert_eq!(answer.status, 200);
    let attempts = gateway.wait_for_settlements(1).await.remove(0).attempts;
    assert_eq!(attempts[0].upstream_request_id.as_deref(), Some("req_scripted0001"));
}

#[tokio::test]
async fn a_wrong_base_url_is_told_with_the_right_one() {
    let (_provider, gateway) = setup().await;
    for (path, dialect) in [
        ("/chat/completions", Dialect::OpenaiChat),
        ("/v1/chat/completions/chat/completions", Dialect::OpenaiChat),
        ("/v1/v1/messages", Dialect::AnthropicMessages),
        ("/messages", Dialect::AnthropicMessages),
        ("/v1/", Dialect::OpenaiChat),
    ] {
        let answer = post(&gateway, path, &json!({})).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.header("x-tollgate-request-id").is_some());
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        // As the client itself calls this address.
        let base = "http://localhost";
        if dialect == Dialect::AnthropicMessages {
            assert_eq!(answer.json()["type"], "error");
            assert!(message.ends_with(&format!("without /v1: {base}")), "{message}");
        } else {
            assert!(message.ends_with(&format!("ends in /v1: {base}/v1")), "{message}");
        }
    }
}

#[tokio::test]
async fn models_lists_what_the_key_may_use_in_the_clients_shape() {
    let (_provider, gateway) = setup().await;
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    let bearer = format!("Bearer {}", gateway.key);
    let list = client.get("/v1/models", &[("authorization", &bearer)]).await.unwrap();
    let names: Vec<_> = list.json()["data"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert_eq!(names, ["an", "both", "oa"]);
    let headers = [("x-api-key", gateway.key.as_str()), ("anthropic-version", "2023-06-01")];
    let one = client.get("/v1/models/oa", &headers).await.unwrap();
    assert_eq!(one.json()["type"], "model");
    let none = client.get("/v1/models/nope", &headers).await.unwrap();
    assert_eq!((none.status, none.json()["error"]["type"].as_str()), (404, Some("not_found_error")));
}

#[tokio::test]
async fn a_reply_without_usage_is_estimated_and_flagged() {
    let (provider, gateway) = setup().await;
    let reply = json!({"id": "x", "model": "m", "choices": [{"index": 0, "finish_reason": "stop",
        "message": {"role": "assistant", "content": "four words are here"}}]});
    provider.on(Match::any(), Reply::json(200, reply.to_string()));
    let answer = post(&gateway, "/v1/chat/completions", &body(Dialect::OpenaiChat, "oa", false)).await;
    assert_eq!(answer.status, 200);
    let request = gateway.wait_for_settlements(1).await.remove(0).request;
    assert_eq!((request.usage_source, request.usage.output), (UsageSource::Estimated, 4));
    assert!(request.cost.unwrap().get() > 0);
}

#[tokio::test]
async fn what_could_not_be_priced_afterwards_is_refused_before_it_is_sent() {
    let (provider, gateway) = setup().await;
    for tier in ["flex", "priority", "zzz"] {
        let mut call = body(Dialect::OpenaiChat, "oa", false);
        call["service_tier"] = tier.into();
        let answer = post(&gateway, "/v1/chat/completions", &call).await;
        let code = answer.json()["error"]["code"].clone();
        assert_eq!((answer.status, code.as_str()), (400, Some("service_tier_not_priced")), "{tier}");
    }
    let mut call = body(Dialect::OpenaiResponses, "oa", false);
    call["background"] = true.into();
    let answer = post(&gateway, "/v1/responses", &call).await;
    assert_eq!(answer.json()["error"]["code"], "background_not_supported");
    assert!(provider.requests().is_empty());

    let mut call = body(Dialect::OpenaiChat, "oa", false);
    call["service_tier"] = "default".into();
    assert_eq!(post(&gateway, "/v1/chat/completions", &call).await.status, 200);
}

#[tokio::test]
async fn usage_beyond_what_the_call_can_have_used_is_charged_at_the_bound_and_flagged() {
    let chat = "/v1/chat/completions";
    let reply = |input: u64, output: u64| {
        json!({"id": "x", "model": "m", "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "four words are here"}}],
            "usage": {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output}})
    };
    let call =
        json!({"model": "oa", "max_tokens": 10, "n": 2, "messages": [{"role": "user", "content": "hi"}]});
    let (most_input, body_bytes) = (8_192, call.to_string().len() as u64);
    for stream in [false, true] {
        let (provider, gateway) = setup().await;
        let mut call = call.clone();
        call["stream"] = stream.into();
        let cases = [
            (reply(50, 20), UsageSource::Reported),
            (reply(1_000_000, 20), UsageSource::Quarantined),
            (reply(50, 1_000_000), UsageSource::Quarantined),
            (reply(0, 0), UsageSource::Estimated),
        ];
        for (reply, _) in &cases {
            provider.forget_rules();
            let mut delta = reply.clone();
            delta["choices"][0]["delta"] = delta["choices"][0]["message"].take();
            let events = [canned::data(&delta), "data: [DONE]\n\n".into()];
            let whole = Reply::json(200, reply.to_string());
            provider.on(Match::any(), if stream { Reply::events(events) } else { whole });
            assert_eq!(post(&gateway, chat, &call).await.status, 200);
        }
        let settled = gateway.wait_for_settlements(cases.len()).await;
        for (one, (reply, source)) in settled.iter().zip(&cases) {
            let usage = one.request.usage;
            assert_eq!(one.request.usage_source, *source, "{reply}");
            assert!(
                (body_bytes..most_input).contains(&usage.total_input()) || usage.input <= 50,
                "{usage:?}"
            );
            assert!((1..=20).contains(&usage.total_output()), "{usage:?}");
            assert!(one.request.cost.is_some_and(|cost| cost.get() > 0));
        }
    }
}

#[tokio::test]
async fn a_body_that_lets_the_provider_choose_the_model_needs_a_key_for_every_model() {
    let (provider, mut gateway) = setup().await;
    let mut asking = body(Dialect::OpenaiChat, "oa", false);
    asking["models"] = json!(["dear-model"]);
    assert_eq!(post(&gateway, "/v1/chat/completions", &asking).await.status, 200);
    gateway.reconfigure(|configuration| {
        configuration.keys[0].grants.allow = vec![tollgate_core::ModelPattern::parse("oa").unwrap()];
    });
    let refused = post(&gateway, "/v1/chat/completions", &asking).await;
    assert_eq!((refused.status, provider.requests().len()), (403, 1), "{}", refused.text());
    let plain = body(Dialect::OpenaiChat, "oa", false);
    assert_eq!(post(&gateway, "/v1/chat/completions", &plain).await.status, 200);
}

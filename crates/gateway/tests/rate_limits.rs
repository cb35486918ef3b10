//! Rate and concurrency limits of a running gateway.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tollgate_core::Dialect;
use tollgate_state::governance::{Each, LimitMeter, LimitPeriod, ModelSelector, Place, Scope};
use tollgate_testkit::{
    GatewayPlan, Match, RawClient, RawResponse, Reply, ScriptedProvider, Signal, TestGateway, canned,
};

const CHAT: &str = "/v1/chat/completions";

async fn post(gateway: &TestGateway, path: &str, body: &Value) -> RawResponse {
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    let bearer = format!("Bearer {}", gateway.key);
    client.post(path, &[("authorization", &bearer)], body.to_string()).await.unwrap()
}

fn chat(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 100})
}

fn plan(provider: &ScriptedProvider) -> GatewayPlan {
    GatewayPlan::default()
        .provider("oa", "openai_compatible", &provider.url())
        .provider("an", "anthropic_compatible", &provider.url())
        .model("m", &[("oa", "upstream-name", 1)])
        .model("an", &[("an", "upstream-name", 1)])
}

#[tokio::test]
async fn an_attack_gets_the_burst_and_the_rate_and_a_true_time_to_wait() {
    let provider = ScriptedProvider::start().await;
    let gateway = TestGateway::start(plan(&provider).limit("calm", LimitMeter::Requests, 60, |_| {}));
    let started = Instant::now();
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    let bearer = format!("Bearer {}", gateway.key);
    let headers = [("authorization", bearer.as_str())];
    let body = chat("m").to_string();
    let (mut served, mut last) = (0_u64, None);
    while started.elapsed() < Duration::from_millis(1_500) {
        let answer = client.post(CHAT, &headers, &body).await.unwrap();
        if answer.status == 200 {
            served += 1;
        } else {
            assert_eq!(answer.status, 429, "{}", answer.text());
            last = Some(answer);
        }
    }
    // The burst of six, and one a second.
    let most = 6 + started.elapsed().as_secs() + 1;
    assert!((6..=most).contains(&served), "{served} served");
    assert_eq!(provider.requests().len() as u64, served);
    let refused = last.unwrap();
    let told = refused.json();
    assert_eq!(told["error"]["type"], "rate_limit_error", "{told}");
    assert!(told["error"]["message"].as_str().unwrap().contains("\"calm\""), "{told}");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("x-ratelimit-limit-requests"), Some("60"));
    assert_eq!(refused.header("x-ratelimit-remaining-requests"), Some("0"));
    sleep(Duration::from_millis(1_050)).await;
    assert_eq!(post(&gateway, CHAT, &chat("m")).await.status, 200, "the time to wait was true");
}

#[tokio::test]
async fn headers_tell_what_is_left_in_the_callers_dialect_and_providers_are_moved() {
    let provider = ScriptedProvider::start().await;
    let answer = canned::text(Dialect::OpenaiChat);
    let reply = Reply::json(200, answer.body()).header("x-ratelimit-remaining-requests", "77");
    provider.on(Match::path("/v1/chat/completions"), reply);
    let gateway = TestGateway::start(
        plan(&provider)
            .limit("requests", LimitMeter::Requests, 100, |_| {})
            .limit("tokens", LimitMeter::TotalTokens, 1_000_000, |_| {})
            .limit("input", LimitMeter::InputTokens, 500_000, |_| {}),
    );
    let openai = post(&gateway, CHAT, &chat("m")).await;
    assert_eq!(openai.status, 200, "{}", openai.text());
    assert_eq!(openai.header("x-ratelimit-limit-requests"), Some("100"));
    assert_eq!(openai.header("x-ratelimit-remaining-requests"), Some("9"));
    assert_eq!(openai.header("x-ratelimit-limit-tokens"), Some("1000000"));
    assert_eq!(openai.header("x-upstream-ratelimit-remaining-requests"), Some("77"));
    let anthropic = post(&gateway, "/v1/messages", &chat("an")).await;
    assert_eq!(anthropic.status, 200, "{}", anthropic.text());
    assert_eq!(anthropic.header("anthropic-ratelimit-requests-remaining"), Some("8"));
    assert!(anthropic.header("anthropic-ratelimit-input-tokens-reset").unwrap().contains('T'));
}

#[tokio::test]
async fn tokens_are_taken_by_estimate_and_corrected() {
    let provider = ScriptedProvider::start().await;
    let usage = canned::text(Dialect::OpenaiChat).usage;
    let counted = usage.total_input() + usage.total_output();
    let gateway = TestGateway::start(plan(&provider).limit("t", LimitMeter::TotalTokens, 10_000, |limit| {
        limit.per = LimitPeriod::Day;
        limit.burst = Some(10_000);
    }));
    let first = post(&gateway, CHAT, &chat("m")).await;
    assert_eq!(first.status, 200);
    let second = post(&gateway, CHAT, &chat("m")).await;
    let left: u64 = second.header("x-ratelimit-remaining-tokens").unwrap().parse().unwrap();
    // Both are corrected to what was used before the headers of the second are written.
    assert!(left.abs_diff(10_000 - 2 * counted) <= 130, "{left} of 10000 with {counted} each");
    let mut huge = chat("m");
    huge["messages"][0]["content"] = json!("x".repeat(60_000));
    let never = post(&gateway, CHAT, &huge).await;
    assert_eq!(never.status, 429, "{}", never.text());
    assert_eq!(never.header("x-should-retry"), Some("false"), "waiting would not help");
}

#[tokio::test]
async fn limits_count_by_key_model_customer_and_provider() {
    let provider = ScriptedProvider::start().await;
    let plan = plan(&provider).model("two", &[("oa", "first", 1), ("an", "second", 0)]);
    let oa = plan.provider_id("oa");
    let one = |limit: &mut tollgate_state::governance::LimitObject, scope| {
        limit.per = LimitPeriod::Day;
        limit.burst = Some(1);
        limit.scope = scope;
    };
    let model = ModelSelector::Name(tollgate_core::ModelPattern::parse("m").unwrap());
    let plan = plan
        .limit("customers", LimitMeter::Requests, 1, |limit| {
            let each = Some(Each::Customer);
            one(limit, Scope { place: Place::Organization, each, model: Some(model) });
        })
        .limit("provider", LimitMeter::Requests, 2, |limit| {
            one(limit, Scope { place: Place::Provider(oa), each: None, model: None });
            limit.burst = Some(2);
        });
    let gateway = TestGateway::start(plan);
    let of = |user: &str| {
        let mut body = chat("m");
        body["user"] = user.into();
        body
    };
    assert_eq!(post(&gateway, CHAT, &of("ann")).await.status, 200);
    let again = post(&gateway, CHAT, &of("ann")).await;
    assert_eq!((again.status, again.header("x-tollgate-limit")), (429, Some("customers")));
    assert_eq!(post(&gateway, CHAT, &of("ben")).await.status, 200);
    let over = post(&gateway, CHAT, &of("cid")).await;
    assert_eq!((over.status, over.header("x-tollgate-limit")), (429, Some("provider")));
    // Another provider can serve what the first has no room for.
    let elsewhere = post(&gateway, CHAT, &chat("two")).await;
    assert_eq!(elsewhere.status, 200, "{}", elsewhere.text());
}

#[tokio::test]
async fn concurrency_lives_with_the_answer_and_is_given_back_by_those_who_leave() {
    let provider = ScriptedProvider::start().await;
    let go = Signal::new();
    let events = canned::text_stream(Dialect::OpenaiChat);
    let reply = Reply::events(events.parts[..2].to_vec()).wait_for(&go).send(events.parts[2..].concat());
    provider.on(Match::path(CHAT).and_stream(true), reply);
    let gateway =
        TestGateway::start(plan(&provider).limit("two at once", LimitMeter::Concurrency, 2, |_| {}));
    let mut stream = chat("m");
    stream["stream"] = json!(true);
    let bearer = format!("Bearer {}", gateway.key);
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut client = RawClient::connect(gateway.address).await.unwrap();
        let body = stream.to_string();
        let head = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: {bearer}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        client.send(head.as_bytes()).await.unwrap();
        client.send(body.as_bytes()).await.unwrap();
        open.push(client);
    }
    provider.wait_for_requests(2).await;
    let refused = post(&gateway, CHAT, &chat("m")).await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    drop(open);
    gateway.wait_for_settlements(3).await;
    assert_eq!(post(&gateway, CHAT, &chat("m")).await.status, 200, "permits came back with the streams");
    go.raise();
}

#[tokio::test]
async fn a_refusal_by_one_limit_uses_up_no_other() {
    let provider = ScriptedProvider::start().await;
    let gateway = TestGateway::start(
        plan(&provider).limit("requests", LimitMeter::Requests, 3, |limit| limit.burst = Some(3)).limit(
            "tokens",
            LimitMeter::TotalTokens,
            50,
            |_| {},
        ),
    );
    for _ in 0..5 {
        let refused = post(&gateway, CHAT, &chat("m")).await;
        assert_eq!((refused.status, refused.header("x-tollgate-limit")), (429, Some("tokens")));
    }
}

//! Streams against little money: how each mode ends them, and what is spent.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use serde_json::{Value, json};
use tollgate_core::{Clock, NanoUsd, SystemClock};
use tollgate_ledger::record::{JournalRecord, Outcome};
use tollgate_state::governance::BudgetMode;
use tollgate_state::objects::TimeoutOverrides;
use tollgate_testkit::{
    GatewayPlan, Match, RawClient, RawResponse, Reply, ScriptedProvider, TestGateway, agents,
};

const TEN_CENTS: i64 = 100_000_000;
const WORDS: usize = 20_000;

async fn post(gateway: &TestGateway, path: &str, headers: &[(&str, &str)], body: &str) -> RawResponse {
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    let bearer = format!("Bearer {}", gateway.key);
    let mut all = vec![("authorization", bearer.as_str())];
    all.extend(headers);
    client.post(path, &all, body).await.unwrap()
}

/// A provider that answers with twenty thousand words, whatever it is asked.
async fn talkative() -> ScriptedProvider {
    let provider = ScriptedProvider::start().await;
    let chunk = |delta: Value, finish: Value, usage: Value| {
        let choices = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        let event = json!({
            "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "x", "choices": choices, "usage": usage,
        });
        format!("data: {event}\n\n")
    };
    let mut events = vec![chunk(json!({"role": "assistant", "content": ""}), Value::Null, Value::Null)];
    events.extend((0..WORDS).map(|_| chunk(json!({"content": " ten"}), Value::Null, Value::Null)));
    let usage = json!({"prompt_tokens": 10, "completion_tokens": WORDS, "total_tokens": WORDS + 10});
    events.push(chunk(json!({}), json!("stop"), usage));
    events.push("data: [DONE]\n\n".into());
    provider.on(Match::path("/v1/chat/completions"), Reply::events(events));
    let mut events = vec![
        format!(
            "event: message_start\ndata: {}\n\n",
            json!({"type": "message_start", "message": {
                "id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "x",
                "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 10, "output_tokens": 1},
            }})
        ),
        format!(
            "event: content_block_start\ndata: {}\n\n",
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
        ),
    ];
    let delta =
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " ten"}});
    events.extend((0..WORDS).map(|_| format!("event: content_block_delta\ndata: {delta}\n\n")));
    provider.on(Match::path("/v1/messages"), Reply::events(events));
    provider
}

fn plan(provider: &ScriptedProvider, mode: BudgetMode) -> GatewayPlan {
    let price = json!({"input": "10", "output": "10", "cache_read": "1", "cache_write": "12.5", "cache_write_long": "20"});
    GatewayPlan::default()
        .provider("oa", "openai_compatible", &provider.url())
        .provider("an", "anthropic_compatible", &provider.url())
        .model("m", &[("oa", "up", 1)])
        .price(&price)
        .model("an", &[("an", "up", 1)])
        .price(&price)
        .budget("ten cents", NanoUsd::new(TEN_CENTS), |budget| budget.mode = mode)
}

fn spent(gateway: &TestGateway) -> i64 {
    let budget = &gateway.configuration.budgets[0];
    let balances = gateway.gateway.budgets.balances(budget.id, SystemClock.now());
    assert!(balances.iter().all(|balance| balance.reserved_nano_usd == NanoUsd::ZERO), "{balances:?}");
    balances.iter().map(|balance| balance.spent_nano_usd.get()).sum()
}

fn stream(model: &str) -> String {
    json!({"model": model, "stream": true, "messages": [{"role": "user", "content": "talk"}]}).to_string()
}

#[tokio::test]
async fn a_stepped_stream_ends_with_its_dialects_error_when_the_next_step_is_refused() {
    let provider = talkative().await;
    let anthropic = json!({"model": "an", "stream": true, "max_tokens": 64_000, "messages": [{"role": "user", "content": "talk"}]});
    for (path, body) in [("/v1/chat/completions", stream("m")), ("/v1/messages", anthropic.to_string())] {
        let gateway = TestGateway::start(plan(&provider, BudgetMode::Stepped));
        let answer = post(&gateway, path, &[], &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.complete);
        let text = answer.text();
        let words = text.matches(" ten").count();
        assert!((1_000..WORDS).contains(&words), "{words}");
        let last = text.trim_end().rsplit("\n\n").next().unwrap();
        assert!(last.contains("budget_exceeded") && last.contains("ten cents"), "{path}: {last}");
        assert!(!text.contains("[DONE]") && !text.contains("message_stop"));
        let settlement = gateway.wait_for_settlements(1).await.remove(0);
        let request = &settlement.request;
        assert_eq!(request.outcome, Outcome::Failed);
        assert_eq!(request.error_kind.as_deref(), Some("budget_exceeded"));
        assert!(request.refused_by.is_some());
        let spent = spent(&gateway);
        assert!(spent <= TEN_CENTS && spent > 0, "{spent}");
        assert_eq!(spent, request.cost.unwrap().get());
        let steps = gateway.records().into_iter().filter(|one| matches!(one, JournalRecord::HoldsChanged(_)));
        assert!(steps.count() > 3, "each step is in the journal before it is used");
    }
}

#[tokio::test]
async fn a_translated_stream_that_nothing_pays_for_tells_that_trying_again_is_no_use() {
    let provider = talkative().await;
    let responses = json!({"model": "an", "stream": true, "max_output_tokens": 64_000, "input": "talk"});
    let chat = json!({"model": "an", "stream": true, "max_tokens": 64_000, "messages": [{"role": "user", "content": "talk"}]});
    for (path, body, kind) in [
        ("/v1/responses", responses, r#""code":"insufficient_quota""#),
        ("/v1/chat/completions", chat, r#""type":"insufficient_quota""#),
    ] {
        let gateway = TestGateway::start(plan(&provider, BudgetMode::Stepped));
        let text = post(&gateway, path, &[], &body.to_string()).await.text();
        let last = text.trim_end().rsplit("\n\n").next().unwrap();
        assert!(last.contains(kind) && last.contains("ten cents"), "{path}: {last}");
        assert!(text.contains("budget_exceeded") && !text.contains("response.completed"));
        assert!(spent(&gateway) <= TEN_CENTS);
    }
}

#[tokio::test]
async fn a_hard_budget_caps_the_stream_and_charges_no_more_than_the_cap() {
    let provider = talkative().await;
    let gateway = TestGateway::start(plan(&provider, BudgetMode::Hard));
    let answer = post(&gateway, "/v1/chat/completions", &[], &stream("m")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let cap: usize = answer.header("x-tollgate-output-cap").unwrap().parse().unwrap();
    assert!(cap < 10_000, "{cap}");
    assert_eq!(provider.requests()[0].json()["max_tokens"], json!(cap));
    // This provider does not keep the cap; what it claims beyond it is not believed.
    let mut calls = 1;
    loop {
        gateway.wait_for_settlements(calls).await;
        assert!(spent(&gateway) <= TEN_CENTS);
        let next = post(&gateway, "/v1/chat/completions", &[], &stream("m")).await;
        if next.status == 429 {
            break;
        }
        assert_eq!(next.status, 200, "{}", next.text());
        calls += 1;
        assert!(calls < 10, "the money does not end");
    }
}

#[tokio::test]
async fn a_soft_budget_lets_the_stream_run_and_counts_it() {
    let provider = talkative().await;
    let gateway = TestGateway::start(plan(&provider, BudgetMode::Soft));
    let answer = post(&gateway, "/v1/chat/completions", &[], &stream("m")).await;
    assert!(answer.text().contains("[DONE]"));
    gateway.wait_for_settlements(1).await;
    assert_eq!(spent(&gateway), (i64::try_from(WORDS).unwrap() + 10) * 10_000);
}

#[tokio::test]
async fn who_leaves_a_stepped_stream_is_charged_for_what_came() {
    let provider = talkative().await;
    let gateway = TestGateway::start(plan(&provider, BudgetMode::Stepped));
    let mut client = RawClient::connect(gateway.address).await.unwrap();
    let body = stream("m");
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        gateway.key,
        body.len()
    );
    client.send(head.as_bytes()).await.unwrap();
    client.send(body.as_bytes()).await.unwrap();
    client.read_some().await.unwrap();
    drop(client);
    let settlement = gateway.wait_for_settlements(1).await.remove(0);
    assert_eq!(spent(&gateway), settlement.request.cost.unwrap().get());
    assert!(spent(&gateway) > 0);
}

#[tokio::test]
async fn an_answer_that_never_came_is_charged_for_what_may_have_been_made() {
    let provider = ScriptedProvider::start().await;
    provider.on(Match::any(), Reply::raw().stall());
    let mut plan = GatewayPlan::default();
    plan.settings.max_attempts = 1;
    let plan = plan
        .provider("oa", "openai_compatible", &provider.url())
        .timeouts(TimeoutOverrides { total_ms: Some(500), ..TimeoutOverrides::default() })
        .model("m", &[("oa", "up", 1)])
        .price(&json!({"input": "10", "output": "10"}))
        .budget("ten dollars", NanoUsd::new(100 * TEN_CENTS), |budget| budget.mode = BudgetMode::Hard);
    let gateway = TestGateway::start(plan);
    let body =
        json!({"model": "m", "max_tokens": 100_000, "messages": [{"role": "user", "content": "talk"}]});
    let answer = post(&gateway, "/v1/chat/completions", &[], &body.to_string()).await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    let settlement = gateway.wait_for_settlements(1).await.remove(0);
    // Half a second at three hundred tokens a second.
    let output = settlement.request.usage.output;
    assert!((150..3_000).contains(&output), "{output}");
    assert_eq!(spent(&gateway), settlement.request.cost.unwrap().get());
}

/// Their first requests ask for tens of thousands of tokens each time; a budget that has money must not refuse them.
#[tokio::test]
async fn coding_agents_work_until_the_money_is_gone() {
    for (agent, path) in [(agents::CLAUDE_CODE, "/v1/messages"), (agents::CODEX, "/v1/responses")] {
        let provider = ScriptedProvider::start().await;
        let body: Value = serde_json::from_str(agent).unwrap();
        let model = body["model"].as_str().unwrap().to_owned();
        let kind = if path == "/v1/messages" { "anthropic_compatible" } else { "openai_compatible" };
        let price = json!({
            "input": "3", "output": "15", "cache_read": "0.3", "cache_write": "3.75", "cache_write_long": "6",
            "per_request": "0.07",
        });
        let plan = GatewayPlan::default()
            .provider("up", kind, &provider.url())
            .model(&model, &[("up", &model, 1)])
            .price(&price)
            .budget("two dollars", NanoUsd::new(2_000_000_000), |budget| {
                budget.mode = BudgetMode::Stepped;
                budget.server_tools_nano_usd = Some(NanoUsd::new(50_000_000));
            });
        let gateway = TestGateway::start(plan);
        let mut served = 0;
        let refused = loop {
            let answer = post(&gateway, path, &[("anthropic-beta", agents::CLAUDE_CODE_BETA)], agent).await;
            if answer.status != 200 {
                break answer;
            }
            served += 1;
            assert!(served < 100);
        };
        assert_eq!(refused.status, 429, "{}", refused.text());
        assert!(refused.text().contains("budget_exceeded"), "{}", refused.text());
        gateway.wait_for_settlements(served + 1).await;
        let left = 2_000_000_000 - spent(&gateway);
        // What is left cannot pay for the most that one more call can cost.
        let told = refused.text();
        assert!(
            served >= 10 && (0..1_000_000_000).contains(&left),
            "{path}: {served} served, {left} left: {told}"
        );
    }
}

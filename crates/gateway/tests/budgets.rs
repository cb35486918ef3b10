//! Budgets kept exactly by a running gateway: what is served, what is refused, and what is spent in the end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tollgate_core::{Clock, Dialect, ModelPattern, NanoUsd, SystemClock};
use tollgate_gateway::routes::{self, Action};
use tollgate_ledger::record::{JournalRecord, Verdict};
use tollgate_state::governance::{
    BudgetMode, Clamp, Each, ModelSelector, OnExhausted, Place, Scope, Unpriced,
};
use tollgate_testkit::{GatewayPlan, Match, RawClient, RawResponse, Reply, ScriptedProvider, TestGateway};

const CENT: i64 = 10_000_000;
const DOLLAR: i64 = 100 * CENT;

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
}

/// A model whose every call costs a cent.
fn cent_plan(provider: &ScriptedProvider) -> GatewayPlan {
    plan(provider).price(&json!({"per_request": "0.01"}))
}

fn spent(gateway: &TestGateway, name: &str) -> i64 {
    let budget = gateway.configuration.budgets.iter().find(|budget| budget.name == name).unwrap();
    let balances = gateway.gateway.budgets.balances(budget.id, SystemClock.now());
    assert!(balances.iter().all(|balance| balance.reserved_nano_usd == NanoUsd::ZERO), "{balances:?}");
    balances.iter().map(|balance| balance.spent_nano_usd.get()).sum()
}

/// How many rounds of the long tests; all of them where the environment asks for it.
fn rounds() -> usize {
    std::env::var("TOLLGATE_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}

/// Sends `calls` calls from `callers` connections; returns how many were served and the refusals' bodies.
async fn storm(
    gateway: &Arc<TestGateway>,
    callers: usize,
    calls: usize,
    body: &Value,
) -> (usize, Vec<RawResponse>) {
    let left = Arc::new(AtomicUsize::new(calls));
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (gateway, left, body) = (Arc::clone(gateway), Arc::clone(&left), body.to_string());
            tokio::spawn(async move {
                let mut client = RawClient::connect(gateway.address).await.unwrap();
                let bearer = format!("Bearer {}", gateway.key);
                let mut answers = Vec::new();
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                    .is_ok()
                {
                    let headers = [("authorization", bearer.as_str())];
                    answers.push(client.post("/v1/chat/completions", &headers, &body).await.unwrap());
                }
                answers
            })
        })
        .collect();
    let (mut served, mut refused) = (0, Vec::new());
    for task in tasks {
        for answer in task.await.unwrap() {
            if answer.status == 200 {
                served += 1;
            } else {
                refused.push(answer);
            }
        }
    }
    assert_eq!(served + refused.len(), calls);
    (served, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_callers_spend_a_dollar_to_the_cent() {
    let provider = ScriptedProvider::start().await;
    for round in 0..rounds() {
        let gateway = TestGateway::start(cent_plan(&provider).budget("dollar", NanoUsd::new(DOLLAR), |_| {}));
        let gateway = Arc::new(gateway);
        let before = provider.requests().len();
        let (served, refused) = storm(&gateway, 200, 5_000, &chat("m")).await;
        assert_eq!((served, refused.len()), (100, 4_900), "round {round}");
        assert_eq!(provider.requests().len() - before, 100, "what is refused never reaches the provider");
        assert_eq!(spent(&gateway, "dollar"), DOLLAR);
        for answer in &refused {
            assert_eq!(answer.status, 429, "{}", answer.text());
            assert_eq!(answer.header("x-should-retry"), Some("false"));
        }
        let told = refused[0].json();
        assert_eq!(told["error"]["type"], "budget_exceeded", "{told}");
        let message = told["error"]["message"].as_str().unwrap();
        assert!(message.contains("\"dollar\"") && message.contains("left"), "{message}");
        let refusals = gateway.wait_for_settlements(5_000).await;
        let refusals = refusals.iter().filter(|one| one.request.refused_by.is_some());
        assert_eq!(refusals.count(), 4_900);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_token_prices_all_that_fits_its_bound_is_served_and_nothing_is_overspent() {
    let provider = ScriptedProvider::start().await;
    let amount = CENT;
    let gateway = TestGateway::start(plan(&provider).budget("tokens", NanoUsd::new(amount), |_| {}));
    let gateway = Arc::new(gateway);
    let (served, _) = storm(&gateway, 50, 500, &chat("m")).await;
    let mut more = 0;
    let last = loop {
        let answer = post(&gateway, "/v1/chat/completions", &chat("m")).await;
        if answer.status != 200 {
            break answer;
        }
        more += 1;
    };
    let settlements = gateway.wait_for_settlements(500 + more + 1).await;
    let served_cost: i64 = settlements.iter().map(|one| one.request.cost.unwrap().get()).sum();
    let spent = spent(&gateway, "tokens");
    assert_eq!(spent, served_cost, "the ledger and the records agree");
    assert!(served > 0 && spent <= amount, "{spent}");
    // The prompt's bytes, what is put around them, and a hundred tokens of output.
    let bound = i64::try_from(chat("m").to_string().len()).unwrap() * 2_000 + 1_024 * 2_000 + 100 * 2_000;
    assert!(amount - spent < bound, "{} was left", amount - spent);
    assert_eq!(last.json()["error"]["code"], "budget_exceeded");
}

#[tokio::test]
async fn an_exhausted_budget_refuses_on_every_route_before_any_upstream_byte() {
    let provider = ScriptedProvider::start().await;
    let plan = plan(&provider).model("an", &[("an", "upstream-name", 1)]);
    let gateway = TestGateway::start(plan.budget("nothing", NanoUsd::ZERO, |_| {}));
    let mut asked = 0;
    for route in routes::ROUTES.iter().filter(|route| matches!(route.action, Action::Infer(_))) {
        let model = if route.dialect == Dialect::AnthropicMessages { "an" } else { "m" };
        let body = json!({
            "model": model, "max_tokens": 9, "prompt": "x", "input": "x", "messages": [{"role": "user", "content": "x"}],
        });
        let answer = post(&gateway, route.path, &body).await;
        if route.path.ends_with("count_tokens") {
            continue;
        }
        asked += 1;
        assert_eq!(answer.status, 429, "{}: {}", route.path, answer.text());
        assert!(answer.text().contains("budget_exceeded"), "{}: {}", route.path, answer.text());
    }
    assert!(asked >= 5, "{asked}");
    let counted = provider.requests().iter().filter(|one| !one.path().ends_with("count_tokens")).count();
    assert_eq!(counted, 0);
}

#[tokio::test]
async fn every_scope_and_member_is_counted_and_the_tightest_refuses() {
    let provider = ScriptedProvider::start().await;
    let plan = cent_plan(&provider);
    let (team_id, provider_id) = (plan.team_id(), plan.provider_id("oa"));
    let scope = |place, each, model| Scope { place, each, model };
    let name = || Some(ModelSelector::Name(ModelPattern::parse("m").unwrap()));
    let amount = NanoUsd::new(5 * CENT);
    let plan = plan
        .budget("organization", amount, |_| {})
        .budget("team", amount, |budget| budget.scope = scope(Place::Team(team_id), None, None))
        .budget("each key", amount, |budget| {
            budget.scope = scope(Place::Organization, Some(Each::Key), name());
        })
        .budget("provider", NanoUsd::new(2 * CENT), |budget| {
            budget.scope = scope(Place::Provider(provider_id), None, None);
        })
        .budget("customer", NanoUsd::new(CENT), |budget| {
            budget.scope = scope(Place::Organization, Some(Each::Customer), None);
        });
    let gateway = TestGateway::start(plan);
    let with_user = |user: &str| {
        let mut body = chat("m");
        body["user"] = user.into();
        body
    };
    let path = "/v1/chat/completions";
    assert_eq!(post(&gateway, path, &with_user("ann")).await.status, 200);
    let again = post(&gateway, path, &with_user("ann")).await;
    assert_eq!(again.header("x-tollgate-budget"), Some("customer"), "{}", again.text());
    assert_eq!(post(&gateway, path, &with_user("ben")).await.status, 200);
    let third = post(&gateway, path, &with_user("cid")).await;
    assert_eq!(third.header("x-tollgate-budget"), Some("provider"), "{}", third.text());
    assert_eq!(third.header("x-tollgate-budget-left-usd"), Some("0.00"));
    for name in ["organization", "team", "each key", "provider", "customer"] {
        assert_eq!(spent(&gateway, name), 2 * CENT, "{name}");
    }
    let served = &gateway.wait_for_settlements(4).await[0];
    assert_eq!(served.attempts[0].charges.len(), 5);
}

#[tokio::test]
async fn soft_and_observed_budgets_count_and_never_refuse() {
    let provider = ScriptedProvider::start().await;
    let plan = cent_plan(&provider)
        .budget("soft", NanoUsd::new(CENT), |budget| budget.mode = BudgetMode::Soft)
        .budget("observed", NanoUsd::ZERO, |budget| budget.mode = BudgetMode::Observe);
    let gateway = TestGateway::start(plan);
    for _ in 0..3 {
        assert_eq!(post(&gateway, "/v1/chat/completions", &chat("m")).await.status, 200);
    }
    assert_eq!((spent(&gateway, "soft"), spent(&gateway, "observed")), (3 * CENT, 3 * CENT));
}

#[tokio::test]
async fn output_is_capped_to_what_is_left_where_the_budget_may() {
    let provider = ScriptedProvider::start().await;
    let left = NanoUsd::new(3_000_000);
    for (clamp, client_cap, expected) in [
        (Clamp::Missing, None, true),
        (Clamp::Missing, Some(900_000), false),
        (Clamp::Always, Some(900_000), true),
    ] {
        let plan = plan(&provider).budget("small", left, |budget| budget.clamp = clamp);
        let gateway = TestGateway::start(plan);
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hello"}]});
        if let Some(cap) = client_cap {
            body["max_tokens"] = json!(cap);
        }
        let answer = post(&gateway, "/v1/chat/completions", &body).await;
        assert_eq!(answer.status == 200, expected, "{clamp:?} {client_cap:?}: {}", answer.text());
        if expected {
            let cap: u64 = answer.header("x-tollgate-output-cap").expect("a header").parse().unwrap();
            let sent = provider.requests().last().unwrap().json();
            assert_eq!(sent["max_tokens"], json!(cap), "{sent}");
            assert!((16..900).contains(&cap), "{cap}");
            let record = &gateway.wait_for_settlements(1).await[0].request;
            assert_eq!(record.decision.output_cap_tokens, Some(cap));
        }
    }
}

#[tokio::test]
async fn a_substitute_takes_the_place_of_what_cannot_be_paid() {
    let provider = ScriptedProvider::start().await;
    let plan = plan(&provider)
        .price(&json!({"per_request": "1"}))
        .model("cheap", &[("oa", "cheap-upstream", 1)])
        .price(&json!({"per_request": "0.01"}))
        .budget("b", NanoUsd::new(2 * CENT), |budget| {
            budget.on_exhausted = OnExhausted::Substitute { model: "cheap".into() };
        });
    let gateway = TestGateway::start(plan);
    let answer = post(&gateway, "/v1/chat/completions", &chat("m")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-tollgate-model"), Some("cheap"));
    assert_eq!(answer.header("x-tollgate-substituted-for"), Some("m"));
    assert_eq!(provider.requests()[0].json()["model"], "cheap-upstream");
    let record = gateway.wait_for_settlements(1).await.remove(0).request;
    assert_eq!((record.model.as_ref(), record.decision.substituted_for.as_deref()), ("cheap", Some("m")));
    assert_eq!(post(&gateway, "/v1/chat/completions", &chat("m")).await.status, 200);
    assert_eq!(post(&gateway, "/v1/chat/completions", &chat("m")).await.status, 429);
}

#[tokio::test]
async fn unpriced_calls_are_refused_counted_flat_or_allowed_as_the_budget_says() {
    let provider = ScriptedProvider::start().await;
    for (unpriced, expected, counted) in [
        (Unpriced::Refuse, 429, 0),
        (Unpriced::FlatNanoUsd(NanoUsd::new(3 * CENT)), 200, 3 * CENT),
        (Unpriced::Allow, 200, 0),
    ] {
        let plan = plan(&provider).price(&json!("unknown"));
        let plan = plan.budget("b", NanoUsd::new(DOLLAR), |budget| budget.unpriced = unpriced);
        let gateway = TestGateway::start(plan);
        let answer = post(&gateway, "/v1/chat/completions", &chat("m")).await;
        assert_eq!(answer.status, expected, "{unpriced:?}: {}", answer.text());
        assert_eq!(spent(&gateway, "b"), counted, "{unpriced:?}");
    }
}

#[tokio::test]
async fn a_failed_attempt_sets_its_money_free_for_the_next() {
    let provider = ScriptedProvider::start().await;
    provider.on(Match::model("first"), Reply::status(503));
    let plan = plan(&provider)
        .model("two", &[("oa", "first", 1), ("oa", "second", 0)])
        .price(&json!({"per_request": "0.01"}))
        .budget("just one", NanoUsd::new(CENT), |_| {});
    let gateway = TestGateway::start(plan);
    let answer = post(&gateway, "/v1/chat/completions", &chat("two")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(spent(&gateway, "just one"), CENT);
    let changes = gateway.records().into_iter().filter(|one| matches!(one, JournalRecord::HoldsChanged(_)));
    assert_eq!(changes.count(), 1, "the failed attempt's money was written free before the next one had it");
    let settlement = gateway.wait_for_settlements(1).await.remove(0);
    let verdicts: Vec<_> = settlement.request.decision.candidates.iter().map(|one| one.verdict).collect();
    assert_eq!(verdicts, [Verdict::Failed, Verdict::Served]);
}

#[tokio::test]
async fn hostile_amounts_never_raise_a_balance() {
    let provider = ScriptedProvider::start().await;
    let plan = plan(&provider)
        .model("free", &[("oa", "free", 1)])
        .price(&json!("free"))
        .model("dear", &[("oa", "dear", 1)])
        .price(&json!({"input": "10000", "output": "10000"}));
    let gateway = TestGateway::start(plan.budget("b", NanoUsd::new(DOLLAR), |_| {}));
    let mut before = 0;
    for model in ["m", "free", "dear"] {
        for field in ["n", "max_tokens", "max_completion_tokens"] {
            for value in
                ["2147483648", "9223372036854775808", "-1", "1.5", "1e309", "1e3", "\"5\"", "null", "0"]
            {
                let body = format!(
                    r#"{{"model":"{model}","messages":[{{"role":"user","content":"x"}}],"{field}":{value}}}"#
                );
                let mut client = RawClient::connect(gateway.address).await.unwrap();
                let bearer = format!("Bearer {}", gateway.key);
                let headers = [("authorization", bearer.as_str())];
                let answer = client.post("/v1/chat/completions", &headers, body).await.unwrap();
                assert!([200, 400, 429].contains(&answer.status), "{field} {value}: {}", answer.text());
                let now = spent(&gateway, "b");
                assert!(now >= before && now <= DOLLAR, "{model} {field} {value}: {before} to {now}");
                before = now;
            }
        }
    }
}

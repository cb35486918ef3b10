use tollgate_catalog::{Catalog, Price};
use tollgate_wire::peek;

use super::*;

const NOW: UnixMicros = UnixMicros(1_795_000_000_000_000);

fn asked(dialect: Dialect, body: &str) -> Asked {
    let operation = match dialect {
        Dialect::OpenaiChat | Dialect::AnthropicMessages => Operation::Chat,
        Dialect::OpenaiCompletions => Operation::Completion,
        Dialect::OpenaiEmbeddings => Operation::Embedding,
        Dialect::OpenaiResponses => Operation::Response,
    };
    Asked::of(operation, &peek(dialect, body.to_owned().into()).unwrap())
}

fn offer(kind: &'static str, dialect: Dialect, model: &str) -> Offer<'static> {
    Offer { kind, dialect, facts: Catalog::builtin().find(kind, model), beta: None }
}

fn prices(written: &str) -> PriceList {
    PriceList::resolve(&serde_json::from_str::<Price>(written).unwrap()).unwrap()
}

const TEXT: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

#[test]
fn text_is_bounded_by_its_bytes_and_answers_by_cap_and_count() {
    let body = format!(r#"{{{TEXT},"max_completion_tokens":100,"n":3}}"#);
    let asked = asked(Dialect::OpenaiChat, &body);
    let bound = asked.bound(&offer("openai", Dialect::OpenaiChat, "gpt-4o")).unwrap();
    assert!(bound.input_tokens >= body.len() as u64 && bound.input_tokens < 5_000);
    assert_eq!((bound.output_cap_tokens, bound.output_tokens()), (Some(100), Some(300)));
    let one_dollar = prices(r#"{"input": "1", "output": "1", "per_request": "0.01"}"#);
    let worst = bound.worst_case(&one_dollar, None, NOW).unwrap();
    assert_eq!(worst.nano_usd.get(), 10_000_000 + 1_000 * i64::try_from(bound.input_tokens + 300).unwrap());
}

#[test]
fn the_model_bounds_what_the_client_does_not() {
    let gpt = offer("openai", Dialect::OpenaiChat, "gpt-4o");
    let bound = |body: &str| asked(Dialect::OpenaiChat, body).bound(&gpt).unwrap();
    assert_eq!(bound(&format!("{{{TEXT}}}")).output_cap_tokens, Some(16_384));
    assert_eq!(
        bound(&format!(r#"{{{TEXT},"max_tokens":9007199254740992}}"#)).output_cap_tokens,
        Some(16_384)
    );
    let image = r#"{"messages":[{"content":[{"image_url":{"url":"https://x/"}}]}]}"#;
    assert_eq!(bound(image).input_tokens, 128_000);
    let long = format!(r#"{{"messages":[{{"content":"{}"}}]}}"#, "x".repeat(200_000));
    assert_eq!(bound(&long).input_tokens, 128_000, "a longer prompt is refused by the model");

    let unknown = offer("openai_compatible", Dialect::OpenaiChat, "llama");
    let refused = asked(Dialect::OpenaiChat, image).bound(&unknown);
    assert_eq!(refused, Err(Unbounded::NoMaximumInput));
    let endless = asked(Dialect::OpenaiChat, &format!("{{{TEXT}}}")).bound(&unknown).unwrap();
    let list = prices(r#"{"input": "1", "output": "1"}"#);
    assert_eq!(endless.worst_case(&list, None, NOW), Err(Unbounded::NoMaximumOutput));
    assert!(endless.with_cap(10).worst_case(&list, None, NOW).is_ok());
}

#[test]
fn stored_context_is_bounded_by_the_model() {
    let gpt = offer("openai", Dialect::OpenaiResponses, "gpt-5.4-mini");
    for body in [
        r#"{"input":"x","previous_response_id":"resp_1"}"#,
        r#"{"input":"x","conversation":"conv_1"}"#,
        r#"{"prompt":{"id":"pmpt_1"}}"#,
        r#"{"input":[{"type":"item_reference","id":"msg_1"}]}"#,
    ] {
        let bound = asked(Dialect::OpenaiResponses, body).bound(&gpt).unwrap();
        assert_eq!(bound.input_tokens, 272_000, "{body}");
    }
}

#[test]
fn a_cap_that_the_server_does_not_keep_is_none() {
    let cap = |kind, body: &str| {
        let body = format!("{{{TEXT},{body}}}");
        asked(Dialect::OpenaiChat, &body)
            .bound(&offer(kind, Dialect::OpenaiChat, "?"))
            .unwrap()
            .output_cap_tokens
    };
    assert_eq!(cap("openai", r#""max_completion_tokens":5"#), Some(5));
    assert_eq!(cap("ollama", r#""max_completion_tokens":5"#), None);
    assert_eq!(cap("ollama", r#""max_completion_tokens":5,"max_tokens":7"#), Some(7));
    assert_eq!(cap("ollama", r#""max_tokens":0"#), None, "servers differ on what 0 means");
    let prewarm = asked(Dialect::AnthropicMessages, &format!(r#"{{{TEXT},"max_tokens":0}}"#));
    let bound = prewarm.bound(&offer("anthropic", Dialect::AnthropicMessages, "claude-sonnet-5")).unwrap();
    assert_eq!(bound.output_cap_tokens, Some(0));
}

#[test]
fn a_clamp_goes_where_the_server_keeps_it() {
    let field = |kind, member: &str| {
        let asked = asked(Dialect::OpenaiChat, &format!("{{{TEXT}{member}}}"));
        asked.cap_field(&offer(kind, Dialect::OpenaiChat, "?"))
    };
    assert_eq!(field("openai", ""), Some(Field::MaxCompletionTokens));
    assert_eq!(field("openai", r#","max_tokens":9"#), Some(Field::MaxTokens));
    assert_eq!(field("ollama", ""), Some(Field::MaxTokens));
    assert_eq!(field("ollama", r#","max_completion_tokens":9"#), Some(Field::MaxTokens));
    assert_eq!(field("vllm", r#","max_completion_tokens":9"#), Some(Field::MaxCompletionTokens));
}

#[test]
fn what_no_cap_limits_is_counted_beside_it() {
    let echo = r#"{"prompt":["a","b"],"echo":true,"max_tokens":10,"best_of":2}"#;
    let unknown = offer("vllm", Dialect::OpenaiCompletions, "?");
    let bound = asked(Dialect::OpenaiCompletions, echo).bound(&unknown).unwrap();
    assert_eq!(bound.choices, 4);
    assert_eq!(bound.output_tokens(), Some(40 + 4 * bound.input_tokens));
    let predicted =
        format!(r#"{{{TEXT},"max_tokens":10,"prediction":{{"type":"content","content":"abc"}}}}"#);
    let gpt = offer("openai", Dialect::OpenaiChat, "gpt-4o");
    let bound = asked(Dialect::OpenaiChat, &predicted).bound(&gpt).unwrap();
    assert_eq!(bound.output_tokens(), Some(10 + predicted.len() as u64));
    let grok = offer("xai", Dialect::OpenaiChat, "grok-4.5");
    let capped = asked(Dialect::OpenaiChat, &format!(r#"{{{TEXT},"max_tokens":10}}"#));
    assert_eq!(capped.bound(&grok).unwrap().output_tokens(), Some(500_010));
    assert_eq!(capped.bound(&offer("xai", Dialect::OpenaiChat, "?")), Err(Unbounded::NoMaximumOutput));
}

#[test]
fn embeddings_and_token_counts_make_no_output() {
    let embedding = asked(Dialect::OpenaiEmbeddings, r#"{"input":["a","b"]}"#);
    let bound =
        embedding.bound(&offer("openai", Dialect::OpenaiEmbeddings, "text-embedding-3-small")).unwrap();
    assert_eq!(bound.output_tokens(), Some(0));
    assert!(bound.input_tokens >= 15);
    let peeked = peek(Dialect::AnthropicMessages, format!("{{{TEXT}}}").into()).unwrap();
    let counting = Asked::of(Operation::CountTokens, &peeked);
    let bound = counting.bound(&offer("anthropic_compatible", Dialect::AnthropicMessages, "?")).unwrap();
    let worst = bound.worst_case(&prices(r#"{"per_request": "1"}"#), None, NOW).unwrap();
    assert_eq!(worst.nano_usd, NanoUsd::ZERO);
}

#[test]
fn options_that_prices_do_not_cover_are_refused_where_they_may_apply() {
    let bound = |model, member: &str| {
        let body = format!(r#"{{{TEXT},"max_tokens":10,{member}}}"#);
        let offer = offer("anthropic", Dialect::AnthropicMessages, model);
        asked(Dialect::AnthropicMessages, &body).bound(&offer).map(drop)
    };
    let speed = r#""speed":"fast""#;
    assert_eq!(bound("claude-opus-5", speed), Err(Unbounded::ExtraCharge(ExtraCharge::Speed)));
    assert_eq!(bound("?", speed), Err(Unbounded::ExtraCharge(ExtraCharge::Speed)));
    assert_eq!(bound("claude-haiku-4-5", speed), Ok(()));
    let geo = bound("claude-sonnet-5", r#""inference_geo":"us""#);
    assert_eq!(geo, Err(Unbounded::ExtraCharge(ExtraCharge::Residency)));
    assert_eq!(bound("claude-sonnet-5", r#""models":["x"]"#), Err(Unbounded::OtherModels));
}

#[test]
fn a_beta_that_raises_limits_leaves_them_unknown() {
    let body =
        r#"{"max_tokens":10,"messages":[{"content":[{"type":"image","source":{"type":"url","url":"u"}}]}]}"#;
    let sonnet = offer("anthropic", Dialect::AnthropicMessages, "claude-sonnet-4-5");
    let input = |beta| asked(Dialect::AnthropicMessages, body).bound(&Offer { beta, ..sonnet });
    assert_eq!(input(Some("context-management-2025-06-27")).map(|bound| bound.input_tokens), Ok(200_000));
    let raised = input(Some("claude-code-20250219, context-1m-2025-08-07"));
    assert_eq!(raised, Err(Unbounded::NoMaximumInput));
}

#[test]
fn output_is_hidden_where_a_model_may_reason_unseen() {
    let hides = |kind, dialect, model, member: &str| {
        let body = format!(r#"{{{TEXT},"max_tokens":10{member}}}"#);
        asked(dialect, &body).bound(&offer(kind, dialect, model)).unwrap().hides_output
    };
    let chat = Dialect::OpenaiChat;
    assert!(hides("openai", chat, "gpt-5", ""));
    assert!(hides("openai", chat, "a-new-model", ""));
    assert!(!hides("openai", chat, "gpt-4o", ""));
    assert!(!hides("vllm", chat, "qwen", ""));
    assert!(hides("vllm", chat, "qwen", r#","include_reasoning":false"#));
    let messages = Dialect::AnthropicMessages;
    assert!(!hides("anthropic", messages, "claude-haiku-4-5", ""));
    assert!(hides(
        "anthropic",
        messages,
        "claude-haiku-4-5",
        r#","thinking":{"type":"enabled","budget_tokens":2000}"#
    ));
    assert!(hides("anthropic", messages, "claude-opus-5-5", ""));
}

#[test]
fn the_affordable_cap_is_the_highest_that_is_paid_for() {
    let list = prices(
        r#"[{"input": "3", "output": "15"}, {"input_tokens_above": 1200, "input": "6", "output": "22.5"}]"#,
    );
    for (n, left) in [(1, 5_000_000), (3, 9_999_999), (7, 1_234_567_890), (1_024, 30_000_000)] {
        let asked = asked(Dialect::OpenaiChat, &format!(r#"{{{TEXT},"n":{n}}}"#));
        let bound = asked.bound(&offer("vllm", Dialect::OpenaiChat, "?")).unwrap();
        let left = NanoUsd::new(left);
        let worst = |cap| bound.with_cap(cap).worst_case(&list, None, NOW).unwrap().nano_usd;
        match bound.affordable_cap(&list, None, NOW, left) {
            Some(cap) => assert!(worst(cap) <= left && left < worst(cap + 1), "{n} {left} {cap}"),
            None => assert!(left < worst(1), "{n} {left}"),
        }
        let capped = bound.with_cap(5);
        assert!(capped.affordable_cap(&list, None, NOW, NanoUsd::MAX) == Some(5));
    }
    let bound =
        asked(Dialect::OpenaiChat, &format!("{{{TEXT}}}")).bound(&offer("vllm", Dialect::OpenaiChat, "?"));
    assert_eq!(bound.unwrap().affordable_cap(&PriceList::unknown(), None, NOW, NanoUsd::MAX), None);
}

#[test]
fn the_first_requests_of_coding_agents_have_a_worst_case() {
    use tollgate_testkit::agents::{CLAUDE_CODE, CLAUDE_CODE_BETA, CODEX};
    let sonnet = offer("anthropic", Dialect::AnthropicMessages, "claude-sonnet-5");
    let claude = asked(Dialect::AnthropicMessages, CLAUDE_CODE)
        .bound(&Offer { beta: Some(CLAUDE_CODE_BETA), ..sonnet })
        .unwrap();
    assert!(claude.input_tokens >= CLAUDE_CODE.len() as u64 && claude.input_tokens < 60_000);
    assert_eq!((claude.output_cap_tokens, claude.provider_runs_tools), (Some(32_000), false));
    let worst =
        claude.worst_case(sonnet.facts.unwrap().price_list(), Some(ServiceTier::Standard), NOW).unwrap();
    assert!(worst.nano_usd < NanoUsd::new(1_000_000_000), "{worst:?}");

    let mini = offer("openai", Dialect::OpenaiResponses, "gpt-5.4-mini");
    let codex = asked(Dialect::OpenaiResponses, CODEX).bound(&mini).unwrap();
    assert_eq!((codex.output_cap_tokens, codex.provider_runs_tools), (Some(128_000), true));
    let worst = codex.worst_case(mini.facts.unwrap().price_list(), Some(ServiceTier::Standard), NOW).unwrap();
    assert!(worst.nano_usd < NanoUsd::new(1_000_000_000), "{worst:?}");
}

#[test]
fn hostile_counts_never_wrap() {
    let body = format!(r#"{{{TEXT},"n":1024,"max_tokens":9007199254740992}}"#);
    let bound = asked(Dialect::OpenaiChat, &body).bound(&offer("vllm", Dialect::OpenaiChat, "?")).unwrap();
    assert_eq!(bound.output_tokens(), Some(9_007_199_254_740_992 * 1_024));
    let huge = CallBound { choices: u64::MAX, uncapped_output_tokens: u64::MAX, ..bound };
    assert_eq!(huge.output_tokens(), Some(u64::MAX));
    let list = prices(r#"{"input": "10000", "output": "10000"}"#);
    let worst = huge.worst_case(&list, None, NOW);
    assert_eq!(worst, Err(Unbounded::NoPrice(PriceProblem::TooLarge)));
    for n in ["2147483648", "-1", "0", "1e309", "\"5\"", "1.5", "1e0", "99999999999999999999", "[1]", "true"]
    {
        for key in ["n", "best_of"] {
            let body = format!(r#"{{{TEXT},"{key}":{n}}}"#);
            let refused = peek(Dialect::OpenaiChat, body.clone().into()).expect_err(&body);
            assert_eq!(refused.field, Some(key), "{body}");
        }
    }
}

use bytes::Bytes;
use serde_json::json;
use tollgate_wire::peek;

use super::*;

fn chat(body: &Value) -> Peeked {
    peek(Dialect::OpenaiChat, Bytes::from(serde_json::to_vec(body).unwrap())).unwrap()
}

fn encoding() -> &'static CoreBpe {
    tiktoken::get_encoding("o200k_base").unwrap()
}

fn count(peeked: &Peeked) -> u64 {
    count_body(encoding(), peeked.body(), peeked.has(Field::Tools)).unwrap()
}

#[test]
fn long_text_is_counted_well_below_its_bytes() {
    let text = "The provider counts these words as tokens, and so do we. ".repeat(400);
    let peeked = chat(&json!({"messages": [{"role": "user", "content": text}]}));
    let exact = count(&peeked);
    let truth = encoding().count(&text) as u64;
    assert!(exact >= truth && exact < truth + 700, "{exact} for {truth}");
    assert!(exact * 3 < input_bound_tokens(&peeked));
}

#[tokio::test]
async fn what_is_not_known_is_not_counted() {
    let peeked = chat(&json!({"messages": [{"role": "user", "content": "hi"}]}));
    for (kind, model) in
        [("openai_compatible", "gpt-4o"), ("anthropic", "claude-sonnet-5"), ("openai", "gpt-6-sol")]
    {
        assert_eq!(exact_input_tokens(kind, model, &peeked).await, None, "{kind} {model}");
    }
    let image = chat(&json!({"messages": [{"content": [{"image_url": {"url": "https://x/"}}]}]}));
    assert_eq!(exact_input_tokens("openai", "gpt-4o", &image).await, None);
    let searching = chat(&json!({"messages": [], "web_search_options": {"x": 1}}));
    assert_eq!(exact_input_tokens("openai", "gpt-4o", &searching).await, None);
    let huge = chat(&json!({"messages": [{"content": "x".repeat(1 << 20)}]}));
    assert_eq!(exact_input_tokens("openai", "gpt-4o", &huge).await, None, "a megabyte is not counted");
}

#[tokio::test]
async fn a_count_is_never_above_the_bound_by_bytes() {
    encoding();
    for content in [String::new(), "\u{0301}".repeat(500), "a b c ".repeat(2_000)] {
        let peeked = chat(&json!({"messages": [{"role": "user", "content": content}], "tools": []}));
        // None when the machine is too busy to count in time.
        if let Some(exact) = exact_input_tokens("openai", "gpt-5.4-mini", &peeked).await {
            assert!(exact <= input_bound_tokens(&peeked));
        }
    }
}

#[test]
fn the_dearest_texts_of_the_largest_size_are_counted_in_bounded_time() {
    encoding();
    for unit in ["a", " ", "\n", "ab", "é", "\u{1F686}", "aA1 ", "\u{0301}"] {
        let text = unit.repeat((MAX_COUNTED_BYTES - 64) / unit.len());
        let body = serde_json::to_vec(&json!({"messages": [{"content": text}]})).unwrap();
        assert!(count_body(encoding(), &body, false).is_some());
    }
}

/// Name, description, and properties: name, type, description.
type Tool<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str, &'a str)]);

/// What OpenAI's cookbook says that a chat with tools takes, counted after its recipe.
fn recipe(messages: &[(&str, &str)], tools: &[Tool<'_>]) -> u64 {
    let count = |text: &str| encoding().count(text) as u64;
    let messages: u64 = messages.iter().map(|(role, text)| 3 + count(role) + count(text)).sum();
    let property = |(name, kind, told): &(&str, &str, &str)| 3 + 3 + count(&format!("{name}:{kind}:{told}"));
    let tools: u64 = tools
        .iter()
        .map(|(name, told, properties)| {
            7 + 12 + count(&format!("{name}:{told}")) + properties.iter().map(property).sum::<u64>()
        })
        .sum();
    3 + messages + tools
}

#[test]
fn tools_and_messages_are_covered() {
    let messages = [("system", "You help."), ("user", "What is the weather in Paris?"), ("user", "")];
    let properties: [(&str, &str, &str); 2] =
        [("city", "string", "The city\nas people call it"), ("days", "integer", "How many days")];
    let tools: Vec<Tool<'_>> = vec![("get_weather", "Tells the weather.\nFor a city.", &properties); 40];
    let written = json!({
        "messages": messages.map(|(role, content)| json!({"role": role, "content": content})),
        "tools": tools.iter().map(|(name, told, properties)| {
            let properties: serde_json::Map<String, Value> = properties.iter()
                .map(|(name, kind, told)| ((*name).to_owned(), json!({"type": kind, "description": told}))).collect();
            json!({"type": "function", "function": {"name": name, "description": told,
                "parameters": {"type": "object", "properties": properties}}})
        }).collect::<Vec<_>>(),
    });
    let counted = count(&chat(&written));
    let expected = recipe(&messages, &tools);
    assert!(counted >= expected && counted < 3 * expected + 1_100, "{counted} for {expected}");
}

use std::collections::HashSet;

use tollgate_core::{NanoUsd, TokenUsage, UnixMicros};

use super::*;
use crate::price::{Meter, ServiceTier};
use crate::price_list::PriceProblem;

/// 2026-11-20T00:00:00Z.
const TODAY: UnixMicros = UnixMicros(1_795_132_800_000_000);

fn file(models: &str) -> String {
    format!(
        r#"{{"provider": "p", "source": {{"name": "s", "checked_on": "2026-11-20"}}, "models": [{models}]}}"#
    )
}

fn entry(name: &str, prices: &str) -> String {
    format!(
        r#"{{"model": "{name}", "mode": "chat", "prices": {prices}, "source": {{"name": "s", "checked_on": "2026-11-20"}}}}"#
    )
}

fn parse(models: &str) -> Result<Catalog, String> {
    Catalog::parse([("f.json", file(models).as_str())]).map_err(|error| error.to_string())
}

#[test]
fn the_shipped_files_load() {
    let catalog = Catalog::builtin();
    assert!(catalog.load_error().is_none(), "{:?}", catalog.load_error());
    let providers: HashSet<&str> = catalog.models().map(|facts| &*facts.provider).collect();
    assert_eq!(providers.len(), FILES.len());
    assert!(catalog.models().len() > 100);
}

#[test]
fn shipped_entries_are_sane() {
    for facts in Catalog::builtin().models() {
        let name = format!("{}/{}", facts.provider, facts.model);
        assert!(!name.ends_with("-latest"), "{name} moves");
        let retired = facts.lifecycle.retires_on.is_some_and(|date| date <= facts.source.checked_on);
        assert!(!retired, "{name} was retired before it was checked");
        let limits = facts.limits;
        for part in [limits.max_input_tokens, limits.max_output_tokens].into_iter().flatten() {
            assert!(limits.context_tokens.is_none_or(|context| part <= context), "{name}: {limits:?}");
        }
        match &facts.prices {
            Price::Unknown => assert!(facts.source.note.is_some(), "{name} does not say why it has no price"),
            Price::Free => {}
            Price::Rows(rows) => {
                assert!(rows.iter().all(|row| row.input.is_some_and(|price| price.0.get() > 0)), "{name}");
                let usage = TokenUsage { input: 1_000_000, ..TokenUsage::default() };
                let cost = facts.price_list().cost(&usage, ServiceTier::Standard, TODAY);
                assert!(cost.is_ok_and(|cost| cost.amount_nano_usd > NanoUsd::ZERO), "{name}: {cost:?}");
            }
        }
        if let (crate::Mode::Embedding, Price::Rows(rows)) = (facts.mode, &facts.prices) {
            let dollar = 1_000_000_000;
            assert!(rows.iter().all(|row| row.input.is_some_and(|price| price.0.get() < dollar)), "{name}");
        }
        let generates =
            matches!(facts.mode, crate::Mode::Chat | crate::Mode::Responses | crate::Mode::Completion);
        if let (true, Price::Rows(rows)) = (generates, &facts.prices) {
            assert!(rows.iter().all(|row| row.written(Meter::Output).is_some()), "{name}");
        }
    }
}

#[test]
fn known_costs() {
    let cost = |provider, model, usage: TokenUsage, tier| {
        let facts = Catalog::builtin().find(provider, model).unwrap();
        facts.price_list().cost(&usage, tier, TODAY).map(|cost| cost.amount_nano_usd.get())
    };
    let usage =
        TokenUsage { input: 1_000, cache_read: 2_000, output: 300, reasoning: 200, ..TokenUsage::default() };
    // 1000 × $5 + 2000 × $0.5 + 500 × $30, per million.
    assert_eq!(cost("openai", "gpt-5.5", usage, ServiceTier::Standard), Ok(21_000_000));
    assert_eq!(cost("openai", "gpt-5.5", usage, ServiceTier::Batch), Ok(10_500_000));
    let long = TokenUsage { input: 272_001, ..TokenUsage::default() };
    assert_eq!(cost("openai", "gpt-5.5", long, ServiceTier::Standard), Ok(2_720_010_000));
    assert_eq!(cost("openai", "gpt-5.5", long, ServiceTier::Priority), Err(PriceProblem::NotInEffect));
    let writes = TokenUsage { cache_write: 1_000, cache_write_long: 1_000, ..TokenUsage::default() };
    assert_eq!(cost("anthropic", "claude-opus-5-5", writes, ServiceTier::Standard), Ok(13_000_000));
    assert_eq!(
        cost("anthropic", "claude-opus-5-5", writes, ServiceTier::Flex),
        Err(PriceProblem::UnknownTier(ServiceTier::Flex))
    );
}

#[test]
fn names_are_found_exactly_by_alias_and_by_dated_snapshot() {
    let catalog = parse(&format!(
        "{}, {}, {}",
        entry("m", r#"{"input": "1"}"#),
        entry("m-2026-01-02", r#"{"input": "2"}"#),
        entry("x-2512", r#""free""#).replace(r#""mode""#, r#""aliases": ["y"], "mode""#),
    ))
    .unwrap();
    let found = |name| catalog.find("p", name).map(|facts| &*facts.model);
    assert_eq!(found("m"), Some("m"));
    assert_eq!(found("models/m"), Some("m"));
    assert_eq!(found("m-2026-01-02"), Some("m-2026-01-02"), "an entry of its own beats the rule");
    assert_eq!(found("m-2026-04-23"), Some("m"));
    assert_eq!(found("m-20260423"), Some("m"));
    assert_eq!(found("y"), Some("x-2512"));
    for unknown in ["m-2026-13-01", "m-20261301", "m-99", "M", "m-", "x", "-2026-04-23", "é", ""] {
        assert_eq!(found(unknown), None, "{unknown}");
    }
    assert!(catalog.find("q", "m").is_none());
}

#[test]
fn an_override_replaces_the_catalogue_and_nothing_means_unknown() {
    let catalog = parse(&entry("m", r#"{"input": "1", "output": "2"}"#)).unwrap();
    let listed = catalog.price_list("p", "m", None).unwrap();
    assert!(!listed.is_unknown() && !listed.is_free());
    assert!(catalog.price_list("p", "m", Some(&Price::Free)).unwrap().is_free());
    assert!(catalog.price_list("p", "m", Some(&Price::Unknown)).unwrap().is_unknown());
    assert!(catalog.price_list("p", "other", None).unwrap().is_unknown());
    let only_output: Price = serde_json::from_str(r#"{"output": "2"}"#).unwrap();
    let usage = TokenUsage { input: 1, ..TokenUsage::default() };
    let own = catalog.price_list("p", "m", Some(&only_output)).unwrap();
    assert_eq!(own.cost(&usage, ServiceTier::Standard, TODAY), Err(PriceProblem::UnknownMeter(Meter::Input)));
}

#[test]
fn a_bad_file_says_where() {
    let error = |models: &str| parse(models).err().unwrap_or_default();
    let typing_error = error(&entry("m", r#"[{"input": "1"}, {"imput": "1"}]"#));
    assert!(typing_error.contains("models[0].prices[1]") && typing_error.contains("imput"), "{typing_error}");
    let amount = error(&entry("m", r#"{"input": "1e3"}"#));
    assert!(amount.contains("models[0].prices.input"), "{amount}");
    let twice = error(&format!("{0}, {0}", entry("m", r#""free""#)));
    assert!(twice.contains("`m` is named twice"), "{twice}");
    let empty = error(&entry("m", "[]"));
    assert!(empty.contains("model `m`") && empty.contains("without rows"), "{empty}");
    let name = error(&entry("m n", r#""free""#));
    assert!(name.contains("`m n` is not a model name"), "{name}");
    assert!(error(&entry("m", "null")).contains("prices"));
}

#[test]
fn facts_serialise_with_provider_and_without_resolved_prices() {
    let catalog = parse(&entry("m", r#"[{"input": "0.0375", "effective_from": "2027-01-01"}]"#)).unwrap();
    let value = serde_json::to_value(catalog.find("p", "m").unwrap()).unwrap();
    assert_eq!(value["provider"], "p");
    assert_eq!(value["prices"], serde_json::json!([{"effective_from": "2027-01-01", "input": "0.0375"}]));
    assert!(value.get("price_list").is_none());
}

#[test]
fn facts_have_a_schema_that_shows_how_prices_are_written() {
    let schema = serde_json::to_value(schemars::schema_for!(ModelFacts)).unwrap();
    assert_eq!(schema["properties"]["prices"]["$ref"], "#/$defs/Price");
    assert_eq!(schema["$defs"]["PriceRow"]["properties"]["input_tokens_above"]["type"][0], "integer");
    assert!(schema["properties"].get("price_list").is_none());
}

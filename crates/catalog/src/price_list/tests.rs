use proptest::prelude::*;

use super::*;
use crate::price::UsdPerMillion;

/// 2027-01-01T00:00:00Z.
const NEW_YEAR: UnixMicros = UnixMicros(1_798_761_600_000_000);

fn resolve(written: &str) -> Result<PriceList, InvalidPrices> {
    PriceList::resolve(&serde_json::from_str(written).unwrap())
}

fn list(written: &str) -> PriceList {
    resolve(written).unwrap()
}

fn input(tokens: u64) -> TokenUsage {
    TokenUsage { input: tokens, ..TokenUsage::default() }
}

fn nanos(list: &PriceList, usage: TokenUsage) -> Result<i64, PriceProblem> {
    list.cost(&usage, ServiceTier::Standard, NEW_YEAR).map(|cost| cost.amount_nano_usd.get())
}

#[test]
fn unknown_is_not_free() {
    let unknown = list(r#""unknown""#);
    let free = list(r#""free""#);
    assert_eq!(nanos(&unknown, TokenUsage::default()), Err(PriceProblem::UnknownPrice));
    assert_eq!(unknown.worst_case(0, 0, None, NEW_YEAR), Err(PriceProblem::UnknownPrice));
    assert_eq!(nanos(&free, input(u64::MAX)), Ok(0));
    assert_eq!(free.worst_case(1, 1, None, NEW_YEAR).map(|cost| cost.amount_nano_usd.get()), Ok(0));
    assert_ne!(unknown.version(), free.version());
    assert_eq!(nanos(&list(r#"{"input": "0"}"#), input(7)), Ok(0), "a written zero is a price");
}

#[test]
fn a_threshold_is_exclusive_counts_the_whole_prompt_and_prices_the_whole_request() {
    let prices = list(
        r#"[{"input": "1", "output": "10"}, {"input_tokens_above": 100, "input": "2", "output": "30"},
            {"input_tokens_above": 200, "input_tokens_up_to": 300, "input": "4", "output": "50"}]"#,
    );
    let with_output =
        |input, cache_read| TokenUsage { input, cache_read, output: 1, ..TokenUsage::default() };
    assert_eq!(nanos(&prices, with_output(100, 0)), Ok(100_000 + 10_000));
    assert_eq!(nanos(&prices, with_output(1, 100)), Ok(202_000 + 30_000));
    assert_eq!(nanos(&prices, with_output(200, 0)), Ok(400_000 + 30_000));
    assert_eq!(nanos(&prices, with_output(201, 0)), Ok(804_000 + 50_000));
    assert_eq!(nanos(&prices, with_output(300, 0)), Ok(1_200_000 + 50_000));
    assert_eq!(
        nanos(&prices, with_output(301, 0)),
        Ok(602_000 + 30_000),
        "beyond its sizes a row does not apply"
    );
}

#[test]
fn dates_are_utc_midnights_with_an_exclusive_end() {
    let prices = list(
        r#"[{"input": "1", "effective_from": "2026-12-01", "effective_until": "2027-01-01"},
            {"input": "2", "effective_from": "2027-01-01", "effective_until": "2027-02-01"}]"#,
    );
    let at = |micros| {
        prices
            .cost(&input(1), ServiceTier::Standard, UnixMicros(micros))
            .map(|cost| cost.amount_nano_usd.get())
    };
    let day = 86_400_000_000;
    assert_eq!(at(NEW_YEAR.0 - 1), Ok(1_000));
    assert_eq!(at(NEW_YEAR.0), Ok(2_000));
    assert_eq!(at(NEW_YEAR.0 + 31 * day - 1), Ok(2_000));
    assert_eq!(at(NEW_YEAR.0 + 31 * day), Err(PriceProblem::NotInEffect));
    assert_eq!(at(NEW_YEAR.0 - 31 * day), Ok(1_000));
    assert_eq!(at(NEW_YEAR.0 - 31 * day - 1), Err(PriceProblem::NotInEffect));
}

#[test]
fn fallbacks_are_the_documented_ones_and_no_others() {
    let prices = list(r#"{"input": "3", "output": "5"}"#);
    let one = |meter| {
        let mut usage = TokenUsage::default();
        *match meter {
            Meter::Input => &mut usage.input,
            Meter::CacheRead => &mut usage.cache_read,
            Meter::CacheWrite => &mut usage.cache_write,
            Meter::CacheWriteLong => &mut usage.cache_write_long,
            Meter::Output => &mut usage.output,
            Meter::Reasoning => &mut usage.reasoning,
        } = 1;
        nanos(&prices, usage)
    };
    assert_eq!(one(Meter::CacheRead), Ok(3_000));
    assert_eq!(one(Meter::Reasoning), Ok(5_000));
    for meter in [Meter::CacheWrite, Meter::CacheWriteLong] {
        assert_eq!(one(meter), Err(PriceProblem::UnknownMeter(meter)));
    }
    assert_eq!(nanos(&list(r#"{"output": "5", "reasoning": "0"}"#), input(0)), Ok(0));
}

#[test]
fn a_tier_without_rows_is_not_the_standard_tier() {
    let prices = list(r#"[{"input": "2"}, {"service_tier": "priority", "input": "9"}]"#);
    let at = |tier| prices.cost(&input(1), tier, NEW_YEAR).map(|cost| cost.amount_nano_usd.get());
    assert_eq!(at(ServiceTier::Priority), Ok(9_000));
    assert_eq!(at(ServiceTier::Flex), Err(PriceProblem::UnknownTier(ServiceTier::Flex)));
    let worst = |tier| prices.worst_case(1, 0, tier, NEW_YEAR).map(|cost| cost.amount_nano_usd.get());
    assert_eq!(worst(None), Ok(9_000));
    assert_eq!(worst(Some(ServiceTier::Standard)), Ok(2_000));
    assert_eq!(worst(Some(ServiceTier::Batch)), Err(PriceProblem::UnknownTier(ServiceTier::Batch)));
}

#[test]
fn amounts_beyond_the_range_are_refused() {
    let prices = list(r#"{"input": "10000", "cache_write": "10000", "output": "10000"}"#);
    let usage =
        TokenUsage { input: u64::MAX, cache_write: u64::MAX, output: u64::MAX, ..TokenUsage::default() };
    assert_eq!(nanos(&prices, usage), Err(PriceProblem::TooLarge));
    assert_eq!(prices.worst_case(u64::MAX, u64::MAX, None, NEW_YEAR), Err(PriceProblem::TooLarge));
}

#[test]
fn impossible_rows_are_refused_with_their_place() {
    let refused = |written: &str| resolve(written).unwrap_err();
    assert_eq!(refused(r#"[]"#), InvalidPrices::NoRows);
    assert_eq!(refused(r#"[{"input": "1"}, {}]"#), InvalidPrices::EmptyRow { row: 1 });
    assert_eq!(
        refused(r#"{"output": "10000.000000001"}"#),
        InvalidPrices::TooHigh { row: 0, meter: Meter::Output }
    );
    assert_eq!(
        refused(r#"{"input": "1", "effective_from": "2027-01-01", "effective_until": "2027-01-01"}"#),
        InvalidPrices::EmptyPeriod { row: 0 }
    );
    assert_eq!(
        refused(r#"{"input": "1", "input_tokens_above": 5, "input_tokens_up_to": 5}"#),
        InvalidPrices::EmptySizes { row: 0 }
    );
    assert_eq!(
        refused(r#"[{"input": "1"}, {"input": "2", "effective_from": "2027-01-01"}]"#),
        InvalidPrices::Overlap { row: 1, earlier: 0 }
    );
}

#[test]
fn written_prices_are_exact_and_strict() {
    let read = |written: &str| serde_json::from_str::<Price>(written);
    assert!(read(r#"{"input": 2}"#).is_ok(), "whole dollars need no quotes");
    for bad in
        [r#"{"input": 2.5}"#, r#"{"input": "-1"}"#, r#"{"input": null, "x": 1}"#, r#""Free""#, "0", "null"]
    {
        assert!(read(bad).is_err(), "{bad}");
    }
    let error = read(r#"{"input": 2.5}"#).unwrap_err().to_string();
    assert!(error.contains("decimal in quotes"), "{error}");
}

#[test]
fn versions_follow_content_not_order() {
    let written = r#"[{"input": "1"}, {"service_tier": "batch", "input": "0.5"}]"#;
    let reordered = r#"[{"service_tier": "batch", "input": "0.50"}, {"input": "1", "cache_read": "1"}]"#;
    assert_eq!(list(written).version(), list(reordered).version());
    let changes = [
        r#"[{"input": "1"}]"#,
        r#"[{"input": "1"}, {"service_tier": "flex", "input": "0.5"}]"#,
        r#"[{"input": "1"}, {"service_tier": "batch", "input": "0.6"}]"#,
        r#"[{"input": "1"}, {"service_tier": "batch", "input": "0.5", "input_tokens_up_to": 9}]"#,
        r#"[{"input": "1"}, {"service_tier": "batch", "input": "0.5", "effective_from": "2027-01-01"}]"#,
    ];
    for change in changes {
        assert_ne!(list(written).version(), list(change).version(), "{change}");
    }
    // Stored records name prices by this value: it must not change between releases.
    assert_eq!(list(r#"{"input": "5", "output": "30"}"#).version().to_string(), "2a504a027f7c9547");
}

#[test]
fn a_version_is_text_in_json() {
    let version = PriceVersion::new(0xab);
    assert_eq!(serde_json::to_string(&version).unwrap(), r#""00000000000000ab""#);
    assert_eq!(serde_json::from_str::<PriceVersion>(r#""00000000000000ab""#).unwrap(), version);
    for bad in [r#""ab""#, r#""+0000000000000ab""#, "171", r#""000000000000000g""#] {
        assert!(serde_json::from_str::<PriceVersion>(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_price_per_request_is_added_once_and_beside_it_tokens_are_free() {
    let only = list(r#"{"per_request": "0.01"}"#);
    assert_eq!(nanos(&only, TokenUsage::default()), Ok(10_000_000));
    assert_eq!(nanos(&only, input(u64::MAX)), Ok(10_000_000));
    let worst = only.worst_case(u64::MAX, u64::MAX, None, NEW_YEAR).map(|cost| cost.amount_nano_usd.get());
    assert_eq!(worst, Ok(10_000_000));
    let both = list(r#"{"per_request": 1, "input": "2"}"#);
    assert_eq!(nanos(&both, input(3)), Ok(1_000_000_000 + 6_000));
    let worst = both.worst_case(3, 0, None, NEW_YEAR).map(|cost| cost.amount_nano_usd.get());
    assert_eq!(worst, Ok(1_000_000_000 + 6_000));
    let output = TokenUsage { output: 1, ..TokenUsage::default() };
    assert_eq!(nanos(&both, output), Err(PriceProblem::UnknownMeter(Meter::Output)));

    assert_ne!(only.version(), list(r#"{"per_request": "0.02"}"#).version());
    assert_ne!(both.version(), list(r#"{"input": "2"}"#).version());
    assert_eq!(list(r#"{"per_request": 0, "input": "2"}"#).version(), list(r#"{"input": "2"}"#).version());
    let too_high = resolve(r#"{"per_request": "10000.000000001"}"#).unwrap_err();
    assert_eq!(too_high, InvalidPrices::RequestTooHigh { row: 0 });
    for bad in [r#"{"per_request": 0.01}"#, r#"{"per_request": "-1"}"#, r#"{"per_request": 9223372037}"#] {
        assert!(serde_json::from_str::<Price>(bad).is_err(), "{bad}");
    }
    let written: Price = serde_json::from_str(r#"{"per_request": "0.010"}"#).unwrap();
    assert_eq!(serde_json::to_string(&written).unwrap(), r#"[{"per_request":"0.01"}]"#);
}

#[test]
fn an_attempt_pays_for_what_it_used_or_served() {
    let standard = Some(ServiceTier::Standard);
    let charge = |prices: &PriceList, tokens, served, tier| {
        prices.charge(&input(tokens), served, tier, NEW_YEAR).map(NanoUsd::get)
    };
    let prices = list(r#"{"per_request": "0.01", "input": "1"}"#);
    assert_eq!(charge(&prices, 0, false, standard), Some(0));
    assert_eq!(charge(&prices, 0, true, standard), Some(10_000_000));
    assert_eq!(charge(&prices, 1, false, standard), Some(10_001_000));
    assert_eq!(charge(&prices, 1, true, None), None);
    let (unknown, free) = (PriceList::unknown(), list(r#""free""#));
    assert_eq!(charge(&unknown, 0, true, None), Some(0));
    assert_eq!(charge(&unknown, 1, true, standard), None);
    assert_eq!(charge(&free, 1, true, None), Some(0));
}

#[test]
fn what_is_affordable_is_known_where_the_prompt_has_a_price() {
    let left = NanoUsd::new(1_000_000);
    let affordable = |prices: &PriceList, left| prices.affordable_output_tokens(10, None, NEW_YEAR, left);
    let prices = list(r#"{"input": "1", "output": "2"}"#);
    assert_eq!(affordable(&prices, left), Ok(Some(495)));
    assert_eq!(affordable(&prices, NanoUsd::new(10_000)), Ok(Some(0)));
    for too_little in [9_999, 0, -1, i64::MIN] {
        assert_eq!(affordable(&prices, NanoUsd::new(too_little)), Ok(None), "{too_little}");
    }
    assert_eq!(affordable(&list(r#"{"input": "1"}"#), left), Ok(Some(0)));
    assert_eq!(affordable(&list(r#"{"per_request": "0.001"}"#), left), Ok(Some(u64::MAX)));
    assert_eq!(affordable(&list(r#"{"output": "1"}"#), left), Err(PriceProblem::UnknownMeter(Meter::Input)));
    assert_eq!(affordable(&list(r#""free""#), left), Ok(Some(u64::MAX)));
    assert_eq!(affordable(&PriceList::unknown(), left), Err(PriceProblem::UnknownPrice));
}

fn any_amount() -> impl Strategy<Value = Option<UsdPerMillion>> {
    prop::option::of((0..=HIGHEST_PRICE.get()).prop_map(|nanos| UsdPerMillion(NanoUsdPerMillion::new(nanos))))
}

prop_compose! {
    fn any_row()(input in any_amount(), cache_read in any_amount(), cache_write in any_amount(),
        cache_write_long in any_amount(), output in any_amount(), reasoning in any_amount(),
        per_request in prop::option::of(0..=HIGHEST_REQUEST_PRICE.get())) -> PriceRow {
        let input = input.or(Some(UsdPerMillion(NanoUsdPerMillion::new(1))));
        let per_request = per_request.and_then(|nanos| UsdPerRequest::new(NanoUsd::new(nanos)));
        PriceRow {
            per_request, input, cache_read, cache_write, cache_write_long, output, reasoning, ..PriceRow::default()
        }
    }
}

prop_compose! {
    fn any_usage()(counts in prop::array::uniform6(0..2_000_000_u64)) -> TokenUsage {
        let [input, cache_read, cache_write, cache_write_long, output, reasoning] = counts;
        TokenUsage { input, cache_read, cache_write, cache_write_long, output, reasoning }
    }
}

fn counts(usage: &TokenUsage) -> [u64; 6] {
    [usage.input, usage.cache_read, usage.cache_write, usage.cache_write_long, usage.output, usage.reasoning]
}

proptest! {
    #[test]
    fn cost_is_the_exact_sum_rounded_up(row in any_row(), usage in any_usage()) {
        let prices = PriceList::resolve(&Price::Rows(vec![row.clone()])).unwrap();
        let price = |meter| row.written(meter).map(|price| u128::from(price.0.get()));
        let fallback = [None, price(Meter::Input), None, None, None, price(Meter::Output)];
        let per_request = row.per_request.map_or(0, |price| price.get().get().unsigned_abs());
        let mut exact = Some(u128::from(per_request) * 1_000_000);
        for ((count, meter), fallback) in counts(&usage).into_iter().zip(Meter::ALL).zip(fallback) {
            let price = price(meter).or(fallback);
            exact = exact.and_then(|sum| if count == 0 { Some(sum) } else { Some(sum + u128::from(count) * price?) });
        }
        let expected = exact.map(|sum| sum / 1_000_000 + u128::from(sum % 1_000_000 > 0));
        let cost = nanos(&prices, usage).ok();
        prop_assert_eq!(cost.map(|nanos| u128::try_from(nanos).unwrap()), expected);
    }

    #[test]
    fn cost_grows_with_each_count(row in any_row(), usage in any_usage(), more in 0..1_000_u64, meter in 0..6_usize) {
        let prices = PriceList::resolve(&Price::Rows(vec![row])).unwrap();
        let mut grown = counts(&usage);
        grown[meter] += more;
        let [input, cache_read, cache_write, cache_write_long, output, reasoning] = grown;
        let grown = TokenUsage { input, cache_read, cache_write, cache_write_long, output, reasoning };
        if let (Ok(before), Ok(after)) = (nanos(&prices, usage), nanos(&prices, grown)) {
            prop_assert!(0 <= before && before <= after);
        }
    }

    #[test]
    fn no_usage_within_its_bounds_costs_more_than_the_worst_case(
        rows in prop::array::uniform4(any_row()), threshold in 1..4_000_000_u64, up_to in prop::option::of(1..4_000_000_u64),
        usage in any_usage(), spare in 0..5_u64,
    ) {
        let [standard, mut above, mut priority, flex] = rows;
        above.input_tokens_above = Some(threshold);
        priority.service_tier = ServiceTier::Priority;
        priority.input_tokens_up_to = up_to;
        let flex = PriceRow { service_tier: ServiceTier::Flex, ..flex };
        let prices = PriceList::resolve(&Price::Rows(vec![standard, above, priority, flex])).unwrap();
        let (max_input, max_output) = (usage.total_input() + spare, usage.total_output() + spare);
        for tier in [ServiceTier::Standard, ServiceTier::Priority, ServiceTier::Flex] {
            let Ok(cost) = prices.cost(&usage, tier, NEW_YEAR) else { continue };
            for bound in [Some(tier), None] {
                if let Ok(worst) = prices.worst_case(max_input, max_output, bound, NEW_YEAR) {
                    prop_assert!(cost.amount_nano_usd <= worst.amount_nano_usd);
                }
            }
        }
    }

    #[test]
    fn one_token_more_than_affordable_costs_more_than_is_left(
        rows in prop::array::uniform3(any_row()), threshold in 1..4_000_u64, max_input in 0..8_000_u64,
        left in prop_oneof![0..1_000_i64, 0..1_000_000_000_000_i64, 0..=i64::MAX],
        tier in prop::option::of(Just(ServiceTier::Standard)),
    ) {
        let [standard, mut above, mut priority] = rows;
        above.input_tokens_above = Some(threshold);
        priority.service_tier = ServiceTier::Priority;
        let prices = PriceList::resolve(&Price::Rows(vec![standard, above, priority])).unwrap();
        let left = NanoUsd::new(left);
        let worst = |output| prices.worst_case(max_input, output, tier, NEW_YEAR).map(|cost| cost.amount_nano_usd);
        match prices.affordable_output_tokens(max_input, tier, NEW_YEAR, left) {
            Ok(None) => prop_assert!(worst(0).is_ok_and(|worst| worst > left)),
            Ok(Some(tokens)) => {
                prop_assert!(worst(tokens).is_ok_and(|worst| worst <= left));
                if let Some(more) = tokens.checked_add(1) {
                    prop_assert!(worst(more).map_or(true, |worst| worst > left));
                }
            }
            Err(problem) => prop_assert_eq!(worst(0), Err(problem)),
        }
    }

    #[test]
    fn amounts_read_back(nanos in any::<u64>()) {
        let amount = UsdPerMillion(NanoUsdPerMillion::new(nanos));
        let text = serde_json::to_string(&amount).unwrap();
        prop_assert_eq!(serde_json::from_str::<UsdPerMillion>(&text).unwrap(), amount);
    }
}

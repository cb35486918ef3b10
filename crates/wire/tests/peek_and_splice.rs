//! Peek accepts what `serde_json` accepts, and a splice changes what it names and nothing else.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tollgate_core::Dialect;
use tollgate_wire::{Edits, Field, ModelText, OutputCap, peek, splice};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        "[ -~]{30,120}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("x.{0,12}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn mutations() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    let byte =
        prop_oneof![any::<u8>(), prop::sample::select(b"\"\\{}[],:0123456789.eE+-truflsn \n\t\0u".to_vec())];
    prop::collection::vec((any::<prop::sample::Index>(), byte), 0..4)
}

fn accepted_by_serde(bytes: &[u8]) -> Option<bool> {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(value) => Some(value.is_object()),
        // Numbers beyond a 64-bit float are forwarded untouched: the documented difference.
        Err(error) if error.to_string().starts_with("number out of range") => None,
        Err(_) => Some(false),
    }
}

/// A request body with any subset of the fields that are spliced, and others around them.
fn request() -> impl Strategy<Value = Map<String, Value>> {
    let options = prop_oneof![
        Just(Value::Null),
        Just(json!({})),
        Just(json!({"include_usage": false})),
        Just(json!({"include_usage": true, "other": [1, {"include_usage": 2}]})),
        Just(json!({"include_usage": null, "other": "x"})),
        Just(json!({"continuous_usage_stats": true})),
    ];
    let cap = prop_oneof![Just(Value::Null), (0u64..2_000).prop_map(Value::from)];
    (
        prop::collection::btree_map("x.{0,12}", any_json(), 0..4),
        prop::option::of(prop_oneof![Just(Value::Null), ".{0,20}".prop_map(Value::from)]),
        prop::option::of(options),
        prop::option::of(cap.clone()),
        prop::option::of(cap),
    )
        .prop_map(|(others, model, options, max_tokens, max_completion_tokens)| {
            let mut map: Map<String, Value> = others.into_iter().collect();
            let fields = [
                ("model", model),
                ("stream_options", options),
                ("max_tokens", max_tokens),
                ("max_completion_tokens", max_completion_tokens),
            ];
            for (key, value) in fields {
                value.map(|value| map.insert(key.into(), value));
            }
            map
        })
}

fn expected(mut map: Map<String, Value>, model: Option<&str>, usage: bool, cap: Option<u64>) -> Value {
    if let Some(model) = model {
        map.insert("model".into(), model.into());
    }
    if usage {
        let options = map.entry("stream_options").or_insert(Value::Null);
        if options.is_null() {
            *options = json!({});
        }
        options["include_usage"] = true.into();
    }
    if let Some(cap) = cap {
        let mut given = false;
        for key in ["max_tokens", "max_completion_tokens"] {
            if let Some(count) = map.get(key).and_then(Value::as_u64) {
                given = true;
                // Servers differ on what 0 means.
                let lowered = if count == 0 { cap } else { count.min(cap) };
                map.insert(key.into(), lowered.into());
            }
        }
        if !given {
            map.insert("max_completion_tokens".into(), cap.into());
        }
    }
    map.into()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn accepts_what_serde_json_accepts(
        map in prop::collection::btree_map("xx.{0,11}", any_json(), 0..5),
        pretty in any::<bool>(),
        mutations in mutations(),
    ) {
        let encode = if pretty { serde_json::to_vec_pretty } else { serde_json::to_vec };
        let mut bytes = encode(&map).unwrap();
        for (place, byte) in mutations {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(accepted) = accepted_by_serde(&bytes) {
            prop_assert_eq!(peek(Dialect::OpenaiChat, bytes.into()).is_ok(), accepted);
        }
    }

    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[{}\\[\\]\",:\\\\u0-9a-f ]{0,80}") {
        let _ = peek(Dialect::OpenaiResponses, bytes.into());
        let accepted = peek(Dialect::OpenaiResponses, text.clone().into()).is_ok();
        if let Some(expected) = accepted_by_serde(text.as_bytes()) {
            prop_assert_eq!(accepted, expected);
        }
    }

    #[test]
    fn splices_change_what_they_name(
        map in request(),
        pretty in any::<bool>(),
        model in prop::option::of(".{0,20}"),
        include_usage in any::<bool>(),
        cap in prop::option::of(0u64..2_000),
    ) {
        let encode = if pretty { serde_json::to_vec_pretty } else { serde_json::to_vec };
        let body = Bytes::from(encode(&map).unwrap());
        // Floats change a little when they are first read; what is compared must have been read as often.
        let map: Map<String, Value> = serde_json::from_slice(&body).unwrap();
        let peeked = peek(Dialect::OpenaiChat, body.clone()).unwrap();
        let model_text = model.as_deref().map(ModelText::new);
        let output_cap = cap.map(|tokens| OutputCap { tokens, add_as: Field::MaxCompletionTokens });
        let spliced = splice(&peeked, &Edits { model: model_text.as_ref(), include_usage, output_cap });

        let bytes = spliced.to_bytes();
        prop_assert_eq!(bytes.len(), spliced.len());
        let value: Value = serde_json::from_slice(&bytes).unwrap();
        prop_assert_eq!(value, expected(map, model.as_deref(), include_usage, cap));
        let again = peek(Dialect::OpenaiChat, bytes).unwrap();
        prop_assert!(!include_usage || again.wants_usage());

        // Pieces of the original are slices of it, in order and never overlapping.
        let original = body.as_ptr_range();
        let mut reached = original.start;
        for part in spliced.parts().iter().filter(|part| original.contains(&part.as_ptr())) {
            prop_assert!(part.as_ptr() >= reached && part.as_ptr_range().end <= original.end);
            reached = part.as_ptr_range().end;
        }
        if model.is_none() && !include_usage && cap.is_none() {
            prop_assert_eq!(spliced.parts().len(), 1);
        }
    }
}

#[test]
fn bytes_outside_the_named_values_are_identical() {
    let body = "{ \"a\" : 1.0e0 ,\t\"model\" : \"old\" , \"stream_options\": { \"x\":\"\\u0041\" }, \"max_tokens\":  99 }";
    let peeked = peek(Dialect::OpenaiChat, Bytes::from_static(body.as_bytes())).unwrap();
    let model = ModelText::new("new \"one\"");
    let edits = Edits {
        model: Some(&model),
        include_usage: true,
        output_cap: Some(OutputCap { tokens: 7, add_as: Field::MaxCompletionTokens }),
    };
    let expected = body
        .replace("\"old\"", "\"new \\\"one\\\"\"")
        .replace("{ \"x\"", "{\"include_usage\":true, \"x\"")
        .replace("99", "7");
    assert_eq!(splice(&peeked, &edits).to_bytes(), expected.as_bytes());
}

#[test]
fn members_are_added_to_an_empty_body() {
    let peeked = peek(Dialect::OpenaiChat, Bytes::from_static(b" { } ")).unwrap();
    let model = ModelText::new("m");
    let output_cap = Some(OutputCap { tokens: 7, add_as: Field::MaxCompletionTokens });
    let spliced = splice(&peeked, &Edits { model: Some(&model), include_usage: true, output_cap });
    let value: Value = serde_json::from_slice(&spliced.to_bytes()).unwrap();
    assert_eq!(
        value,
        json!({"model": "m", "stream_options": {"include_usage": true}, "max_completion_tokens": 7})
    );
}

#[test]
fn dialects_that_report_usage_unasked_are_left_alone() {
    for dialect in [Dialect::OpenaiResponses, Dialect::AnthropicMessages, Dialect::OpenaiEmbeddings] {
        let body = Bytes::from_static(br#"{"model":"m","stream":true}"#);
        let peeked = peek(dialect, body.clone()).unwrap();
        let edits = Edits { include_usage: true, ..Edits::default() };
        assert_eq!(splice(&peeked, &edits).to_bytes(), body);
    }
}

//! JSON schemas for constrained decoding, which takes fewer keywords than validation does.

use serde_json::{Map, Value};

use super::error::TranslateError;
use crate::canonical::{Json, Losses};

/// Keywords that constrained decoding refuses; they are told to the model in words instead.
const IN_WORDS: [&str; 17] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "patternProperties",
    "contains",
    "not",
    "if",
    "then",
];

/// Keywords that hold schemas by name, and in a list.
const NAMED: [&str; 3] = ["properties", "$defs", "definitions"];
const LISTED: [&str; 4] = ["anyOf", "allOf", "oneOf", "prefixItems"];

/// The schema with refused keywords moved into descriptions and objects closed; whether anything changed.
///
/// Recursion is bounded by the parser, which refuses documents deeper than 128 levels.
pub(crate) fn for_constrained_decoding(schema: &Json, field: &str) -> Result<(Json, bool), TranslateError> {
    let mut value: Value = serde_json::from_str(schema.as_str())
        .map_err(|_| TranslateError::request(field, "the schema is nested more than 128 levels deep"))?;
    let changed = restrict(&mut value);
    Ok((Json::from(&value), changed))
}

/// OpenAI answers 400 to a strict schema with optional properties, which other dialects allow.
pub(crate) fn accepted_strict(
    strict: Option<bool>,
    schema: Option<&Json>,
    field: &str,
    losses: &mut Losses,
) -> Option<bool> {
    if strict == Some(true) && !schema.is_some_and(allows_strict) {
        losses.changed(
            field,
            "the schema has optional properties or open objects and is not enforced strictly",
        );
        return None;
    }
    strict
}

/// Whether OpenAI takes the schema as strict: every object closed and all its properties required.
fn allows_strict(schema: &Json) -> bool {
    serde_json::from_str(schema.as_str()).is_ok_and(|value| is_strict(&value))
}

fn is_strict(schema: &Value) -> bool {
    let Value::Object(fields) = schema else { return true };
    if fields.get("type").is_some_and(|kind| kind == "object") || fields.contains_key("properties") {
        let closed = fields.get("additionalProperties") == Some(&Value::Bool(false));
        let required = fields.get("required").and_then(Value::as_array);
        let mut names = fields.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys);
        let is_required =
            |name: &String| required.is_some_and(|required| required.iter().any(|one| one == name));
        if !closed || !names.all(is_required) {
            return false;
        }
    }
    let named = NAMED.iter().filter_map(|key| fields.get(*key)?.as_object()).flat_map(Map::values);
    let listed = LISTED.iter().filter_map(|key| fields.get(*key)?.as_array()).flatten();
    named.chain(listed).chain(fields.get("items")).all(is_strict)
}

fn restrict(schema: &mut Value) -> bool {
    let Value::Object(fields) = schema else { return false };
    let mut changed = describe_refused(fields);
    let is_object =
        fields.get("type").is_some_and(|kind| kind == "object") || fields.contains_key("properties");
    if is_object && fields.get("additionalProperties") != Some(&Value::Bool(false)) {
        fields.insert("additionalProperties".to_owned(), Value::Bool(false));
        changed = true;
    }
    for key in NAMED {
        if let Some(Value::Object(named)) = fields.get_mut(key) {
            for inner in named.values_mut() {
                changed |= restrict(inner);
            }
        }
    }
    for key in LISTED {
        if let Some(Value::Array(listed)) = fields.get_mut(key) {
            for inner in listed {
                changed |= restrict(inner);
            }
        }
    }
    if let Some(items) = fields.get_mut("items") {
        changed |= restrict(items);
    }
    changed
}

fn describe_refused(fields: &mut Map<String, Value>) -> bool {
    let mut words = Vec::new();
    for key in IN_WORDS.into_iter().chain(["else"]) {
        if let Some(value) = fields.shift_remove(key) {
            words.push(format!("{key}: {value}"));
        }
    }
    if words.is_empty() {
        return false;
    }
    let words = format!("({})", words.join(", "));
    let described = match fields.get("description").and_then(Value::as_str) {
        Some(description) => format!("{description} {words}"),
        None => words,
    };
    fields.insert("description".to_owned(), Value::String(described));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constrained(schema: &str) -> (String, bool) {
        let (json, changed) = for_constrained_decoding(&Json::parse(schema).unwrap(), "schema").unwrap();
        (json.as_str().to_owned(), changed)
    }

    #[test]
    fn constraints_become_words_and_property_names_are_no_keywords() {
        let (schema, changed) = constrained(
            r#"{"type":"object","properties":{"minimum":{"type":"integer","minimum":3,"description":"least"}},"additionalProperties":false}"#,
        );
        assert!(changed);
        assert_eq!(
            schema,
            r#"{"type":"object","properties":{"minimum":{"type":"integer","description":"least (minimum: 3)"}},"additionalProperties":false}"#
        );
    }

    #[test]
    fn order_is_kept_and_a_plain_schema_is_untouched() {
        let plain = r#"{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"string"}},"required":["z"],"additionalProperties":false}"#;
        assert_eq!(constrained(plain), (plain.to_owned(), false));
    }

    #[test]
    fn strict_needs_closed_objects_with_all_properties_required() {
        let strict = |schema: &str| allows_strict(&Json::parse(schema).unwrap());
        assert!(strict(
            r#"{"type":"object","properties":{"a":{}},"required":["a"],"additionalProperties":false}"#
        ));
        assert!(!strict(r#"{"type":"object","properties":{"a":{}},"required":["a"]}"#));
        assert!(!strict(r#"{"type":"object","properties":{"a":{}},"additionalProperties":false}"#));
        assert!(!strict(r#"{"type":"array","items":{"type":"object"}}"#));
    }

    #[test]
    fn a_schema_beyond_the_parsers_depth_is_the_callers_fault() {
        let deep = format!("{}{}", "{\"items\":".repeat(200), "1".to_owned() + &"}".repeat(200));
        let json = Json::parse(&deep).unwrap();
        assert!(matches!(for_constrained_decoding(&json, "schema"), Err(TranslateError::Request { .. })));
    }
}

//! JSON schemas for constrained decoding, which takes fewer keywords than validation does.

use serde_json::{Map, Value};

use super::error::TranslateError;
use crate::canonical::Json;

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

/// The schema with refused keywords moved into descriptions and objects closed; whether anything changed.
///
/// Recursion is bounded by the parser, which refuses documents deeper than 128 levels.
pub(crate) fn for_constrained_decoding(schema: &Json, field: &str) -> Result<(Json, bool), TranslateError> {
    let mut value: Value = serde_json::from_str(schema.as_str())
        .map_err(|_| TranslateError::request(field, "the schema is nested more than 128 levels deep"))?;
    let changed = restrict(&mut value);
    Ok((Json::from(&value), changed))
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
    for key in ["properties", "$defs", "definitions"] {
        if let Some(Value::Object(named)) = fields.get_mut(key) {
            for inner in named.values_mut() {
                changed |= restrict(inner);
            }
        }
    }
    for key in ["anyOf", "allOf", "oneOf", "prefixItems"] {
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
    fn a_schema_beyond_the_parsers_depth_is_the_callers_fault() {
        let deep = format!("{}{}", "{\"items\":".repeat(200), "1".to_owned() + &"}".repeat(200));
        let json = Json::parse(&deep).unwrap();
        assert!(matches!(for_constrained_decoding(&json, "schema"), Err(TranslateError::Request { .. })));
    }
}

use std::collections::BTreeSet;

use serde_json::Value;

use super::document;
use crate::api;

fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                found.insert(reference);
            }
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_route_is_described_and_every_reference_resolves() {
    let document = document("1.2.3");
    let mut ids = BTreeSet::new();
    for route in api::table() {
        let operation = &document["paths"][route.path][route.method.as_str().to_ascii_lowercase()];
        assert_eq!(operation["operationId"], route.operation_id);
        assert!(ids.insert(route.operation_id), "{} twice", route.operation_id);
        assert!(operation["responses"].get(route.status.as_str()).is_some());
        let in_path: Vec<_> = operation["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| format!("{{{}}}", parameter["name"].as_str().unwrap()))
            .collect();
        assert_eq!(in_path.len(), route.path.matches('{').count(), "{}", route.path);
        assert!(in_path.iter().all(|name| route.path.contains(name)), "{}", route.path);
    }
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn inputs_are_closed_and_secrets_are_write_only() {
    let document = document("1.2.3");
    let schema = &document["components"]["schemas"]["NewProvider"];
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema["properties"]["secret"].to_string().contains("\"writeOnly\":true"), "{schema}");
}

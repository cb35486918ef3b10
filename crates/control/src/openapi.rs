//! The OpenAPI 3.1 description, made from the route table.

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::api;
use crate::problem::Problem;
use crate::route::{Guard, Route};

/// The whole document.
pub fn document(program_version: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = SchemaGenerator::new(settings);
    let problem = generator.subschema_for::<Problem>();
    let mut paths: Map<String, Value> = Map::new();
    for route in api::table() {
        let operation = operation(&route, &mut generator, &problem);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tollgate admin API",
            "version": program_version,
            "description": "Organizations, providers, models, keys and usage of a Tollgate installation. Times are \
                microseconds since 1970, money is nano-USD.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "admin": { "type": "http", "scheme": "bearer", "description": "An admin credential, `tga_…`" },
            },
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator, problem: &Schema) -> Value {
    let mut parameters = Vec::new();
    if let Some(path) = (route.shapes.path)(generator) {
        parameters.extend(parameters_of(generator, &path, "path"));
    }
    if let Some(query) = (route.shapes.query)(generator) {
        parameters.extend(parameters_of(generator, &query, "query"));
    }
    let mut success = json!({ "description": "Success" });
    if let Some(response) = (route.shapes.response)(generator) {
        success["content"] = json!({ "application/json": { "schema": response } });
    }
    let mut responses = json!({
        "default": {
            "description": "A problem (RFC 9457)",
            "content": { "application/problem+json": { "schema": problem } },
        },
    });
    responses[route.status.as_str()] = success;
    let mut operation = json!({
        "operationId": route.operation_id,
        "summary": route.summary,
        "parameters": parameters,
        "responses": responses,
    });
    if let Some(request) = (route.shapes.request)(generator) {
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": request } } });
    }
    if let Guard::Permission(permission) = route.guard {
        operation["security"] = json!([{ "admin": [] }]);
        operation["x-tollgate-permission"] = json!(permission);
    }
    operation
}

/// Each property of an object as a parameter. The object itself leaves the components: nothing refers to it.
fn parameters_of(generator: &mut SchemaGenerator, reference: &Schema, place: &str) -> Vec<Value> {
    let name = reference.get("$ref").and_then(Value::as_str).and_then(|text| text.rsplit('/').next());
    let object = match name {
        Some(name) => generator.definitions_mut().remove(name).unwrap_or_default(),
        None => reference.as_value().clone(),
    };
    let required = object.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let properties = object.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let parameters = properties.into_iter().map(|(name, mut schema)| {
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let is_required = place == "path" || required.contains(&json!(name));
        let mut parameter = json!({ "name": name, "in": place, "required": is_required, "schema": schema });
        if let Some(description) = description {
            parameter["description"] = description;
        }
        parameter
    });
    parameters.collect()
}

#[cfg(test)]
mod tests;

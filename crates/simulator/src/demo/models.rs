use std::time::Duration;

use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{ask::Surface, errors, json as json_response, paced::PacedBody};

/// What a model is like.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: &'static str,
    pub(super) first_token_ms: u64,
    pub(super) tokens_per_second: u64,
    /// Sentences of an answer, beside the opening and the closing.
    pub(super) sentences: u64,
    pub(super) reasons: bool,
    pub(super) embeds: bool,
    pub(super) refused_per_mille: u64,
    pub(super) failed_per_mille: u64,
    pub(super) cut_per_mille: u64,
}

const USUAL: Model = Model {
    name: "",
    first_token_ms: 300,
    tokens_per_second: 80,
    sentences: 4,
    reasons: false,
    embeds: false,
    refused_per_mille: 15,
    failed_per_mille: 10,
    cut_per_mille: 0,
};

pub(crate) static MODELS: [Model; 6] = [
    Model { name: "sim-fast", first_token_ms: 120, tokens_per_second: 160, sentences: 3, ..USUAL },
    Model { name: "sim-smart", first_token_ms: 450, tokens_per_second: 60, sentences: 7, ..USUAL },
    Model { name: "sim-reasoner", first_token_ms: 1_500, tokens_per_second: 90, reasons: true, ..USUAL },
    Model { name: "sim-claude", first_token_ms: 380, tokens_per_second: 75, sentences: 6, ..USUAL },
    Model { name: "sim-embed", first_token_ms: 40, embeds: true, ..USUAL },
    Model {
        name: "sim-flaky",
        first_token_ms: 250,
        refused_per_mille: 150,
        failed_per_mille: 120,
        cut_per_mille: 50,
        ..USUAL
    },
];

/// Any date will do, as long as it stays.
const CREATED: u64 = 1_790_000_000;

pub(crate) fn find(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.name == name)
}

/// `GET /v1/models` and `GET /v1/models/{id}` in either dialect.
pub(super) fn answer(path: &str, anthropic: bool) -> Response<PacedBody> {
    let surface = if anthropic { Surface::Messages } else { Surface::Chat };
    let describe = if anthropic { describe_for_anthropic } else { describe_for_openai };
    let rest = path.strip_prefix("/v1").unwrap_or(path);
    let body = match rest.strip_prefix("/models") {
        Some("" | "/") => list(anthropic, MODELS.iter().map(describe).collect()),
        Some(id) => match find(id.trim_start_matches('/')) {
            Some(model) => describe(model),
            None => return errors::unknown_model(surface, &json!({"model": id.trim_start_matches('/')})),
        },
        None => return errors::not_found(path),
    };
    json_response(StatusCode::OK, &body, Duration::ZERO)
}

fn list(anthropic: bool, models: Vec<Value>) -> Value {
    if !anthropic {
        return json!({"object": "list", "data": models});
    }
    let id = |model: Option<&Value>| model.and_then(|model| model.get("id")).cloned();
    json!({
        "first_id": id(models.first()),
        "last_id": id(models.last()),
        "has_more": false,
        "data": models,
    })
}

fn describe_for_openai(model: &Model) -> Value {
    json!({"id": model.name, "object": "model", "created": CREATED, "owned_by": "simulator"})
}

fn describe_for_anthropic(model: &Model) -> Value {
    json!({
        "type": "model",
        "id": model.name,
        "display_name": model.name,
        "created_at": "2026-09-21T00:00:00Z",
    })
}

//! `GET /v1/models`: what a key may use, in the shape of the client that asks.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response};
use serde_json::{Value, json};
use tollgate_core::{Dialect, RequestId};
use tollgate_state::ActiveCredential;
use tollgate_wire::ErrorKind;

use crate::answer::AnswerBody;
use crate::core::Core;
use crate::journey::identify;
use crate::live::Published;
use crate::problem::Problem;

/// The dialect in which a request without a dialect of its own is answered: Anthropic's clients name their version.
pub fn dialect_of(headers: &HeaderMap) -> Dialect {
    if headers.contains_key("anthropic-version") { Dialect::AnthropicMessages } else { Dialect::OpenaiChat }
}

/// All models that the key may use.
pub async fn list(core: &Core, headers: &HeaderMap) -> Response<AnswerBody> {
    answer(core, headers, |published, credential| {
        let names: Vec<&str> = usable(published, credential).collect();
        Ok(match dialect_of(headers) {
            Dialect::AnthropicMessages => json!({
                "data": names.iter().map(|name| anthropic_model(name)).collect::<Vec<_>>(),
                "first_id": names.first(),
                "last_id": names.last(),
                "has_more": false,
            }),
            _ => json!({
                "object": "list",
                "data": names.iter().map(|name| openai_model(name)).collect::<Vec<_>>(),
            }),
        })
    })
    .await
}

/// One model, if the key may use it. What it may not use does not exist for it.
pub async fn get(core: &Core, headers: &HeaderMap, name: &str) -> Response<AnswerBody> {
    answer(core, headers, |published, credential| {
        let view = published.snapshot.organization(credential.principal.payer.organization_id);
        let known = view.is_some_and(|view| view.resolve(name).is_some());
        if !known || credential.key.grants.check(name).is_err() {
            let message = "there is no such model; GET /v1/models lists what this key may use";
            return Err(Problem::client(ErrorKind::NotFound, message).with_code("model_not_found"));
        }
        Ok(match dialect_of(headers) {
            Dialect::AnthropicMessages => anthropic_model(name),
            _ => openai_model(name),
        })
    })
    .await
}

fn usable<'a>(published: &'a Published, credential: &'a ActiveCredential) -> impl Iterator<Item = &'a str> {
    let view = published.snapshot.organization(credential.principal.payer.organization_id);
    let names = view.into_iter().flat_map(|view| view.names());
    names.filter(|name| credential.key.grants.check(name).is_ok())
}

fn openai_model(name: &str) -> Value {
    json!({ "id": name, "object": "model", "created": 0, "owned_by": "tollgate" })
}

fn anthropic_model(name: &str) -> Value {
    json!({ "type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z" })
}

async fn answer(
    core: &Core,
    headers: &HeaderMap,
    make: impl FnOnce(&Published, &ActiveCredential) -> Result<Value, Problem>,
) -> Response<AnswerBody> {
    let published = core.gateway.published().clone();
    let identified = identify::credential(core, &published, headers).await;
    match identified.and_then(|credential| make(&published, &credential)) {
        Ok(value) => {
            let mut response = Response::new(AnswerBody::full(value.to_string()));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(problem) => {
            core.gateway.metrics.refused(problem.name());
            problem.response(dialect_of(headers), RequestId::generate())
        }
    }
}

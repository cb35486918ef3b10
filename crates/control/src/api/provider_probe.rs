//! Calling a provider to see whether it works, and which models it has.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tollgate_access::authorize::{ProvidersRead, ProvidersWrite};
use tollgate_core::{Dialect, ModelName, SecretText};
use tollgate_providers::ProviderKind;
use tollgate_store::StoredProvider;
use tollgate_upstream::{Egress, FetchError, FetchedResponse, OneShot, Origin, Timeouts, fetch};

use super::providers::ProviderPath;
use crate::call::{Call, Nothing};
use crate::connection::Installation;
use crate::problem::Problem;

const LONGEST_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// A provider with more models than this gets a pattern with `open: true`.
const MOST_MODELS: usize = 2_000;
const TIMEOUTS: Timeouts =
    Timeouts { connect_ms: 5_000, write_ms: 5_000, first_byte_ms: 30_000, idle_ms: 10_000, total_ms: 45_000 };

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProbeInput {
    /// The provider's name of a model to send one tiny call to; absent: the first that the provider lists.
    model: Option<String>,
}

/// What a test found.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProbeReport {
    /// Whether a call was answered.
    ok: bool,
    steps: Vec<ProbeStep>,
}

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProbeStepName {
    /// The base URL and the credential, before anything is sent.
    Configuration,
    /// The provider's list of models.
    ModelList,
    /// A call with a few tokens, which may cost a fraction of a cent.
    Call,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ProbeStep {
    step: ProbeStepName,
    ok: bool,
    /// What was found, or what is wrong and what to do.
    detail: String,
    /// The provider's status, if it answered.
    status: Option<u16>,
    latency_ms: u64,
}

/// The models of a provider as it lists them now.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Discovery {
    discovered_models: Vec<String>,
    /// Whether they differ from those found before.
    changed: bool,
}

/// Where and how a provider is called.
struct Target {
    kind: &'static ProviderKind,
    origin: Arc<Origin>,
    headers: HeaderMap,
    tls: Arc<rustls::ClientConfig>,
}

impl Target {
    fn new<P: tollgate_access::Permission, A, B, C>(
        call: &Call<P, A, B, C>,
        installation: &Installation,
        provider: &StoredProvider,
    ) -> Result<Self, String> {
        let object = &provider.object;
        let kind = tollgate_providers::find(&object.kind)
            .ok_or_else(|| format!("there is no provider kind `{}`", object.kind))?;
        let base_url = object.base_url.as_deref().or(kind.base_url.as_deref());
        let base_url = base_url.ok_or("the provider has no base_url, and its kind has none either")?;
        let egress = if object.internal || kind.internal { Egress::Internal } else { Egress::Public };
        let origin = Origin::parse(base_url, egress).map_err(|error| error.to_string())?;
        let secret: Option<SecretText> = provider
            .sealed_secret
            .as_ref()
            .map(|sealed| installation.open_provider_secret(object.organization_id, object.id, sealed))
            .transpose()
            .map_err(|error| error.to_string())?;
        let headers = headers(kind, secret.as_ref())?;
        Ok(Self { kind, origin: Arc::new(origin), headers, tls: Arc::clone(&call.plane.parts.tls) })
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<FetchedResponse, FetchError> {
        fetch(OneShot {
            origin: Arc::clone(&self.origin),
            tls: Arc::clone(&self.tls),
            method,
            path: format!("{}{path}", self.origin.path_prefix()),
            headers: self.headers.clone(),
            body,
            timeouts: TIMEOUTS,
            max_response_bytes: LONGEST_ANSWER_BYTES,
        })
        .await
    }

    /// The names that the provider lists, without those that no client could ask for.
    async fn list(&self) -> (ProbeStep, Vec<String>) {
        let started = Instant::now();
        let answer = self.send(Method::GET, "/models", Bytes::new()).await;
        let mut models = Vec::new();
        let mut step = step_of(ProbeStepName::ModelList, started, &answer);
        if let (true, Ok(answer)) = (step.ok, &answer) {
            match serde_json::from_slice::<ModelList>(&answer.body) {
                Ok(list) => {
                    let names = list.data.into_iter().map(|entry| entry.id);
                    models = names.filter(|name| ModelName::check(name).is_ok()).take(MOST_MODELS).collect();
                    models.sort_unstable();
                    models.dedup();
                    step.detail = format!("lists {} models", models.len());
                }
                Err(_) => {
                    step.ok = false;
                    step.detail =
                        "answers, but not with a list of models: base_url probably lacks its version path, \
                        for example `/v1`"
                            .into();
                }
            }
        }
        (step, models)
    }

    async fn call(&self, model: &str) -> ProbeStep {
        let (path, body) = if self.kind.speaks.contains(&Dialect::AnthropicMessages) {
            let body =
                json!({ "model": model, "max_tokens": 1, "messages": [{ "role": "user", "content": "Hi" }] });
            ("/messages", body)
        } else {
            (
                "/chat/completions",
                json!({ "model": model, "messages": [{ "role": "user", "content": "Hi" }] }),
            )
        };
        let started = Instant::now();
        let answer = self.send(Method::POST, path, Bytes::from(body.to_string())).await;
        let mut step = step_of(ProbeStepName::Call, started, &answer);
        if step.ok {
            step.detail = format!("`{model}` answered");
        }
        step
    }
}

#[derive(Deserialize)]
struct ModelList {
    data: Vec<ModelEntry>,
}

#[derive(Deserialize)]
struct ModelEntry {
    id: String,
}

fn headers(kind: &ProviderKind, secret: Option<&SecretText>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &kind.headers {
        let name = HeaderName::try_from(&**name).map_err(|error| error.to_string())?;
        headers.insert(name, HeaderValue::try_from(&**value).map_err(|error| error.to_string())?);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let credential = kind.credential_header(secret);
    if let Some((name, value)) =
        credential.map_err(|_| "the secret contains characters that no header can carry")?
    {
        headers.insert(name, value);
    }
    Ok(headers)
}

fn step_of(step: ProbeStepName, started: Instant, answer: &Result<FetchedResponse, FetchError>) -> ProbeStep {
    let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (ok, status, detail) = match answer {
        Ok(answer) => {
            (answer.status.is_success(), Some(answer.status.as_u16()), meaning(answer.status.as_u16()))
        }
        Err(error) => (false, None, error.to_string()),
    };
    ProbeStep { step, ok, detail, status, latency_ms }
}

/// What a status tells the operator. The provider's own words are not shown: some repeat the credential.
fn meaning(status: u16) -> String {
    match status {
        200..=299 => "answers".into(),
        401 | 403 => format!("answers {status}: the provider refuses the secret; set the right one"),
        404 => "answers 404: the model is unknown to the provider, or base_url lacks its version path, for example `/v1`"
            .into(),
        429 => "answers 429: the account is over its limit or has no credit".into(),
        300..=399 => format!("answers {status}, a redirect, which is never followed: set base_url to where it leads"),
        400..=499 => format!("answers {status}: the provider does not accept the request"),
        _ => format!("answers {status}: the provider is in trouble"),
    }
}

pub(crate) async fn test(
    call: Call<ProvidersWrite, ProviderPath, Nothing, ProbeInput>,
) -> Result<ProbeReport, Problem> {
    let (installation, provider) = provider_of(&call).await?;
    let target = match Target::new(&call, installation, &provider) {
        Ok(target) => target,
        Err(detail) => {
            let step = ProbeStep {
                step: ProbeStepName::Configuration,
                ok: false,
                detail,
                status: None,
                latency_ms: 0,
            };
            return Ok(ProbeReport { ok: false, steps: vec![step] });
        }
    };
    let (listing, models) = target.list().await;
    let model = call.body.model.clone().or_else(|| callable(&target, &models));
    let mut steps = vec![listing];
    match model {
        Some(model) => steps.push(target.call(&model).await),
        None => steps.push(ProbeStep {
            step: ProbeStepName::Call,
            ok: false,
            detail: "no model to call: name one of the provider's models in `model`".into(),
            status: None,
            latency_ms: 0,
        }),
    }
    Ok(ProbeReport { ok: steps.last().is_some_and(|step| step.ok), steps })
}

/// A listed model that chats as far as the catalogue knows, else the first one.
fn callable(target: &Target, models: &[String]) -> Option<String> {
    let catalog = tollgate_catalog::Catalog::builtin();
    let chats = |name: &&String| {
        catalog.find(&target.kind.kind, name).is_some_and(|facts| facts.mode == tollgate_catalog::Mode::Chat)
    };
    models.iter().find(chats).or_else(|| models.first()).cloned()
}

pub(crate) async fn discover(call: Call<ProvidersWrite, ProviderPath>) -> Result<Discovery, Problem> {
    let (installation, provider) = provider_of(&call).await?;
    let failed = |detail: String| Problem::conflict("provider_failed", format!("the provider {detail}"));
    let target = Target::new(&call, installation, &provider).map_err(failed)?;
    let (step, discovered_models) = target.list().await;
    if !step.ok {
        return Err(failed(step.detail));
    }
    let id = provider.object.id;
    let changed = installation.store.system_set_discovered_models(id, &discovered_models).await?;
    call.plane.publish().await;
    Ok(Discovery { discovered_models, changed })
}

async fn provider_of<B, C>(
    call: &Call<ProvidersWrite, ProviderPath, B, C>,
) -> Result<(&Installation, StoredProvider), Problem> {
    let installation = call.plane.installation()?;
    let read = call.proof.actor().authorize::<ProvidersRead>(call.proof.scope())?;
    Ok((installation, installation.store.get_provider(&read, call.path.provider_id).await?))
}

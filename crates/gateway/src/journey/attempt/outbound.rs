//! What is sent to a provider: the client's bytes with named splices, or a translation of them.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, FORWARDED, HOST, ORIGIN, REFERER, VIA,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use tollgate_core::Dialect;
use tollgate_upstream::OutboundBody;
use tollgate_wire::translate::{self, Capabilities, Carry, RequestContext, TranslateError};
use tollgate_wire::{Edits, ErrorKind, Field, ModelText, OutputCap, splice};

use super::failure::Failure;
use super::send::Call;
use crate::answer::remove_hop_by_hop;
use crate::journey::identify::CREDENTIAL_HEADERS;
use crate::journey::shortlist::Eligible;
use crate::problem::Problem;
use crate::targets::Target;

/// A request for one provider.
pub(super) struct Outbound {
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: OutboundBody,
    pub upstream_model: Box<str>,
    /// What the way back must know; `None` where no translation is needed.
    pub translation: Option<Translation>,
    /// We asked for the usage event, the client did not: it is taken out again.
    pub remove_usage_event: bool,
}

/// A request that went through the canonical form.
pub struct Translation {
    pub carry: Carry,
    losses: Vec<Box<str>>,
}

impl Outbound {
    /// What the translation lost, one line each.
    pub(super) fn losses(&self) -> impl Iterator<Item = Box<str>> {
        self.translation.iter().flat_map(|translation| translation.losses.iter().cloned())
    }

    pub(super) fn method(&self) -> Method {
        Method::POST
    }
}

/// Where a model's maximum output is unknown and the dialect demands one.
const DEFAULT_MAX_OUTPUT_TOKENS: u64 = 4_096;

/// Puts the call into the form in which a target takes it. A budget may set or lower the output cap.
pub(super) fn prepare(
    call: &Call,
    eligible: &Eligible,
    output_cap: Option<OutputCap>,
) -> Result<Outbound, Failure> {
    let target = &eligible.target;
    let Some((dialect, path)) = target.route(call.operation, call.dialect) else {
        return Err(Failure::unsupported(call));
    };
    let deployment = &target.deployment;
    let upstream_model: Box<str> = deployment.upstream_model(&call.resolved.name, &call.model).into();
    let headers = headers(&call.headers, target);
    let uri = with_query(path, call.query.as_deref().filter(|_| dialect == call.dialect));
    if dialect != call.dialect {
        let uri = Uri::from(path.clone());
        return translated(call, target, dialect, upstream_model, output_cap, headers, uri);
    }
    let wants_stream_usage = call.stream
        && target.kind.stream_usage_option
        && matches!(dialect, Dialect::OpenaiChat | Dialect::OpenaiCompletions);
    let edits =
        Edits { model: None, include_usage: wants_stream_usage && !call.peeked.wants_usage(), output_cap };
    let renamed = renamed(call, target, &upstream_model);
    let body = match (&renamed, edits.include_usage, edits.output_cap) {
        (None, false, None) => OutboundBody::from(call.peeked.body().clone()),
        _ => spliced(call, &Edits { model: renamed.as_deref(), ..edits }),
    };
    let remove_usage_event = wants_stream_usage && !call.peeked.wants_usage();
    Ok(Outbound { uri, headers, body, upstream_model, translation: None, remove_usage_event })
}

fn spliced(call: &Call, edits: &Edits<'_>) -> OutboundBody {
    let spliced = splice(&call.peeked, edits);
    OutboundBody::from_chunks(spliced.parts())
}

/// The upstream's model name, where it is not the one that the body has.
fn renamed<'a>(call: &Call, target: &'a Target, upstream_model: &str) -> Option<Cow<'a, ModelText>> {
    if *upstream_model == *call.model && call.peeked.has(Field::Model) && !call.substituted {
        return None;
    }
    Some(match &target.model_text {
        Some(text) => Cow::Borrowed(text),
        None => Cow::Owned(ModelText::new(upstream_model)),
    })
}

fn translated(
    call: &Call,
    target: &Target,
    dialect: Dialect,
    upstream_model: Box<str>,
    output_cap: Option<OutputCap>,
    mut headers: HeaderMap,
    uri: Uri,
) -> Result<Outbound, Failure> {
    let facts = target.deployment.facts(&upstream_model);
    let known = facts.map(|facts| facts.capabilities).unwrap_or_default();
    let default = Capabilities::default();
    let context = RequestContext {
        upstream_model: &upstream_model,
        default_max_output_tokens: facts
            .and_then(|facts| facts.limits.max_output_tokens)
            .unwrap_or(DEFAULT_MAX_OUTPUT_TOKENS),
        output_cap_tokens: output_cap.map(|cap| cap.tokens),
        capabilities: Capabilities {
            sampling_params: known.sampling_params.unwrap_or(default.sampling_params),
            adaptive_thinking: known.adaptive_thinking.unwrap_or(default.adaptive_thinking),
            thinking_always_on: known.thinking_always_on.unwrap_or(default.thinking_always_on),
            forced_tool_choice: known.forced_tool_choice.unwrap_or(default.forced_tool_choice),
            assistant_prefill: known.assistant_prefill.unwrap_or(default.assistant_prefill),
            mid_conversation_system: known.mid_conversation_system.unwrap_or(default.mid_conversation_system),
            native_structured_output: known
                .native_structured_output
                .unwrap_or(default.native_structured_output),
            reasoning_effort: known.reasoning.unwrap_or(default.reasoning_effort),
            max_completion_tokens: &*target.kind.kind == "openai",
            ..default
        },
    };
    let mut body = translate::translate_request(call.dialect, dialect, call.peeked.body(), &context)
        .map_err(|error| Failure::from_problem(request_problem(error)))?;
    // Headers that unlock or version fields of the client's dialect mean nothing in another.
    for name in ["anthropic-beta", "anthropic-version", "openai-beta"] {
        headers.remove(name);
    }
    apply_defaults(&mut headers, target);
    body.carry.created_unix_s = call.created_unix_s();
    let losses = body.losses.iter().map(|loss| loss.to_string().into()).collect();
    let translation = Some(Translation { carry: body.carry, losses });
    let body = OutboundBody::from(Bytes::from(body.body));
    Ok(Outbound { uri, headers, body, upstream_model, translation, remove_usage_event: false })
}

fn request_problem(error: TranslateError) -> Problem {
    Problem::client(ErrorKind::InvalidRequest, error.to_string()).with_code("untranslatable_request")
}

/// What a query may say to a provider: which version of its API is meant. Anything else may be a credential.
const QUERY_KEYS: [&str; 2] = ["api-version", "beta"];

/// Of the client's query goes along what the client's dialect knows.
fn with_query(path: &http::uri::PathAndQuery, query: Option<&str>) -> Uri {
    let known = |pair: &&str| QUERY_KEYS.contains(&pair.split_once('=').map_or(*pair, |(key, _)| key));
    let kept: Vec<&str> = query.unwrap_or_default().split('&').filter(known).collect();
    if kept.is_empty() {
        return Uri::from(path.clone());
    }
    let joined = format!("{path}?{}", kept.join("&"));
    joined.parse().unwrap_or_else(|_| Uri::from(path.clone()))
}

/// Headers of the client that a provider must not see: its credentials, its connection, its network, the page that
/// it runs in, and what names its organization, its address or its call to the provider in place of Tollgate.
const WITHHELD: [HeaderName; 25] = [
    HOST,
    CONTENT_LENGTH,
    COOKIE,
    EXPECT,
    FORWARDED,
    VIA,
    ACCEPT_ENCODING,
    ORIGIN,
    REFERER,
    HeaderName::from_static("proxy-authorization"),
    HeaderName::from_static("openai-organization"),
    HeaderName::from_static("openai-project"),
    HeaderName::from_static("x-amz-security-token"),
    HeaderName::from_static("x-auth-token"),
    HeaderName::from_static("x-token"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-rewrite-url"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-method-override"),
    // Callers share the provider's account: two of them may use the same key for different calls.
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("x-idempotency-key"),
];
const WITHHELD_PREFIXES: [&str; 3] = ["x-tollgate-", "x-forwarded-", "cf-"];

fn headers(client: &HeaderMap, target: &Target) -> HeaderMap {
    let mut headers = client.clone();
    remove_hop_by_hop(&mut headers);
    for name in WITHHELD.iter().chain(&CREDENTIAL_HEADERS) {
        headers.remove(name);
    }
    let is_private =
        |name: &&HeaderName| WITHHELD_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix));
    let private: Vec<HeaderName> = headers.keys().filter(is_private).cloned().collect();
    for name in private {
        headers.remove(name);
    }
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    apply_defaults(&mut headers, target);
    if let Some((name, value)) = &target.credential {
        headers.insert(name, value.clone());
    }
    headers
}

fn apply_defaults(headers: &mut HeaderMap, target: &Target) {
    for (name, value) in &target.default_headers {
        if !headers.contains_key(name) {
            headers.insert(name, value.clone());
        }
    }
}

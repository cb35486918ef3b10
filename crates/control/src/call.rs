//! One call of the admin API: who calls, and its parts, each checked in full.

use std::any::TypeId;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::RequestPartsExt;
use axum::body::Body;
use axum::extract::Path;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tollgate_access::{Actor, Permission, Proof, Scope, admin_credential};

use crate::misses::{Misses, TOO_MANY};
use crate::plane::Plane;
use crate::problem::{FieldError, Problem};

/// The longest request body.
const BODY_LIMIT_BYTES: usize = 1024 * 1024;
/// How long a whole request body may take.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// What a handler gets. That it exists means that the caller was identified and may do `P`.
pub(crate) struct Call<P: Permission, Location = Nothing, Query = Nothing, Content = Nothing> {
    pub(crate) plane: Arc<Plane>,
    pub(crate) proof: Proof<P>,
    /// The parts of the path that vary.
    pub(crate) path: Location,
    pub(crate) query: Query,
    pub(crate) body: Content,
}

/// A part that a call does not have.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

pub(crate) fn is_nothing<T: 'static>() -> bool {
    TypeId::of::<T>() == TypeId::of::<Nothing>()
}

/// The administrator whose credential the headers carry.
pub(crate) async fn authenticate(plane: &Plane, headers: &HeaderMap) -> Result<Actor, Problem> {
    const HOW: &str =
        "send `Authorization: Bearer tga_…` with an admin credential; `tollgate admin reset` makes one";
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Problem::unauthenticated(HOW));
    };
    let text = value.to_str().map_err(|_| Problem::unauthenticated(HOW))?;
    let (scheme, token) = text.split_once(' ').ok_or_else(|| Problem::unauthenticated(HOW))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Problem::unauthenticated(HOW));
    }
    let installation = plane.installation()?;
    let hashes = admin_credential::hashes(installation.peppers(), token.trim())
        .map_err(|_| Problem::unauthenticated("this is not an admin credential, or it is mistyped"))?;
    const UNKNOWN: &str = "this admin credential is unknown, revoked or expired";
    // The newest pepper comes first; one hash is enough to tell credentials apart.
    let Some(first) = hashes.first().copied() else { return Err(Problem::unauthenticated(UNKNOWN)) };
    if !plane.strangers.may_ask(&first)? {
        return Err(Problem::unauthenticated(UNKNOWN));
    }
    for hash in hashes {
        if let Some(known) = installation.store.system_find_admin_token(&hash).await? {
            plane.strangers.welcome(first);
            return Ok(Actor::administrator(known.id));
        }
    }
    plane.strangers.turn_away(first);
    Err(Problem::unauthenticated(UNKNOWN))
}

type Hash = [u8; 32];

/// Keeps callers who invent admin credentials from keeping the store busy, and real administrators apart from them.
pub(crate) struct Strangers(Mutex<(Misses<Hash>, HashSet<Hash>)>);

impl Default for Strangers {
    fn default() -> Self {
        Self(Mutex::new((Misses::new(Instant::now()), HashSet::new())))
    }
}

impl Strangers {
    /// Whether the store is to be asked; whoever was an administrator before always may, and is checked each time.
    fn may_ask(&self, hash: &Hash) -> Result<bool, Problem> {
        let now = Instant::now();
        let (misses, acquainted) = &mut *self.0.lock();
        if acquainted.contains(hash) {
            return Ok(true);
        }
        if misses.is_absent(hash, now) {
            return Ok(false);
        }
        if misses.may_ask(now) { Ok(true) } else { Err(Problem::unavailable(TOO_MANY)) }
    }

    /// Only credentials that exist get in, so there are never many.
    fn welcome(&self, hash: Hash) {
        let (misses, acquainted) = &mut *self.0.lock();
        if acquainted.insert(hash) {
            misses.found();
        }
    }

    fn turn_away(&self, hash: Hash) {
        let (misses, acquainted) = &mut *self.0.lock();
        acquainted.remove(&hash);
        misses.remember(hash, Instant::now());
    }
}

/// Identifies the caller, asks whether it may, and only then reads the rest.
pub(crate) async fn receive<P, Location, Query, Content>(
    plane: Arc<Plane>,
    mut parts: Parts,
    body: Body,
) -> Result<Call<P, Location, Query, Content>, Problem>
where
    P: Permission,
    Location: DeserializeOwned + Send + 'static,
    Query: DeserializeOwned,
    Content: DeserializeOwned + 'static,
{
    let actor = authenticate(&plane, &parts.headers).await?;
    let proof = actor.authorize::<P>(Scope::Installation)?;
    let path = parts.extract::<Path<Location>>().await;
    let Path(path) = path.map_err(|error| Problem::not_found(error.body_text()))?;
    let query = read_query(parts.uri.query().unwrap_or(""))?;
    let body = if is_nothing::<Content>() {
        serde_json::from_str("{}").map_err(|error| Problem::internal(&error))?
    } else {
        read_json(&parts.headers, &collect(body).await?)?
    };
    Ok(Call { plane, proof, path, query, body })
}

async fn collect(body: Body) -> Result<Bytes, Problem> {
    let Ok(collected) = timeout(BODY_PATIENCE, Limited::new(body, BODY_LIMIT_BYTES).collect()).await else {
        let detail = format!("the body did not arrive within {} s", BODY_PATIENCE.as_secs());
        return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail));
    };
    match collected {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let detail = format!("the body is longer than {BODY_LIMIT_BYTES} bytes");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail))
        }
        Err(_) => Err(Problem::new(StatusCode::BAD_REQUEST, "body_cut", "the body ended early")),
    }
}

fn read_query<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    let deserializer = serde_urlencoded::Deserializer::new(form_urlencoded::parse(text.as_bytes()));
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let (field, message) = (error.path().to_string(), error.into_inner().to_string());
        Problem::invalid_fields(vec![field_error(&field, message)])
    })
}

fn read_json<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if !kind.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("application/json") {
        let detail = "send the body as JSON with `content-type: application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", detail));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let field = error.path().to_string();
        let cause = error.into_inner();
        match cause.classify() {
            serde_json::error::Category::Data => {
                Problem::invalid_fields(vec![field_error(&field, without_position(&cause.to_string()))])
            }
            _ => Problem::new(StatusCode::BAD_REQUEST, "not_json", format!("the body is not JSON: {cause}")),
        }
    })?;
    deserializer.end().map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, "not_json", format!("the body is not JSON: {error}"))
    })?;
    Ok(value)
}

/// serde names an unknown or missing field in the message only; the list should name it too.
fn field_error(path: &str, message: String) -> FieldError {
    let named = ["unknown field `", "missing field `"]
        .iter()
        .find_map(|start| message.strip_prefix(start)?.split('`').next())
        .map(str::to_owned);
    let parent = if path == "." { "" } else { path };
    let field = match named {
        Some(name) if parent.is_empty() => name,
        // The path of an unknown field ends in it already, that of a missing field in the object around it.
        Some(name) if parent == name || parent.ends_with(&format!(".{name}")) => parent.to_owned(),
        Some(name) => format!("{parent}.{name}"),
        None => path.to_owned(),
    };
    FieldError { field, message }
}

fn without_position(message: &str) -> String {
    message.rsplit_once(" at line ").map_or(message, |(text, _)| text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[serde(rename = "list")]
        _list: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[serde(rename = "number")]
        _number: u8,
    }

    fn fields(body: &str) -> Vec<(u16, String)> {
        let mut headers = HeaderMap::new();
        headers
            .insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json; charset=utf-8"));
        let problem = read_json::<Outer>(&headers, body.as_bytes()).unwrap_err();
        problem.errors.into_iter().map(|error| (problem.status, error.field)).collect()
    }

    #[test]
    fn wrong_fields_are_named_where_they_are() {
        assert_eq!(fields(r#"{"list":[{"number":256}]}"#), [(422, "list[0].number".into())]);
        assert_eq!(fields(r#"{"list":[{"number":1,"admin":true}]}"#), [(422, "list[0].admin".into())]);
        assert_eq!(fields(r#"{"list":[{}]}"#), [(422, "list[0].number".into())]);
        assert_eq!(fields(r#"{"list":[],"owner":"file"}"#), [(422, "owner".into())]);
        assert_eq!(fields("{}"), [(422, "list".into())]);
        assert_eq!(fields("{"), []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let endless = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        assert_eq!(collect(Body::from_stream(endless)).await.unwrap_err().status, 408);
        assert_eq!(collect(Body::from("{}")).await.unwrap(), "{}");
    }

    #[test]
    fn invented_credentials_lock_no_administrator_out() {
        let strangers = Strangers::default();
        assert!(strangers.may_ask(&[1; 32]).unwrap());
        strangers.welcome([1; 32]);
        assert!(strangers.may_ask(&[2; 32]).unwrap());
        strangers.turn_away([2; 32]);
        assert!(!strangers.may_ask(&[2; 32]).unwrap());
        // More than the store is asked for, even if this takes seconds.
        let refused = (0_u32..10_000).find_map(|number| {
            let mut hash = [3; 32];
            hash[..4].copy_from_slice(&number.to_be_bytes());
            strangers.may_ask(&hash).err()
        });
        assert_eq!(refused.unwrap().status, 503);
        assert!(strangers.may_ask(&[1; 32]).unwrap());
    }

    #[test]
    fn a_body_must_be_declared_as_json() {
        let problem = read_json::<Outer>(&HeaderMap::new(), b"{}").unwrap_err();
        assert_eq!(problem.status, 415);
    }
}
